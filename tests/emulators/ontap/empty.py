"""What clients look into and this array has none of: empty collections, and the one thing that may be sent there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.emulators.ontap.cluster import Node
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World


@rows(
    "/protocols/cifs/netbios",
    "/protocols/cifs/sessions",
    "/protocols/fpolicy/{svm.uuid}/engines",
    "/protocols/fpolicy/{svm.uuid}/events",
    "/protocols/fpolicy/{svm.uuid}/policies",
    "/protocols/locks",
    "/protocols/nfs/connected-clients",
    "/resource-tags/{resource_tag.value}/resources",
    "/snapmirror/policies",
    "/snapmirror/relationships",
    "/svm/peers",
    "/svm/svms/{svm.uuid}/top-metrics/clients",
    "/svm/svms/{svm.uuid}/top-metrics/directories",
    "/svm/svms/{svm.uuid}/top-metrics/files",
    "/svm/svms/{svm.uuid}/top-metrics/users",
    "resource_tag",
    "security_certificate",
)
def nothing(_: World) -> Iterable[Row]:
    """Show none."""
    return ()


@rows("/storage/snaplock/compliance-clocks")
def compliance_clocks(world: World) -> Iterable[Row]:
    """Show the clock of each node."""
    for node in world[Node]:
        yield Row({"node.uuid": node.uuid, "node.name": node.name}, partial(_clock_shown, world, node))


def _clock_shown(world: World, node: Node) -> JsonObject:
    return {"node": {"uuid": node.uuid, "name": node.name}, "time": world.clock.stamp()}


@operation("POST /support/ems/application-logs")
def log(_world: World, _call: Call) -> Outcome:
    """Take a message from a client, and forget it."""
    return Done()
