"""Snapshot policies, and the snapshots that appear by them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import schedules, snapshot_names
from tests.emulators.ontap.errors import FORBIDDEN, Refused, duplicate, gone, invalid
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.policy_records import Copies, SnapshotPolicy
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.volume_records import Snapshot, Volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_HOUR: Final = 3600.0
_DAY_HOURS: Final = 24
_MOST_SCHEDULES: Final = 5
_MOST_COPIES: Final = 1023


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
    hours = {each.name: each.hours for each in world[schedules.JobSchedule]}
    for volume in world[Volume]:
        policy = None if volume.snapshot_policy is None else world[SnapshotPolicy].get(volume.snapshot_policy)
        takes = volume.state == "online" and volume.type == "rw" and volume.deleted_at is None
        if policy is None or not policy.enabled or not takes:
            continue
        for copies in policy.copies:
            if number % hours[copies.schedule] == 0:
                _take(world, volume, copies, number * _HOUR, is_daily=hours[copies.schedule] >= _DAY_HOURS)
    world.at((number + 1) * _HOUR, partial(_hour, number=number + 1))


def _take(world: World, volume: Volume, copies: Copies, at: float, *, is_daily: bool) -> None:
    stamp = world.clock.stamp(at)[: 10 if is_daily else 16]
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
    copies = tuple(_copies(world, each, "copies.") for each in call.body.get("copies", ()))
    if not copies:
        raise Refused(262212, 'Missing required parameter "copies".', "copies")
    _check_copies(copies)
    policy = SnapshotPolicy(
        uuid=world.new_uuid(),
        name=name,
        svm=svm,
        copies=copies,
        enabled=call.body.get("enabled", True),
        comment=call.body.get("comment", ""),
    )
    return Done({"uuid": world[SnapshotPolicy].put(policy).uuid})


def _copies(world: World, body: dict[str, Any], place: str = "") -> Copies:
    asked = body.get("schedule") or {}
    found = world[schedules.JobSchedule].get(asked.get("uuid", "")) or schedules.named(world, asked.get("name", ""))
    if found is None or found.name != asked.get("name", found.name):
        raise invalid(asked.get("name", asked.get("uuid")), f"{place}schedule.name", "a schedule of the cluster")
    if body.get("count", 0) < 1:
        raise invalid(body.get("count"), f"{place}count")
    return Copies(found.name, body["count"], body.get("prefix", found.name), body.get("snapmirror_label", ""))


def _check_copies(copies: tuple[Copies, ...]) -> None:
    """Refuse what one policy cannot have together."""
    names, prefixes = [each.schedule for each in copies], [each.prefix for each in copies]
    if len(set(names)) < len(names):
        raise duplicate(target="copies.schedule.name")
    if len(set(prefixes)) < len(prefixes):
        raise duplicate(target="copies.prefix")
    if len(copies) > _MOST_SCHEDULES:
        raise invalid(len(copies), "copies", f"<1..{_MOST_SCHEDULES}>")
    if sum(each.count for each in copies) > _MOST_COPIES:
        raise Refused(1638451, f"A policy keeps {_MOST_COPIES} snapshots in all at most.", "count")


def _policy(world: World, call: Call) -> SnapshotPolicy:
    policy = world[SnapshotPolicy].get(call.keys.get("snapshot_policy.uuid", call.keys.get("uuid", "")))
    if policy is None:
        raise gone()
    if call.login.svm is not None and policy.svm is None:
        raise Refused(FORBIDDEN, f'User "{call.login.name}" may not change what is the cluster\'s.')
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
        raise Refused(1638415, "Cannot delete policy. Reason: Policy is in use by at least one volume.")
    if policy.svm is None and policy.name in {"default", "default-1weekly", "none"}:
        raise Refused(1638431, "Cannot delete built-in policy.")
    world[SnapshotPolicy].remove(policy.uuid)
    return Done()


@rows("snapshot_policy_schedule")
def policy_schedules(world: World) -> Iterable[Row]:
    """Show the schedules of all policies."""
    for policy in world[SnapshotPolicy]:
        for copies in policy.copies:
            found = schedules.named(world, copies.schedule)
            if found is not None:
                keys = {
                    "snapshot_policy.uuid": policy.uuid,
                    "snapshot_policy.name": policy.name,
                    "schedule.uuid": found.uuid,
                    "schedule.name": found.name,
                }
                yield Row(keys, partial(_copies_shown, policy, copies, found.uuid), policy.svm)


def _copies_shown(policy: SnapshotPolicy, copies: Copies, schedule: str) -> JsonObject:
    label = {"snapmirror_label": copies.snapmirror_label} if copies.snapmirror_label else {}
    return {
        "snapshot_policy": {"uuid": policy.uuid, "name": policy.name},
        "schedule": {"uuid": schedule, "name": copies.schedule},
        "count": copies.count,
        "prefix": copies.prefix,
        **label,
    }


_SCHEDULES: Final = "/storage/snapshot-policies/{snapshot_policy.uuid}/schedules"


@operation(f"POST {_SCHEDULES}")
def add_schedule(world: World, call: Call) -> Outcome:
    """Add a schedule to a policy."""
    policy = _policy(world, call)
    added = _copies(world, call.body)
    copies = (*policy.copies, added)
    _check_copies(copies)
    world[SnapshotPolicy].change(policy.uuid, copies=copies)
    found = schedules.named(world, added.schedule)
    return Done({"snapshot_policy.uuid": policy.uuid, "schedule.uuid": found.uuid if found else ""})


@operation(f"PATCH {_SCHEDULES}/{{schedule.uuid}}")
def change_schedule(world: World, call: Call) -> Outcome:
    """Keep more or fewer snapshots of a schedule."""
    policy, name = _policy(world, call), world[schedules.JobSchedule][call.keys["schedule.uuid"]].name
    changes = {field: call.body[field] for field in ("count", "snapmirror_label") if field in call.body}
    if changes.get("count", 1) < 1:
        raise invalid(changes["count"], "count")
    copies = tuple(replace(each, **changes) if each.schedule == name else each for each in policy.copies)
    _check_copies(copies)
    world[SnapshotPolicy].change(policy.uuid, copies=copies)
    return Done()


@operation(f"DELETE {_SCHEDULES}/{{schedule.uuid}}")
def remove_schedule(world: World, call: Call) -> Outcome:
    """Take a schedule out of a policy, unless it is the last one."""
    policy, name = _policy(world, call), world[schedules.JobSchedule][call.keys["schedule.uuid"]].name
    copies = tuple(each for each in policy.copies if each.schedule != name)
    if not copies:
        raise Refused(1638411, "At least minimum number of schedule must be specified for the policy.")
    world[SnapshotPolicy].change(policy.uuid, copies=copies)
    return Done()
