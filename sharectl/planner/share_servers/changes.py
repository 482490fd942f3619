"""Share servers and the manifests of their networks: the subnet that each is in, and what becomes of it when that changes."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.model.field_changes import FieldChange
from sharectl.model.fields import Policy, fields_with, rule_of, written_name
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import SetUp, UpdateRecord
from sharectl.model.share_networks import ShareNetworkSubnet, ShareServerSpec
from sharectl.model.verbs import Verb
from sharectl.planner.records import share_server_id_of
from sharectl.state.rows import server_spec_of, share_spec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec
    from sharectl.planner.draft import Draft

_DEFAULT: Final = "default"
_OF_FUTURE_SERVERS: Final = fields_with(ShareNetworkSubnet, Policy.METADATA)
"""Fields of a subnet that say where new addresses come from; a server that has its own is not touched by them."""


def subnet_for(network: ShareNetworkSpec, zone: str | None) -> ShareNetworkSubnet | None:
    """Return the subnet for backends in the zone: the zone's own, else the one without a zone, as Manila chooses; None where neither is."""
    by_zone = {subnet.availability_zone: subnet for subnet in network.subnets}
    return by_zone.get(zone) or by_zone.get(None)


def subnet_label(subnet: ShareNetworkSubnet) -> str:
    """Return how addresses of share servers name the subnet: its availability zone, or `default`."""
    return subnet.availability_zone or _DEFAULT


def server_address(network: str, subnet: ShareNetworkSubnet, backend: str) -> Address:
    """Return `share_server/NETWORK-SUBNET@BACKEND`."""
    return address_of(Kind.SHARE_SERVER, f"{network}-{subnet_label(subnet)}@{backend}")


def server_spec(
    network: ShareNetworkSpec,
    subnet: ShareNetworkSubnet,
    address_count: int,
    security_services: Mapping[str, SecurityServiceSpec],
) -> ShareServerSpec:
    """Return what a share server in the subnet is to be; `security_services` are all that the manifests describe."""
    return ShareServerSpec(
        name=f"{network.name}-{subnet_label(subnet)}",
        share_network=network.name,
        subnet=subnet,
        address_count=address_count,
        security_services=tuple(
            security_services[name] for name in network.security_services if name in security_services
        ),
    )


def allocation_ids(server_id: str, count: int) -> tuple[str, ...]:
    """Return the ids under which a share server's addresses are asked for; they follow from its own, so that none is ever lost."""
    return tuple(f"{server_id}/{number}" for number in range(count))


def check_modes(draft: Draft) -> None:
    """Refuse a backend whose manifest gives it share servers while it has shares without, or takes them while it has some."""
    with_servers = {name for name, spec in draft.desired.backends.items() if spec.share_servers}
    first: dict[str, Address] = {}
    for address, record in draft.records.items() if with_servers else ():
        if record.kind == Kind.SHARE and record.backend in with_servers and share_server_id_of(record) is None:
            first[record.backend] = min(address, first.get(record.backend, address))
    for backend, share in sorted(first.items()):
        draft.refuse(
            "backend.share-server-mode",
            address_of(Kind.BACKEND, backend),
            f"backend {backend} is to make share servers, and {share} is there without one",
            detail="a backend works with share servers for all of its shares, or for none (Manila's driver_handles_share_servers).",
            remedy="remove shareServers; give the storage for tenants a Backend of its own",
            path="spec.shareServers",
        )
    taken = {draft.records[address].backend or "": address for address in draft.servers.values()}
    for name, server in sorted(taken.items()):
        if name in draft.desired.backends and name not in with_servers:
            draft.refuse(
                "backend.share-server-mode",
                address_of(Kind.BACKEND, name),
                f"backend {name} has {server}, and its manifest says that it makes no share servers",
                detail="the shares on it would have nobody to export them.",
                remedy="put shareServers: true back until its share servers are gone",
                path="spec.shareServers",
            )


def follow_network(
    draft: Draft, address: Address, protocols: Callable[[], Mapping[str | None, Collection[str]]]
) -> None:
    """Add the step that brings a share server in line with its network's manifest, or refuse what cannot be done in place.

    As in Manila, a subnet that has servers does not change; directory services do where the driver can. `protocols` gives those of the
    shares on each share server, by its id; it is asked where a server changes.
    """
    record = draft.records[address]
    old = server_spec_of(record)
    new = _wanted(draft, record, old)
    if new is None or new == old:
        return
    if old.subnet != new.subnet and _refuse_subnet_change(draft, address, old, new):
        return
    changes = _service_changes(old, new)
    if old.address_count != new.address_count:
        changes.append(FieldChange("addresses", old.address_count, new.address_count))
    if not changes:
        reason = "the state alone; it says where further addresses come from, and no server has to change for that"
        moved = [FieldChange(f"subnet.{name}", a, b) for name, a, b in _differences(old, new)]
        changes = moved or [FieldChange("security_services", "as recorded", "as in the manifest")]
        draft.add(Verb.UPDATE_RECORD, address, reason, record=record, work=UpdateRecord(new), changes=tuple(changes))
    elif draft.can(record.backend, Capability.SHARE_SERVER_UPDATE):
        if _refuse_unfit(draft, record, new, protocols().get(record.resource_id, ())):
            return
        draft.add(
            Verb.UPDATE_SHARE_SERVER,
            address,
            "its network changed",
            backend=record.backend,
            record=record,
            work=SetUp(new),
            changes=tuple(changes),
        )
    else:
        _refuse_service_change(draft, record, old, changes)


