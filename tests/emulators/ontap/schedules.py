"""Schedules, to be read: snapshot policies and efficiency policies name them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, uuid5

from tests.emulators.ontap.cluster import the_cluster
from tests.emulators.ontap.operations import Row, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

MINUTES: Final[dict[str, JsonObject]] = {
    "5min": {"minutes": list(range(0, 60, 5))},
    "10min": {"minutes": list(range(0, 60, 10))},
    "hourly": {"minutes": [5]},
    "8hour": {"minutes": [15], "hours": [2, 10, 18]},
    "daily": {"minutes": [10], "hours": [0]},
    "weekly": {"minutes": [15], "hours": [0], "weekdays": [0]},
    "monthly": {"minutes": [20], "hours": [0], "days": [1]},
}
"""When each is due."""


def uuid_of(name: str) -> str:
    """Return the UUID of a schedule."""
    return str(uuid5(NAMESPACE_URL, f"schedule:{name}"))


@rows("/cluster/schedules")
def schedules(world: World) -> Iterable[Row]:
    """Show the schedules that every array has."""
    for name in MINUTES:
        yield Row({"uuid": uuid_of(name), "name": name}, partial(_shown, world, name))


def _shown(world: World, name: str) -> JsonObject:
    cluster = the_cluster(world)
    owner = {"uuid": cluster.uuid, "name": cluster.name}
    return {
        "uuid": uuid_of(name),
        "name": name,
        "type": "cron",
        "scope": "cluster",
        "cluster": owner,
        "cron": MINUTES[name],
    }
