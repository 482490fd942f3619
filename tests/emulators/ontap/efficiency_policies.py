"""Policies of when duplicates are looked for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.errors import Refused, duplicate, gone
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.policy_records import EfficiencyPolicy
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_DEFAULTS: Final = {
    "type": "scheduled",
    "enabled": True,
    "qos_policy": "best_effort",
    "schedule": {"name": "daily"},
}
_FIXED: Final = frozenset({"auto", "default", "inline-only"})


def seed(world: World) -> None:
    """Make the policies that every cluster has."""
    for name in sorted(_FIXED):
        policy = EfficiencyPolicy(uuid=world.new_uuid(), name=name, svm=None, settings=_DEFAULTS)
        world[EfficiencyPolicy].put(policy)


@rows("volume_efficiency_policy")
def policies(world: World) -> Iterable[Row]:
    """Show the policies."""
    for policy in world[EfficiencyPolicy]:
        yield Row({"uuid": policy.uuid, "name": policy.name}, partial(_shown, world, policy), policy.svm)


def _shown(world: World, policy: EfficiencyPolicy) -> JsonObject:
    record: JsonObject = {"uuid": policy.uuid, "name": policy.name, **policy.settings}
    if policy.svm is not None:
        record |= of_svm(world, policy.svm)
    return record


@operation("POST /storage/volume-efficiency-policies")
def create_policy(world: World, call: Call) -> Outcome:
    """Make a policy of an SVM."""
    svm = made_svm(world, call)
    name = call.body.get("name")
    if not name:
        raise Refused(262212, 'Missing required parameter "name".', "name")
    if any(each.name == name and each.svm in {svm.uuid, None} for each in world[EfficiencyPolicy]):
        raise duplicate(target="name")
    settings = {**_DEFAULTS, **{key: value for key, value in call.body.items() if key not in {"svm", "name"}}}
    if settings["type"] == "threshold":
        settings.pop("schedule")
        settings.setdefault("start_threshold_percent", 20)
    policy = EfficiencyPolicy(uuid=world.new_uuid(), name=name, svm=svm.uuid, settings=settings)
    return Done({"uuid": world[EfficiencyPolicy].put(policy).uuid})


def _policy(world: World, call: Call) -> EfficiencyPolicy:
    policy = world[EfficiencyPolicy].get(call.keys["uuid"])
    if policy is None:
        raise gone()
    if policy.name in _FIXED and policy.svm is None:
        raise Refused(262245, f'The efficiency policy "{policy.name}" cannot be changed or deleted.')
    return policy


@operation("PATCH /storage/volume-efficiency-policies/{uuid}")
def change_policy(world: World, call: Call) -> Outcome:
    """Change a policy."""
    policy = _policy(world, call)
    world[EfficiencyPolicy].change(policy.uuid, settings={**policy.settings, **call.body})
    return Done()


@operation("DELETE /storage/volume-efficiency-policies/{uuid}")
def delete_policy(world: World, call: Call) -> Outcome:
    """Remove a policy that no volume follows."""
    policy = _policy(world, call)
    if world[Volume].where(efficiency_policy=policy.uuid, deleted_at=None):
        raise Refused(8, f'The efficiency policy "{policy.name}" is in use.')
    world[EfficiencyPolicy].remove(policy.uuid)
    return Done()
