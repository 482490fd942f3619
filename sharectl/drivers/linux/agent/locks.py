"""The locks by which changes of a backend, and who brings its servers back, keep out of each other's way."""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.host.daemons import holds_within

if TYPE_CHECKING:
    from collections.abc import Iterator

_RESOURCES: Final = "resources.lock"
_BYTE: Final = struct.Struct("hhqqi4x")
"""`struct flock` of fcntl(2): what kind of lock, from where its start is counted, its start and length, and no process."""


def changes_lock(root: str) -> str:
    """Return the lock that all who change something on the backend hold together, and who brings its servers back holds alone."""
    return os.path.join(root, "changes.lock")  # noqa: PTH118 - paths are text everywhere in the agent


@contextmanager
def resource_locked(root: str, resource_id: str) -> Iterator[None]:
    """Hold alone the lock for whatever is done to one share, snapshot or share server; taken after that of changes.

    Who holds the lock of a resource takes that of no other: two may have the same.
    """
    with _held(root, _RESOURCES, resource_id):
        yield


@contextmanager
def view_locked(root: str, share_id: str) -> Iterator[None]:
    """Hold alone, below the root of an instance, the lock for what clients see of the snapshots of a share.

    It is taken after that of a resource: who changes the share holds another than who makes a snapshot of it.
    """
    with _held(root, "views.lock", share_id):
        yield


@contextmanager
def resource_locked_within(root: str, resource_id: str, seconds: float) -> Iterator[bool]:
    """Hold the same where it can be had in that time; give whether it is held."""
    with _opened(root, _RESOURCES) as descriptor:
        yield holds_within(lambda: _could_lock(descriptor, resource_id), seconds)


@contextmanager
def _held(root: str, name: str, resource_id: str) -> Iterator[None]:
    with _opened(root, name) as descriptor:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, _byte_of(resource_id))
        yield


@contextmanager
def _opened(root: str, name: str) -> Iterator[int]:
    """Open the file of which each resource has a byte to lock: a file for each would have to be made first, and stay."""
    path = os.path.join(root, name)  # noqa: PTH118 - as above
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _could_lock(descriptor: int, resource_id: str) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _byte_of(resource_id))
    except (BlockingIOError, PermissionError):  # EAGAIN and EACCES, as fcntl(2) has it
        return False
    return True


def _byte_of(resource_id: str) -> bytes:
    return _BYTE.pack(fcntl.F_WRLCK, os.SEEK_SET, zlib.crc32(resource_id.encode()), 1, 0)
