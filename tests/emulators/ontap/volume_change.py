"""PATCH of a volume."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import clones, quota_state, restore, volume_create, volume_fields, volume_names
from tests.emulators.ontap.aggregates import Aggregate
from tests.emulators.ontap.errors import Refused, gone
from tests.emulators.ontap.operations import Call, Done, Job, Outcome, get, operation
from tests.emulators.ontap.references import chosen
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.volume_fields import Flat
    from tests.emulators.ontap.world import World

_SECONDS: Final = 0.5
_FLEXGROUP_RESIZE_SECONDS: Final = 12.0
_MOVE_SECONDS: Final = 120.0
_WHILE_OFFLINE: Final = frozenset({"state", "name", "comment", "nas.path"})
_COMPUTED: Final = frozenset(
    {
        *("style", "msid", "constituents_per_aggregate", "space.afs_total", "space.available_percent"),
        *("space.expected_available", "space.physical_used", "space.physical_used_percent", "space.used_by_afs"),
    }
)
_COMPUTED_OBJECTS: Final = ("clone.", "nas.junction_parent")
_SPLITTING: Final = "clone.split_initiated"


@operation("PATCH /storage/volumes/{uuid}")
def change_volume(world: World, call: Call) -> Outcome:
    """Change a volume; a restore and a split come alone."""
    volume = live(world, call.keys["uuid"])
    fields = volume_fields.flat(call.body)
    snapshot = restore.asked(call)
    if snapshot is not None:
        if fields:
            raise Refused(918251, "No other field is taken together with a restore.", "restore_to")
        return restore.begin(world, volume, snapshot)
    if _SPLITTING in fields:
        return _split(world, volume, fields)
    if "size" in fields and "aggregates" in fields:
        raise Refused(13107404, "The size and the aggregates cannot be changed in one call.", "aggregates")
    _changed(world, volume, call.body)
    if volume.flexgroup and _resizes(volume, fields):
        _finish(world, volume.uuid, call.body)
        return Job(_FLEXGROUP_RESIZE_SECONDS, _nothing, svm=volume.svm)
    seconds = _MOVE_SECONDS if get(call.body, "movement.destination_aggregate") else _SECONDS
    return Job(seconds, partial(_finish, uuid=volume.uuid, body=call.body), svm=volume.svm)


def live(world: World, uuid: str) -> Volume:
    """Return a volume that is not in the recovery queue."""
    volume = world[Volume].get(uuid)
    if volume is None or volume.deleted_at is not None:
        raise gone()
    return volume


def _nothing(world: World) -> None:
    """End a job that did its work before it ended."""


def _resizes(volume: Volume, fields: Flat) -> bool:
    return fields.get("size", fields.get("space.size", volume.size)) != volume.size


def _split(world: World, volume: Volume, fields: Flat) -> Outcome:
    wanted = fields.pop(_SPLITTING)
    if fields:
        raise Refused(918248, "No other field is taken together with a split.", _SPLITTING)
    if not wanted:
        clones.stop_split(world, volume)
        return Done()
    clones.refuse_split(volume)
    if not volume.splitting:
        clones.begin_split(world, volume)
    return Job(clones.split_seconds(volume), partial(clones.end_split, volume=volume.uuid), svm=volume.svm)


def _finish(world: World, uuid: str, body: dict[str, Any]) -> None:
    """Do what the job does, with the volume as it is by now."""
    old = world[Volume].get(uuid)
    if old is None or old.deleted_at is not None:
        raise Refused(4, "entry doesn't exist")
    new = _changed(world, old, body)
    if old.splitting and old.path is not None and new.path is None:
        text = f'Failed to unmount volume "{old.name}": a clone split is running on it, with job ID 4711.'
        raise Refused(917536, text)
    volume_create.refuse_without_room(world, old, new)
    volume_fields.released(world, old, new)
    world[Volume].put(new)
    if new.quota != old.quota:
        quota_state.settle(world, new)


def _changed(world: World, volume: Volume, body: dict[str, Any]) -> Volume:
    """Return the volume as a body wants it, or refuse."""
    fields = volume_fields.flat(body)
    _refuse_computed(volume, fields)
    if volume.state != "online" and fields.get("state") != "online":
        for name in fields:
            if name not in _WHILE_OFFLINE:
                raise Refused(917533, f'Volume "{volume.name}" is not online.', name)
    volume = _named(world, volume, fields)
    mounts = bool(fields.get("nas.path"))
    if not mounts:
        volume = volume_fields.with_path(world, volume, fields)
    volume = _in_state(world, volume, fields)
    volume = volume_fields.with_plain(volume, fields)
    volume = volume_fields.with_size(volume, fields, shrink_code=world.settings.shrink_code)
    volume = volume_fields.with_autosize(volume, fields)
    volume = volume_fields.with_policy(world, volume, fields)
    volume = volume_fields.with_snapshot_policy(world, volume, fields)
    volume = volume_fields.with_qos_policy(world, volume, fields)
    volume = volume_fields.with_efficiency(world, volume, fields)
    volume = _moved(world, volume, fields)
    volume = quota_state.switched(world, volume, fields)
    volume = volume_fields.with_path(world, volume, fields)
    return volume_fields.kept(volume, fields)


def _refuse_computed(volume: Volume, fields: Flat) -> None:
    """Refuse what only a POST sets, and what is a figure of the array's own."""
    if fields.get("style", volume.style) == volume.style:
        fields.pop("style", None)
    if "aggregates" in fields:
        raise Refused(
            13107256 if not volume.members else 917628,
            "The aggregates of this volume are not changed so.",
            "aggregates",
        )
    for name in fields:
        if name in _COMPUTED or name.startswith(_COMPUTED_OBJECTS):
            raise Refused(262196, f'Field "{name}" cannot be set in this operation.', name)


