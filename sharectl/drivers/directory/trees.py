"""Trees: removing, measuring and copying what users put into a share, without following a link or leaving the file system."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError
from sharectl.drivers.directory.files import open_beneath, opened_beneath, opened_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

Parts = tuple[str, ...]

_CLONE_FILE: Final = 0x40049409  # FICLONE, ioctl_ficlone(2)
_NO_CLONE: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM})
_CHUNK_BYTES: Final = 8 << 20
_BLOCK_BYTES: Final = 512  # the unit of st_blocks, whatever the file system


def purge(holder_fd: int) -> None:
    """Remove everything inside the directory `holder_fd`.

    A sub-directory is first renamed to the top and taken apart there: however deep a tree is, two descriptors are enough,
    and what is left after a crash is still inside the holder. Raises DriverError where another file system is mounted inside.
    """
    device = os.fstat(holder_fd).st_dev
    waiting = deque(os.listdir(holder_fd))
    serial = 0
    while waiting:
        name = waiting.popleft()
        if not _is_directory(name, holder_fd):
            _unlink(name, holder_fd)
            continue
        if os.stat(name, dir_fd=holder_fd, follow_symlinks=False).st_dev != device:
            message = f"another file system is mounted inside the share (at {name!r}); unmount it, then try again"
            raise DriverError(message)
        _make_writable(name, holder_fd)
        with opened_directory(name, holder_fd) as inner_fd:
            for entry in _entries(inner_fd):
                if not entry.is_dir(follow_symlinks=False):
                    _unlink(entry.name, inner_fd)
                    continue
                serial += 1
                new_name = f"{serial}.{os.urandom(6).hex()}"
                try:
                    _make_writable(entry.name, inner_fd)
                    os.rename(entry.name, new_name, src_dir_fd=inner_fd, dst_dir_fd=holder_fd)
                except OSError as cause:
                    if cause.errno in {errno.EBUSY, errno.EXDEV}:
                        message = f"another file system is mounted inside the share (at {entry.name!r}); unmount it, then try again"
                        raise DriverError(message) from cause
                    raise
                waiting.append(new_name)
        os.rmdir(name, dir_fd=holder_fd)


def used_bytes(top_fd: int) -> int:
    """Return the bytes that the tree occupies: hard links once, holes and other file systems not."""
    device = os.fstat(top_fd).st_dev
    total_blocks = os.fstat(top_fd).st_blocks
    linked: set[int] = set()
    for parts, directory_fd in _walk(top_fd, device):
        del parts  # only the descriptor matters here
        for entry in _entries(directory_fd):
            with suppress(FileNotFoundError):  # a user removed it meanwhile
                status = entry.stat(follow_symlinks=False)
                if status.st_dev != device or (status.st_nlink > 1 and status.st_ino in linked):
                    continue
                if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                    linked.add(status.st_ino)
                total_blocks += status.st_blocks
    return total_blocks * _BLOCK_BYTES


def copy_tree(source_fd: int, target_fd: int) -> None:
    """Copy what is in one directory into another, empty one.

    File data is shared with the original where the file system can (FICLONE), else copied with its holes. Modes, owners, times,
    extended attributes, symbolic links as such and hard links are kept. Sockets and device files are left out,
    and so is what is mounted inside. A file that a user removes meanwhile is left out.
    """
    copy = _Copy(target_fd)
    device = os.fstat(source_fd).st_dev
    directories: list[tuple[Parts, os.stat_result]] = []
    for parts, directory_fd in _walk(source_fd, device):
        with opened_beneath(target_fd, parts) as copy_fd:
            _copy_attributes(directory_fd, copy_fd)
            for entry in _entries(directory_fd):
                with suppress(FileNotFoundError):  # a user removed it meanwhile
                    copy.entry(entry, directory_fd, copy_fd, parts)
        directories.append((parts, os.fstat(directory_fd)))
    # Last and inside out: filling a directory changes its time, and one that may not be written could not be filled.
    for parts, status in reversed(directories):
        with opened_beneath(target_fd, parts) as copy_fd:
            _set_status(copy_fd, status)


@dataclass(slots=True)
class _Copy:
    """One copy under way: whether cloning still seems possible, and where files with several names went."""

    target_fd: int
    can_clone: bool = True
    linked: dict[int, tuple[Parts, str]] = field(default_factory=dict)

    def entry(self, entry: os.DirEntry[str], from_fd: int, to_fd: int, parts: Parts) -> None:
        """Copy one entry; of a directory only the entry itself."""
        status = entry.stat(follow_symlinks=False)
        name = entry.name
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=to_fd)
            return
        if status.st_nlink > 1 and status.st_ino in self.linked:
            first_parts, first_name = self.linked[status.st_ino]
            with opened_beneath(self.target_fd, first_parts) as first_fd:
                os.link(first_name, name, src_dir_fd=first_fd, dst_dir_fd=to_fd, follow_symlinks=False)
            return
        if stat.S_ISREG(status.st_mode):
            self._file(name, from_fd, to_fd)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=from_fd), name, dir_fd=to_fd)
            _set_owner(name, to_fd, status)
            os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=to_fd, follow_symlinks=False)
        elif stat.S_ISFIFO(status.st_mode):
            os.mkfifo(name, stat.S_IMODE(status.st_mode), dir_fd=to_fd)
            _set_owner(name, to_fd, status)
        else:
            return
        if status.st_nlink > 1:
            self.linked[status.st_ino] = (parts, name)

    def _file(self, name: str, from_fd: int, to_fd: int) -> None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        source = os.open(name, flags, dir_fd=from_fd)
        try:
            status = os.fstat(source)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            target = os.open(name, flags, 0o600, dir_fd=to_fd)
            try:
                if not (self.can_clone and self._clone(source, target)):
                    _copy_data(source, target, status.st_size)
                _copy_attributes(source, target)
                _set_status(target, status)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _clone(self, source: int, target: int) -> bool:
        try:
            fcntl.ioctl(target, _CLONE_FILE, source)
        except OSError as cause:
            if cause.errno not in _NO_CLONE:
                raise
            self.can_clone = False
        return self.can_clone


def _walk(top_fd: int, device: int) -> Iterator[tuple[Parts, int]]:
    """Yield each directory of the tree with its path and a descriptor, parents first, as long as it is on `device`."""
    waiting: list[Parts] = [()]
    above: Parts = ()
    above_fd = os.dup(top_fd)
    try:
        while waiting:
            parts = waiting.pop()
            # Gone, or replaced by a link meanwhile: no part of the tree any more.
            with suppress(FileNotFoundError, NotADirectoryError):
                # The first directory inside one comes right after it: a deep tree costs no long way down each time.
                if parts and parts[:-1] == above:
                    descriptor = open_beneath(above_fd, parts[-1:])
                else:
                    descriptor = open_beneath(top_fd, parts)
                os.close(above_fd)
                above, above_fd = parts, descriptor
                if os.fstat(descriptor).st_dev == device:
                    yield parts, descriptor
                    waiting.extend((*parts, entry.name) for entry in _entries(descriptor) if _is_inner(entry))
    finally:
        os.close(above_fd)


def _is_inner(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _entries(directory_fd: int) -> list[os.DirEntry[str]]:
    with os.scandir(directory_fd) as entries:
        return list(entries)


def _is_directory(name: str, dir_fd: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)


def _unlink(name: str, dir_fd: int) -> None:
    with suppress(FileNotFoundError):  # whoever removed it did what was wanted
        os.unlink(name, dir_fd=dir_fd)


def _make_writable(name: str, dir_fd: int) -> None:
    """Let the owner take a directory apart that a user has locked; through a descriptor, since chmod would follow a link."""
    if os.geteuid() == 0:
        return
    descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            Path(f"/proc/self/fd/{descriptor}").chmod(mode | stat.S_IRWXU)
    finally:
        os.close(descriptor)


def _copy_data(source: int, target: int, size: int) -> None:
    os.ftruncate(target, size)
    position = 0
    while position < size:
        try:
            start = os.lseek(source, position, os.SEEK_DATA)
        except OSError as cause:
            if cause.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        position = os.lseek(source, start, os.SEEK_HOLE)
        _copy_range(source, target, start, position)


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        block = os.pread(source, min(_CHUNK_BYTES, end - start), start)
        if not block:  # a user made the file shorter meanwhile
            return
        start += os.pwrite(target, block, start)


def _copy_attributes(source: int, target: int) -> None:
    try:
        names = os.listxattr(source)
    except OSError as cause:
        if cause.errno == errno.EOPNOTSUPP:
            return
        raise
    for name in names:
        # Attributes of the system (labels, capabilities) may be the privilege of root; the copy does without those.
        with suppress(PermissionError, FileNotFoundError):
            os.setxattr(target, name, os.getxattr(source, name))


def _set_status(descriptor: int, status: os.stat_result) -> None:
    with suppress(PermissionError):  # only root may give files away; the copy is then its maker's
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
    os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))


def _set_owner(name: str, dir_fd: int, status: os.stat_result) -> None:
    with suppress(PermissionError):  # as in _set_status
        os.chown(name, status.st_uid, status.st_gid, dir_fd=dir_fd, follow_symlinks=False)
