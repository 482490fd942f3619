"""The snapshots of a volume under the times at which they were taken: for Samba, which finds previous versions so, and for NFS.

In `.sharectl/versions/VOLUME` each has a link called after the second in which it was taken (`@GMT-2026.11.29-12.00.00`). smbd, and
nobody else who is not root, gets to these folders and to the snapshots by the group of pools.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import POOL_GROUP, Problem
from sharectl.drivers.linux.agent.host import mounts, system_calls
from sharectl.drivers.linux.agent.volumes.btrfs import ioctls
from sharectl.drivers.linux.agent.volumes.folders import PRIVATE, SNAPSHOTS, VERSIONS, locked, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sharectl.drivers.linux.agent.volumes.btrfs.place import Place

_PASS: Final = 0o710
_LIST: Final = 0o750
_TIME: Final = "%Y-%m-%dT%H-%M-%SZ"
"""Without colons, which Windows and rsync take for something else."""


def show(place: Place, volume: str, wanted: Callable[[], Mapping[str, str]]) -> None:
    """Make the snapshots that `wanted` returns (identities by id) all that there are; it is asked when nobody else is at work on them."""
    with opened(PRIVATE, place.descriptor) as private_fd, opened(SNAPSHOTS, private_fd) as snapshots_fd:
        _let_through(private_fd, _PASS)
        _let_through(snapshots_fd, _PASS)
        with (
            _made(VERSIONS, private_fd, _PASS) as versions_fd,
            _made(volume, versions_fd, _LIST) as folder_fd,
            locked(folder_fd),
        ):
            links = _links(place, wanted())
            there = {name: os.readlink(name, dir_fd=folder_fd) for name in os.listdir(folder_fd)}  # noqa: PTH208 - a descriptor, which pathlib cannot list
            for name, target in there.items():
                if links.get(name) != target:
                    os.unlink(name, dir_fd=folder_fd)
            for name, target in links.items():
                if there.get(name) != target:
                    os.symlink(target, name, dir_fd=folder_fd)


def hide(place: Place, volume: str) -> None:
    """Take the names away; the snapshots stay."""
    with (
        suppress(FileNotFoundError),
        opened(PRIVATE, place.descriptor) as private_fd,
        opened(VERSIONS, private_fd) as versions_fd,
        opened(volume, versions_fd) as folder_fd,
        locked(folder_fd),
    ):
        for name in os.listdir(folder_fd):  # noqa: PTH208 - as above
            os.unlink(name, dir_fd=folder_fd)
        os.rmdir(volume, dir_fd=versions_fd)


def bind(
    place: Place, snapshots: str, folder: str, wanted: Mapping[str, str], before_change: Callable[[], None]
) -> None:
    """Bind the snapshots into `folder`, an empty file system of its own, under the times at which they were taken, and no others.

    `before_change` is called once before the first change, if there is one.
    """
    names = {time.strftime(_TIME, time.gmtime(seconds)): key for seconds, key in _times(place, wanted).items()}
    sources = {name: f"{snapshots}/{snapshot_id}" for name, snapshot_id in names.items()}
    there = set(os.listdir(folder))  # noqa: PTH208 - as above
    right = {name for name in there & sources.keys() if _shows(sources[name], f"{folder}/{name}")}
    if right == there == sources.keys() and os.statvfs(folder).f_flag & os.ST_RDONLY:
        return
    before_change()
    system_calls.restrict_mount(folder, read_only=False)
    for name in there - right:
        mounts.detach(f"{folder}/{name}")
        os.rmdir(f"{folder}/{name}")  # noqa: PTH106 - as above
    for name in sorted(sources.keys() - right):
        os.mkdir(f"{folder}/{name}", 0o555)  # noqa: PTH102 - as above
        mounts.bind(sources[name], f"{folder}/{name}")
        system_calls.restrict_mount(f"{folder}/{name}", read_only=True)
    system_calls.restrict_mount(folder, read_only=True)


def _shows(snapshot: str, point: str) -> bool:
    with suppress(FileNotFoundError):
        source, shown = os.stat(snapshot), os.stat(point)  # noqa: PTH116 - as above
        is_read_only = bool(os.statvfs(point).f_flag & os.ST_RDONLY)
        return is_read_only and (source.st_dev, source.st_ino) == (shown.st_dev, shown.st_ino)
    return False


def _links(place: Place, snapshots: Mapping[str, str]) -> dict[str, str]:
    """Return the links by name."""
    return {
        time.strftime("@GMT-%Y.%m.%d-%H.%M.%S", time.gmtime(seconds)): f"../../{SNAPSHOTS}/{snapshot_id}"
        for seconds, snapshot_id in _times(place, snapshots).items()
    }


def _times(place: Place, snapshots: Mapping[str, str]) -> dict[int, str]:
    """Return the ids by the second. Of two that were taken in one, the later has the next: names are all that tells them apart."""
    taken = []
    for snapshot_id, identity in snapshots.items():
        with suppress(Problem), place.snapshot(snapshot_id, identity) as snapshot_fd:
            taken.append((ioctls.made_at(snapshot_fd), snapshot_id))
    found: dict[int, str] = {}
    last = 0
    for (seconds, _), snapshot_id in sorted(taken):
        last = max(seconds, last + 1)
        found[last] = snapshot_id
    return found


@contextmanager
def _made(name: str, folder_fd: int, mode: int) -> Iterator[int]:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder_fd)
    with opened(name, folder_fd) as descriptor:
        _let_through(descriptor, mode)
        yield descriptor


def _let_through(descriptor: int, mode: int) -> None:
    status = os.fstat(descriptor)
    if status.st_gid != POOL_GROUP:
        os.fchown(descriptor, -1, POOL_GROUP)
    if status.st_mode & 0o7777 != mode:
        os.fchmod(descriptor, mode)
