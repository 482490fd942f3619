"""What a saved plan removes, checked against what its backends hold by now: snapshots that nobody has reviewed, and places where the next share cannot be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.manifests.names import safe_name
from sharectl.model.candidates import backends_in
from sharectl.model.diagnostics import DiagnosticError, error, listed
from sharectl.model.kinds import name_of
from sharectl.model.plans import REPLACING, CreateShare
from sharectl.planner.records import DEPOSED_MARK, backend_id_of
from sharectl.planner.saved.checks import NEW_PLAN, STALE, held_by, rest_of, row_of, with_replacements
from sharectl.planner.snapshots import removes_data

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan, Step
    from sharectl.model.records import Record
    from sharectl.planner.observed import Observed
    from sharectl.scheduler.pools import Pool

    KnownAmong = Callable[[Collection[str]], Collection[str]]
    """Tells which of these resource ids are in the state."""

_NAMED: Final = 3


def backends_to_list(plan: Plan) -> dict[str, bool]:
    """Return the backends whose snapshots are to be listed before shares are removed, and whether their shares and pools are, too."""
    names = {step.backend: False for step in _removals(plan) if step.backend is not None}
    for step in _successors(plan):
        names.update(dict.fromkeys(backends_in(step.candidates), True))
    return {name: takes_successors for name, takes_successors in names.items() if name in plan.backends}


def rows_of_removals(plan: Plan) -> dict[Address, Address]:
    """Return the addresses that the rows of the shares to remove had when the plan was made, by the addresses of the steps."""
    origins = {step.address: step.former for step in plan.steps if step.former is not None}
    return {step.address: row_of(step, origins) for step in _removals(plan)}


def part_that_may_remove(
    plan: Plan, observed: Observed, pools: Sequence[Pool], records: Mapping[Address, Record], known: KnownAmong
) -> Plan:
    """Return the plan without the removals that would take along what was not reviewed, or give up a share for one that cannot be made.

    A replacement is held whole. `records` are by the addresses of the steps. Raises DiagnosticError where nothing is left.
    """
    named = dict(
        (
            *_doubtful_removals(plan, observed, records, known),
            *_taken_names(plan, observed),
            *_lacking_places(plan, observed, pools),
        )
    )
    if not named:
        return plan
    reasons = with_replacements(plan.steps, named)
    kept, entries = held_by(plan.steps, reasons, STALE)
    begun = "the rest of the plan is done" if kept else "nothing was begun"
    found = error(
        STALE,
        f"the backends are not as they were when this plan was made: {listed(sorted(named), _NAMED)}",
        detail="".join(f"{address}: {named[address]}.\n" for address in sorted(named)[:_NAMED])
        + f"What is removed cannot be brought back, so these stay as they are; {begun}.",
        remedy=NEW_PLAN,
    )
    if not kept:
        raise DiagnosticError(found)
    return rest_of(plan, kept, entries, (found,))


def _removals(plan: Plan) -> Iterator[Step]:
    """Yield the steps that take a share from its backend, except those whose protection was overridden."""
    for step in plan.steps:
        if removes_data(step) and step.address.partition(DEPOSED_MARK)[0] not in plan.overridden:
            yield step


def _successors(plan: Plan) -> Iterator[Step]:
    """Yield the steps that make a share in place of another."""
    for step in plan.steps:
        if step.action in REPLACING and isinstance(step.work, CreateShare):
            yield step


def _doubtful_removals(
    plan: Plan, observed: Observed, records: Mapping[Address, Record], known: KnownAmong
) -> Iterator[tuple[Address, str]]:
    """Yield each share, by its own address, whose snapshots are not all known, and why."""
    removed: dict[str, dict[str, Address]] = {}
    for step in _removals(plan):
        if step.backend in observed and (record := records.get(step.address)) is not None:
            removed.setdefault(str(step.backend), {})[backend_id_of(record)] = step.address.partition(DEPOSED_MARK)[0]
    for backend, shares in removed.items():
        seen = observed[backend]
        if seen.snapshots is None:
            if Capability.SNAPSHOT in seen.capabilities:
                why = f"the snapshots on backend {backend} cannot be listed" + (
                    f" ({seen.error})" if seen.error else ""
                )
                yield from ((address, why) for address in shares.values())
            continue
        listed_there = (*seen.snapshots.values(), *seen.unmanaged_snapshots)
        found = [snapshot for snapshot in listed_there if snapshot.share_backend_id in shares]
        ours = known([snapshot.resource_id for snapshot in found if snapshot.resource_id is not None])
        for snapshot in sorted(found, key=lambda each: each.backend_id, reverse=True):
            if snapshot.resource_id not in ours:
                yield (
                    shares[snapshot.share_backend_id],
                    f"backend {backend} holds the snapshot {snapshot.backend_id}, which the state does not know and which would go with it",
                )


def _taken_names(plan: Plan, observed: Observed) -> Iterator[tuple[Address, str]]:
    """Yield each share that could not be made in place of another, since others have its name by now, and where."""
    wanted: dict[str, list[Step]] = {}
    for step in _successors(plan):
        wanted.setdefault(name_of(step.address), []).append(step)
    for backend, seen in observed.items() if wanted else ():
        for share in seen.unmanaged:
            for step in wanted.get(safe_name(share.name), ()) if share.trashed_at is None else ():
                if backend in backends_in(step.candidates):
                    yield (
                        step.address,
                        f"{share.backend_id} on backend {backend} has its name, and sharectl did not make it",
                    )


def _lacking_places(plan: Plan, observed: Observed, pools: Sequence[Pool]) -> Iterator[tuple[Address, str]]:
    """Yield each share that cannot be made anywhere in place of another, and what its first place lacks."""
    hosts = {pool.host for pool in pools}
    for step in _successors(plan):
        lacking = [_lack(each.backend, each.host, observed, hosts) for each in step.candidates]
        if lacking and all(lacking):
            yield step.address, lacking[0]


def _lack(backend: str, host: str, observed: Observed, hosts: Collection[str]) -> str:
    """Return why a new share cannot be in a pool; nothing where it may."""
    seen = observed.get(backend)
    if seen is None:
        return ""
    if seen.shares is None:
        why = f" ({seen.error})" if seen.error else ""
        return f"backend {backend}, where the new share would be, cannot be read{why}"
    return "" if host in hosts else f"the new share would be in {host}, which is not there now"
