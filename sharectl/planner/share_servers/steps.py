"""Steps for share servers: made before their first share, repaired, changed with their network, removed after their last share."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from sharectl.model.field_changes import FieldChange
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import CreateShare, ReleaseAllocation, SetUp, UpdateRecord
from sharectl.model.verbs import Verb
from sharectl.planner.observed import lost_addresses
from sharectl.planner.share_servers.changes import (
    allocation_ids,
    check_modes,
    follow_network,
    protocols_by_server,
    server_spec,
    spec_to_mend,
    subnet_for,
)
from sharectl.planner.share_servers.places import goes, removals_by_server, server_of, shares_by_server, unused_servers
from sharectl.planner.shares.steps import spec_in_force
from sharectl.state.rows import allocations_of, server_spec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.records import Record
    from sharectl.model.share_networks import ShareServerSpec
    from sharectl.planner.draft import Draft
    from sharectl.planner.observed import BackendObservation


def plan_share_servers(draft: Draft) -> None:
    """Add the steps for share servers and their addresses, when those for shares are known."""
    if not draft.servers and not any(spec.share_servers for spec in draft.desired.backends.values()):
        return
    check_modes(draft)
    wanted = {candidate.share_server or "" for step in draft.steps.values() for candidate in step.candidates}
    _make(draft)
    unused = set(unused_servers(draft, wanted))
    needed = {server_of(draft, step) for step in draft.steps.values()}
    protocols = cache(partial(protocols_by_server, draft))
    shares = cache(partial(shares_by_server, draft))
    removals = removals_by_server(draft) if unused else {}
    for address in sorted(draft.servers.values()):
        if address in unused:
            if goes(draft, address, removals):
                _remove(draft, address)
        elif address in needed or draft.chooses(address, draft.records[address].backend or ""):
            _mend(draft, address, shares)
            follow_network(draft, address, protocols)
    _release(draft)


def _make(draft: Draft) -> None:
    """Add a step for each share server that a new share is to be on and that is not there, one for all of its shares."""
    for step in tuple(draft.steps.values()):
        first = step.candidates[0] if step.candidates else None
        if first is None or first.share_server is None or first.share_server in draft.records:
            continue
        if draft.has(first.share_server, Verb.CREATE_SHARE_SERVER) or not isinstance(step.work, CreateShare):
            continue
        spec = _new_server(draft, step.work.spec.share_network or "", first.backend)
        if spec is not None:
            draft.add(
                Verb.CREATE_SHARE_SERVER,
                first.share_server,
                f"the first share on {address_of(Kind.SHARE_NETWORK, spec.share_network)} there",
                backend=first.backend,
                work=SetUp(spec),
                changes=tuple(_description(spec)),
            )


def _new_server(draft: Draft, network: str, backend: str) -> ShareServerSpec | None:
    described = draft.desired.share_networks[network]
    subnet = subnet_for(described, draft.desired.backends[backend].availability_zone)
    servers = draft.observed[backend].servers
    if subnet is None:
        return None
    count = 1 if servers is None else servers.address_count
    return server_spec(described, subnet, count, draft.desired.security_services)


def _description(spec: ShareServerSpec) -> Iterator[FieldChange]:
    subnet = spec.subnet
    described = (
        ("share_network", spec.share_network),
        ("cidr", subnet.cidr),
        ("network_type", subnet.network_type),
        ("segmentation_id", subnet.segmentation_id),
        ("neutron_net_id", subnet.neutron_net_id),
        ("nova_net_id", subnet.nova_net_id),
        ("addresses", spec.address_count),
        ("security_services", ", ".join(service.name for service in spec.security_services) or None),
    )
    return (FieldChange(name, None, value) for name, value in described if value is not None)


def _mend(draft: Draft, address: Address, shares: Callable[[], Mapping[str, Sequence[tuple[Address, Record]]]]) -> None:
    """Add the step that repairs a share server, and those that record where its shares are found afterwards.

    `shares` gives those on each server, by its id; it is asked where one may get another address.
    """
    deviation = draft.deviations.get(address)
    record = draft.records[address]
    seen = draft.observed.get(record.backend or "")
    if deviation is None or seen is None:
        return
    draft.add(
        Verb.REPAIR_SHARE_SERVER,
        address,
        f"it {deviation.problem}" if not deviation.problem.startswith("its") else deviation.problem,
        backend=record.backend,
        record=record,
        work=SetUp(spec_to_mend(draft, record)),
    )
    servers = seen.servers
    if servers is not None and (servers.allocations is None or lost_addresses(record, servers)):
        _record_new_exports(draft, shares().get(record.resource_id, ()))


def _record_new_exports(draft: Draft, shares: Iterable[tuple[Address, Record]]) -> None:
    """Let the shares on a server that may get another address be recorded once more: their export locations name it."""
    for address, record in shares:
        busy = draft.has(address, Verb.CREATE_SHARE, Verb.DELETE_SHARE, Verb.TRASH_SHARE, Verb.FORGET)
        deviation = draft.deviations.get(address)
        gone = deviation is not None and deviation.observed is None
        planned = address in draft.desired.digests and draft.chooses(address)
        if busy or gone or not planned or draft.has(address, Verb.UPDATE_RECORD):
            continue
        draft.add(
            Verb.UPDATE_RECORD,
            address,
            "its share server may get another address",
            backend=record.backend,
            record=record,
            work=UpdateRecord(spec_in_force(draft, address)),
            changes=(FieldChange("export_locations", "as recorded", "as on the backend"),),
        )


def _remove(draft: Draft, address: Address) -> None:
    record = draft.records[address]
    addresses = ", ".join(allocation.ip_address for allocation in allocations_of(record))
    draft.add(
        Verb.DELETE_SHARE_SERVER,
        address,
        "no share is left on it",
        backend=record.backend,
        record=record,
        changes=(FieldChange("addresses", addresses, None),),
    )


def _release(draft: Draft) -> None:
    """Add a step for each address that is ours and that no share server has."""
    pending = draft.state.arrived | {operation.resource_id for operation in draft.state.operations}
    for backend, seen in sorted(draft.observed.items()):
        for allocation in _leaked(draft, seen, pending):
            address = address_of(Kind.NETWORK_ALLOCATION, allocation.allocation_id)
            if not draft.chooses(address, backend):
                continue
            draft.add(
                Verb.RELEASE_ALLOCATION,
                address,
                "no share server has this address",
                backend=backend,
                work=ReleaseAllocation(allocation.allocation_id, allocation.share_server_id),
                changes=(FieldChange("ip_address", allocation.ip_address, None),),
            )


def _leaked(draft: Draft, seen: BackendObservation, pending: Container[str]) -> list[NetworkAllocation]:
    """Return the allocations of a backend that belong to nothing; none where that cannot be known."""
    servers = seen.servers
    if servers is None or servers.allocations is None or servers.servers is None or seen.asked_ids is not None:
        return []
    if draft.options.targets:
        return []  # the state was read in part
    known = {
        allocation_id
        for server_id, address in draft.servers.items()
        for record in (draft.records[address],)
        for allocation_id in allocation_ids(
            server_id, max(servers.address_count, server_spec_of(record).address_count, len(allocations_of(record)))
        )
    }
    return sorted(
        (
            allocation
            for allocation_id, allocation in servers.allocations.items()
            if allocation_id not in known
            and allocation.share_server_id not in pending
            and not (allocation.share_server_id in servers.servers and allocation.share_server_id not in draft.servers)
        ),
        key=lambda allocation: allocation.allocation_id,
    )
