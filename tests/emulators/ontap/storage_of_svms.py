"""What SVMs have of the storage: assigned aggregates, a root volume, and all that goes with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import export_policies, volume_delete
from tests.emulators.ontap.access_records import CifsShare
from tests.emulators.ontap.aggregates import Aggregate, room
from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.policy_records import EfficiencyPolicy, QosPolicy, SnapshotPolicy
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.emulators.ontap.export_rules import Rules
    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.svm_records import Svm
    from tests.emulators.ontap.world import World

ROOT_BYTES: Final = 2**30


def aggregate_named(world: World, named: Mapping[str, Any]) -> str:
    """Return the UUID of the aggregate that a body names."""
    for one in world[Aggregate]:
        if named.get("uuid", one.uuid) == one.uuid and named.get("name", one.name) == one.name:
            if one.root:
                raise Refused(917597, f'Aggregate "{one.name}" is a root aggregate.', "aggregates")
            return one.uuid
    raise Refused(917508, f'Aggregate "{named.get("name", named.get("uuid"))}" does not exist.', "aggregates")


def aggregate_shown(world: World, uuid: str) -> JsonObject:
    """Return an assigned aggregate as its SVM shows it."""
    one = world[Aggregate][uuid]
    return {
        "uuid": uuid,
        "name": one.name,
        "available_size": room(world, uuid),
        "snaplock_type": "non_snaplock",
        "state": "online",
        "type": one.storage_type,
    }


def recovery_queue(world: World, svm: str) -> tuple[int, int]:
    """Return how many deleted volumes an SVM still has, and their size."""
    deleted = [volume for volume in world[Volume].where(svm=svm) if volume.deleted_at is not None]
    return len(deleted), sum(volume.size for volume in deleted)


def data_volumes(world: World, svm: str) -> list[Volume]:
    """Return the volumes of an SVM that are neither its root nor deleted."""
    return [volume for volume in world[Volume].where(svm=svm) if not volume.root and volume.deleted_at is None]


def place_of_root(world: World, assigned: tuple[str, ...]) -> str:
    """Return the aggregate for a root volume: the first that is assigned, or else the one with most room."""
    free = {one.uuid: room(world, one.uuid) for one in world[Aggregate] if not one.root}
    candidates = assigned or tuple(sorted(free, key=lambda uuid: -free[uuid]))
    if not candidates:
        raise Refused(13434909, "There is no aggregate for the root volume.", "aggregates")
    found = next((uuid for uuid in candidates if free[uuid] >= ROOT_BYTES), None)
    if found is None:
        raise Refused(13434914, "No aggregate has room for the root volume.", "aggregates")
    return found


def make_root(world: World, svm: Svm, aggregate: str, rules: Rules = ()) -> None:
    """Make the export policy "default", of a new SVM without rules, and the root volume, which uses it."""
    policy = export_policies.create_default(world, svm.uuid, rules)
    world[Volume].put(
        Volume(
            uuid=world.new_uuid(),
            name=f"{svm.name}_root",
            svm=svm.uuid,
            aggregates=(aggregate,),
            size=ROOT_BYTES,
            create_time=world.clock.now(),
            msid=world.next_number("msid", 2_163_225_632),
            language=svm.language,
            path="/",
            policy=policy.id,
            root=True,
        )
    )


def forget_storage(world: World, svm: str) -> None:
    """Remove all volumes of an SVM, those in its recovery queue too, and what says who may reach them."""
    for volume in world[Volume].where(svm=svm):
        volume_delete.erase(world, volume.uuid)
    for share in world[CifsShare].where(uuid=svm):
        world[CifsShare].remove(share.key)
    export_policies.remove_all(world, svm)
    for kind in (EfficiencyPolicy, QosPolicy, SnapshotPolicy):
        for policy in world[kind].where(svm=svm):
            world[kind].remove(policy.key)
