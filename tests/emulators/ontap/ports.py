"""Ports of nodes, and the VLANs on them."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.cluster import Node, node_named
from tests.emulators.ontap.errors import Refused, duplicate
from tests.emulators.ontap.layer2 import check_vlan_mtu, domain_named, ipspace_named, lifs_at, mtu_of, shown
from tests.emulators.ontap.network_records import BroadcastDomain, Ipspace, Lif, Port
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, get, operation, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

SECONDS_UNTIL_PLACED: Final = 180.0
"""How long the array takes to find out by itself which broadcast domain a new port belongs to."""


def port_named(world: World, node: str, name: str) -> Port | None:
    """Return the port of that name on a node."""
    return next(iter(world[Port].where(node=node, name=name)), None)


def ipspace_of(world: World, port: Port) -> str | None:
    """Return the IPspace that a port is in by its broadcast domain, or None where it is in none."""
    return world[BroadcastDomain][port.domain].ipspace if port.domain is not None else None


def is_up(world: World, port: Port) -> bool:
    """Tell whether a port passes traffic; a VLAN does only as long as its base port does."""
    base_is_up = port.base is None or is_up(world, world[Port][port.base])
    return port.enabled and port.has_link and world[Node][port.node].up and base_is_up


@rows("port")
def ports(world: World) -> Iterable[Row]:
    """Show the ports."""
    for one in world[Port]:
        keys = {**shown(one), "node.name": world[Node][one.node].name}
        yield Row(keys, partial(_shown, world, one))


def _shown(world: World, one: Port) -> JsonObject:
    record: JsonObject = {
        **shown(one),
        "node": shown(world[Node][one.node]),
        "type": one.kind,
        "state": "up" if is_up(world, one) else "down",
        "enabled": one.enabled,
        "mtu": mtu_of(world, one),
        "mac_address": one.mac_address,
        "reachability": "ok" if one.domain is not None else "repairable",
        "interface_count": sum(lif.port == one.uuid for lif in world[Lif]),
    }
    if one.kind == "physical":
        record["speed"] = one.speed
    if one.domain is not None:
        domain = world[BroadcastDomain][one.domain]
        record["broadcast_domain"] = {**shown(domain), "ipspace": shown(world[Ipspace][domain.ipspace])}
    if one.base is not None:
        base = world[Port][one.base]
        record["vlan"] = {"tag": one.tag, "base_port": {**shown(base), "node": {"name": world[Node][base.node].name}}}
    return record


@operation("POST /network/ethernet/ports")
def create_port(world: World, call: Call) -> Outcome:
    """Make a VLAN on a port."""
    if get(call.body, "type") != "vlan":
        raise Refused(1967083, "The type of a new port is vlan.", "type")
    node = _asked_node(world, call.body)
    base, tag = _asked_base(world, node, call.body), get(call.body, "vlan.tag")
    if tag is None:
        raise Refused(1967190, "A VLAN needs node, vlan.base_port and vlan.tag.", "vlan")
    if port_named(world, node.uuid, f"{base.name}-{tag}") is not None:
        raise duplicate()
    domain = _asked_domain(world, call.body)
    made = Port(
        uuid=world.new_uuid(),
        name=f"{base.name}-{tag}",
        node=node.uuid,
        kind="vlan",
        base=base.uuid,
        tag=tag,
        mac_address=base.mac_address,
        speed=base.speed,
        enabled=get(call.body, "enabled", True),
        domain=domain.uuid if domain is not None else None,
    )
    if domain is not None:
        check_vlan_mtu(world, made, domain.mtu)
    else:
        world.later(SECONDS_UNTIL_PLACED, partial(_place, uuid=made.uuid))
    return Done({"uuid": world[Port].put(made).uuid})


def _asked_node(world: World, body: JsonObject) -> Node:
    uuid, name = get(body, "node.uuid"), get(body, "node.name", get(body, "vlan.base_port.node.name"))
    found = world[Node].get(uuid) if uuid is not None else node_named(world, name) if name is not None else None
    if found is None:
        raise Refused(1967085 if uuid or name else 1967190, f'Node "{uuid or name}" does not exist.', "node")
    return found


def _asked_base(world: World, node: Node, body: JsonObject) -> Port:
    uuid, name = get(body, "vlan.base_port.uuid"), get(body, "vlan.base_port.name")
    if uuid is None and name is None:
        raise Refused(1967190, "A VLAN needs node, vlan.base_port and vlan.tag.", "vlan")
    if get(body, "vlan.base_port.node.name", node.name) != node.name:
        raise Refused(1967092, "The node of the base port differs from that of the VLAN.", "vlan.base_port.node.name")
    found = world[Port].get(uuid) if uuid is not None else port_named(world, node.uuid, name)
    if found is None or found.node != node.uuid or found.kind == "vlan":
        raise Refused(1967091, f'Node "{node.name}" has no base port "{uuid or name}".', "vlan.base_port")
    ipspace = ipspace_of(world, found)
    if ipspace is not None and world[Ipspace][ipspace].name == "Cluster":
        raise Refused(1967175, "Ports of the IPspace Cluster carry no VLANs.", "vlan.base_port")
    return found


def _asked_domain(world: World, body: JsonObject) -> BroadcastDomain | None:
    if "broadcast_domain" not in body:
        return None
    uuid, name = get(body, "broadcast_domain.uuid"), get(body, "broadcast_domain.name")
    if uuid is not None:
        found = world[BroadcastDomain].get(uuid)
    else:
        ipspace = ipspace_named(world, get(body, "broadcast_domain.ipspace.name", "Default"))
        found = domain_named(world, ipspace.uuid, name) if ipspace is not None else None
    if found is None:
        raise Refused(1967088, f'Broadcast domain "{uuid or name}" does not exist in that IPspace.', "broadcast_domain")
    return found


def leave_domain(world: World, port: Port) -> None:
    """Take a port out of its broadcast domain until the array finds a place for it."""
    world[Port].change(port.uuid, domain=None)
    world.later(SECONDS_UNTIL_PLACED, partial(_place, uuid=port.uuid))


def _place(world: World, uuid: str) -> None:
    port = world[Port].get(uuid)
    if port is None or port.domain is not None:
        return
    like = next((one.domain for one in world[Port] if one.tag == port.tag and one.domain is not None), None)
    world[Port].change(uuid, domain=like or _new_domain(world))


def _new_domain(world: World) -> str:
    default = ipspace_named(world, "Default")
    assert default is not None
    names = (f"Default-{number}" for number in itertools.count(1))
    name = next(name for name in names if domain_named(world, default.uuid, name) is None)
    made = BroadcastDomain(uuid=world.new_uuid(), name=name, ipspace=default.uuid)
    return world[BroadcastDomain].put(made).uuid


@operation("PATCH /network/ethernet/ports/{uuid}")
def change_port(world: World, call: Call) -> Outcome:
    """Switch a port on or off, or move it to another broadcast domain."""
    one = world[Port][call.keys["uuid"]]
    domain = _asked_domain(world, call.body)
    if domain is not None and domain.uuid != one.domain:
        if lifs_at(world, one):
            raise Refused(1377608, f'Port "{one.name}" is the home or the current port of a LIF.', "broadcast_domain")
        check_vlan_mtu(world, one, domain.mtu)
    elif domain is not None:
        raise Refused(
            1967149, f'Port "{one.name}" was not added: it is in broadcast domain "{domain.name}".', "broadcast_domain"
        )
    world[Port].change(
        one.uuid,
        domain=domain.uuid if domain is not None else one.domain,
        enabled=get(call.body, "enabled", one.enabled),
    )
    return Done()


@operation("DELETE /network/ethernet/ports/{uuid}")
def delete_port(world: World, call: Call) -> Outcome:
    """Remove a VLAN that no LIF needs."""
    one = world[Port][call.keys["uuid"]]
    if one.kind == "physical":
        raise Refused(1967105, f'Port "{one.name}" is a physical one.', "uuid")
    if any(lif.port == one.uuid for lif in world[Lif]):
        raise Refused(1376858, f'Port "{one.name}" cannot be deleted: a LIF is bound to it.', "uuid")
    if lifs_at(world, one):
        raise Refused(1966189, f'Port "{one.name}" is the home port of a LIF.', "uuid")
    world[Port].remove(one.uuid)
    return Done()
