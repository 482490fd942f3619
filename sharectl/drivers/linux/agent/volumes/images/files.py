"""Image files as such: made at a size, copied by sharing blocks or without their holes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE: Final = 0x40049409  # FICLONE
_CANNOT_SHARE: Final = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.ETXTBSY}
)
_CHUNK_BYTES: Final = 1 << 26
_HEAD_BYTES: Final = 4096
_EXT4_MAGIC: Final = slice(1080, 1082), b"\x53\xef"
_EXT4_UUID: Final = slice(1128, 1144)
_XFS_MAGIC: Final = slice(0, 4), b"XFSB"
_XFS_UUID: Final = slice(32, 48)


def identity(descriptor: int) -> str:
    """Return the UUID of the file system in an image; that of no file system which is known here begins with another word."""
    head = os.pread(descriptor, _HEAD_BYTES, 0)
    for (place, magic), where in ((_EXT4_MAGIC, _EXT4_UUID), (_XFS_MAGIC, _XFS_UUID)):
        if head[place] == magic:
            return str(uuid.UUID(bytes=head[where]))
    return f"inode-{os.fstat(descriptor).st_ino}"


def identity_of_snapshot(descriptor: int) -> str:
    """Return what tells a snapshot from all others: they have the UUID of their volume, and the head of none changes any more."""
    head = os.pread(descriptor, _HEAD_BYTES, 0)
    return f"{identity(descriptor)}/{hashlib.sha256(head).hexdigest()[:16]}"


@contextmanager
def opened_image(name: str, folder_fd: int) -> Iterator[int]:
    """Open an image for reading and writing, and hold its lock: nobody mounts, resizes or replaces it meanwhile."""
    while True:
        descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            there = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
            if there.st_ino == os.fstat(descriptor).st_ino:  # else it was replaced while this call waited
                yield descriptor
                return
        finally:
            os.close(descriptor)


@contextmanager
def new_image(name: str, folder_fd: int) -> Iterator[int]:
    """Make an empty image in the place of a left-over one, and make it durable in the end."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder_fd)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder_fd)
    try:
        yield descriptor
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def can_share_blocks(folder_fd: int) -> bool:
    """Tell whether files in the folder can share blocks (FICLONE); leaves nothing behind."""
    flags = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
    try:
        source_fd = os.open(".", flags, 0o600, dir_fd=folder_fd)
    except OSError as error:
        if error.errno in {
            errno.EOPNOTSUPP,
            errno.EISDIR,
        }:  # a file system that is older than nameless files shares none
            return False
        raise
    try:
        target_fd = os.open(".", flags, 0o600, dir_fd=folder_fd)
        try:
            return share_blocks(source_fd, target_fd)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)


def share_blocks(source_fd: int, target_fd: int) -> bool:
    """Make the target the same as the source as of now, sharing all blocks; return False where the file system cannot."""
    try:
        fcntl.ioctl(target_fd, _CLONE, source_fd)
    except OSError as error:
        if error.errno in _CANNOT_SHARE:
            return False
        raise
    return True


def copy(source_fd: int, target_fd: int) -> None:
    """Make the target the same as the source, sharing blocks if that can be, and without its holes if not."""
    if share_blocks(source_fd, target_fd):
        return
    size_bytes = os.fstat(source_fd).st_size
    os.ftruncate(target_fd, size_bytes)
    for begin, end in _data_ranges(source_fd):
        place = begin
        while place < end:
            place += os.copy_file_range(source_fd, target_fd, min(end - place, _CHUNK_BYTES), place, place)


def set_size(descriptor: int, size_bytes: int, *, reserve: bool) -> None:
    """Give an image another size; with `reserve` all its space is taken now, and ENOSPC raised where there is not enough."""
    os.ftruncate(descriptor, size_bytes)
    if reserve:
        os.posix_fallocate(descriptor, 0, size_bytes)


def _data_ranges(descriptor: int) -> Iterator[tuple[int, int]]:
    end = 0
    while True:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data after this
                return
            raise
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield begin, end
