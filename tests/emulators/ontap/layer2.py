"""IPspaces and broadcast domains."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.cluster import Node, the_cluster
from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.network_records import BroadcastDomain, Ipspace, Lif, Port
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, get, operation, rows
from tests.emulators.ontap.svm_records import Svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import Record, World

SMALLEST_MTU: Final = 68
LARGEST_MTU: Final = 9000
LONGEST_NAME: Final = 255
_SYSTEM_IPSPACES: Final = frozenset({"Default", "Cluster"})


def shown(record: Record) -> JsonObject:
    """Return how other records show one: by UUID and name."""
    return {"uuid": record.uuid, "name": getattr(record, "name")}  # noqa: B009 - every record that is shown so has one


def ipspace_named(world: World, name: str) -> Ipspace | None:
    """Return the IPspace of that name."""
    return next(iter(world[Ipspace].where(name=name)), None)


def domain_named(world: World, ipspace: str, name: str) -> BroadcastDomain | None:
    """Return the broadcast domain of that name in an IPspace."""
    return next(iter(world[BroadcastDomain].where(ipspace=ipspace, name=name)), None)


def lifs_at(world: World, port: Port) -> list[Lif]:
    """Return the LIFs that are at a port or at home there."""
    return [lif for lif in world[Lif] if port.uuid in {lif.home_port, lif.port}]


def mtu_of(world: World, port: Port) -> int:
    """Return the MTU of a port: its broadcast domain's."""
    return world[BroadcastDomain][port.domain].mtu if port.domain is not None else 1500


def check_name(world: World, name: str) -> None:
    """Refuse a name that an IPspace may not have."""
    if not name:
        raise Refused(9240587, "The name must not be empty.", "name")
    if len(name) > LONGEST_NAME:
        raise Refused(9240588, f'The name "{name}" is too long.', "name")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise Refused(9240589, f'The name "{name}" has a character that is not allowed.', "name")
    if name.lower() in {"all", "none"}:
        raise Refused(9240590, f'The name "{name}" is reserved.', "name")
    taken = [the_cluster(world).name, *(node.name for node in world[Node]), *(svm.name for svm in world[Svm])]
    if name in taken:
        raise Refused(9240591, f'The name "{name}" is already in use by a cluster node, an SVM or the cluster.', "name")


def check_mtu(mtu: int) -> None:
    """Refuse an MTU that Ethernet does not have."""
    if not SMALLEST_MTU <= mtu <= LARGEST_MTU:
        raise Refused(1966460, f"The MTU {mtu} is not between {SMALLEST_MTU} and {LARGEST_MTU}.", "mtu")


def check_vlan_mtu(world: World, port: Port, mtu: int) -> None:
    """Refuse an MTU above that of the port that a VLAN is on."""
    if port.base is not None and mtu > mtu_of(world, world[Port][port.base]):
        raise Refused(1376492, f'The MTU {mtu} of VLAN "{port.name}" is above that of its base port.', "mtu")


@rows("ipspace")
def ipspaces(world: World) -> Iterable[Row]:
    """Show the IPspaces."""
    for one in world[Ipspace]:
        yield Row(shown(one), partial(shown, one))


@operation("POST /network/ipspaces")
def create_ipspace(world: World, call: Call) -> Outcome:
    """Make an IPspace."""
    name = get(call.body, "name", "")
    if ipspace_named(world, name) is not None:
        raise Refused(1377261, f'IPspace "{name}" already exists.', "name")
    check_name(world, name)
    return Done({"uuid": world[Ipspace].put(Ipspace(uuid=world.new_uuid(), name=name)).uuid})


@operation("PATCH /network/ipspaces/{uuid}")
def rename_ipspace(world: World, call: Call) -> Outcome:
    """Rename an IPspace."""
    one = _changeable(world, call)
    name = get(call.body, "name", one.name)
    if name != one.name:
        if ipspace_named(world, name) is not None:
            raise Refused(1377261, f'IPspace "{name}" already exists.', "name")
        check_name(world, name)
    world[Ipspace].change(one.uuid, name=name)
    return Done()


