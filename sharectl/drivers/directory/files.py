"""File primitives: durable writes and directory descriptors that no symbolic link can lead astray."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Guard = Callable[[], AbstractContextManager[None]]
_DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_RENAME_NOREPLACE: Final = 1
_RENAME_EXCHANGE: Final = 2
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV})
_BLOCK_BYTES: Final = 4096
_TEMPORARY: Final = ".tmp"
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@contextmanager
def opened_directory(path: str, dir_fd: int | None = None) -> Iterator[int]:
    """Open the directory `path`; relative to `dir_fd` its last part is not followed if it is a symbolic link."""
    flags = _DIRECTORY_FLAGS if dir_fd is None else _DIRECTORY_FLAGS | os.O_NOFOLLOW
    descriptor = os.open(path, flags, dir_fd=dir_fd)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def opened_beneath(top_fd: int, parts: Sequence[str]) -> Iterator[int]:
    """Open the directory at `parts` below `top_fd` as `open_beneath` does, and close it afterwards."""
    descriptor = open_beneath(top_fd, parts)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_beneath(top_fd: int, parts: Sequence[str]) -> int:
    """Open the directory at `parts` below `top_fd`, one part at a time; raises OSError where a link is in the way."""
    descriptor = os.dup(top_fd)
    for part in parts:
        try:
            inner = os.open(part, _DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def closed_folder(path: str) -> str | None:
    """Return the first folder on the way to `path`, or that itself, that only its owner and group may pass through."""
    whole = Path(path).resolve()
    for folder in (*reversed(whole.parents), whole):
        with suppress(OSError):
            if not folder.stat().st_mode & stat.S_IXOTH:
                return str(folder)
    return None


def names_in(name: str, dir_fd: int) -> list[str]:
    """Return the names of the entries of the directory `name`."""
    with opened_directory(name, dir_fd) as descriptor:
        return os.listdir(descriptor)  # noqa: PTH208 - a descriptor, which pathlib cannot list


def is_directory(name: str, dir_fd: int) -> bool:
    """Tell whether `name` is a directory itself, not a link to one."""
    status = status_of(name, dir_fd)
    return status is not None and stat.S_ISDIR(status.st_mode)


def status_of(name: str, dir_fd: int) -> os.stat_result | None:
    """Return the status of the entry itself, or None where there is none."""
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def read_bounded(name: str, dir_fd: int, limit_bytes: int) -> bytes | None:
    """Return the content of a small file, None where there is none; raises OSError (EFBIG) where it is over `limit_bytes`."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    try:
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes > limit_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
        return os.read(descriptor, size_bytes)  # whole: such a file is only ever replaced by a rename
    finally:
        os.close(descriptor)


def write_durably(  # noqa: PLR0913 - what is written, where, and how
    directory: str, name: str, content: bytes, dir_fd: int, *, mode: int = 0o600, guard: Guard = nullcontext
) -> None:
    """Put `content` under `directory`/`name`, whole or not at all, and return once it would survive a loss of power.

    `guard` surrounds the instant at which it appears there.
    """
    with opened_directory(directory, dir_fd) as parent_fd:
        temporary, descriptor = _opened_temporary(name, parent_fd, mode)
        try:
            _write_all(descriptor, content)
            os.fsync(descriptor)
            with guard():
                os.rename(temporary, name, src_dir_fd=parent_fd, dst_dir_fd=parent_fd)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=parent_fd)
            raise
        finally:
            os.close(descriptor)  # not before it has its name: a sweep would take it for left behind
        os.fsync(parent_fd)


