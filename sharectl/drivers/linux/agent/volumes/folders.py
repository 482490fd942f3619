"""The private folders of a pool, and their locks: where volumes are made and unmade out of everybody's sight."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import POOL_GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE: Final = ".sharectl"
SNAPSHOTS: Final = "snapshots"
STAGING: Final = "staging"
VERSIONS: Final = "versions"

DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder is opened: not where a symbolic link is in its place."""


def versions_folder(path: str) -> str:
    """Return where the volume that is at `path` has its previous versions."""
    return f"{os.path.dirname(path)}/{PRIVATE}/{VERSIONS}/{os.path.basename(path)}"  # noqa: PTH119, PTH120 - paths are text everywhere in the agent


@contextmanager
def opened(name: str, dir_fd: int | None = None) -> Iterator[int]:
    """Open a folder, which is not followed if it is a symbolic link."""
    descriptor = os.open(name, DIRECTORY, dir_fd=dir_fd)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def close_to_others(path: str) -> None:
    """Keep users of the host out of the folder of a pool, in which every user may write to the folders of shares.

    smbd, which enters as the user who works on files, gets through by its group. A group that an administrator gave the folder stays,
    with what it may do.
    """
    status = os.stat(path)  # noqa: PTH116 - paths are text everywhere in the agent
    mode, group = stat.S_IMODE(status.st_mode) & ~stat.S_IRWXO, status.st_gid
    if group in {0, POOL_GROUP}:
        mode, group = (mode & ~stat.S_IRWXG) | stat.S_IXGRP, POOL_GROUP
    if group != status.st_gid:
        os.chown(path, -1, group)
    if mode != stat.S_IMODE(status.st_mode):
        os.chmod(path, mode)  # noqa: PTH101 - as above


def open_mode(path: str) -> int | None:
    """Return the mode of a folder that users of the host get into without any right; None where they do not."""
    mode = stat.S_IMODE(os.stat(path).st_mode)  # noqa: PTH116 - as above
    return mode if mode & stat.S_IRWXO else None


@contextmanager
def opened_private(pool_fd: int, folder: str) -> Iterator[int]:
    """Open one of the private folders of a pool; raises FileNotFoundError where the pool has none, for it was never prepared."""
    with opened(PRIVATE, pool_fd) as private_fd, opened(folder, private_fd) as folder_fd:
        yield folder_fd


def make_private(pool_fd: int, *folders: str) -> None:
    """Make the private folders that are missing, for root alone."""
    with suppress(FileExistsError):
        os.mkdir(PRIVATE, 0o700, dir_fd=pool_fd)
    with opened(PRIVATE, pool_fd) as private_fd:
        for folder in folders:
            with suppress(FileExistsError):
                os.mkdir(folder, 0o700, dir_fd=private_fd)
            with opened(folder, private_fd) as folder_fd:
                os.fsync(folder_fd)
        os.fsync(private_fd)


@contextmanager
def staging(pool_fd: int) -> Iterator[int]:
    """Open the staging folder for work that leaves nothing there unless it is killed; many may work in it side by side.

    What a killed one left is removed by the same call when it is repeated, or by whoever has `staging_alone`. Nothing in the
    folder is ever needed: a step that is done has left it, and one that is not done begins anew.
    """
    with opened_private(pool_fd, STAGING) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield descriptor


@contextmanager
def staging_alone(pool_fd: int) -> Iterator[int | None]:
    """Open the staging folder while nobody else on this host works in it; gives None where somebody does."""
    with opened_private(pool_fd, STAGING) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor


@contextmanager
def locked(descriptor: int) -> Iterator[None]:
    """Hold the lock of what is open, among all threads and processes that have opened it for themselves."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
