"""Routes of SVMs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.emulators.ontap.addresses import address_of, family_of, network_of, prefix_length
from tests.emulators.ontap.errors import Refused, invalid
from tests.emulators.ontap.layer2 import asked_ipspace, shown
from tests.emulators.ontap.network_records import Ipspace, Lif, Route
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, get, operation, rows
from tests.emulators.ontap.svm_lookup import made_svm, of_svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World


@rows("network_route")
def routes(world: World) -> Iterable[Row]:
    """Show the routes."""
    for one in world[Route]:
        yield Row({"uuid": one.uuid}, partial(_shown, world, one), one.svm)


def _shown(world: World, one: Route) -> JsonObject:
    address, gateway = address_of(one.destination), address_of(one.gateway)
    assert address is not None
    lifs = [
        {**shown(lif), "ip": {"address": lif.address}}
        for lif in world[Lif].where(svm=one.svm)
        if gateway in network_of(address_of(lif.address) or address, lif.length)
    ]
    record: JsonObject = {
        "uuid": one.uuid,
        "destination": {"address": one.destination, "netmask": str(one.length), "family": family_of(address)},
        "gateway": one.gateway,
        "metric": one.metric,
        "scope": "svm" if one.svm is not None else "cluster",
        "ipspace": shown(world[Ipspace][one.ipspace]),
    }
    if lifs:
        record["interfaces"] = lifs
    return record if one.svm is None else {**record, **of_svm(world, one.svm)}


@operation("POST /network/ip/routes")
def create_route(world: World, call: Call) -> Outcome:
    """Make a route, the default one where no destination is given."""
    of_cluster = "svm" not in call.body and "ipspace" in call.body
    svm = None if of_cluster else made_svm(world, call)
    ipspace = svm.ipspace if svm is not None else asked_ipspace(world, call.body).uuid
    text = get(call.body, "gateway")
    gateway = address_of(text)
    if gateway is None:
        raise invalid(text, "gateway")
    default = "0.0.0.0" if gateway.version == 4 else "::"  # noqa: S104 - a destination
    place = get(call.body, "destination.address", default)
    destination = address_of(place)
    if destination is None:
        raise invalid(place, "destination.address")
    if destination.version != gateway.version:
        raise Refused(1966265, "The gateway and the destination are of different families.", "gateway")
    length = prefix_length(destination, get(call.body, "destination.netmask", "0"))
    if length is None:
        raise invalid(get(call.body, "destination.netmask"), "destination.netmask")
    if any(address_of(lif.address) == gateway for lif in world[Lif].where(ipspace=ipspace)):
        raise Refused(1966505, f'The gateway "{text}" is the address of a LIF.', "gateway")
    made = Route(
        uuid=world.new_uuid(),
        ipspace=ipspace,
        destination=str(network_of(destination, length).network_address),
        length=length,
        gateway=str(gateway),
        metric=get(call.body, "metric", 20),
        svm=svm.uuid if svm is not None else None,
    )
    alike = world[Route].where(svm=made.svm, ipspace=ipspace, destination=made.destination, length=length)
    if any(one.gateway == made.gateway for one in alike):
        raise Refused(1966345, f'The route to "{made.destination}/{length}" by "{text}" already exists.', "destination")
    return Done({"uuid": world[Route].put(made).uuid})


@operation("DELETE /network/ip/routes/{uuid}")
def delete_route(world: World, call: Call) -> Outcome:
    """Remove a route."""
    world[Route].remove(call.keys["uuid"])
    return Done()