def overwrite_in_place(name: str, content: bytes, dir_fd: int) -> None:
    """Replace what a small file holds, for whoever reads it under the same lock, without taking any space, durably.

    Blanks follow where the old content was longer: then one write does all, and a killed process leaves nothing by half.
    Raises OSError (ENOSPC) where the new content does not fit into what the file takes up.
    """
    descriptor = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        size_bytes = os.fstat(descriptor).st_size
        if not 0 < len(content) <= -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        os.pwrite(descriptor, content.ljust(size_bytes), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_temporaries(directory: str, dir_fd: int) -> None:
    """Remove the temporary files in `directory` that no writer holds any more: their writes were cut short."""
    with opened_directory(directory, dir_fd) as parent_fd:
        for name in os.listdir(parent_fd):  # noqa: PTH208 - a descriptor, which pathlib cannot list
            if not (name.startswith(".") and name.endswith(_TEMPORARY)):
                continue
            with suppress(OSError):  # its writer has just given it its name, or still holds it
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent_fd)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name, dir_fd=parent_fd)
                finally:
                    os.close(descriptor)


def _opened_temporary(name: str, parent_fd: int, mode: int) -> tuple[str, int]:
    """Make a file for a write that is to appear as `name`, held for as long as it is open; return its name and descriptor."""
    while True:
        # The process and the thread make the name unique, the rename makes the content appear at once.
        temporary = f".{name}.{os.getpid()}.{os.urandom(4).hex()}{_TEMPORARY}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, mode, dir_fd=parent_fd)
        with suppress(OSError):  # a file system without locks: what is left there stays
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # a sweep came between the two


def remove_durably(directory: str, name: str, dir_fd: int, *, guard: Guard = nullcontext) -> bool:
    """Remove the file `directory`/`name` so that it stays away after a loss of power; return whether it was there.

    `guard` surrounds the instant at which it goes.
    """
    with opened_directory(directory, dir_fd) as parent_fd:
        try:
            with guard():
                os.unlink(name, dir_fd=parent_fd)
        except FileNotFoundError:
            return False
        os.fsync(parent_fd)
    return True


def sync_directory(directory: str, dir_fd: int) -> None:
    """Make the entries of a directory durable."""
    with opened_directory(directory, dir_fd) as descriptor:
        os.fsync(descriptor)


def sync_file_system(descriptor: int) -> None:
    """Make everything on the file system of `descriptor` durable: one call where a copy has made thousands of files."""
    if _LIBC.syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def rename_to_free(name: str, from_fd: int, new_name: str, to_fd: int) -> None:
    """Rename, and raise FileExistsError where `new_name` is taken; nothing is ever replaced."""
    code = _rename_with(_RENAME_NOREPLACE, name, from_fd, new_name, to_fd)
    if code in _UNSUPPORTED - {errno.EXDEV}:
        # A file system without the flag (NFS): the check and the rename are two steps, between which only a person
        # who makes an empty directory of this very name could come.
        if status_of(new_name, to_fd) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new_name)
        os.rename(name, new_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)
    elif code:
        raise OSError(code, os.strerror(code), new_name)


def exchange(name: str, from_fd: int, other_name: str, to_fd: int) -> bool:
    """Swap two entries at one instant; return False where the file system cannot, having changed nothing."""
    code = _rename_with(_RENAME_EXCHANGE, name, from_fd, other_name, to_fd)
    if code in _UNSUPPORTED:
        return False
    if code:
        raise OSError(code, os.strerror(code), other_name)
    return True


def error_from(cause: OSError, what: str) -> DriverError:
    """Return the DriverError that tells people what an operating system's error means for them."""
    from sharectl.drivers.base import BackendUnavailableError, PoolError, TransientError  # noqa: PLC0415 - errors only

    place = f" ({os.fsdecode(cause.filename)!r})" if cause.filename is not None else ""
    message = f"{what}: {cause.strerror or cause}{place}"
    if cause.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
        return PoolError(message)
    if cause.errno in {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN}:
        return BackendUnavailableError(message)
    if cause.errno in {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EBUSY}:
        return TransientError(message)
    return DriverError(message)


def _rename_with(flag: int, name: str, from_fd: int, new_name: str, to_fd: int) -> int:
    if _LIBC.renameat2(from_fd, os.fsencode(name), to_fd, os.fsencode(new_name), flag) == 0:
        return 0
    return ctypes.get_errno()


def _write_all(descriptor: int, content: bytes) -> None:
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]
