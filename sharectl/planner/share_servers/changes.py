"""What becomes of a share server whose network has another manifest than it was made from."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.model.field_changes import FieldChange
from sharectl.model.fields import Policy, fields_with, rule_of, written_name
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import Action, SetUp, UpdateRecord
from sharectl.model.share_networks import ShareNetworkSubnet
from sharectl.model.verbs import Verb
from sharectl.planner.share_servers.subnets import server_spec, subnet_label
from sharectl.state.rows import server_spec_of

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.model.share_networks import ShareServerSpec
    from sharectl.planner.draft import Draft

_OF_FUTURE_SERVERS: Final = fields_with(ShareNetworkSubnet, Policy.METADATA)
"""Fields of a subnet that say where new addresses come from; a server that has its own is not touched by them."""


def follow_network(draft: Draft, address: Address) -> None:
    """Add the step that makes a share server what its network's manifest says now, or refuse what cannot be done in place.

    As in Manila, a subnet that has servers does not change; directory services do where the driver can.
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
        changes = moved or [FieldChange("security_services", "recorded otherwise", "as in the manifest")]
        draft.add(
            Verb.UPDATE_RECORD,
            address,
            Action.UPDATE,
            reason,
            record=record,
            work=UpdateRecord(new),
            changes=tuple(changes),
        )
    elif draft.can(record.backend, Capability.SHARE_SERVER_UPDATE):
        draft.add(
            Verb.UPDATE_SHARE_SERVER,
            address,
            Action.UPDATE,
            "its network changed",
            backend=record.backend,
            record=record,
            work=SetUp(new),
            changes=tuple(changes),
        )
    else:
        _refuse_service_change(draft, record, old, changes)


def spec_to_mend(draft: Draft, record: Record) -> ShareServerSpec:
    """Return what a share server is mended from: what it was made from, with the places that new addresses come from now."""
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
