"""Snapshot policies, and the snapshots that appear by them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import snapshot_names
from tests.emulators.ontap.errors import Refused, duplicate, gone, invalid
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.policy_records import Copies, SnapshotPolicy
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.volume_records import Snapshot, Volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_HOUR: Final = 3600.0
SCHEDULES: Final = {"hourly": 1, "6-hourly": 6, "12-hourly": 12, "daily": 24, "weekly": 7 * 24, "monthly": 30 * 24}
"""The hours between two snapshots of a schedule."""


def seed(world: World) -> None:
    """Make the policies of every cluster, and let the first hour pass."""
    hourly, daily = Copies("hourly", 6, "hourly"), Copies("daily", 2, "daily")
    weekly = Copies("weekly", 2, "weekly")
    for name, copies in (
        ("default", (hourly, daily, weekly)),
        ("default-1weekly", (hourly, daily, replace(weekly, count=1))),
        ("none", ()),
    ):
        world[SnapshotPolicy].put(SnapshotPolicy(uuid=world.new_uuid(), name=name, copies=copies))
    world.at(_HOUR, partial(_hour, number=1))


def _hour(world: World, number: int) -> None:
    """Make the snapshots that are due, and let the next hour pass."""
    due = {name for name, hours in SCHEDULES.items() if number % hours == 0}
    for volume in world[Volume]:
        policy = None if volume.snapshot_policy is None else world[SnapshotPolicy].get(volume.snapshot_policy)
        takes = volume.state == "online" and volume.type == "rw" and volume.deleted_at is None
        if policy is None or not policy.enabled or not takes:
            continue
        for copies in policy.copies:
            if copies.schedule in due:
                _take(world, volume, copies, number * _HOUR)
    world.at((number + 1) * _HOUR, partial(_hour, number=number + 1))


def _take(world: World, volume: Volume, copies: Copies, at: float) -> None:
    stamp = world.clock.stamp(at)[: 16 if SCHEDULES[copies.schedule] < SCHEDULES["daily"] else 10]
    name = f"{copies.prefix}.{stamp.replace('T', '_').replace(':', '')}"
    taken = world[Snapshot].where(volume=volume.uuid)
    if any(each.name == name for each in taken):
        return
    made = snapshot_names.snapshot_of(world, volume, name, snapmirror_label=copies.snapmirror_label)
    world[Snapshot].put(replace(made, create_time=at))
    own = sorted((each for each in taken if each.name.startswith(f"{copies.prefix}.")), key=lambda each: each.number)
    held = {each.origin.snapshot for each in world[Volume] if each.origin is not None}
    for each in own[: max(0, len(own) + 1 - copies.count)]:
        if each.uuid not in held:
            world[Snapshot].remove(each.uuid)


@rows("snapshot_policy")
def policies(world: World) -> Iterable[Row]:
    """Show the policies of the cluster and of the SVMs."""
    for policy in world[SnapshotPolicy]:
        yield Row({"uuid": policy.uuid, "name": policy.name}, partial(_shown, world, policy), policy.svm)


def _shown(world: World, policy: SnapshotPolicy) -> JsonObject:
    record: JsonObject = {
        "uuid": policy.uuid,
        "name": policy.name,
        "enabled": policy.enabled,
        "scope": "cluster" if policy.svm is None else "svm",
        "copies": [
            {
                "count": each.count,
                "prefix": each.prefix,
                "schedule": {"name": each.schedule},
                **({"snapmirror_label": each.snapmirror_label} if each.snapmirror_label else {}),
            }
            for each in policy.copies
        ],
    }
    if policy.comment:
        record["comment"] = policy.comment
    if policy.svm is not None:
        record |= of_svm(world, policy.svm)
    return record


@operation("POST /storage/snapshot-policies")
def create_policy(world: World, call: Call) -> Outcome:
    """Make a policy of an SVM, or of the cluster where no SVM is named."""
    svm = made_svm(world, call).uuid if "svm" in call.body or call.svm is not None else None
    name = call.body.get("name", "")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise invalid(name, "name")
    if world[SnapshotPolicy].where(svm=svm, name=name):
        raise duplicate(target="name")
    copies = tuple(_copies(each) for each in call.body.get("copies", ()))
    if not copies:
        raise Refused(262212, 'Missing required parameter "copies".', "copies")
    policy = SnapshotPolicy(
        uuid=world.new_uuid(),
        name=name,
        svm=svm,
        copies=copies,
        enabled=call.body.get("enabled", True),
        comment=call.body.get("comment", ""),
    )
    return Done({"uuid": world[SnapshotPolicy].put(policy).uuid})


def _copies(body: dict[str, Any]) -> Copies:
    schedule = (body.get("schedule") or {}).get("name", "")
    if schedule not in SCHEDULES:
        raise invalid(schedule, "copies.schedule.name", f"one of {', '.join(SCHEDULES)}")
    if body.get("count", 0) < 1:
        raise invalid(body.get("count"), "copies.count")
    return Copies(schedule, body["count"], body.get("prefix", schedule), body.get("snapmirror_label", ""))


def _policy(world: World, call: Call) -> SnapshotPolicy:
    policy = world[SnapshotPolicy].get(call.keys["uuid"])
    if policy is None:
        raise gone()
    return policy


@operation("PATCH /storage/snapshot-policies/{uuid}")
def change_policy(world: World, call: Call) -> Outcome:
    """Switch a policy on or off, or note something of it."""
    policy = _policy(world, call)
    for field in call.body:
        if field not in {"enabled", "comment"}:
            raise Refused(262196, f'Field "{field}" cannot be set in this operation.', field)
    world[SnapshotPolicy].change(policy.uuid, **call.body)
    return Done()


@operation("DELETE /storage/snapshot-policies/{uuid}")
def delete_policy(world: World, call: Call) -> Outcome:
    """Remove a policy that no volume follows."""
    policy = _policy(world, call)
    if world[Volume].where(snapshot_policy=policy.uuid, deleted_at=None):
        raise Refused(8, f'The snapshot policy "{policy.name}" is in use.')
    if policy.svm is None and policy.name in {"default", "default-1weekly", "none"}:
        raise Refused(262245, f'The snapshot policy "{policy.name}" cannot be deleted.')
    world[SnapshotPolicy].remove(policy.uuid)
    return Done()
