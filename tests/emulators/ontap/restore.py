"""Going back to a snapshot."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import clones
from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.licenses import demand_license
from tests.emulators.ontap.operations import Call, Job, Outcome, get
from tests.emulators.ontap.references import chosen
from tests.emulators.ontap.volume_records import Snapshot, Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World

_SECONDS: Final = 3.0


def asked(call: Call) -> dict[str, Any] | None:
    """Return which snapshot a call wants back, in its body or in its query."""
    named = {key: call.query.get(f"restore_to.snapshot.{key}") for key in ("name", "uuid")}
    named = {key: value for key, value in named.items() if value}
    return named or get(call.body, "restore_to.snapshot")


def begin(world: World, volume: Volume, named: dict[str, Any]) -> Outcome:
    """Begin to restore."""
    demand_license(world, "snaprestore")
    if volume.state != "online":
        raise Refused(9437885, f'Volume "{volume.name}" is offline.', "restore_to")
    snapshot = chosen(
        world[Snapshot].where(volume=volume.uuid),
        named,
        missing=Refused(1638600, "The snapshot does not exist.", "restore_to.snapshot"),
    )
    _refuse_newer(world, volume, snapshot)
    return Job(_SECONDS, partial(_finish, volume=volume.uuid, snapshot=snapshot.uuid), svm=volume.svm)


def under_way(world: World, volume: str) -> bool:
    """Tell whether a volume is being restored."""
    works = [work.keywords.get("work") for work in world.waiting() if isinstance(work, partial)]
    return any(
        isinstance(work, partial) and work.func is _finish and work.keywords["volume"] == volume for work in works
    )


def newer_than(world: World, snapshot: Snapshot) -> list[Snapshot]:
    """Return the snapshots that a restore takes away."""
    return [each for each in world[Snapshot].where(volume=snapshot.volume) if each.number > snapshot.number]


def _refuse_newer(world: World, volume: Volume, snapshot: Snapshot) -> None:
    newer = newer_than(world, snapshot)
    if volume.splitting:
        raise Refused(524511, f'Volume "{volume.name}" cannot be restored: a clone split is running on it.')
    if any("snapmirror" in each.owners for each in newer):
        raise Refused(1638480, "A newer snapshot is a reference of a replication.", "restore_to.snapshot")
    if any(each.expiry_time > world.clock.stamp() for each in newer):
        raise Refused(9437886, "A newer snapshot is locked.", "restore_to.snapshot")
    bases = {each.origin.snapshot for each in clones.clones_of(world, volume.uuid) if each.origin is not None}
    if any(each.uuid in bases for each in newer):
        raise Refused(524511, "A newer snapshot is the base of a clone.", "restore_to.snapshot")


def _finish(world: World, volume: str, snapshot: str) -> None:
    """Go back: what was written later, and newer snapshots, are gone; the size stays the larger of both."""
    here, there = world[Volume].get(volume), world[Snapshot].get(snapshot)
    if here is None or here.deleted_at is not None or there is None:
        raise Refused(524511, "The restore failed: the snapshot or the volume has gone.")
    _refuse_newer(world, here, there)
    for each in newer_than(world, there):
        world[Snapshot].remove(each.uuid)
    world[Volume].change(volume, data=there.data, size=max(here.size, there.volume_size))
