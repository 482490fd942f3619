"""Drift of share servers: gone, unwell, or with another address than the network service holds for them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sharectl.model.plans import DriftKind
from sharectl.state.rows import allocations_of

if TYPE_CHECKING:
    from sharectl.model.observed import ObservedShareServer
    from sharectl.model.records import Record
    from sharectl.planner.observed import ServerObservation


def server_problem(record: Record, seen: ServerObservation) -> tuple[DriftKind, str] | None:
    """Return how the recorded share server differs from what is there, in words; None where it is as it should be, or unknown."""
    if seen.servers is None:
        return None
    server = seen.servers.get(record.resource_id)
    if server is None:
        return DriftKind.GONE, f"is gone from backend {record.backend}"
    problem = _changed(record, seen, server)
    return None if problem is None else (DriftKind.CHANGED, problem)


def _changed(record: Record, seen: ServerObservation, server: ObservedShareServer) -> str | None:
    doubled = [held.ip_address for held in allocations_of(record) if held.allocation_id in seen.doubled]
    if doubled:
        return f"holds more than one address where {doubled[0]} is recorded"
    lost = lost_addresses(record, seen)
    if lost:
        return f"its address {lost[0]} is not allocated to it any more"
    otherwise = _otherwise(record, seen)
    if otherwise is not None:
        return otherwise
    recorded = tuple(sorted(allocation.ip_address for allocation in allocations_of(record)))
    if server.ip_addresses != recorded:
        there = ", ".join(server.ip_addresses) or "no address"
        return f"answers on {there} instead of {', '.join(recorded)}"
    return None if server.healthy else f"is not well: {server.problem or 'it does not answer'}"


def _otherwise(record: Record, seen: ServerObservation) -> str | None:
    """Return in words what the network service says otherwise of an address that the server still has; None where nothing, or unknown.

    Such as its MAC address, where a repair was cut short after it had been given the address back on a new port.
    """
    for recorded in allocations_of(record):
        found = None if seen.allocations is None else seen.allocations.get(recorded.allocation_id)
        if found is not None and found != recorded:
            before, after = asdict(recorded), asdict(found)
            name = next(name for name in before if before[name] != after[name])
            return (
                f"its address {recorded.ip_address} is otherwise in the network service: "
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
