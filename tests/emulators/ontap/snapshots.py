"""Snapshots of volumes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import aggregates, clones, restore, snapshot_names
from tests.emulators.ontap.errors import Refused, gone
from tests.emulators.ontap.operations import Call, Job, Outcome, Row, operation, rows
from tests.emulators.ontap.svm_lookup import of_svm
from tests.emulators.ontap.volume_change import live
from tests.emulators.ontap.volume_records import Snapshot, Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_CREATE_SECONDS: Final = 0.5
_DELETE_SECONDS: Final = 0.5
_METADATA_BYTES: Final = 128 * 1024
_NOTED: Final = ("comment", "snapmirror_label", "expiry_time")


@rows("snapshot")
def snapshots(world: World) -> Iterable[Row]:
    """Show the snapshots of all volumes."""
    bases = _bases(world)
    for snapshot in world[Snapshot]:
        volume = world[Volume].get(snapshot.volume)
        if volume is None or volume.deleted_at is not None:
            continue
        keys = {
            "volume.uuid": volume.uuid,
            "uuid": snapshot.uuid,
            "volume.name": volume.name,
            "name": snapshot.name,
        }
        yield Row(keys, partial(_shown, world, snapshot, volume, bases), volume.svm)


def _bases(world: World) -> frozenset[str]:
    return frozenset(each.origin.snapshot for each in world[Volume] if each.origin is not None)


def _shown(world: World, snapshot: Snapshot, volume: Volume, bases: frozenset[str]) -> JsonObject:
    record: JsonObject = {
        "uuid": snapshot.uuid,
        "name": snapshot.name,
        "volume": {"uuid": volume.uuid, "name": volume.name},
        **of_svm(world, volume.svm),
        "create_time": world.clock.stamp(snapshot.create_time),
        "size": _METADATA_BYTES,
        "state": "valid",
        "version_uuid": snapshot.uuid,
    }
    optional = {
        "comment": snapshot.comment,
        "snapmirror_label": snapshot.snapmirror_label,
        "expiry_time": snapshot.expiry_time,
        "owners": owners(snapshot, bases),
    }
    record |= {name: value for name, value in optional.items() if value}
    return {**record, "logical_size": snapshot.data}


def owners(snapshot: Snapshot, bases: frozenset[str]) -> list[str]:
    """Return who holds a snapshot: replication, and clones that hang on it."""
    return [*snapshot.owners, *([clones.OWNER] if snapshot.uuid in bases else [])]


@operation("POST /storage/volumes/{volume.uuid}/snapshots")
def create_snapshot(world: World, call: Call) -> Outcome:
    """Make a snapshot of a volume that is online, read-write and has room for it."""
    volume = live(world, call.keys["volume.uuid"])
    if "name" not in call.body:
        raise Refused(262212, 'Missing required parameter "name".', "name")
    _refuse(world, volume, call.body["name"])
    uuid = world.new_uuid()
    work = partial(_finish, uuid=uuid, volume=volume.uuid, body=call.body)
    return Job(_CREATE_SECONDS, work, keys={"volume.uuid": volume.uuid, "uuid": uuid}, svm=volume.svm)


def _refuse(world: World, volume: Volume, name: str) -> None:
    if volume.type != "rw":
        raise Refused(1638461, f'Volume "{volume.name}" is not read-write.')
    room = None if volume.thick else sum(aggregates.room(world, each) for each in volume.aggregates)
    if volume.state != "online" or volume.space.available(room) <= 0:
        raise Refused(524479, f'Failed to create snapshot of volume "{volume.name}": it is offline, or has no room.')
    if restore.under_way(world, volume.uuid):
        raise Refused(1638532, f'Volume "{volume.name}" is being restored.')
    snapshot_names.refuse_wrong_name(world, volume, name)
    snapshot_names.refuse_one_more(world, volume)


def _finish(world: World, uuid: str, volume: str, body: Mapping[str, Any]) -> None:
    found = live(world, volume)
    _refuse(world, found, body["name"])
    snapshot = snapshot_names.snapshot_of(
        world,
        found,
        body["name"],
        **{field: body[field] for field in _NOTED if field in body},
    )
    world[Snapshot].put(replace(snapshot, uuid=uuid))


def _snapshot(world: World, call: Call) -> tuple[Volume, Snapshot]:
    volume = live(world, call.keys["volume.uuid"])
    snapshot = world[Snapshot].get(call.keys["uuid"])
    if snapshot is None or snapshot.volume != volume.uuid:
        raise gone()
    return volume, snapshot


@operation("PATCH /storage/volumes/{volume.uuid}/snapshots/{uuid}")
def change_snapshot(world: World, call: Call) -> Outcome:
    """Rename a snapshot, or change what is noted of it."""
    volume, snapshot = _snapshot(world, call)
    name = call.body.get("name", snapshot.name)
    if name != snapshot.name:
        if volume.flexgroup:
            raise Refused(917628, "A snapshot of a FlexGroup cannot be renamed.", "name")
        snapshot_names.refuse_wrong_name(world, volume, name)
    for field in set(call.body) - {"name", *_NOTED}:
        raise Refused(262196, f'Field "{field}" cannot be set in this operation.', field)
    return Job(_CREATE_SECONDS, partial(_change, uuid=snapshot.uuid, body=call.body), svm=volume.svm)


def _change(world: World, uuid: str, body: Mapping[str, Any]) -> None:
    if uuid not in world[Snapshot]:
        raise Refused(1638600, "The snapshot does not exist.")
    world[Snapshot].change(uuid, **body)


@operation("DELETE /storage/volumes/{volume.uuid}/snapshots/{uuid}")
def delete_snapshot(world: World, call: Call) -> Outcome:
    """Delete a snapshot that nothing holds."""
    volume, snapshot = _snapshot(world, call)
    _refuse_delete(world, volume, snapshot)
    return Job(_DELETE_SECONDS, partial(_remove, uuid=snapshot.uuid, volume=volume.uuid), svm=volume.svm)


def _refuse_delete(world: World, volume: Volume, snapshot: Snapshot) -> None:
    if snapshot.owners:
        raise Refused(1638543, f'Snapshot "{snapshot.name}" is in use by {", ".join(snapshot.owners)}.')
    if snapshot.uuid in _bases(world) or snapshot.expiry_time > world.clock.stamp():
        raise Refused(1638555, f'Snapshot "{snapshot.name}" has not expired or is locked.')
    if volume.state != "online" or restore.under_way(world, volume.uuid):
        raise Refused(524481, f'Volume "{volume.name}" is locked or fenced.')


def _remove(world: World, uuid: str, volume: str) -> None:
    snapshot, found = world[Snapshot].get(uuid), world[Volume].get(volume)
    if snapshot is None or found is None:
        raise Refused(1638600, "The snapshot does not exist.")
    _refuse_delete(world, found, snapshot)
    world[Snapshot].remove(uuid)
