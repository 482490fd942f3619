"""LIFs: the addresses at which SVMs are reached."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap.addresses import address_of, family_of, names_the_network, prefix_length
from tests.emulators.ontap.cluster import Node, node_named
from tests.emulators.ontap.errors import Refused, gone, invalid
from tests.emulators.ontap.layer2 import asked_ipspace, domain_named, shown
from tests.emulators.ontap.network_records import BroadcastDomain, Ipspace, Lif, Port, Route, ServicePolicy, Subnet
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, get, operation, rows
from tests.emulators.ontap.ports import ipspace_of, is_up, port_named
from tests.emulators.ontap.service_policies import policy_named
from tests.emulators.ontap.subnets import free_address, holder_of, subnet_named
from tests.emulators.ontap.svm_lookup import made_svm, of_svm
from tests.emulators.ontap.svm_records import KerberosInterface, Svm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

_MISSING: Final = 262212


def current_port(world: World, lif: Lif) -> Port:
    """Return the port that a LIF is at: the one that it was put to, or while that is down another of its broadcast domain."""
    own = world[Port][lif.port]
    if is_up(world, own):
        return own
    others = (port for port in world[Port].where(domain=own.domain) if port.domain is not None and is_up(world, port))
    return next(others, own)


def is_serving(world: World, lif: Lif) -> bool:
    """Tell whether a LIF answers."""
    svm_runs = lif.svm is None or (world[Svm][lif.svm].is_made and world[Svm][lif.svm].is_running)
    return lif.enabled and svm_runs and lif.up_at <= world.clock.now() and is_up(world, current_port(world, lif))


def services_of(world: World, lif: Lif) -> tuple[str, ...]:
    """Return the services that a LIF offers."""
    return world[ServicePolicy][lif.policy].services


@rows("ip_interface")
def lifs(world: World) -> Iterable[Row]:
    """Show the LIFs."""
    for one in world[Lif]:
        yield Row(shown(one), partial(lif_shown, world, one), one.svm)


def lif_shown(world: World, one: Lif) -> JsonObject:
    """Return the record of a LIF."""
    home, port, policy = world[Port][one.home_port], current_port(world, one), world[ServicePolicy][one.policy]
    address = address_of(one.address)
    assert address is not None
    record: JsonObject = {
        **shown(one),
        "ip": {"address": one.address, "netmask": str(one.length), "family": family_of(address)},
        "enabled": one.enabled,
        "state": "up" if is_serving(world, one) else "down",
        "scope": "svm" if one.svm is not None else "cluster",
        "ipspace": shown(world[Ipspace][one.ipspace]),
        "services": list(policy.services),
        "service_policy": shown(policy),
        "location": {
            "home_node": shown(world[Node][home.node]),
            "home_port": _port_shown(world, home),
            "node": shown(world[Node][port.node]),
            "port": _port_shown(world, port),
            "is_home": port.uuid == home.uuid,
            "auto_revert": one.auto_revert,
            "failover": one.failover,
        },
        "vip": False,
        "ddns_enabled": one.ddns_enabled,
        "dns_zone": one.dns_zone,
    }
    if one.svm is not None:
        record |= of_svm(world, one.svm)
    if one.subnet is not None:
        record["subnet"] = shown(world[Subnet][one.subnet])
    return record


def _port_shown(world: World, port: Port) -> JsonObject:
    return {**shown(port), "node": {"name": world[Node][port.node].name}}


@operation("POST /network/ip/interfaces")
def create_lif(world: World, call: Call) -> Outcome:
    """Make a LIF."""
    of_cluster = get(call.body, "scope") == "cluster" or ("svm" not in call.body and "ipspace" in call.body)
    svm = None if of_cluster else made_svm(world, call, no_name=1967146, no_uuid=1967147)
    ipspace = asked_ipspace(world, call.body).uuid if svm is None else svm.ipspace
    owner, name = svm.uuid if svm is not None else None, get(call.body, "name")
    if name is None:
        raise Refused(_MISSING, 'Field "name" is required.', "name")
    if world[Lif].where(svm=owner, name=name):
        raise Refused(1966140, f'LIF "{name}" already exists in that SVM.', "name")
    address, length, subnet = _asked_address(world, call.body, ipspace, None)
    home = _asked_home(world, call.body, ipspace)
    policy = _asked_policy(world, call.body, owner)
    made = Lif(
        uuid=world.new_uuid(),
        name=name,
        ipspace=ipspace,
        address=address,
        length=length,
        home_port=home.uuid,
        port=home.uuid,
        policy=policy.uuid,
        svm=owner,
        subnet=subnet,
        up_at=world.clock.now() + world.settings.lif_down_seconds,
        **_plain(call.body),
    )
    return Done({"uuid": world[Lif].put(made).uuid})


def _plain(body: JsonObject) -> dict[str, Any]:
    names = {
        "enabled": "enabled",
        "location.auto_revert": "auto_revert",
        "location.failover": "failover",
        "ddns_enabled": "ddns_enabled",
        "dns_zone": "dns_zone",
    }
    return {own: value for dotted, own in names.items() if (value := get(body, dotted)) is not None}


def _asked_address(world: World, body: JsonObject, ipspace: str, lif: Lif | None) -> tuple[str, int, str | None]:
    """Return the address, its mask's length, and the subnet it comes out of."""
    if "subnet" in body:
        subnet = subnet_named(world, ipspace, body["subnet"])
        given = get(body, "ip.address")
        address = given if given is not None else free_address(world, subnet)
        return _checked_address(world, address, str(subnet.length), ipspace, lif), subnet.length, subnet.uuid
    text, mask = get(body, "ip.address"), get(body, "ip.netmask")
    if lif is not None:
        text, mask = text or lif.address, mask or str(lif.length)
    if text is None or mask is None:
        raise Refused(_MISSING, 'Fields "ip.address" and "ip.netmask" are required.', "ip")
    checked = _checked_address(world, text, mask, ipspace, lif)
    found = holder_of(world, ipspace, checked)
    if found is not None and (lif is None or lif.address != checked) and get(body, "fail_if_subnet_conflicts", True):
        raise Refused(1967387, f'The address "{text}" belongs to subnet "{found.name}".', "ip.address")
    address = address_of(checked)
    assert address is not None
    length = prefix_length(address, mask)
    assert length is not None
    return checked, length, None


