"""The pools of a backend: made from its settings, and made usable before anything is done in them."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.volumes import folders
from sharectl.drivers.linux.agent.volumes.contract import Capacity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.volumes.contract import VolumePool

_OURS_TO_MOUNT: Final = frozenset({"loop", "image"})


class Readable(NamedTuple):
    """The pools of a backend by what can be known of them; see `PoolRoom.readable`."""

    up: set[str]
    down: set[str]
    lost: dict[str, str]


class PoolRoom:
    """All pools of a backend. A pool is prepared when it is first used, and its file system is pinned from then on."""

    def __init__(self, settings: Mapping[str, Any], records: Records) -> None:
        """Touch nothing; `settings` are those of the pools, by name."""
        self._settings = settings
        self._records = records
        self._pools: Final = {name: _make(name, pool) for name, pool in settings.items()}
        self._prepared: dict[str, str] = {}  # the identity that each was pinned with, which stays
        self.sweep: Callable[[VolumePool], None] = lambda _: None
        """What is done in a pool when it is first used in a process, once it is prepared."""
        self._locks: Final = {name: threading.Lock() for name in settings}

    def __iter__(self) -> Iterator[VolumePool]:
        """Give the pools in the order of their names."""
        return iter([self._pools[name] for name in sorted(self._pools)])

    def get(self, name: str) -> VolumePool:
        """Return the pool; raises POOL where the settings have none of this name."""
        if name not in self._pools:
            message = f"the settings of the backend have no pool {name!r}; they have {', '.join(sorted(self._pools))}"
            raise Problem(ProblemKind.POOL, message)
        return self._pools[name]

    def folder(self, name: str) -> str:
        """Return the folder of a pool."""
        return str(self._settings[self.get(name).name]["path"])

    def open_mode(self, name: str) -> int | None:
        """Return the mode of the pool's folder where users of the host get into it; None where they do not, or where it is down."""
        with suppress(Problem, OSError):
            return folders.open_mode(self.folder(name)) if self.get(name).is_mounted() else None
        return None

    def path(self, name: str, volume: str) -> str:
        """Return the folder of a volume's data."""
        return os.path.join(self.folder(name), volume)  # noqa: PTH118 - paths are text everywhere in the agent

    def makes_at_once(self, name: str) -> bool:
        """Tell whether the kernel makes a volume in one step, where an image takes several with time between them."""
        return bool(self._settings[self.get(name).name]["type"] != "image")

    def expected_capacity(self, name: str) -> Capacity:
        """Return what a pool that was never prepared will have: the size of the image that is to be made, or its folder's space."""
        settings = self._settings[self.get(name).name]
        if settings["type"] == "loop":
            return Capacity(settings["image_size_bytes"], settings["image_size_bytes"])
        try:
            status = os.statvfs(settings["path"])
        except FileNotFoundError:
            message = f"the pool {name!r}: {settings['path']} is not on the storage host; make it, and mount its file system there"
            raise Problem(ProblemKind.UNAVAILABLE, message) from None
        if settings["type"] == "btrfs":
            _require_btrfs(name, settings["path"])
        return Capacity(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)

    def mode_and_owner(self, name: str) -> tuple[int, tuple[int, int]]:
        """Return the mode and the owner of the top folder of a new volume."""
        pool = self._settings[self.get(name).name]
        return pool["mode"], (pool["uid"], pool["gid"])

    def usable(self, name: str) -> VolumePool:
        """Return the pool mounted and prepared; raises UNAVAILABLE where it is down or holds another file system than before.

        The first use in a process prepares it again, which grows its image and sweeps what killed calls left. Where there are other
        pools, one that is down is not the whole backend, and raises POOL.
        """
        try:
            return self._usable(name)
        except Problem as problem:
            if problem.kind is not ProblemKind.UNAVAILABLE or len(self._pools) == 1:
                raise
            raise Problem(ProblemKind.POOL, str(problem)) from problem

    def is_in_use(self, name: str) -> bool:
        """Tell whether this process has made the pool usable once."""
        return name in self._prepared

    def _usable(self, name: str) -> VolumePool:
        pool = self.get(name)
        prepared_as = self._prepared.get(name)
        if prepared_as is not None:
            _mount_if_down(pool, prepared_as)
            return pool
        with self._locks[name]:  # one for each pool: a slow disk holds up nothing but what is done on it
            if name not in self._prepared:
                self._prepared[name] = self._prepare(pool)
        return pool

    def _prepare(self, pool: VolumePool) -> str:
        """Prepare a pool and return the identity that it is pinned with."""
        pinned = self._records.pool_identities().get(pool.name)
        if pinned is not None:
            _mount_if_down(pool, pinned)
        pool.prepare()
        folders.close_to_others(self.folder(pool.name))
        if pinned is None:
            pinned = self._records.pin_pool(pool.name, pool.identity())
            _check_identity(pool, pinned)
        self.sweep(pool)
        return pinned

    def readable(self, pinned: Mapping[str, str]) -> Readable:
        """Return which pools can be listed now, which are down for sharectl to mount, and which cannot be seen, with the reason.

        Raises UNAVAILABLE where none can be seen: then nothing is known of the backend.
        """
        found = Readable(set(), set(), {})
        failures = []
        for pool in self:
            try:
                (found.up if self.is_readable(pool, pinned.get(pool.name)) else found.down).add(pool.name)
            except Problem as problem:
                if problem.kind is not ProblemKind.UNAVAILABLE:
                    raise
                failures.append(problem)
                found.lost[pool.name] = str(problem)
            except OSError as error:  # a disk that fails
                failures.append(Problem(ProblemKind.UNAVAILABLE, f"the pool {pool.name!r} cannot be read: {error}"))
                found.lost[pool.name] = str(failures[-1])
        if failures and len(failures) == len(self._pools):
            raise failures[0]
        return found

    def is_readable(self, pool: VolumePool, pinned: str | None) -> bool:
        """Tell whether the pool can be listed without changing anything.

        False means that it is down and that sharectl will mount it itself, so that what it holds is as recorded. A pool that is down
        and somebody else's to mount raises UNAVAILABLE.
        """
        if pool.is_mounted():
            if pinned is not None:
                _check_identity(pool, pinned)
            return True
        if pinned is None or self._settings[pool.name]["type"] in _OURS_TO_MOUNT:
            return False
        path = self._settings[pool.name]["path"]
        message = f"the pool {pool.name!r} is not mounted at {path}; mount it (is it in /etc/fstab?)"
        raise Problem(ProblemKind.UNAVAILABLE, message)


