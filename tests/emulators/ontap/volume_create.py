"""POST of a volume."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import aggregates, clones, volume_fields, volume_names
from tests.emulators.ontap.access_records import ExportPolicy
from tests.emulators.ontap.aggregates import Aggregate
from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.export_policies import DEFAULT
from tests.emulators.ontap.operations import Call, Job, Outcome, get, operation
from tests.emulators.ontap.policy_records import SnapshotPolicy
from tests.emulators.ontap.space import LEAST_FLEXVOL_BYTES, LEAST_MEMBER_BYTES
from tests.emulators.ontap.svm_lookup import made_svm
from tests.emulators.ontap.volume_records import Member, Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.svm_records import Svm
    from tests.emulators.ontap.volume_fields import Flat
    from tests.emulators.ontap.world import World

_SECONDS: Final = 1.0
_FLEXGROUP_SECONDS: Final = 8.0
_MEMBERS_PER_AGGREGATE: Final = 4
_MOST_RESERVE_PERCENT: Final = 90


@operation("POST /storage/volumes")
def create_volume(world: World, call: Call) -> Outcome:
    """Make a volume, or a clone of one."""
    svm = made_svm(world, call)
    if "name" not in call.body:
        raise Refused(262212, 'Missing required parameter "name".', "name")
    _refuse_name(world, svm, call.body["name"])
    if get(call.body, "clone.is_flexclone"):
        volume = clones.new_clone(world, svm, call.body)
    else:
        volume = _new(world, svm, call.body)
    seconds = _FLEXGROUP_SECONDS if volume.members else _SECONDS
    return Job(seconds, partial(_finish, volume=volume), keys={"uuid": volume.uuid}, svm=svm.uuid)


def _refuse_name(world: World, svm: Svm, name: str) -> None:
    volume_names.refuse_wrong_name(name)
    if world[Volume].where(svm=svm.uuid, name=name, deleted_at=None):
        raise Refused(917526, f'The volume name "{name}" is already in use in SVM "{svm.name}".', "name")
    if any(each.svm == svm.uuid and each.name == name for each in under_way(world)):
        raise Refused(13107405, f'A volume of the name "{name}" is being created.', "name")


def under_way(world: World) -> list[Volume]:
    """Return the volumes that jobs are making."""
    works = [work.keywords.get("work") for work in world.waiting() if isinstance(work, partial)]
    return [work.keywords["volume"] for work in works if isinstance(work, partial) and work.func is _finish]


def _finish(world: World, volume: Volume) -> None:
    """Do what the job does: the volume is there, or what stands in its way by now is said."""
    if world[Volume].where(svm=volume.svm, name=volume.name, deleted_at=None):
        raise Refused(917536, f'The volume name "{volume.name}" is already in use.')
    if volume.path is not None:
        volume_fields.refuse_mount(world, volume, volume.path)
    refuse_without_room(world, None, volume)
    world[Volume].put(clones.with_base(world, volume))


def refuse_without_room(world: World, old: Volume | None, new: Volume) -> None:
    """Refuse what takes more of an aggregate than it has left."""
    more = new.footprint - (0 if old is None else old.footprint)
    if more <= 0 or not (new.thick or world.taken_bytes):
        return
    shares = Counter(member.aggregate for member in new.members) or Counter(new.aggregates[:1])
    for aggregate, count in shares.items():
        needed = more * count // sum(shares.values())
        if needed > aggregates.room(world, aggregate):
            name = world[Aggregate][aggregate].name
            text = f'Cannot create or grow volume "{new.name}". Reason: aggregate "{name}" has not enough space.'
            raise Refused(917536, text)


def _new(world: World, svm: Svm, body: dict[str, Any]) -> Volume:
    """Return the volume that a body describes."""
    fields = volume_fields.flat({name: value for name, value in body.items() if name not in {"svm", "name", "clone"}})
    volume = _placed(world, svm, body["name"], fields)
    if fields.get("space.snapshot.reserve_percent", 0) > _MOST_RESERVE_PERCENT:
        text = f"The snapshot reserve must not be above {_MOST_RESERVE_PERCENT} percent."
        raise Refused(917835, text, "space.snapshot.reserve_percent")
    return volume_fields.described(world, volume, fields)


def _placed(world: World, svm: Svm, name: str, fields: Flat) -> Volume:
    """Return a volume with its aggregates and its size, and else as it comes."""
    asked, style = fields.pop("aggregates", []), fields.pop("style", None)
    if not asked and style is None:
        raise Refused(787140, "One of aggregates.uuid, aggregates.name, or style must be provided.", "aggregates")
    found = [_aggregate(world, each) for each in asked]
    multiple = fields.pop("constituents_per_aggregate", None)
    if style == "flexgroup_constituent":
        raise Refused(918241, f'The style "{style}" cannot be created.', "style")
    if style is None:
        style = "flexgroup" if len(found) > 1 or multiple is not None else "flexvol"
    if style == "flexvol" and len(found) != 1:
        raise Refused(918242, "A FlexVol volume needs exactly one aggregate.", "aggregates")
    members = _members(world, found, multiple) if style == "flexgroup" else ()
    least = LEAST_MEMBER_BYTES * len(members) if members else LEAST_FLEXVOL_BYTES
    sizes = [fields.pop(each) for each in ("size", "space.size") if each in fields]
    size = sizes[0] if sizes else least
    if size < least:
        raise Refused(917534, f"The size {size} is too small. The minimum size is {least} bytes.", "size")
    root = next((each for each in world[Volume].where(svm=svm.uuid, root=True)), None)
    return Volume(
        uuid=world.new_uuid(),
        name=name,
        svm=svm.uuid,
        aggregates=tuple(dict.fromkeys(each.uuid for each in found)) or tuple({each.aggregate: 0 for each in members}),
        size=size,
        create_time=world.clock.now(),
        msid=world.next_number("msid", 2_163_225_632),
        style=style,
        type=fields.pop("type", "rw"),
        language=fields.pop("language", svm.language),
        snapshot_policy=next(each.uuid for each in world[SnapshotPolicy] if each.svm is None and each.name == DEFAULT),
        security_style=root.security_style if root is not None else "unix",
        policy=next(each.id for each in world[ExportPolicy] if each.svm == svm.uuid and each.name == DEFAULT),
        members=members,
    )


def _aggregate(world: World, named: dict[str, Any]) -> Aggregate:
    name, uuid = named.get("name"), named.get("uuid")
    found = [each for each in world[Aggregate] if name in {None, each.name} and uuid in {None, each.uuid}]
    if len(found) == 1 and found[0].root:
        raise Refused(917597, f'"{found[0].name}" is a root aggregate.', "aggregates")
    if not found and name and uuid:
        raise Refused(
            787141, "The specified aggregates.uuid and aggregates.name refer to different aggregates.", "aggregates"
        )
    if not found or (name is None and uuid is None):
        raise Refused(917508, f'The aggregate "{name or uuid}" does not exist.', "aggregates")
    return found[0]


def _members(world: World, asked: list[Aggregate], multiple: int | None) -> tuple[Member, ...]:
    """Spread a FlexGroup over the aggregates that are named, or over all that have room."""
    spread = asked or [
        each for each in world[Aggregate] if not each.root and aggregates.room(world, each.uuid) >= LEAST_MEMBER_BYTES
    ]
    if not spread:
        raise Refused(13107341, "No aggregate with enough room was found on each node.", "aggregates")
    repeated = len({each.uuid for each in spread}) < len(spread)
    times = multiple or (1 if repeated else _MEMBERS_PER_AGGREGATE)
    return tuple(Member(world.new_uuid(), each.uuid) for _ in range(times) for each in spread)
