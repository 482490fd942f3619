"""Writes generated files into a folder of somebody else's, each whole or not at all, and touches no file that it did not write."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.private import draft_of, way_out

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sharectl.model.diagnostics import Diagnostic

_MODE: Final = 0o644


class Written(NamedTuple):
    """What was done to the files: how many were written, how many were up to date, and those from before that are not needed any more."""

    written: int
    unchanged: int
    stale: tuple[str, ...]


def write_marked_files(folder: Path, files: Mapping[str, str], mark: str) -> Written:
    """Write `files` (texts by name, each with `mark` as its first line) into `folder`, which is there already.

    A file that begins with the mark is replaced; any other, whatever it is, is left alone, and then nothing is written at all:
    raises DiagnosticError, as where the folder cannot be written. Files with the mark under other names stay as well, and are named.
    """
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: _marked_text(entry, mark) for entry in entries}
        foreign = sorted(name for name in files if found.get(name, "") is None)
        if foreign:
            raise DiagnosticError(*(_foreign(folder / name) for name in foreign))
        changed = {name: text for name, text in files.items() if found.get(name) != text}
        for name, text in changed.items():
            _put(folder / name, text, is_new=name not in found)
    except OSError as problem:
        summary = f"{problem.filename or folder} could not be read or written: {problem.strerror}"
        raise DiagnosticError(
            error("mounts.folder", summary, remedy=way_out(problem, "--directory names a folder that is there"))
        ) from problem
    stale = sorted(name for name, text in found.items() if text is not None and name not in files)
    return Written(len(changed), len(files) - len(changed), tuple(stale))


def _marked_text(entry: os.DirEntry[str], mark: str) -> str | None:
    """Return what is in the file, or None where it is not one with the mark."""
    if not entry.is_file(follow_symlinks=False):
        return None
    descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if (
            not stat.S_ISREG(os.fstat(descriptor).st_mode)
            or file.readline(len(mark.encode()) + 1) != f"{mark}\n".encode()
        ):
            return None
        return f"{mark}\n{file.read().decode(errors='replace')}"


def _put(path: Path, text: str, *, is_new: bool) -> None:
    """Write the file in one step; one that is new does not replace what somebody else has put there since."""
    with draft_of(path, is_new=is_new) as draft:
        draft.write_bytes(text.encode())
        draft.chmod(_MODE)


def _foreign(path: Path) -> Diagnostic:
    return error(
        "mounts.foreign-file",
        f"{path} is there already, and sharectl did not write it",
        detail="nothing was written, so nothing of yours was overwritten.",
        remedy="move it away, or name another folder with --directory",
    )
