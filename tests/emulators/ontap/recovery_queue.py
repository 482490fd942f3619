"""The recovery queue, as the command line behind `/private/cli` shows it and empties it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap import clones, volume_delete
from tests.emulators.ontap.errors import Refused, gone
from tests.emulators.ontap.operations import Call, Job, Outcome, Row, operation, rows
from tests.emulators.ontap.svm_records import Svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.volume_records import Volume
    from tests.emulators.ontap.world import World

PATH: Final = "/private/cli/volume/recovery-queue"
_PURGE_SECONDS: Final = 1.0


@rows(PATH)
def queue(world: World) -> Iterable[Row]:
    """Show what is in the queue."""
    for volume in volume_delete.queued(world):
        keys = {"vserver": world[Svm][volume.svm].name, "volume": volume.name}
        yield Row(keys, partial(_shown, world, volume), volume.svm)


def _shown(world: World, volume: Volume) -> JsonObject:
    assert volume.deleted_at is not None
    return {
        "vserver": world[Svm][volume.svm].name,
        "volume": volume.name,
        "deletion_request_time": world.clock.stamp(volume.deleted_at),
        "retention_hours": int(volume_delete.KEPT_SECONDS // 3600),
    }


@operation(f"POST {PATH}/purge")
def purge(world: World, call: Call) -> Outcome:
    """Erase one volume of the queue before its time."""
    vserver, name = call.body.get("vserver"), call.body.get("volume")
    found = [
        volume
        for volume in volume_delete.queued(world, call.svm)
        if volume.name == name and vserver in {None, world[Svm][volume.svm].name}
    ]
    if not found:
        raise gone(target="volume")
    if clones.clones_of(world, found[0].uuid):
        raise Refused(524615, f'Volume "{name}" has one or more clones.')
    return Job(_PURGE_SECONDS, partial(_erase, uuid=found[0].uuid))


def _erase(world: World, uuid: str) -> None:
    volume_delete.erase(world, uuid)
