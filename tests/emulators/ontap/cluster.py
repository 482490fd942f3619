"""The cluster and its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tests.emulators.ontap.operations import Row, rows
from tests.emulators.ontap.world import Record, World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster(Record):
    """The array as a whole."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Record):
    """A controller; the one that is down is stood in for by its partner."""

    name: str
    serial_number: str
    up: bool = True


def seed(world: World) -> None:
    """Make a cluster of two nodes."""
    world[Cluster].put(Cluster(uuid=world.new_uuid(), name="c1"))
    for number in (1, 2):
        world[Node].put(Node(uuid=world.new_uuid(), name=f"n{number}", serial_number=f"7215360000{number}"))


def the_cluster(world: World) -> Cluster:
    """Return the only one there is."""
    return next(iter(world[Cluster]))


def node_named(world: World, name: str) -> Node | None:
    """Return a node, where there is one of that name."""
    return next(iter(world[Node].where(name=name)), None)


def partner_of(world: World, node: Node) -> Node:
    """Return the node that takes over when this one is down."""
    return next(each for each in world[Node] if each.uuid != node.uuid)


def serving(world: World, node_uuid: str) -> Node:
    """Return the node that does the work of a node at the moment: itself, or its partner while it is down."""
    node = world[Node][node_uuid]
    return node if node.up else partner_of(world, node)


def version_shown(world: World) -> JsonObject:
    """Return the release as records show it."""
    generation, major, minor = world.version
    full = f"NetApp Release {generation}.{major}.{minor}: Tue Jun 30 12:00:00 UTC 2026"
    return {"full": full, "generation": generation, "major": major, "minor": minor}


@rows("cluster")
def cluster(world: World) -> Iterable[Row]:
    """Show the cluster."""
    yield Row({}, partial(_cluster_shown, world))


def _cluster_shown(world: World) -> JsonObject:
    it = the_cluster(world)
    return {
        "name": it.name,
        "uuid": it.uuid,
        "version": version_shown(world),
        "disaggregated": False,
        "san_optimized": False,
        "timezone": {"name": "Europe/Berlin"},
    }


@rows("node")
def nodes(world: World) -> Iterable[Row]:
    """Show the nodes."""
    for node in world[Node]:
        yield Row({"uuid": node.uuid, "name": node.name}, partial(_node_shown, world, node))


def _node_shown(world: World, node: Node) -> JsonObject:
    partner = partner_of(world, node)
    return {
        "uuid": node.uuid,
        "name": node.name,
        "serial_number": node.serial_number,
        "state": "up" if node.up else "down",
        "membership": "available",
        "model": "FAS2750",
        "uptime": int(world.clock.now()) + 86_400,
        "version": version_shown(world),
        "ha": {"enabled": True, "partners": [{"uuid": partner.uuid, "name": partner.name}]},
    }