def _checked_address(world: World, text: str, mask: str, ipspace: str, lif: Lif | None) -> str:
    address = address_of(text)
    if address is None:
        raise invalid(text, "ip.address")
    length = prefix_length(address, mask)
    if length is None or length == 0 or (family_of(address) == "ipv6" and length == address.max_prefixlen):
        code = 1966269 if family_of(address) == "ipv4" else 1966267
        raise Refused(code, f'The netmask "{mask}" is not valid for {family_of(address)}.', "ip.netmask")
    if names_the_network(address, length):
        raise Refused(53281073, f'The address "{text}" is that of its network.', "ip.address")
    others = (one for one in world[Lif].where(ipspace=ipspace) if lif is None or one.uuid != lif.uuid)
    holder = next((one for one in others if address_of(one.address) == address), None)
    if holder is not None:
        raise Refused(1376963, f'The address "{text}" is already used by LIF "{holder.name}".', "ip.address")
    if any(address_of(route.gateway) == address for route in world[Route].where(ipspace=ipspace)):
        raise Refused(1966138, f'The address "{text}" is that of a gateway.', "ip.address")
    return str(address)


def _asked_policy(world: World, body: JsonObject, svm: str | None) -> ServicePolicy:
    uuid = get(body, "service_policy.uuid")
    name = get(body, "service_policy.name", "default-data-files" if svm is not None else "default-intercluster")
    found = world[ServicePolicy].get(uuid) if uuid is not None else policy_named(world, svm, name)
    if found is None or found.svm != svm:
        raise Refused(53281065, f'The service policy "{uuid or name}" does not exist in that SVM.', "service_policy")
    return found


