"""Folders that are written anew as a whole, and hold nothing but what was written: a report for a web server."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.private import DRAFT_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CONTENTS: Final = ".sharectl-report"
"""The file that lists what sharectl wrote into a folder: nothing else may be there when the next report replaces it."""
_HEADING: Final = "What sharectl wrote into this folder; `sharectl report` replaces it, and touches a folder that holds anything else in nothing."
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_NO_EXCHANGE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM})
_MODE: Final = 0o755
_REMEDY: Final = "name a folder that is not there yet, or one that holds nothing but a report"


class Page(NamedTuple):
    """A file of a report: its path within the folder, with slashes, and what is in it."""

    path: str
    content: bytes


class Published(NamedTuple):
    """What was written, and where the former report was left if it could not be removed as a whole."""

    pages: int
    left: Path | None


def publish(directory: Path, pages: Iterable[Page]) -> Published:
    """Write the pages to a new folder beside `directory`, and put it there in one step; readers see the former report, or the new one.

    A folder that holds anything but a report is refused, before a page is made and again before it is let go of. Modes are as
    the umask has them; a folder that is replaced gives its mode to the new one. Raises DiagnosticError.
    """
    directory = directory.parent.resolve() / directory.name if directory.name not in {"", ".."} else directory.resolve()
    try:
        _refuse_others(directory)
        directory.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(directory)
        with _draft_of(directory) as draft:
            count = _write(draft, pages)
            if directory.exists():
                draft.chmod(stat.S_IMODE(directory.stat().st_mode))
            former = _put_in_place(draft, directory)
            return Published(count, None if former is None or _remove(former) else former)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        if problem.errno == errno.EBUSY:
            reason = "it is a mount point, and only a folder in it can be replaced as a whole"
        raise DiagnosticError(
            error("report.unwritable", f"the report could not be written to {directory}: {reason}")
        ) from problem


def _refuse_others(directory: Path) -> None:
    """Refuse what is at `directory`, unless that is nothing, an empty folder or a report."""
    if directory.is_symlink():
        remedy = f"name the folder that it leads to: {directory.resolve()}"
        raise DiagnosticError(error("report.link", f"{directory} is a symbolic link", remedy=remedy))
    if not os.path.lexists(directory):
        return
    if not directory.is_dir():
        raise DiagnosticError(error("report.not-a-folder", f"{directory} is not a folder", remedy=_REMEDY))
    other = _other_in(directory)
    if other is not None:
        raise DiagnosticError(
            error(
                "report.holds-others",
                f"{directory} holds something that is not of a report: {other}",
                detail="a report replaces its folder as a whole; nothing was changed.",
                remedy=_REMEDY,
            )
        )


def _other_in(directory: Path) -> str | None:
    """Return the path of something within the folder that no report lists; None where all is of a report, or nothing is there."""
    listed = _listed(directory)
    folders = {path.rpartition("/")[0] for path in listed}
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(directory / prefix) as entries:
            for entry in entries:
                path = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False) and path in folders:
                    pending.append(f"{path}/")
                elif path not in listed or not entry.is_file(follow_symlinks=False):
                    return path
    return None


def _listed(directory: Path) -> frozenset[str]:
    """Return the paths of the files that a report has written; none where there is no report."""
    file = directory / CONTENTS
    try:
        if file.is_symlink():
            return frozenset()
        heading, *paths = file.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError, ValueError):
        return frozenset()
    return frozenset((*paths, CONTENTS)) if heading == _HEADING else frozenset()


@contextmanager
def _draft_of(directory: Path) -> Iterator[Path]:
    """Yield a new folder beside `directory`, locked as long as it is written, which is gone afterwards unless it was renamed."""
    draft = directory.with_name(f".{directory.name}.{os.urandom(8).hex()}{DRAFT_SUFFIX}")
    draft.mkdir(mode=_MODE)
    descriptor = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield draft
        except BaseException:
            with suppress(OSError):
                if os.path.samestat(os.fstat(descriptor), draft.lstat()):  # and not the report that it has replaced
                    shutil.rmtree(draft)
            raise
    finally:
        os.close(descriptor)


def _remove_leftovers(directory: Path) -> None:
    """Remove the drafts of earlier reports that were cut short: nobody holds their locks."""
    ours = re.compile(rf"\.{re.escape(directory.name)}\.[0-9a-f]{{16}}{re.escape(DRAFT_SUFFIX)}")
    for draft in directory.parent.iterdir():
        if ours.fullmatch(draft.name) is None:
            continue
        with suppress(OSError):
            descriptor = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (draft / CONTENTS).exists():
                    _remove(draft)  # a report that was replaced, or was about to be put in place
                else:
                    shutil.rmtree(draft)
            finally:
                os.close(descriptor)


def _write(draft: Path, pages: Iterable[Page]) -> int:
    paths: list[str] = []
    folders = {""}
    for page in pages:
        folder = page.path.rpartition("/")[0]
        if folder not in folders:
            (draft / folder).mkdir(mode=_MODE)
            folders.add(folder)
        (draft / page.path).write_bytes(page.content)
        paths.append(page.path)
    (draft / CONTENTS).write_text("".join(f"{line}\n" for line in (_HEADING, *sorted(paths))), encoding="utf-8")
    return len(paths)


def _put_in_place(draft: Path, directory: Path) -> Path | None:
    """Give the draft the name of the folder in one step; return where the former report is then, None where there was none."""
    if not os.path.lexists(directory):
        draft.rename(directory)
        return None
    if _exchange(draft, directory):
        if (other := _other_in(draft)) is not None:  # it came there meanwhile
            _exchange(draft, directory)
            summary = f"{directory} holds something that is not of a report: {other}"
            raise DiagnosticError(error("report.holds-others", summary, remedy=_REMEDY))
        return draft
    former = draft.with_name(f".{directory.name}.{os.urandom(8).hex()}{DRAFT_SUFFIX}")
    directory.rename(former)
    try:
        draft.rename(directory)
    except OSError:
        former.rename(directory)
        raise
    return former


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; return False where the file system, or the C library, knows no such thing."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number))


def _remove(former: Path) -> bool:
    """Remove the files that the report in this folder lists, and the folders that are empty then; return whether nothing is left."""
    listed = _listed(former)
    for path in listed:
        (former / path).unlink(missing_ok=True)
    for folder in sorted({path.rpartition("/")[0] for path in listed}, reverse=True):
        with suppress(OSError):
            (former / folder).rmdir()
    with suppress(OSError):
        former.rmdir()
    return not former.exists()