def spec_to_mend(draft: Draft, record: Record) -> ShareServerSpec:
    """Return what a share server is repaired from: what it was made from, with the present sources of new addresses."""
    old = server_spec_of(record)
    network = draft.desired.share_networks.get(old.share_network)
    for subnet in () if network is None else network.subnets:
        same = replace(old.subnet, **{name: getattr(subnet, name) for name in _OF_FUTURE_SERVERS})
        if subnet == same:
            return replace(old, subnet=subnet)
    return old


def _wanted(draft: Draft, record: Record, old: ShareServerSpec) -> ShareServerSpec | None:
    """Return what the server is to be by its network's manifest; None where there is nothing to follow."""
    network = draft.desired.share_networks.get(old.share_network)
    if network is None:
        return None  # only shares that are kept without a manifest are on it
    label = subnet_label(old.subnet)
    subnet = next((subnet for subnet in network.subnets if subnet_label(subnet) == label), None)
    if subnet is None:
        draft.refuse(
            "share_network.subnet-in-use",
            address_of(Kind.SHARE_NETWORK, network.name),
            f"{address_of(Kind.SHARE_NETWORK, network.name)} has no subnet {label} any more, and {record.address} is in it",
            detail="the share server and the shares on it would lose their network.",
            remedy="put the subnet back until the shares on that server are gone",
            path="spec.subnets",
        )
        return None
    seen = draft.observed.get(record.backend or "")
    count = old.address_count
    if seen is not None and seen.servers is not None and draft.can(record.backend, Capability.SHARE_SERVER_UPDATE):
        count = max(count, seen.servers.address_count)
    return server_spec(network, subnet, count, draft.desired.security_services)


def _differences(old: ShareServerSpec, new: ShareServerSpec) -> list[tuple[str, object, object]]:
    before, after = asdict(old.subnet), asdict(new.subnet)
    return [(name, before[name], after[name]) for name in before if before[name] != after[name]]


def _refuse_subnet_change(draft: Draft, address: Address, old: ShareServerSpec, new: ShareServerSpec) -> bool:
    """Refuse what a subnet with a share server cannot change; tell whether there was anything."""
    refused = [found for found in _differences(old, new) if found[0] not in _OF_FUTURE_SERVERS]
    network = draft.desired.share_networks[old.share_network]
    number = network.subnets.index(new.subnet)
    for name, before, after in refused:
        field = ShareNetworkSubnet.__dataclass_fields__[name]
        rule, written = rule_of(field), written_name(field)
        draft.refuse(
            "share_network.immutable",
            address_of(Kind.SHARE_NETWORK, network.name),
            f"{address_of(Kind.SHARE_NETWORK, network.name)}: {written} of subnet {subnet_label(new.subnet)} cannot change from {before} to {after}",
            detail=rule.because.format(address=address),
            remedy=rule.way_out,
            path=f"spec.subnets.{number}.{written}",
        )
    return bool(refused)


def _service_changes(old: ShareServerSpec, new: ShareServerSpec) -> list[FieldChange]:
    """Return how the directory services differ, by name; what is in their settings is not shown."""
    before = {service.name: service for service in old.security_services}
    after = {service.name: service for service in new.security_services}
    changes = []
    for name in sorted(before.keys() | after.keys()):
        was, becomes = before.get(name), after.get(name)
        if was is None or becomes is None:
            changes.append(
                FieldChange(f"security_services/{name}", was and was.service_type, becomes and becomes.service_type)
            )
        elif (was.service_type, was.config) != (becomes.service_type, becomes.config):
            changes.append(FieldChange(f"security_services/{name}", "its former settings", "its new settings"))
    return changes


def protocols_by_server(draft: Draft) -> dict[str | None, set[str]]:
    """Return the protocols of the recorded shares on each share server, by its id."""
    found: dict[str | None, set[str]] = {}
    for share in draft.records.values():
        if share.kind == Kind.SHARE:
            found.setdefault(share_server_id_of(share), set()).add(str(share_spec_of(share).protocol))
    return found


def _refuse_unfit(draft: Draft, record: Record, new: ShareServerSpec, protocols: Collection[str]) -> bool:
    """Refuse what the driver would refuse of a changed share server, with the shares that are on it; tell whether there was anything."""
    from sharectl.planner.share_servers.checks import problems_of_server  # noqa: PLC0415 - few servers change

    problems = problems_of_server(draft.desired, record.backend or "", new, protocols, server_spec_of(record))
    network = address_of(Kind.SHARE_NETWORK, new.share_network)
    for problem in problems:
        draft.refuse(
            "share_network.unfit",
            network,
            f"{network}: {record.address} cannot follow: {problem.summary}",
            remedy=problem.remedy,
            path="spec.securityServices",
        )
    return bool(problems)


def _refuse_service_change(draft: Draft, record: Record, old: ShareServerSpec, changes: list[FieldChange]) -> None:
    names = ", ".join(change.field.partition("/")[2] for change in changes)
    draft.refuse(
        "share_network.security-services",
        address_of(Kind.SHARE_NETWORK, old.share_network),
        f"{address_of(Kind.SHARE_NETWORK, old.share_network)}: its directory services ({names}) cannot change while {record.address} is there",
        detail=f"the driver of backend {record.backend} joins them when it makes a share server, and cannot change that later.",
        remedy="take the change back, or describe a new share network and move the shares to it with spec.replacement",
        path="spec.securityServices",
    )
