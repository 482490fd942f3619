"""The folder `.sharectl`: readable by its owner alone, and never taken into git by mistake."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = ".sharectl"
MODE: Final = 0o700
_OTHERS_WRITE: Final = stat.S_IWOTH
_IGNORE: Final = """\
# Written by sharectl: the state and the cache belong to this machine, not into git.
*
"""


def make_private(directory: Path) -> list[Path]:
    """Make `directory` and what is missing above it with mode 0700, whatever the umask; return what was made, the topmost first.

    Git is told to ignore what is in a folder called `.sharectl`, and in any other that is made in a checkout. Raises OSError.
    """
    missing: list[Path] = []
    for parent in (directory, *directory.parents):
        if parent.exists():
            break
        missing.insert(0, parent)
    for parent in missing:
        parent.mkdir(mode=MODE, exist_ok=True)
    ours = next((folder for folder in (directory, *missing) if folder.name == NAME), None)
    if ours is not None:
        write_ignore_file(ours)
    elif missing and any((parent / ".git").exists() for parent in directory.parents):
        write_ignore_file(directory)
    return missing


def write_ignore_file(directory: Path) -> None:
    """Tell git to ignore everything in `directory`, unless somebody has told it something there; where that cannot be written, do without."""
    file = directory / ".gitignore"
    with suppress(OSError):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as ignore:
            ignore.write(_IGNORE)


def mend_private(directory: Path, state: Path) -> None:
    """Take from others what an earlier version, or the umask, gave them of an existing `.sharectl` of this user.

    Where the mode of the state file was widened on purpose, so that others may read it, they may still enter, and only
    the right of everybody to write goes.
    """
    with suppress(OSError):
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return
        mode = stat.S_IMODE(found.st_mode)
        wanted = mode & ~_OTHERS_WRITE if _is_shared(state) else mode & ~0o077
        if wanted != mode:
            directory.chmod(wanted)
        if not (directory / ".gitignore").exists():
            write_ignore_file(directory)


def _is_shared(state: Path) -> bool:
    try:
        return bool(state.stat().st_mode & 0o077)
    except OSError:
        return False
