"""Commands of the command line that clients send through `/private/cli`, where REST has no path for what they want."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.aggregates import Aggregate
from tests.emulators.ontap.cluster import Node, version_shown
from tests.emulators.ontap.errors import Refused, gone, invalid
from tests.emulators.ontap.layer2 import domain_named, ipspace_named, lifs_at
from tests.emulators.ontap.lifs import current_port
from tests.emulators.ontap.network_records import Ipspace, Lif, Port
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.ports import leave_domain
from tests.emulators.ontap.svm import state_of
from tests.emulators.ontap.svm_lookup import svm_named
from tests.emulators.ontap.svm_records import Svm
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_MOST_LIFS_OF_A_NODE: Final = 256


@rows("/private/cli/version")
def version(world: World) -> Iterable[Row]:
    """Show the release."""
    yield Row({}, lambda: {"version": version_shown(world)})


@rows("/private/cli/aggr", "/private/cli/storage/aggregate")
def aggregates(world: World) -> Iterable[Row]:
    """Show the aggregates; clients ask which of them hold the nodes' own volumes."""
    for one in world[Aggregate]:
        shown: JsonObject = {"aggregate": one.name, "root": one.root, "node": world[Node][one.home_node].name}
        yield Row({"aggregate": one.name}, partial(dict, shown))


@rows("/private/cli/network/interface/capacity/details")
def capacity(world: World) -> Iterable[Row]:
    """Show how many LIFs a node has and may have."""
    for node in world[Node]:
        count = sum(current_port(world, lif).node == node.uuid for lif in world[Lif] if lif.svm is not None)
        shown: JsonObject = {"node": node.name, "limit_for_node": _MOST_LIFS_OF_A_NODE, "count_for_node": count}
        yield Row({"node": node.name}, partial(dict, shown))


@rows("/private/cli/vserver")
def vservers(world: World) -> Iterable[Row]:
    """Show the SVMs as the command line does."""
    for svm in world[Svm]:
        yield Row({"vserver": svm.name}, partial(_vserver_shown, world, svm), svm.uuid)


def _vserver_shown(world: World, svm: Svm) -> JsonObject:
    return {
        "vserver": svm.name,
        "uuid": svm.uuid,
        "type": "data",
        "admin_state": state_of(world, svm),
        "ipspace": world[Ipspace][svm.ipspace].name,
        "comment": svm.comment,
        "max_volumes": svm.settings.get("max_volumes", "unlimited"),
    }


@operation("PATCH /private/cli/vserver")
def change_vserver(world: World, call: Call) -> Outcome:
    """Change what of an SVM older releases have no field for."""
    svm = svm_named(world, call.query.get("vserver", ""))
    if svm is None:
        raise gone(target="vserver")
    settings = {**svm.settings, **{name: call.body[name] for name in ("max_volumes",) if name in call.body}}
    world[Svm].change(svm.uuid, settings=settings)
    return Done()


@operation("PATCH /private/cli/volume")
def change_volume(world: World, call: Call) -> Outcome:
    """Show or hide the snapshot directory of a volume, or have its autosize as it was at first."""
    svm = svm_named(world, call.query.get("vserver", ""))
    found = world[Volume].where(svm=svm.uuid, name=call.query.get("volume"), deleted_at=None) if svm is not None else []
    if not found:
        raise gone(target="volume")
    for name, value in call.body.items():
        match name.replace("-", "_"):
            case "snapdir_access":
                settings = {**found[0].settings, "snapshot_directory_access_enabled": str(value).lower() == "true"}
                world[Volume].change(found[0].uuid, settings=settings)
            case "autosize_reset":
                world[Volume].change(found[0].uuid, autosize=None)
            case other:
                raise invalid(value, other)
    if not call.body:
        raise Refused(262190, "No fields to modify were given.")
    return Done()


@operation("PATCH /private/cli/network/port/broadcast-domain/remove-ports")
def remove_ports(world: World, call: Call) -> Outcome:
    """Take ports, each `node:port`, out of a broadcast domain; the array finds a place for them by itself some time later."""
    query = {name.replace("-", "_"): value for name, value in call.query.items()}
    ipspace = ipspace_named(world, query.get("ipspace", "Default"))
    domain = domain_named(world, ipspace.uuid, query.get("broadcast_domain", "")) if ipspace is not None else None
    if domain is None:
        raise gone(target="broadcast_domain")
    for name in call.body.get("ports", ()):
        node, _, port_name = str(name).partition(":")
        found = [
            port
            for port in world[Port].where(domain=domain.uuid, name=port_name)
            if world[Node][port.node].name == node
        ]
        if not found:
            raise gone(target="ports")
        if lifs_at(world, found[0]):
            raise Refused(1377608, f'Port "{name}" is the home or the current port of a LIF.', "ports")
        leave_domain(world, found[0])
    return Done()
