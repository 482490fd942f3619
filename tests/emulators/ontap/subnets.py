"""Subnets: pools of addresses for LIFs."""

from __future__ import annotations

import ipaddress
from functools import partial
from typing import TYPE_CHECKING

from tests.emulators.ontap.addresses import address_of, family_of, network_of, prefix_length
from tests.emulators.ontap.errors import Refused, duplicate, gone, invalid
from tests.emulators.ontap.layer2 import asked_ipspace, domain_named, shown
from tests.emulators.ontap.network_records import BroadcastDomain, Ipspace, Lif, Subnet
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, get, operation, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.emulators.ontap.addresses import Address
    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World


def subnet_named(world: World, ipspace: str, named: JsonObject) -> Subnet:
    """Return the subnet of an IPspace that a body names."""
    uuid, name = named.get("uuid"), named.get("name")
    found = (
        world[Subnet].get(uuid)
        if uuid is not None
        else next(iter(world[Subnet].where(ipspace=ipspace, name=name)), None)
    )
    if found is None or found.ipspace != ipspace:
        raise gone(target="subnet")
    return found


def holder_of(world: World, ipspace: str, text: str) -> Subnet | None:
    """Return the subnet in whose ranges an address lies."""
    address = address_of(text)
    return next(
        (one for one in world[Subnet].where(ipspace=ipspace) if address is not None and _holds(one, address)), None
    )


def free_address(world: World, subnet: Subnet) -> str:
    """Return the first address of a subnet that no LIF has."""
    taken = {address_of(lif.address) for lif in world[Lif].where(ipspace=subnet.ipspace)}
    found = next((address for address in _addresses(subnet) if address not in taken), None)
    if found is None:
        raise Refused(262245, f'Subnet "{subnet.name}" has no free address.', "subnet")
    return str(found)


def _bounds(subnet: Subnet) -> Iterator[tuple[Address, Address]]:
    for start, end in subnet.ranges:
        first, last = address_of(start), address_of(end)
        assert first is not None
        assert last is not None
        yield first, last


def _holds(subnet: Subnet, address: Address) -> bool:
    version = address.version
    return any(first.version == version and int(first) <= int(address) <= int(last) for first, last in _bounds(subnet))


def _addresses(subnet: Subnet) -> Iterator[Address]:
    for first, last in _bounds(subnet):
        for number in range(int(first), int(last) + 1):
            yield type(first)(number)


@rows("ip_subnet")
def subnets(world: World) -> Iterable[Row]:
    """Show the subnets."""
    for one in world[Subnet]:
        yield Row(shown(one), partial(_shown, world, one))


def _shown(world: World, one: Subnet) -> JsonObject:
    address = address_of(one.address)
    assert address is not None
    total = sum(int(last) - int(first) + 1 for first, last in _bounds(one))
    used = len(world[Lif].where(subnet=one.uuid))
    record: JsonObject = {
        **shown(one),
        "ipspace": shown(world[Ipspace][one.ipspace]),
        "broadcast_domain": shown(world[BroadcastDomain][one.domain]),
        "subnet": {"address": one.address, "netmask": str(one.length), "family": family_of(address)},
        "ip_ranges": [{"start": start, "end": end, "family": family_of(address)} for start, end in one.ranges],
        "total_count": total,
        "used_count": used,
        "available_count": total - used,
    }
    return record if one.gateway is None else {**record, "gateway": one.gateway}


@operation("POST /network/ip/subnets")
def create_subnet(world: World, call: Call) -> Outcome:
    """Make a subnet."""
    ipspace = asked_ipspace(world, call.body)
    domain = _asked_domain(world, ipspace.uuid, get(call.body, "broadcast_domain", {}))
    if world[Subnet].where(ipspace=ipspace.uuid, name=get(call.body, "name")):
        raise duplicate(target="name")
    made = Subnet(
        uuid=world.new_uuid(),
        name=get(call.body, "name"),
        ipspace=ipspace.uuid,
        domain=domain.uuid,
        **_asked(call.body, None),
    )
    return Done({"uuid": world[Subnet].put(made).uuid})


def _asked_domain(world: World, ipspace: str, named: JsonObject) -> BroadcastDomain:
    uuid, name = named.get("uuid"), named.get("name")
    found = world[BroadcastDomain].get(uuid) if uuid is not None else domain_named(world, ipspace, str(name))
    if found is None:
        raise gone(target="broadcast_domain")
    return found


def _asked(body: JsonObject, old: Subnet | None) -> JsonObject:
    text = get(body, "subnet.address", old.address if old is not None else "")
    mask = get(body, "subnet.netmask", str(old.length) if old is not None else "")
    address = address_of(text)
    length = prefix_length(address, mask) if address is not None else None
    if address is None or length is None:
        raise invalid(value=f"{text}/{mask}", name="subnet")
    network = network_of(address, length)
    gateway = get(body, "gateway", old.gateway if old is not None else None)
    ranges = old.ranges if old is not None else ()
    if "ip_ranges" in body:
        ranges = tuple((str(one["start"]), str(one.get("end", one["start"]))) for one in body["ip_ranges"])
    for place in (*(text for pair in ranges for text in pair), *((gateway,) if gateway else ())):
        if address_of(place) is None or ipaddress.ip_address(place) not in network:
            raise invalid(place, "ip_ranges" if place != gateway else "gateway")
    return {"address": str(network.network_address), "length": length, "gateway": gateway or None, "ranges": ranges}


@operation("PATCH /network/ip/subnets/{uuid}")
def change_subnet(world: World, call: Call) -> Outcome:
    """Rename a subnet, or change what is in it."""
    one = world[Subnet][call.keys["uuid"]]
    world[Subnet].change(one.uuid, name=get(call.body, "name", one.name), **_asked(call.body, one))
    return Done()


@operation("DELETE /network/ip/subnets/{uuid}")
def delete_subnet(world: World, call: Call) -> Outcome:
    """Remove a subnet; LIFs keep the addresses that they have from it."""
    one = world[Subnet][call.keys["uuid"]]
    for lif in world[Lif].where(subnet=one.uuid):
        world[Lif].change(lif.uuid, subnet=None)
    world[Subnet].remove(one.uuid)
    return Done()
