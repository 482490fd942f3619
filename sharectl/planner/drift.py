"""Drift: how what the backends report differs from what the state says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharectl.model.access import access_digest
from sharectl.model.diagnostics import Diagnostic, warning
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import DriftKind
from sharectl.planner.records import has_attributes
from sharectl.planner.share_servers.drift import server_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record, StateView
    from sharectl.planner.observed import BackendObservation, Observed


@dataclass(frozen=True, slots=True)
class Deviation:
    """One resource that is not as the state says; `observed` is the share as it is, None where it is gone (or no share).

    `problem` says what is wrong with a share server.
    """

    kind: DriftKind
    observed: ObservedShare | None = None
    problem: str = ""


def find_deviations(state: StateView, observed: Observed) -> dict[Address, Deviation]:
    """Return the shares and snapshots that are listed otherwise than recorded, or not at all by a backend whose list is whole.

    What is on a backend that could not be read is unknown and not in the answer. Linear, and cheap where nothing deviates.
    """
    deviations: dict[Address, Deviation] = {}
    trusted = {name: seen for name, seen in observed.items() if identity_problem(state, seen) is None}
    for address, record in state.records.items():
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

    Somebody else's are only rules that the state does not know, however much a list covers.
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
