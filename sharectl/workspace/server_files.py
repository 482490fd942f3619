"""Configuration files of other servers, read from disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import DiagnosticError, error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sharectl.legacy.exports import ExportedTo
    from sharectl.legacy.smb_conf import SmbConf
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.workspace.repository import Input

STANDARD_INPUT: Final = "-"
STANDARD_INPUT_NAME: Final = "<standard input>"
_FRAGMENT: Final = ".exports"


def read_exports_files(names: Sequence[str], directory: Path, stdin: Input | None) -> tuple[ExportedTo, ...]:
    """Return the clients in all these files, in order; of a folder, in its files NAME.exports, as exportfs reads `/etc/exports.d`.

    Relative names are under `directory`. Raises DiagnosticError.
    """
    from sharectl.legacy.exports import read_exports  # noqa: PLC0415 - only where there are some

    found: list[ExportedTo] = []
    problems: list[Diagnostic] = []
    for name in names:
        for path in _files_of(name, directory):
            try:
                found += read_exports(read_text(path, directory, stdin), _shown(path))
            except DiagnosticError as failure:
                problems += failure.diagnostics
    if problems:
        raise DiagnosticError(*problems)
    return tuple(found)


def read_smb_conf_file(name: str, directory: Path, stdin: Input | None) -> SmbConf:
    """Return what a smb.conf says with the files that it includes, whose names are as Samba would read them here. Raises DiagnosticError."""
    from sharectl.legacy.smb_conf import read_smb_conf  # noqa: PLC0415 - only where there are some

    def include(other: str) -> str | None:
        try:
            return read_text(other, directory, None)
        except DiagnosticError:
            return None

    return read_smb_conf(read_text(name, directory, stdin), _shown(name), include)


def read_text(name: str, directory: Path, stdin: Input | None) -> str:
    """Return the text of a file, or of standard input (`-`); bytes that are not UTF-8 as surrogates. Raises DiagnosticError."""
    from sharectl.manifests.files import read_regular_file, why_unreadable  # noqa: PLC0415 - only where there are some

    if name == STANDARD_INPUT:
        stream = None if stdin is None else stdin.again()
        return "" if stream is None else _decoded(stream.read())
    try:
        _, data = read_regular_file(str(directory / name))
    except OSError as failure:
        summary = f"{name} could not be read: {why_unreadable(failure, str(directory / name))}"
        remedy = "name a file that you may read, or - for standard input"
        raise DiagnosticError(error("import.unreadable-file", summary, remedy=remedy)) from failure
    return _decoded(data)


def _decoded(data: bytes) -> str:
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def _files_of(name: str, directory: Path) -> Iterable[str]:
    path = directory / name
    if name == STANDARD_INPUT or not path.is_dir():
        return (name,)
    fragments = (entry.name for entry in os.scandir(path))
    return [f"{name.rstrip('/')}/{entry}" for entry in sorted(fragments) if _is_fragment(entry)]


def _is_fragment(name: str) -> bool:
    return name.endswith(_FRAGMENT) and not name.startswith(".")


def _shown(name: str) -> str:
    return STANDARD_INPUT_NAME if name == STANDARD_INPUT else name
