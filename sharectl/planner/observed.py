"""What the backends report, and how it differs from the state."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from sharectl.model.access import access_digest
from sharectl.model.diagnostics import Diagnostic, warning
from sharectl.model.frozen import dataclass, field
from sharectl.model.kinds import Kind, address_of
from sharectl.model.observed import Before
from sharectl.model.plans import DriftKind
from sharectl.planner.records import has_attributes
from sharectl.state.rows import allocations_of, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.base import Capability
    from sharectl.model.access import AccessRule
    from sharectl.model.checks import ConfigProblem
    from sharectl.model.kinds import Address
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.observed import BackendReport, ObservedShare, ObservedShareServer, ObservedSnapshot
    from sharectl.model.records import Record, StateView

    Observed = Mapping[str, "BackendObservation"]

    """By backend's name; a backend that was not asked is not in it."""


@dataclass(frozen=True, slots=True)
class BackendObservation:
    """One backend as it answered.

    `shares` and `snapshots` are by resource id, and None where they are unknown: not asked, not answered, or not whole.
    `unmanaged` and `unmanaged_snapshots` are the shares on the backend that sharectl has not made. `error` says why something is unknown. `asked_ids` are the
    resource ids that were asked for, None where everything was: what was not asked for is not missing. `all_snapshots` tells that the
    snapshots are all of them even so. `servers` is what is known of its share servers, None where it has none by its manifest.
    `missing_passwords` are those of `missing_secrets` that only let a user in. `is_unserved` says that nobody could be asked, because no worker of it runs.
    """

    backend: str
    capabilities: frozenset[Capability]
    report: BackendReport | None = None
    shares: Mapping[str, ObservedShare] | None = None
    snapshots: Mapping[str, ObservedSnapshot] | None = None
    unmanaged: tuple[ObservedShare, ...] = field(default=())
    clones_within: Literal["pool", "backend"] = "backend"
    error: str | None = None
    asked_ids: frozenset[str] | None = None
    all_snapshots: bool = False
    unmanaged_snapshots: tuple[ObservedSnapshot, ...] = ()
    servers: ServerObservation | None = None
    missing_secrets: tuple[ConfigProblem, ...] = ()
    missing_passwords: tuple[ConfigProblem, ...] = ()
    is_unserved: bool = False


@dataclass(frozen=True, slots=True)
class ServerObservation:
    """What a backend with share servers, and the network service that they get their addresses from, answered.

    `servers` (by resource id) and `allocations` (by allocation id) are None where they are unknown; `network_error` says why the
    latter are. `address_count` is how many addresses a new server needs. `findings` are what would keep a server from being made
    on a share network, by the network's name. `doubled` are allocation ids under which the network service holds several addresses,
    after a request that was given up but carried out.
    """

    servers: Mapping[str, ObservedShareServer] | None = None
    unmanaged: tuple[ObservedShareServer, ...] = ()
    allocations: Mapping[str, NetworkAllocation] | None = None
    network_error: str | None = None
    address_count: int = 1
    findings: Mapping[str, tuple[Diagnostic, ...]] = field(default_factory=dict)
    doubled: frozenset[str] = frozenset()


def server_problem(record: Record, seen: ServerObservation) -> tuple[DriftKind, str] | None:
    """Return how the recorded share server differs from what is there, in words; None where it is as it should be, or unknown."""
    if seen.servers is None:
        return None
    server = seen.servers.get(record.resource_id)
    if server is None:
        return DriftKind.GONE, f"is gone from backend {record.backend}"
    problem = _server_change(record, seen, server)
    return None if problem is None else (DriftKind.CHANGED, problem)


def _server_change(record: Record, seen: ServerObservation, server: ObservedShareServer) -> str | None:
    doubled = [held.ip_address for held in allocations_of(record) if held.allocation_id in seen.doubled]
    if doubled:
        return f"holds more than one address where {doubled[0]} is recorded"
    lost = lost_addresses(record, seen)
    if lost:
        return f"its address {lost[0]} is not allocated to it any more"
    differs = _allocation_difference(record, seen)
    if differs is not None:
        return differs
    recorded = tuple(sorted(allocation.ip_address for allocation in allocations_of(record)))
    if server.ip_addresses != recorded:
        there = ", ".join(server.ip_addresses) or "no address"
        return f"answers on {there} instead of {', '.join(recorded)}"
    return None if server.healthy else f"is not well: {server.problem or 'it does not answer'}"


def _allocation_difference(record: Record, seen: ServerObservation) -> str | None:
    """Return in words how an address that the server still has differs in the network service; None where it does not, or nobody knows.

    Such as its MAC address, where a repair was cut short after it had been given the address back on a new port.
    """
    for recorded in allocations_of(record):
        found = None if seen.allocations is None else seen.allocations.get(recorded.allocation_id)
        if found is not None and found != recorded:
            before, after = asdict(recorded), asdict(found)
            name = next(name for name in before if before[name] != after[name])
            return (
                f"its address {recorded.ip_address} differs in the network service: "
                f"{name.replace('_', ' ')} {after[name]} instead of {before[name]}"
            )
    return None


