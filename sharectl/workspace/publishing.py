"""Folders that are replaced as a whole, and hold only what was written: a report for a web server."""

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
from sharectl.private import DRAFT_SUFFIX, way_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CONTENTS: Final = ".sharectl-report"
"""The file that lists what sharectl wrote into a folder: nothing else may be there when the next report replaces it."""
_UNFINISHED: Final = ".sharectl-draft"
"""The file that a draft holds until all of it is written: what was cut short before that is of sharectl alone."""
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
    the umask has them; a folder that is replaced gives its group and mode to the new one. Raises DiagnosticError.
    """
    directory = directory.parent.resolve() / directory.name if directory.name not in {"", ".."} else directory.resolve()
    try:
        _refuse_others(directory)
        directory.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(directory)
        with _draft_of(directory) as draft:
            mode = stat.S_IMODE(draft.stat().st_mode)
            draft.chmod(mode & ~0o077)  # nobody else reads in it before it has its place
            count = _write(draft, pages)
            _open_as(draft, directory, mode)
            former = _put_in_place(draft, directory)
            return Published(count, None if former is None or _remove(former) else former)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        if problem.errno == errno.EBUSY:
            reason = "it is a mount point, and only a folder in it can be replaced as a whole"
        raise DiagnosticError(
            error(
                "report.unwritable",
                f"the report could not be written to {directory}: {reason}",
                detail="what was there is as it was.",
                remedy=way_out(problem, "name another folder with --html"),
            )
        ) from problem


def _refuse_others(directory: Path, now_at: Path | None = None) -> None:
    """Refuse what is at `directory`, or was there and is at `now_at`, unless that is nothing, an empty folder or a report."""
    place = now_at or directory
    if place.is_symlink():
        remedy = f"name the folder that it leads to: {place.resolve()}"
        raise DiagnosticError(error("report.link", f"{directory} is a symbolic link", remedy=remedy))
    if not os.path.lexists(place):
        return
    if not place.is_dir():
        raise DiagnosticError(error("report.not-a-folder", f"{directory} is not a folder", remedy=_REMEDY))
    other = _other_in(place)
    if other is not None:
        raise DiagnosticError(
            error(
                "report.holds-others",
                f"{directory} holds something that is not of a report: {other}",
                detail="a report replaces its folder as a whole; what is there stays as it is.",
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
        if not stat.S_ISREG(file.lstat().st_mode):
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
                if (draft / _UNFINISHED).exists():
                    shutil.rmtree(draft)
                else:
                    _remove(draft)  # a folder that was replaced, or was about to be put in place
            finally:
                os.close(descriptor)


def _write(draft: Path, pages: Iterable[Page]) -> int:
    paths: list[str] = []
    folders = {""}
    (draft / _UNFINISHED).touch()
    for page in pages:
        folder = page.path.rpartition("/")[0]
        if folder not in folders:
            (draft / folder).mkdir(mode=_MODE)
            folders.add(folder)
        (draft / page.path).write_bytes(page.content)
        paths.append(page.path)
    (draft / CONTENTS).write_text("".join(f"{line}\n" for line in (_HEADING, *sorted(paths))), encoding="utf-8")
    (draft / _UNFINISHED).unlink()
    return len(paths)


def _open_as(draft: Path, directory: Path, mode: int) -> None:
    """Give the draft the readers of the folder that it replaces; as `mode` says where there is none."""
    with suppress(FileNotFoundError):
        mode = stat.S_IMODE(directory.lstat().st_mode)
        group = _group_of(directory)
        if group != _group_of(draft):
            try:
                for path in (draft, *draft.rglob("*")):  # a umask may leave its files to their group alone
                    os.chown(path, -1, group, follow_symlinks=False)
            except PermissionError:
                if mode >> 3 & ~mode & stat.S_IRWXO:
                    raise DiagnosticError(
                        error(
                            "report.group",
                            f"the new report cannot get the group of {directory}, to which more is open there than to all",
                            remedy="run it as a member of that group, or give the folder to a group of yours",
                        )
                    ) from None
    draft.chmod(mode)


def _group_of(path: Path) -> int:
    return path.lstat().st_gid


def _put_in_place(draft: Path, directory: Path) -> Path | None:
    """Give the draft the name of the folder in one step; return where the former report is then, None where there was none."""
    if not os.path.lexists(directory):
        draft.rename(directory)
        return None
    if _exchange(draft, directory):
        try:
            _refuse_others(directory, draft)  # it came there meanwhile
        except BaseException:
            _exchange(draft, directory)
            raise
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
    """Exchange the names of two folders in one step; return False if the file system or the C library cannot."""
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
    """Remove the files that the report in this folder lists, and the folders that are empty then; return whether nothing is left.

    The list goes last, and stays with what is left. Links are not followed, and no path is taken from the list.
    """
    listed = _listed(former)
    ours = {path.rpartition("/")[0] for path in listed}
    for place, folders, files, descriptor in os.fwalk(former, topdown=False):
        prefix = "" if place == str(former) else f"{os.path.relpath(place, former)}/"
        for name in files:
            if f"{prefix}{name}" in listed and f"{prefix}{name}" != CONTENTS:
                with suppress(OSError):
                    os.unlink(name, dir_fd=descriptor)
        for name in folders:
            if f"{prefix}{name}" in ours:
                with suppress(OSError):
                    os.rmdir(name, dir_fd=descriptor)
    with suppress(OSError):
        if listed and [each.name for each in former.iterdir()] == [CONTENTS]:
            (former / CONTENTS).unlink()
        former.rmdir()
    return not os.path.lexists(former)