@operation("DELETE /network/ipspaces/{uuid}")
def delete_ipspace(world: World, call: Call) -> Outcome:
    """Remove an IPspace that nothing is in."""
    one = _changeable(world, call)
    if world[Svm].where(ipspace=one.uuid):
        raise Refused(1966333, f'IPspace "{one.name}" cannot be deleted: it has SVMs.', "uuid")
    if world[BroadcastDomain].where(ipspace=one.uuid):
        raise Refused(1969180, f'IPspace "{one.name}" cannot be deleted: it has broadcast domains.', "uuid")
    world[Ipspace].remove(one.uuid)
    return Done()


def _changeable(world: World, call: Call) -> Ipspace:
    one = world[Ipspace][call.keys["uuid"]]
    if one.name in _SYSTEM_IPSPACES:
        raise Refused(1377259, f'IPspace "{one.name}" is the system\'s own.', "uuid")
    return one


@rows("broadcast_domain")
def broadcast_domains(world: World) -> Iterable[Row]:
    """Show the broadcast domains with their ports."""
    for one in world[BroadcastDomain]:
        keys = {**shown(one), "ipspace.name": world[Ipspace][one.ipspace].name}
        yield Row(keys, partial(_domain_shown, world, one))


def _domain_shown(world: World, one: BroadcastDomain) -> JsonObject:
    ports = [
        {**shown(port), "node": {"name": world[Node][port.node].name}} for port in world[Port].where(domain=one.uuid)
    ]
    record = {**shown(one), "ipspace": shown(world[Ipspace][one.ipspace]), "mtu": one.mtu}
    return {**record, "ports": ports} if ports else record


@operation("POST /network/ethernet/broadcast-domains")
def create_broadcast_domain(world: World, call: Call) -> Outcome:
    """Make a broadcast domain without ports."""
    ipspace = asked_ipspace(world, call.body)
    name, mtu = get(call.body, "name"), get(call.body, "mtu")
    if ipspace.name == "Cluster":
        raise Refused(53281982, "Broadcast domains of the IPspace Cluster are the system's own.", "name")
    _check_free(world, ipspace, name, None)
    check_mtu(mtu)
    made = BroadcastDomain(uuid=world.new_uuid(), name=name, ipspace=ipspace.uuid, mtu=mtu)
    return Done({"uuid": world[BroadcastDomain].put(made).uuid})


@operation("PATCH /network/ethernet/broadcast-domains/{uuid}")
def change_broadcast_domain(world: World, call: Call) -> Outcome:
    """Rename a broadcast domain, give its ports another MTU, or move it with them to another IPspace."""
    one = world[BroadcastDomain][call.keys["uuid"]]
    name, mtu = get(call.body, "name", one.name), get(call.body, "mtu", one.mtu)
    ipspace = asked_ipspace(world, call.body) if "ipspace" in call.body else world[Ipspace][one.ipspace]
    _check_free(world, ipspace, name, one.uuid)
    check_mtu(mtu)
    for port in world[Port].where(domain=one.uuid):
        check_vlan_mtu(world, port, mtu)
        if ipspace.uuid != one.ipspace and lifs_at(world, port):
            raise Refused(1377608, f'Port "{port.name}" is the home or the current port of a LIF.', "ipspace")
    world[BroadcastDomain].change(one.uuid, name=name, mtu=mtu, ipspace=ipspace.uuid)
    return Done()


@operation("DELETE /network/ethernet/broadcast-domains/{uuid}")
def delete_broadcast_domain(world: World, call: Call) -> Outcome:
    """Remove a broadcast domain that has no ports."""
    one = world[BroadcastDomain][call.keys["uuid"]]
    if world[Port].where(domain=one.uuid):
        raise Refused(1967103, f'Broadcast domain "{one.name}" cannot be deleted: it has ports.', "uuid")
    world[BroadcastDomain].remove(one.uuid)
    return Done()


def _check_free(world: World, ipspace: Ipspace, name: str, own: str | None) -> None:
    holder = domain_named(world, ipspace.uuid, name)
    if holder is not None and holder.uuid != own:
        raise Refused(1377560, f'Broadcast domain "{name}" already exists in IPspace "{ipspace.name}".', "name")


def asked_ipspace(world: World, body: JsonObject) -> Ipspace:
    """Return the IPspace that a body names, which is Default where it names none."""
    uuid, name = get(body, "ipspace.uuid"), get(body, "ipspace.name", "Default")
    found = world[Ipspace].get(uuid) if uuid is not None else ipspace_named(world, name)
    if found is None:
        raise Refused(1967104 if uuid is not None else 1377267, f'IPspace "{uuid or name}" does not exist.', "ipspace")
    return found