def lost_addresses(record: Record, seen: ServerObservation) -> tuple[str, ...]:
    """Return the recorded addresses that the network service does not hold for the server; none where it was not asked."""
    if seen.allocations is None:
        return ()
    held = seen.allocations
    return tuple(
        allocation.ip_address
        for allocation in allocations_of(record)
        if (found := held.get(allocation.allocation_id)) is None or found.ip_address != allocation.ip_address
    )


@dataclass(frozen=True, slots=True)
class Deviation:
    """One resource that is not as the state says; `observed` is the share as it is, None where it is gone (or no share).

    `problem` says what is wrong with a share server.
    """

    kind: DriftKind
    observed: ObservedShare | None = None
    problem: str = ""


def find_deviations(state: StateView, observed: Observed) -> dict[Address, Deviation]:
    """Return the resources that are not listed as recorded, or are missing from a complete listing.

    What is on a backend that could not be read is unknown and not in the answer. Linear, and cheap where nothing deviates.
    """
    deviations: dict[Address, Deviation] = {}
    trusted = {
        name: seen
        for name, seen in observed.items()
        if (seen.shares, seen.snapshots, seen.servers) != (None, None, None) and identity_problem(state, seen) is None
    }
    for address, record in state.records.items() if trusted else ():
        seen = trusted.get(record.backend or "")
        if seen is None or (seen.asked_ids is not None and record.resource_id not in seen.asked_ids):
            continue
        if record.kind == Kind.SHARE:
            if seen.shares is not None:
                deviation = _share_deviation(record, seen.shares.get(record.resource_id))
                if deviation is not None:
                    deviations[address] = deviation
        elif record.kind == Kind.SNAPSHOT and seen.snapshots is not None and record.resource_id not in seen.snapshots:
            deviations[address] = Deviation(DriftKind.GONE)
        elif record.kind == Kind.SHARE_SERVER and seen.servers is not None:
            found = server_problem(record, seen.servers)
            if found is not None:
                deviations[address] = Deviation(found[0], problem=found[1])
    return deviations


def without_own_rules_ignored(state: StateView, deviations: Mapping[Address, Deviation]) -> Mapping[Address, Deviation]:
    """Return the deviations without those that come of an ignore list alone: a rule that the state records is sharectl's own.

    Only rules that the state does not know belong to others, however much a list covers.
    """
    found: dict[Address, Deviation] = {}
    for address, deviation in deviations.items():
        share, record = deviation.observed, state.records.get(address)
        if share is None or not share.ignored_access or record is None:
            found[address] = deviation
            continue
        recorded = {known.rule for known in state.rules.get(address, ()) if known.status == "active"}
        own = tuple(rule for rule in share.ignored_access if rule in recorded)
        others = tuple(rule for rule in share.ignored_access if rule not in recorded)
        again = _share_deviation(
            record, share._replace(access=tuple(sorted((*share.access, *own))), ignored_access=others)
        )
        if again is not None:
            found[address] = again
    return found


def _share_deviation(record: Record, share: ObservedShare | None) -> Deviation | None:
    if share is None:
        return Deviation(DriftKind.GONE)
    if (
        share.trashed_at is not None
        or (share.size_bytes is not None and share.size_bytes != record.size_bytes)
        or share.pool != record.pool
        or not has_attributes(record, share)
        or access_digest(share.access) != record.access_digest
    ):
        return Deviation(DriftKind.CHANGED, share)
    return None


def identity_problem(state: StateView, seen: BackendObservation) -> Diagnostic | None:
    """Return why a backend that answers is not the one that the state knows, or None."""
    record = state.records.get(address_of(Kind.BACKEND, seen.backend))
    if record is None or seen.report is None or seen.report.identity == record.resource_id:
        return None
    found = seen.report.identity
    return warning(
        "backend.identity",
        f"backend {seen.backend} is not the storage that the state knows",
        detail=(
            f"the state pinned identity {record.resource_id}; what answers now "
            + (f"says it is {found}" if found else "has never been prepared (is its file system mounted?)")
            + ". Its resources count as unknown, and apply refuses every step on it."
        ),
        remedy=(
            f"mount or connect the right storage; if it was replaced on purpose, "
            f"`sharectl state rm {address_of(Kind.BACKEND, seen.backend)}` forgets the old identity, and the next apply pins that of what answers then"
        ),
        address=address_of(Kind.BACKEND, seen.backend),
    )


def before_of(observed: Observed, record: Record, access: tuple[AccessRule, ...] | None = None) -> Before:
    """Return how a recorded share stands; `access` is in force, where that matters."""
    seen = observed.get(record.backend or "")
    share = None if seen is None or seen.shares is None else seen.shares.get(record.resource_id)
    protocol = str(spec_object_of(record)["protocol"])
    if share is None:
        has_list = seen is not None and seen.shares is not None
        was_asked = has_list and (seen is None or seen.asked_ids is None or record.resource_id in seen.asked_ids)
        return Before(protocol, access, size_bytes=record.size_bytes, is_recorded=not was_asked)
    size_bytes = record.size_bytes if share.size_bytes is None else share.size_bytes
    return Before(share.protocol or protocol, access, share.ignored_access, size_bytes, share.used_bytes)
