"""Sizes of volumes: each change goes in its own direction alone, by the size that the volume has when it is made."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import PoolError, ShareInUseError
from sharectl.drivers.ontap.autosize import asked_bytes, growth_in
from sharectl.drivers.ontap.errors import ArrayError, OutcomeUnknownError
from sharectl.drivers.ontap.following import follow_size
from sharectl.drivers.ontap.volumes import noted
from sharectl.model.quantities import format_size

if TYPE_CHECKING:
    from sharectl.drivers.ontap.volumes import Volume, Volumes
    from sharectl.model.canonical import JsonObject

LEAST_BYTES: Final = 20 << 20
BLOCK_BYTES: Final = 4096

_TOO_SMALL: Final = 917534
_TOO_SMALL_WORDS: Final = "too small"


def size_problem(size_bytes: int) -> str | None:
    """Return why no volume has this size, None where one can."""
    if size_bytes < LEAST_BYTES:
        return f"a volume has {format_size(LEAST_BYTES)} at least, not {size_bytes} bytes"
    if size_bytes % BLOCK_BYTES:
        return f"a volume consists of blocks of {BLOCK_BYTES} bytes, of which {size_bytes} bytes are no whole number"
    return None


def _fields_of(volume: Volume, size_bytes: int) -> JsonObject:
    """Return the change that gives a volume this size; one that has grown by itself beyond it, and is to be larger, stays as large."""
    growth = growth_in(volume.note)
    if growth is None or volume.note is None:
        return {"size": size_bytes}
    size = max(size_bytes, volume.size_bytes) if size_bytes > growth.size_bytes else size_bytes
    changed = growth.at(size_bytes)
    return {"size": size, **changed.fields(), **noted(volume, volume.note.having(**changed.noted()))}


class Sizes:
    """Changes the sizes of shares."""

    def __init__(self, volumes: Volumes) -> None:
        """Change those of this backend."""
        self._volumes = volumes
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def extend(self, resource_id: str, size_bytes: int) -> int | None:
        """Make the volume at least so large; return the size that it keeps where it was larger."""
        with self._alone(resource_id):
            volume = self._volumes.needed(resource_id)
            if asked_bytes(volume) >= size_bytes:
                return self._kept(volume, size_bytes)
            self._change(volume, size_bytes)
            return None

    def shrink(self, resource_id: str, size_bytes: int) -> int | None:
        """Make the volume at most so large; return the size that it keeps where it was smaller."""
        with self._alone(resource_id):
            volume = self._volumes.needed(resource_id)
            if asked_bytes(volume) <= size_bytes:
                return self._kept(volume, size_bytes)
            room = size_bytes * (100 - int(volume.value("space.snapshot.reserve_percent", 0))) // 100
            used = int(volume.value("space.used", 0))
            if room < used or size_bytes < LEAST_BYTES:
                raise self._in_use(volume, size_bytes)
            try:
                self._change(volume, size_bytes)
            except ArrayError as problem:
                if problem.code == _TOO_SMALL or _TOO_SMALL_WORDS in str(problem):
                    raise self._in_use(volume, size_bytes) from problem
                raise
            return None

    def _kept(self, volume: Volume, size_bytes: int) -> int | None:
        size = asked_bytes(volume)
        follow_size(self._volumes.array, volume, size)
        return None if size == size_bytes else size

    def _change(self, volume: Volume, size_bytes: int) -> None:
        follow_size(self._volumes.array, volume, size_bytes)
        if volume.value("space.filesystem_size_fixed") is True:
            volume = self._volumes.change(volume, {"space": {"filesystem_size_fixed": False}})
        try:
            self._volumes.change(volume, _fields_of(volume, size_bytes))
        except OutcomeUnknownError:  # a volume of many members has its new size at once, and is at it for long
            if volume.note is None or asked_bytes(self._volumes.needed(volume.note.resource_id)) != size_bytes:
                raise
        except ArrayError as problem:
            follow_size(self._volumes.array, volume, asked_bytes(volume))
            if problem.kind == "space":
                raise PoolError(str(problem)) from problem
            raise

    def _in_use(self, volume: Volume, size_bytes: int) -> ShareInUseError:
        used = int(volume.value("space.used", 0))
        reserve = int(volume.value("space.snapshot.reserve_percent", 0))
        return ShareInUseError(
            f"{self._volumes.array.name}: the volume {volume.name} cannot have {format_size(size_bytes)}: {used} bytes of it are used, "
            f"and {reserve} % are kept for snapshots"
        )

    def used_bytes(self, resource_id: str) -> int:
        """Return what the data of a share takes, snapshots in their reserve left out."""
        return int(self._volumes.needed(resource_id).value("space.used", 0))

    def _alone(self, resource_id: str) -> threading.Lock:
        """Return the lock of a share: the array itself takes the size that comes last."""
        with self._lock:
            return self._locks.setdefault(resource_id, threading.Lock())
