"""Exports as they are kept for the next start of an NFS-Ganesha: a file for each, in the folder that it reads or aside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Export, Problem
from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.nfs.exports import defined
from sharectl.drivers.linux.agent.nfs.ganesha.configuration import export_text
from sharectl.drivers.linux.agent.nfs.ganesha.process import EXPORTS, WITHHELD

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.drivers.linux.agent.nfs.ganesha.process import Layout

_SUFFIX: Final = ".conf"


def file_name(export_id: int) -> str:
    """Return the name of the file of an export."""
    return f"{export_id}{_SUFFIX}"


def kept_in(folder: str) -> list[Export]:
    """Return the exports of a folder; none where it is not there."""
    names = sorted(_files(folder)) if os.path.isdir(folder) else []  # noqa: PTH112 - paths are text everywhere in the agent
    found = (export_of(name, content(os.path.join(folder, name))) for name in names)  # noqa: PTH118 - as above
    return [export for export in found if export is not None]


def stored(layout: Layout, export_id: int) -> Export | None:
    """Return the export as it is kept for the next start, unless it is withheld."""
    name = file_name(export_id)
    return export_of(name, content(layout.path(EXPORTS, name)))


def sort(layout: Layout, is_ready: Callable[[Export], bool]) -> int:
    """Leave in the folder that the server reads the exports that are ready alone, as they would be written now; return their number."""
    kept, withheld = _files(layout.exports), _files(layout.withheld)
    count = 0
    for name in sorted(kept | withheld):
        path, aside = layout.path(EXPORTS, name), layout.path(WITHHELD, name)
        text = content(path if name in kept else aside)
        export = export_of(name, text)
        if export is not None and is_ready(export):
            count += 1
            if name in withheld or text != export_text(export):
                daemons.write_atomically(path, export_text(export), staging=layout.staging)
            Path(aside).unlink(missing_ok=True)
        elif name in kept:
            os.replace(path, aside)  # noqa: PTH105 - as above
    return count


def content(path: str) -> str | None:
    """Return the text of a regular file; None where there is none, or where it is not text."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as above
            return file.read()
    except (OSError, ValueError):
        return None


def export_of(name: str, text: str | None) -> Export | None:
    """Return what a stored file exports; None for one that sharectl did not write so."""
    try:
        export = defined((text or "").partition("\n")[0])
    except (ValueError, Problem):
        return None
    return export if name == f"{export.export_id}{_SUFFIX}" else None


def _files(folder: str) -> set[str]:
    """Return the names of what is not a folder: the server reads all of these."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)}