def _named(world: World, volume: Volume, fields: Flat) -> Volume:
    name = fields.pop("name", volume.name)
    if name == volume.name:
        return volume
    volume_names.refuse_wrong_name(name)
    if world[Volume].where(svm=volume.svm, name=name, deleted_at=None):
        raise Refused(917526, f'The volume name "{name}" is already in use.', "name")
    return replace(volume, name=name)


def _in_state(world: World, volume: Volume, fields: Flat) -> Volume:
    state = fields.pop("state", volume.state)
    if state == volume.state:
        return volume
    if state in {"error", "mixed"}:
        raise Refused(918652, f'The state "{state}" cannot be asked for.', "state")
    if state != "online":
        refuse_offline(world, volume)
    return replace(volume, state=state)


def refuse_offline(world: World, volume: Volume) -> None:
    """Refuse to take a volume offline that is in use; the root volume goes last."""
    if volume.root and len(world[Volume].where(svm=volume.svm, deleted_at=None)) > 1:
        raise Refused(917531, f'Volume "{volume.name}" is the root volume of its SVM.', "state")
    if volume.path is not None and not volume.root:
        raise Refused(524546, f'Failed to offline volume "{volume.name}": unmount it first.', "state")
    if volume.splitting:
        raise Refused(524486, f'Volume "{volume.name}" is busy: a clone split is running on it.', "state")


def _moved(world: World, volume: Volume, fields: Flat) -> Volume:
    prefix = "movement.destination_aggregate."
    named = {name.removeprefix(prefix): fields.pop(name) for name in tuple(fields) if name.startswith(prefix)}
    if not named:
        return volume
    if volume.members:
        raise Refused(917628, "A FlexGroup is moved member by member.", "movement.destination_aggregate")
    missing = Refused(917508, "The destination aggregate does not exist.", "movement.destination_aggregate")
    target = chosen(world[Aggregate], named, missing=missing)
    return replace(volume, aggregates=(target.uuid,))