def _mount_if_down(pool: VolumePool, pinned: str) -> None:
    try:
        _check_identity(pool, pinned)
    except Problem as problem:
        if problem.kind is not ProblemKind.UNAVAILABLE or pool.is_mounted():
            raise
        pool.mount()
        _check_identity(pool, pinned)


def _require_btrfs(name: str, path: str) -> None:
    from sharectl.drivers.linux.agent.volumes.btrfs import ioctls  # noqa: PLC0415 - only where there is such a pool

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = ioctls.file_system_id(descriptor)
    finally:
        os.close(descriptor)
    if found is None:
        message = f"the pool {name!r}: {path} is not on btrfs; mount one there, or write type: image"
        raise Problem(ProblemKind.UNAVAILABLE, message)


def _check_identity(pool: VolumePool, pinned: str) -> None:
    found = pool.identity()
    if found != pinned:
        message = f"the pool {pool.name!r} is on a different file system ({found}) from the one that was prepared ({pinned}); mount the right one"
        raise Problem(ProblemKind.UNAVAILABLE, message)


def _make(name: str, settings: Mapping[str, Any]) -> VolumePool:
    if settings["type"] == "image":
        from sharectl.drivers.linux.agent.volumes.images.pool import ImagePool  # noqa: PLC0415 - the one that is used

        return ImagePool(name, settings["path"], settings["file_system"])
    from sharectl.drivers.linux.agent.volumes.btrfs.pool import BtrfsPool  # noqa: PLC0415 - as above

    return BtrfsPool(
        name, settings["path"], image=settings.get("image"), image_size_bytes=settings.get("image_size_bytes")
    )
