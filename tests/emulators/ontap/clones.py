"""Clones: how they are made of a snapshot of their parent, and how they are split from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import volume_fields
from tests.emulators.ontap.access_records import Qtree
from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.licenses import demand_license
from tests.emulators.ontap.operations import get
from tests.emulators.ontap.references import chosen
from tests.emulators.ontap.snapshot_names import snapshot_of
from tests.emulators.ontap.svm_records import Svm
from tests.emulators.ontap.volume_records import Member, Origin, Snapshot, Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World

OWNER: Final = "volume_clone"
_NOT_TAKEN: Final = (
    *("aggregates", "size", "space.size", "qos.policy", "nas.security_style", "language", "style"),
    *("constituents_per_aggregate", "space.snapshot.reserve_percent", "files.maximum"),
)
_NOT_TAKEN_OBJECTS: Final = ("efficiency.", "encryption.", "snaplock.")
"""What a clone has from its parent and cannot be given."""
_SPLIT_SECONDS: Final = 120.0
_SPLIT_BYTES_A_SECOND: Final = 200 * 2**20


def new_clone(world: World, svm: Svm, body: dict[str, Any]) -> Volume:
    """Return the clone that a body describes; its base snapshot is made later where none is named."""
    demand_license(world, "flexclone")
    clone = body["clone"]
    parent = _parent(world, svm, clone)
    fields = volume_fields.flat({name: value for name, value in body.items() if name not in {"svm", "name", "clone"}})
    for name in fields:
        if name == "style" and fields["style"] == parent.style:
            continue
        if name in _NOT_TAKEN or name.startswith(_NOT_TAKEN_OBJECTS):
            raise Refused(918247, f'The field "{name}" is not taken when a volume is cloned.', name)
    if fields.pop("type", "rw") != "rw":
        raise Refused(918244, "The type of a clone must be rw.", "type")
    fields.pop("style", None)
    named = get(clone, "parent_snapshot") or {}
    base = _base(world, parent, named) if named else None
    volume = replace(
        parent,
        uuid=world.new_uuid(),
        name=body["name"],
        svm=svm.uuid,
        create_time=world.clock.now(),
        msid=world.next_number("msid"),
        comment="",
        path=None,
        qos_policy=None,
        efficiency_policy=None,
        autosize=None,
        quota="off",
        root=False,
        members=tuple(Member(world.new_uuid(), each.aggregate) for each in parent.members),
        size=parent.size if base is None else base.volume_size,
        data=parent.data if base is None else base.data,
        snapshot_data=0,
        settings={name: value for name, value in parent.settings.items() if not name.startswith("qos.")},
        origin=Origin(parent.uuid, "" if base is None else base.uuid, parent.data if base is None else base.data),
    )
    return volume_fields.described(world, volume, fields)


def _parent(world: World, svm: Svm, clone: dict[str, Any]) -> Volume:
    named = clone.get("parent_volume") or {}
    if not named:
        raise Refused(918232, "The parent volume of a clone must be named.", "clone.parent_volume")
    of_svm = clone.get("parent_svm") or {"uuid": svm.uuid}
    home = chosen(
        world[Svm], of_svm, missing=Refused(2621462, "The SVM of the parent does not exist.", "clone.parent_svm")
    )
    missing = Refused(
        524601, f'The parent volume "{named.get("name", named.get("uuid"))}" does not exist.', "clone.parent_volume"
    )
    differ = Refused(918236, "The name and the UUID of the parent are of different volumes.", "clone.parent_volume")
    parent = chosen(world[Volume].where(svm=home.uuid, deleted_at=None), named, missing=missing, differ=differ)
    if parent.state != "online":
        raise Refused(917775, f'Volume "{parent.name}" is not online.', "clone.parent_volume")
    return parent


def _base(world: World, parent: Volume, named: dict[str, Any]) -> Snapshot:
    missing = Refused(1638600, "The snapshot does not exist.", "clone.parent_snapshot")
    differ = Refused(918243, "The name and the UUID are of different snapshots.", "clone.parent_snapshot")
    return chosen(world[Snapshot].where(volume=parent.uuid), named, missing=missing, differ=differ)


def with_base(world: World, volume: Volume) -> Volume:
    """Return a new clone with the snapshot it hangs on, made now where none was named; any other volume as it is."""
    if volume.origin is None:
        return volume
    parent = world[Volume].get(volume.origin.volume)
    if parent is None or parent.deleted_at is not None:
        raise Refused(524819, "The clone was not made: its parent has gone.")
    for each in world[Qtree].where(uuid=parent.uuid):  # as they are now, also where an older snapshot is cloned
        if each.id and not each.deleting:
            world[Qtree].put(replace(each, uuid=volume.uuid, policy=each.policy if parent.svm == volume.svm else None))
    if volume.origin.snapshot:
        if volume.origin.snapshot not in world[Snapshot]:
            raise Refused(1638400, "The clone was not made: its snapshot has gone.")
        return volume
    stamp = world.clock.stamp()[:19].replace("T", "_").replace(":", "").replace("-", "")
    base = snapshot_of(world, parent, f"clone_{volume.name}.{stamp}")
    return replace(volume, origin=replace(volume.origin, snapshot=world[Snapshot].put(base).uuid))


def split_seconds(volume: Volume) -> float:
    """Return how long it takes to give a clone blocks of its own."""
    assert volume.origin is not None
    return _SPLIT_SECONDS + volume.origin.shared / _SPLIT_BYTES_A_SECOND


def refuse_split(volume: Volume) -> None:
    """Refuse to split what is no clone."""
    if volume.origin is None:
        raise Refused(917628, f'Volume "{volume.name}" is not a clone.', "clone.split_initiated")
    if volume.state != "online":
        raise Refused(917775, f'Volume "{volume.name}" is not online.', "clone.split_initiated")


def begin_split(world: World, volume: Volume) -> None:
    """Begin to split a clone; `end_split` is due when all its blocks are its own."""
    assert volume.origin is not None
    now, seconds = world.clock.now(), split_seconds(volume)
    world[Volume].change(volume.uuid, origin=replace(volume.origin, split_since=now, split_until=now + seconds))


def end_split(world: World, volume: str) -> None:
    """Make a clone a volume of its own."""
    found = world[Volume].get(volume)
    if found is not None and found.splitting:
        world[Volume].change(volume, origin=None)


def stop_split(world: World, volume: Volume) -> None:
    """Leave a clone a clone."""
    if volume.origin is not None and volume.splitting:
        world[Volume].change(volume.uuid, origin=replace(volume.origin, split_since=None, split_until=0.0))


def clones_of(world: World, volume: str) -> list[Volume]:
    """Return the clones of a volume, those in the recovery queue too."""
    return [each for each in world[Volume] if each.origin is not None and each.origin.volume == volume]
