"""DELETE of a volume, and the recovery queue into which it goes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap import clones, volume_change
from tests.emulators.ontap.access_records import Qtree
from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.operations import Call, Job, Outcome, operation
from tests.emulators.ontap.quota_records import QuotaRule
from tests.emulators.ontap.volume_records import Snapshot, Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World

_SECONDS: Final = 1.5
KEPT_SECONDS: Final = 12 * 3600.0
"""How long a volume stays in the recovery queue."""


@operation("DELETE /storage/volumes/{uuid}")
def delete_volume(world: World, call: Call) -> Outcome:
    """Delete a volume that is not mounted and has no clones; it goes into the recovery queue unless forced."""
    volume = volume_change.live(world, call.keys["uuid"])
    _refuse(world, volume)
    return Job(_SECONDS, partial(_finish, uuid=volume.uuid, force=call.flag("force")), svm=volume.svm)


def _refuse(world: World, volume: Volume) -> None:
    if volume.root and len(world[Volume].where(svm=volume.svm, deleted_at=None)) > 1:
        raise Refused(917531, f'Volume "{volume.name}" is the root volume of an SVM with other volumes.')
    if volume.path is not None and not volume.root:
        raise Refused(524546, f'Failed to delete volume "{volume.name}": unmount it first.')
    if clones.clones_of(world, volume.uuid):
        raise Refused(524615, f'Volume "{volume.name}" has one or more clones. Delete or split those first.')
    if volume.splitting:
        raise Refused(524486, f'Volume "{volume.name}" is busy: a clone split is running on it.')


def _finish(world: World, uuid: str, *, force: bool) -> None:
    volume = world[Volume].get(uuid)
    if volume is None or volume.deleted_at is not None:
        raise Refused(4, "entry doesn't exist")
    _refuse(world, volume)
    if world.faults.take("half_deleted", "DELETE", f"/storage/volumes/{uuid}", world.clock.now()) is not None:
        world[Volume].change(uuid, state="offline", path=None)
        raise Refused(917536, f'Volume "{volume.name}" was taken offline, but could not be deleted.')
    if force or volume.type != "rw" or volume.root:
        erase(world, uuid)
        return
    number = world.next_number("recovery queue", 1025)
    name, now = f"{volume.name}_{number}", world.clock.now()
    world[Volume].change(uuid, name=name, state="offline", path=None, qos_policy=None, quota="off", deleted_at=now)
    world.later(KEPT_SECONDS, partial(_expire, uuid=uuid))


def _expire(world: World, uuid: str) -> None:
    volume = world[Volume].get(uuid)
    if volume is not None and volume.deleted_at is not None:
        erase(world, uuid)


def erase(world: World, uuid: str) -> None:
    """Take a volume away for good, with all that is in it."""
    world[Volume].remove(uuid)
    for snapshot in world[Snapshot].where(volume=uuid):
        world[Snapshot].remove(snapshot.uuid)
    for qtree in world[Qtree].where(uuid=uuid):
        world[Qtree].remove(qtree.key)
    for rule in world[QuotaRule].where(volume=uuid):
        world[QuotaRule].remove(rule.uuid)


def queued(world: World, svm: str | None = None) -> list[Volume]:
    """Return what is in the recovery queue, of one SVM or of all."""
    return [each for each in world[Volume] if each.deleted_at is not None and svm in {None, each.svm}]
