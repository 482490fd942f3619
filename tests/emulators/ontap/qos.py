"""Policies of quality of service: fixed limits, and limits that follow the size."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap.errors import Refused, gone
from tests.emulators.ontap.operations import Call, Done, Job, Outcome, Row, operation, rows
from tests.emulators.ontap.policy_records import QosPolicy
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_SECONDS: Final = 0.5
_PRESETS: Final = {"extreme": (6144, 12288, 1000), "performance": (2048, 4096, 500), "value": (128, 512, 75)}
"""Expected, peak and least operations a second of the policies that every cluster has."""
_ADAPTIVE: Final = {
    "expected_iops_allocation": "allocated_space",
    "peak_iops_allocation": "used_space",
    "block_size": "any",
}


def seed(world: World) -> None:
    """Make the policies that every cluster has."""
    for name, (expected, peak, least) in _PRESETS.items():
        limits = {**_ADAPTIVE, "expected_iops": expected, "peak_iops": peak, "absolute_min_iops": least}
        world[QosPolicy].put(QosPolicy(uuid=world.new_uuid(), name=name, svm=None, adaptive=limits, preset=True))


@rows("qos_policy")
def policies(world: World) -> Iterable[Row]:
    """Show the policies."""
    for policy in world[QosPolicy]:
        yield Row({"uuid": policy.uuid, "name": policy.name}, partial(_shown, world, policy), policy.svm)


def _shown(world: World, policy: QosPolicy) -> JsonObject:
    record: JsonObject = {
        "uuid": policy.uuid,
        "name": policy.name,
        "scope": "cluster" if policy.svm is None else "svm",
        "policy_class": "preset" if policy.preset else "user_defined",
        "object_count": len(world[Volume].where(qos_policy=policy.uuid, deleted_at=None)),
        "pgid": policy.number,
    }
    if policy.svm is not None:
        record |= of_svm(world, policy.svm)
    if policy.fixed:
        record["fixed"] = dict(policy.fixed)
    if policy.adaptive:
        record["adaptive"] = dict(policy.adaptive)
    return record


@operation("POST /storage/qos/policies")
def create_policy(world: World, call: Call) -> Outcome:
    """Make a policy of an SVM."""
    svm = made_svm(world, call)
    name = call.body.get("name")
    if not name:
        raise Refused(262212, 'Missing required parameter "name".', "name")
    fixed, adaptive = call.body.get("fixed") or {}, call.body.get("adaptive") or {}
    if bool(fixed) == bool(adaptive):
        raise Refused(262186, "Exactly one of the fields fixed and adaptive must be given.", "fixed")
    _refuse_taken(world, svm.uuid, name, fixed=bool(fixed))
    policy = QosPolicy(
        uuid=world.new_uuid(),
        name=name,
        svm=svm.uuid,
        fixed=_fixed({}, fixed) if fixed else {},
        adaptive=_adaptive({}, adaptive) if adaptive else {},
        number=world.next_number("qos policy", 10_001),
    )
    return Job(_SECONDS, partial(_make, policy=policy), keys={"uuid": policy.uuid}, svm=svm.uuid)


def _refuse_taken(world: World, svm: str, name: str, *, fixed: bool, but: str = "") -> None:
    for each in world[QosPolicy]:
        if each.name == name and each.svm in {svm, None} and each.uuid != but:
            codes = {(True, True): 8454379, (True, False): 8454278, (False, True): 8454277, (False, False): 8454380}
            raise Refused(codes[fixed, bool(each.fixed)], f'The QoS policy "{name}" already exists.', "name")


def _make(world: World, policy: QosPolicy) -> None:
    assert policy.svm is not None
    _refuse_taken(world, policy.svm, policy.name, fixed=bool(policy.fixed))
    world[QosPolicy].put(policy)


def _fixed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    limits = {"capacity_shared": False, **old, **new}
    for unit in ("iops", "mbps"):
        least, most = limits.get(f"min_throughput_{unit}", 0), limits.get(f"max_throughput_{unit}", 0)
        if most and least > most:
            raise Refused(
                8454194, "The minimum throughput must not be above the maximum.", f"fixed.min_throughput_{unit}"
            )
    if set(limits) == {"capacity_shared"}:
        raise Refused(262212, "A fixed QoS policy needs a limit.", "fixed")
    return limits


def _adaptive(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    limits = {**_ADAPTIVE, **old, **new}
    for field in ("expected_iops", "peak_iops"):
        if field not in limits:
            raise Refused(262212, f'Missing required parameter "adaptive.{field}".', f"adaptive.{field}")
        if not limits[field]:
            raise Refused(8454273, f"The value of {field} must not be zero.", f"adaptive.{field}")
    if limits["expected_iops"] > limits["peak_iops"]:
        raise Refused(8454274, "The expected IOPS must not be above the peak IOPS.", "adaptive.expected_iops")
    return limits


def _policy(world: World, call: Call) -> QosPolicy:
    policy = world[QosPolicy].get(call.keys["uuid"])
    if policy is None:
        raise gone()
    if policy.preset:
        raise Refused(8454286, f'The QoS policy "{policy.name}" is a preset one.')
    return policy


@operation("PATCH /storage/qos/policies/{uuid}")
def change_policy(world: World, call: Call) -> Outcome:
    """Change the limits or the name of a policy; a fixed one stays fixed."""
    policy = _policy(world, call)
    assert policy.svm is not None
    name = call.body.get("name", policy.name)
    _refuse_taken(world, policy.svm, name, fixed=bool(policy.fixed), but=policy.uuid)
    if (policy.fixed and call.body.get("adaptive")) or (policy.adaptive and call.body.get("fixed")):
        raise Refused(262185, "A QoS policy cannot be changed from fixed to adaptive, or back.", "adaptive")
    changes = {
        "name": name,
        "fixed": _fixed(policy.fixed, call.body.get("fixed") or {}) if policy.fixed else {},
        "adaptive": _adaptive(policy.adaptive, call.body.get("adaptive") or {}) if policy.adaptive else {},
    }
    return Job(_SECONDS, partial(_change, uuid=policy.uuid, changes=changes), svm=policy.svm)


def _change(world: World, uuid: str, changes: Mapping[str, Any]) -> None:
    if uuid not in world[QosPolicy]:
        raise Refused(4, "entry doesn't exist")
    world[QosPolicy].change(uuid, **changes)


@operation("DELETE /storage/qos/policies/{uuid}")
def delete_policy(world: World, call: Call) -> Outcome:
    """Remove a policy that no volume follows."""
    policy = _policy(world, call)
    if world[Volume].where(qos_policy=policy.uuid, deleted_at=None):
        raise Refused(8, f'The QoS policy "{policy.name}" is in use.')
    world[QosPolicy].remove(policy.uuid)
    return Done()
