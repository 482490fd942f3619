"""The system calls that Python's standard library does not have: mounting, exchange of two names, namespaces for a thread."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Final

READ_ONLY: Final = 0x1
BIND: Final = 0x1000
RECURSIVE: Final = 0x4000
SLAVE: Final = 0x80000
SHARED: Final = 0x100000
NO_SETUID: Final = 0x2
NO_DEVICES: Final = 0x4
NO_ACCESS_TIME: Final = 0x400
DETACH: Final = 0x2

_PRIVATE: Final = 0x40000
_NEW_MOUNTS: Final = 0x00020000  # CLONE_NEWNS
_NEW_UTS: Final = 0x04000000  # CLONE_NEWUTS
_NEW_NET: Final = 0x40000000  # CLONE_NEWNET
_NO_FOLLOW: Final = 0x8  # UMOUNT_NOFOLLOW
_NO_REPLACE: Final = 1  # RENAME_NOREPLACE
_EXCHANGE: Final = 2  # RENAME_EXCHANGE
_AT_FDCWD: Final = -100
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_STATX_BYTES: Final = 256
_MOUNT_SETATTR: Final = 442  # its number on all architectures; glibc has a function for it only since 2.36
_OPEN_TREE: Final = 428  # the same
_MOVE_MOUNT: Final = 429
_OPEN_TREE_CLONE: Final = 0x1
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_MOVE_EMPTY_PATH: Final = 0x4  # MOVE_MOUNT_F_EMPTY_PATH
_MOUNT_ATTRIBUTES: Final = struct.Struct("=QQQQ")  # struct mount_attr: to set, to clear, propagation, user namespace
_ATTRIBUTES: Final = struct.Struct("=Q")
_ATTRIBUTES_OFFSET: Final = 8
_ATTRIBUTE_MOUNT_ROOT: Final = 0x2000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, file_system: str | None, flags: int, options: str = "") -> None:
    """Mount a file system or, with BIND, a folder; `options` are the file system's own, separated by commas."""
    kind = None if file_system is None else file_system.encode()
    _call("mount", os.fsencode(source), os.fsencode(target), kind, ctypes.c_ulong(flags), options.encode() or None)


def restrict_mount(target: str, *, read_only: bool | None = None) -> None:
    """Let set-user-id bits and device files below the mount point have no effect; all else stays as it is (Linux 5.12).

    `read_only` says whether nothing can be written there; None leaves that as it is.
    """
    added = NO_SETUID | NO_DEVICES | (READ_ONLY if read_only else 0)
    wanted = _MOUNT_ATTRIBUTES.pack(added, READ_ONLY if read_only is False else 0, 0, 0)
    number, path = ctypes.c_long(_MOUNT_SETATTR), os.fsencode(target)
    size_bytes = ctypes.c_size_t(_MOUNT_ATTRIBUTES.size)
    _call("syscall", number, _AT_FDCWD, path, _AT_SYMLINK_NOFOLLOW, wanted, size_bytes)


def copy_mounts(folder: int) -> int:
    """Return the open folder with all that is mounted below it as mounts of their own, which are nowhere and go when it is closed.

    What is unmounted of the first stays in these, and the other way round (open_tree(2), Linux 5.2).
    """
    all_of_it = _AT_RECURSIVE | _AT_EMPTY_PATH
    copied = _call(
        "syscall", ctypes.c_long(_OPEN_TREE), folder, b"", ctypes.c_uint(all_of_it | _OPEN_TREE_CLONE | os.O_CLOEXEC)
    )
    try:
        wanted, size_bytes = _MOUNT_ATTRIBUTES.pack(0, 0, _PRIVATE, 0), ctypes.c_size_t(_MOUNT_ATTRIBUTES.size)
        _call("syscall", ctypes.c_long(_MOUNT_SETATTR), copied, b"", all_of_it, wanted, size_bytes)
    except BaseException:
        os.close(copied)
        raise
    return copied


def place_mounts(copied: int, target: str) -> None:
    """Mount at the folder `target` what `copy_mounts` returned, all at one instant."""
    _call("syscall", ctypes.c_long(_MOVE_MOUNT), copied, b"", _AT_FDCWD, os.fsencode(target), _MOVE_EMPTY_PATH)


def unmount(target: str, flags: int = 0) -> None:
    """Unmount what is on top at `target`, which is not followed if it is a symbolic link."""
    _call("umount2", os.fsencode(target), flags | _NO_FOLLOW)


def rename_to_free(name: str, from_fd: int, new_name: str, to_fd: int) -> None:
    """Rename, and raise FileExistsError where `new_name` is taken: nothing is replaced, not even an empty folder."""
    _call("renameat2", from_fd, os.fsencode(name), to_fd, os.fsencode(new_name), _NO_REPLACE)


def exchange(name: str, from_fd: int, other_name: str, to_fd: int) -> None:
    """Swap two names at one instant."""
    _call("renameat2", from_fd, os.fsencode(name), to_fd, os.fsencode(other_name), _EXCHANGE)


def sync_file_system(descriptor: int) -> None:
    """Write everything of one file system to its device."""
    _call("syncfs", descriptor)


def take_host_name(name: str) -> None:
    """Give this thread, and the processes that it starts, a host name that nobody else sees."""
    _call("unshare", _NEW_UTS)
    _call("sethostname", name.encode(), ctypes.c_size_t(len(name.encode())))


def enter_network(namespace: str) -> None:
    """Put this thread, and the processes that it starts, into the network namespace of a file."""
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", descriptor, _NEW_NET)
    finally:
        os.close(descriptor)


def take_mounts() -> None:
    """Give this thread, and the processes that it starts, mounts of their own: they see what is shared with them, and show nothing."""
    _call("unshare", _NEW_MOUNTS)
    mount("none", "/", None, RECURSIVE | SLAVE)


def is_mount_root(path: str) -> bool:
    """Tell whether something is mounted at `path`, bind mounts too (statx(2), Linux 5.8); raises FileNotFoundError."""
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    _call("statx", _AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, 0, buffer)
    attributes: int = _ATTRIBUTES.unpack_from(buffer, _ATTRIBUTES_OFFSET)[0]
    return bool(attributes & _ATTRIBUTE_MOUNT_ROOT)


def _call(name: str, *arguments: object) -> int:
    # Python raises no audit event for a foreign function, and these are worth one as much as os.rename is.
    sys.audit("sharectl.system_call", name)
    result: int = getattr(_LIBC, name)(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
