"""What is due: which resources are new, not as their manifests say, or without a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of
from sharectl.model.specs import Replacement
from sharectl.planner.access.exports import NO_EXPORTS
from sharectl.planner.elsewhere import left_alone
from sharectl.planner.selection import selector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.kinds import Address
    from sharectl.model.records import StateView
    from sharectl.planner.access.exports import Exports
    from sharectl.planner.draft import Draft
    from sharectl.planner.drift import Deviation
    from sharectl.planner.options import PlanOptions


class Due(NamedTuple):
    """The shares and snapshots of a plan that something is to be done about, each sorted; `unchanged` counts all others with a manifest."""

    new: list[Address]
    changed: list[Address]
    removed: list[Address]
    unchanged: int


def find_due(draft: Draft) -> Due:
    """Compare manifests and state. Costs two look-ups for each resource, and more only for those that are due."""
    records, options = draft.records, draft.options
    digests = {} if options.destroy else draft.desired.digests
    differing = {
        a for a, digest in digests.items() if (record := records.get(a)) is None or not record.is_applied(digest)
    }
    for others in (draft.deviations, draft.export_changes, options.replaces):
        differing.update(address for address in others if address in digests)
    selects = selector(draft)

    def is_chosen(address: Address) -> bool:
        record = records.get(address)
        of_backends = record is None or not options.backends or record.backend in options.backends
        return of_backends and (selects is None or selects(address))

    chosen = sorted(filter(is_chosen, differing))
    removed = [
        address
        for address in sorted(records.keys() - digests.keys())
        if records[address].kind in MANAGED_KINDS and is_chosen(address)
    ]
    kept = left_alone(draft, (address for address in removed if address not in draft.desired.digests))
    return Due(
        new=[address for address in chosen if address not in records and address not in options.imports],
        changed=[address for address in chosen if address in records],
        removed=[address for address in removed if address not in kept],
        unchanged=len(digests) - len(differing),
    )


def is_quiet(draft: Draft, due: Due) -> bool:
    """Tell whether nothing at all is to be done, and no backend, share server or import is to be looked at more closely."""
    return not (
        due.new
        or due.changed
        or due.removed
        or draft.steps
        or draft.refusals
        or draft.options.imports
        or any(spec.share_servers for spec in draft.desired.backends.values())
        or draft.others.keys() - {Kind.BACKEND}
        or {*draft.others.get(Kind.BACKEND, ())} ^ {address_of(Kind.BACKEND, name) for name in draft.desired.backends}
        or draft.held_by_backend.keys() - draft.desired.backends.keys()
    )


def addresses_with_rules(
    desired: Desired,
    state: StateView,
    deviations: Mapping[Address, Deviation],
    options: PlanOptions,
    exports: Exports = NO_EXPORTS,
) -> set[Address]:
    """Return the shares whose recorded access rules the planner will want to see: what is due, unless its access stays as it is."""
    records = state.records
    shares = {address for address in records.keys() - desired.digests.keys() if records[address].kind == Kind.SHARE}
    if options.destroy:
        return shares.union(address for address in desired.digests if address in records)
    wanted = {
        address
        for address, digest in desired.digests.items()
        if (record := records.get(address)) is not None
        and not record.is_applied(digest)
        and record.kind == Kind.SHARE
        and not (record.has_access(digest) and desired.share(address).replacement == Replacement.REFUSE)
    }
    moved = {former for formers in desired.moves.values() for former in formers if former in records}
    drifted = {address for address in deviations if records[address].kind == Kind.SHARE}
    return wanted | shares | moved | options.replaces | drifted | exports.changes.keys()
