"""Schedules of the cluster, which snapshot policies and efficiency policies name."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from tests.emulators.ontap.cluster import the_cluster
from tests.emulators.ontap.errors import FORBIDDEN, Refused, duplicate, gone, invalid
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.policy_records import SnapshotPolicy
from tests.emulators.ontap.world import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

MINUTES: Final[dict[str, JsonObject]] = {
    "5min": {"minutes": list(range(0, 60, 5))},
    "10min": {"minutes": list(range(0, 60, 10))},
    "hourly": {"minutes": [5]},
    "6-hourly": {"minutes": [15], "hours": [0, 6, 12, 18]},
    "8hour": {"minutes": [15], "hours": [2, 10, 18]},
    "12-hourly": {"minutes": [15], "hours": [0, 12]},
    "daily": {"minutes": [10], "hours": [0]},
    "weekly": {"minutes": [15], "hours": [0], "weekdays": [0]},
    "monthly": {"minutes": [20], "hours": [0], "days": [1]},
}
"""When each that every array has is due."""
_BOUNDS: Final = {"minutes": (0, 59), "hours": (0, 23), "days": (1, 31), "weekdays": (0, 6), "months": (1, 12)}
_DAY_HOURS: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSchedule(Record):
    """Times by the clock of the cluster."""

    name: str
    cron: Mapping[str, Sequence[int]] = field(default_factory=dict)
    builtin: bool = False

    @property
    def hours(self) -> int:
        """The hours from one time to the next, about."""
        if self.cron.get("days"):
            return 30 * _DAY_HOURS
        if self.cron.get("weekdays"):
            return 7 * _DAY_HOURS
        hours = self.cron.get("hours")
        return _DAY_HOURS // len(hours) if hours else 1


def uuid_of(name: str) -> str:
    """Return the UUID of a schedule that every array has."""
    return str(uuid5(NAMESPACE_URL, f"schedule:{name}"))


def seed(world: World) -> None:
    """Make the schedules of every cluster."""
    for name, cron in MINUTES.items():
        world[JobSchedule].put(JobSchedule(uuid=uuid_of(name), name=name, cron=cron, builtin=True))


def named(world: World, name: str) -> JobSchedule | None:
    """Return the schedule of this name."""
    return next(iter(world[JobSchedule].where(name=name)), None)


@rows("schedule")
def schedules(world: World) -> Iterable[Row]:
    """Show the schedules."""
    for each in world[JobSchedule]:
        yield Row({"uuid": each.uuid, "name": each.name}, partial(_shown, world, each))


def _shown(world: World, schedule: JobSchedule) -> JsonObject:
    cluster = the_cluster(world)
    return {
        "uuid": schedule.uuid,
        "name": schedule.name,
        "type": "cron",
        "scope": "cluster",
        "cluster": {"uuid": cluster.uuid, "name": cluster.name},
        "cron": {part: list(values) for part, values in schedule.cron.items()},
    }


@operation("POST /cluster/schedules")
def create(world: World, call: Call) -> Outcome:
    """Make a schedule by the clock; those by an interval are not written."""
    _refuse_svm(call)
    name, cron = call.body.get("name", ""), call.body.get("cron") or {}
    if not name:
        raise Refused(262212, 'Field "name" is required.', "name")
    if not cron.get("minutes"):
        raise Refused(262212, 'Field "cron.minutes" is required.', "cron.minutes")
    _check(cron)
    if named(world, name) is not None:
        raise duplicate(target="name")
    made = JobSchedule(uuid=world.new_uuid(), name=name, cron={part: tuple(values) for part, values in cron.items()})
    return Done({"uuid": world[JobSchedule].put(made).uuid})


def _check(cron: Mapping[str, Any]) -> None:
    for part, values in cron.items():
        low, high = _BOUNDS[part]
        if any(not low <= value <= high for value in values):
            raise invalid(values, f"cron.{part}", f"<{low}..{high}>")


def _refuse_svm(call: Call) -> None:
    """Refuse what an account of an SVM may not: schedules are the cluster's."""
    if call.login.svm is not None:
        raise Refused(FORBIDDEN, f'User "{call.login.name}" is not authorized for "/api/cluster/schedules".')


def _schedule(world: World, call: Call) -> JobSchedule:
    _refuse_svm(call)
    found = world[JobSchedule].get(call.keys["uuid"])
    if found is None:
        raise gone()
    return found


@operation("PATCH /cluster/schedules/{uuid}")
def change(world: World, call: Call) -> Outcome:
    """Change the times of a schedule."""
    found, cron = _schedule(world, call), call.body.get("cron") or {}
    _check(cron)
    world[JobSchedule].change(found.uuid, cron={**found.cron, **{part: tuple(each) for part, each in cron.items()}})
    return Done()


@operation("DELETE /cluster/schedules/{uuid}")
def delete(world: World, call: Call) -> Outcome:
    """Remove a schedule that no snapshot policy names."""
    found = _schedule(world, call)
    if found.builtin or any(copy.schedule == found.name for each in world[SnapshotPolicy] for copy in each.copies):
        raise Refused(8, f'The schedule "{found.name}" is in use.')
    world[JobSchedule].remove(found.uuid)
    return Done()
