"""Volumes and the pools that hold them: the values that their parts share, and what every kind of pool meets."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Capacity(NamedTuple):
    """The size of a pool and what is free in it, in bytes."""

    total_bytes: int
    free_bytes: int


class VolumeState(NamedTuple):
    """A volume as the kernel has it now; `size_bytes` is None where nothing limits it, `used_bytes` where it is not cheap to know.

    `identity` tells the volume from any other that may come to have its name; it outlives reboots and a move of the pool to
    another host.
    """

    size_bytes: int | None
    used_bytes: int | None
    identity: str


class Claim(NamedTuple):
    """What somebody who has a volume made knows of it: the `identity` that an earlier call gave it, and how a new one is recorded.

    `record` is called when the volume is whole and before it appears under its name, so that what has the name without having the
    recorded identity is somebody else's.
    """

    identity: str | None = None
    record: Callable[[str], None] = lambda _: None


UNCLAIMED: Final = Claim()
"""The claim of somebody who keeps no records."""


class Resize(StrEnum):
    """Whether a volume that has another size is made as large as asked for, or only where that makes it larger, or smaller."""

    EXACTLY = "exactly"
    EXTEND = "extend"
    SHRINK = "shrink"

    def target_bytes(self, has_bytes: int | None, size_bytes: int) -> int:
        """Return the size to enforce on a volume that has one (None: nothing limits it)."""
        if has_bytes is None or self is Resize.EXACTLY:
            return size_bytes
        return max(has_bytes, size_bytes) if self is Resize.EXTEND else min(has_bytes, size_bytes)


class VolumePool(Protocol):
    """Volumes on one file system; `volume` is a name that `is_volume_name` accepts, `snapshot_id` a resource id.

    Each call is idempotent and safe from several threads and processes at once for different volumes. Raises Problem alone.
    Where a call is given an `identity`, a volume (or snapshot) that has the name and another identity counts as missing.
    """

    @property
    def name(self) -> str:
        """The pool's name in the manifest."""
        ...

    @property
    def features(self) -> frozenset[str]:
        """Of `snapshots`, `clones`, `reverts`, `online-shrink`, `enforced-size`."""
        ...

    @property
    def binds_snapshots(self) -> bool:
        """Whether its snapshots are folders that `bind_snapshots` can show."""
        ...

    def prepare(self) -> None:
        """Make the pool ready, once: its image where one was asked for, quotas, private folders. Nothing that exists is overwritten."""
        ...

    def mount(self) -> None:
        """Mount the pool where it is ours to mount and is not mounted; raises UNAVAILABLE where it is down and not ours."""
        ...

    def is_mounted(self) -> bool:
        """Tell whether the pool's own file system is there; an empty mount point of another file system is not it."""
        ...

    def identity(self) -> str:
        """Return the UUID of the file system."""
        ...

    def capacity(self) -> Capacity:
        """Return size and free space now."""
        ...

    def has_volume(self, volume: str) -> bool:
        """Tell whether there is a volume of this name, whoever made it, or anything else that is in its way."""
        ...

    def identify(self, volume: str) -> str | None:
        """Return the identity of the volume of this name; None where there is none."""
        ...

    def create(self, volume: str, size_bytes: int, mode: int, owner: tuple[int, int], claim: Claim = UNCLAIMED) -> None:
        """Make an empty volume; one that has the claim's identity is finished (size, mode), never emptied.

        Raises CONFLICT where the name is that of anything else.
        """
        ...

    def clone(
        self,
        snapshot_id: str,
        volume: str,
        size_bytes: int,
        claim: Claim = UNCLAIMED,
        *,
        snapshot_identity: str | None = None,
    ) -> None:
        """Make a volume with the content of a snapshot, else as `create`."""
        ...

    def attach(self, volume: str, identity: str | None = None) -> str:
        """Make the volume reachable on the host and return the folder that holds its data; raises NOT_FOUND."""
        ...

    def detach(self, volume: str, identity: str | None = None) -> None:
        """Undo `attach`."""
        ...

    def delete(self, volume: str, identity: str | None = None) -> None:
        """Remove the volume and its data; a missing one is not an error. Space may come back later."""
        ...

    def resize(self, volume: str, size_bytes: int, how: Resize = Resize.EXACTLY, *, identity: str | None = None) -> int:
        """Enforce another size, and return the one that holds: that of the volume where it is beyond what `how` asks for.

        Raises IN_USE where more is used. Works on a volume that is full and in use.
        """
        ...

    def used_bytes(self, volume: str, identity: str | None = None) -> int:
        """Return what the volume's data occupies, up to date."""
        ...

    def create_snapshot(self, volume: str, snapshot_id: str, identity: str | None = None) -> str:
        """Keep the volume as it is now, read-only, unless its snapshot of this id is there; return the snapshot's identity.

        Raises CONFLICT where the id is that of a snapshot of another volume.
        """
        ...

    def identify_snapshot(self, snapshot_id: str) -> str | None:
        """Return the identity of the snapshot with this id; None where there is none."""
        ...

    def show_versions(self, volume: str, wanted: Callable[[], Mapping[str, str]] | None) -> None:
        """Let SMB clients of the volume look into those of its snapshots that `wanted` returns (identities by id), None for none at all.

        A pool whose snapshots are no folders does nothing.
        """
        ...

    def bind_snapshots(self, folder: str, wanted: Mapping[str, str], before_change: Callable[[], None]) -> None:
        """Bind those snapshots (identities by id) into a folder for them, under the times at which they were taken, and no others.

        `before_change` is called once before anything is bound or unbound, if something is. A pool whose snapshots are no folders
        (`binds_snapshots`) does nothing.
        """
        ...

    def delete_snapshot(self, snapshot_id: str, identity: str | None = None) -> None:
        """Remove the snapshot; a missing one is not an error."""
        ...

    def revert(
        self, volume: str, snapshot_id: str, claim: Claim = UNCLAIMED, *, snapshot_identity: str | None = None
    ) -> None:
        """Put the snapshot's content in the volume's place, keeping its size; the newer data goes only when the old is in place.

        The claim has the identity of the volume (None: whatever has the name); where the volume gets another one, that is recorded
        before it is put in place. Precondition: nothing exports the volume and it is detached.
        """
        ...

    def list_volumes(self) -> Mapping[str, VolumeState]:
        """Return all volumes by name, those that the agent did not make too; whole, or UNAVAILABLE."""
        ...

    def volume_state(self, volume: str) -> VolumeState:
        """Return one volume as `list_volumes` would, at the cost of one; raises NOT_FOUND."""
        ...

    def obstacle(self, volume: str) -> str:
        """Return what in a volume keeps clients from using it, for people; empty where nothing does."""
        ...

    def list_snapshots(self) -> Mapping[str, str]:
        """Return the identities of all snapshots by id; whole, or UNAVAILABLE."""
        ...