def _asked_home(world: World, body: JsonObject, ipspace: str, prefix: str = "home_") -> Port:
    """Return the port that a body names, by itself, by a node, or by a broadcast domain."""
    node_name = get(body, f"location.{prefix}node.name", get(body, f"location.{prefix}port.node.name"))
    node_uuid = get(body, f"location.{prefix}node.uuid")
    node = world[Node].get(node_uuid) if node_uuid else node_named(world, node_name) if node_name else None
    if (node_name or node_uuid) and node is None:
        raise gone(target=f"location.{prefix}node")
    uuid, name = get(body, f"location.{prefix}port.uuid"), get(body, f"location.{prefix}port.name")
    if uuid is not None or name is not None:
        by_name = port_named(world, node.uuid, name) if node is not None and name is not None else None
        found = world[Port].get(uuid) if uuid is not None else by_name
        if found is None:
            raise Refused(1967130, f'The port "{uuid or name}" does not exist on that node.', f"location.{prefix}port")
        return _checked_home(world, found, ipspace)
    domain = get(body, "location.broadcast_domain.uuid")
    if (wanted := get(body, "location.broadcast_domain.name")) is not None:
        domain = getattr(domain_named(world, ipspace, wanted), "uuid", "")
    if node is None and domain is None:
        raise Refused(1967111, "A home node, a home port or a broadcast domain must be given.", "location")
    for port in world[Port]:
        fits = node is None or port.node == node.uuid
        if (
            fits
            and (domain is None or port.domain == domain)
            and is_up(world, port)
            and ipspace_of(world, port) == ipspace
        ):
            return port
    raise Refused(1967153, "No suitable port was found there.", "location")


def _checked_home(world: World, port: Port, ipspace: str) -> Port:
    if port.domain is None:
        raise Refused(1966454, f'Port "{port.name}" is in no broadcast domain.', "location.home_port")
    if world[BroadcastDomain][port.domain].ipspace != ipspace:
        raise Refused(1966373, f'Port "{port.name}" is not in the IPspace of the SVM.', "location.home_port")
    if not is_up(world, port):
        raise Refused(1967154, f'Port "{port.name}" is down.', "location.home_port")
    return port


@operation("PATCH /network/ip/interfaces/{uuid}")
def change_lif(world: World, call: Call) -> Outcome:
    """Rename a LIF, give it another address, switch it, or move it or its home."""
    one = world[Lif][call.keys["uuid"]]
    changes = _plain(call.body)
    location = call.body.get("location", {})
    if (name := get(call.body, "name", one.name)) != one.name:
        if world[Lif].where(svm=one.svm, name=name):
            raise Refused(1966140, f'LIF "{name}" already exists in that SVM.', "name")
        changes["name"] = name
    if "ip" in call.body or "subnet" in call.body:
        changes["address"], changes["length"], subnet = _asked_address(world, call.body, one.ipspace, one)
        changes["subnet"] = subnet
    if "service_policy" in call.body:
        changes["policy"] = _asked_policy(world, call.body, one.svm).uuid
    if "home_port" in location or "home_node" in location:
        home = _asked_home(world, _with_node(world, call.body, one, "home_"), one.ipspace)
        was_home = one.port == one.home_port
        changes.update(home_port=home.uuid, port=home.uuid if was_home else one.port)
    if "port" in location or "node" in location:
        changes["port"] = _asked_home(world, _with_node(world, call.body, one, ""), one.ipspace, "").uuid
    if location.get("is_home"):
        changes["port"] = changes.get("home_port", one.home_port)
    world[Lif].change(one.uuid, **changes)
    return Done()


def _with_node(world: World, body: JsonObject, lif: Lif, prefix: str) -> JsonObject:
    """Return a body in which a port that is named without its node is one of the node where the LIF is."""
    location = body["location"]
    if f"{prefix}node" in location or get(location, f"{prefix}port.node.name") is not None:
        return body
    node = world[Port][lif.home_port if prefix else lif.port].node
    return {**body, "location": {**location, f"{prefix}node": {"name": world[Node][node].name}}}


@operation("DELETE /network/ip/interfaces/{uuid}")
def delete_lif(world: World, call: Call) -> Outcome:
    """Remove a LIF."""
    forget_lif(world, call.keys["uuid"])
    return Done()


def forget_lif(world: World, uuid: str) -> None:
    """Remove a LIF and what was configured on it."""
    world[Lif].remove(uuid)
    world[KerberosInterface].remove(uuid)
