"""Placement: where the new shares of a plan go, all together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sharectl.model.diagnostics import SHARE_HELD, listed, warning
from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.model.quantities import GIB
from sharectl.planner.share_servers.places import ServerPlaces
from sharectl.planner.shares.checks import needs_of
from sharectl.planner.shares.requests import Placement, checked, request_of_new, snapshot_place, verdict_of
from sharectl.scheduler.batch import place_batch
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.explanation import explain
from sharectl.scheduler.greedy import placement_order, with_hints
from sharectl.scheduler.request import PlacedShare, size_limit_diagnostics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.settings import SchedulerSettings
    from sharectl.planner.draft import Draft
    from sharectl.planner.observed import Observed
    from sharectl.scheduler.decision import Decision
    from sharectl.scheduler.explanation import Explanation, PoolVerdict
    from sharectl.scheduler.pools import Pool
    from sharectl.scheduler.request import Request

_NAMED_BACKENDS = 5
_MOST_EXPLAINED = 200
"""So many different refusals are worked out to the figures; who has more reads no more of them, and each costs a look at every pool."""


@dataclass(slots=True)
class Witness:
    """Watches the placement of the share called `name`, and changes nothing of it.

    `explanation` is None until its turn comes. `after` counts the other new shares whose places were reserved before. `pools` are
    those that the backends have reported for the plan, and `observed` is what else they said.
    """

    name: str
    explanation: Explanation | None = None
    after: int = 0
    pools: tuple[Pool, ...] = ()
    observed: Observed = field(default_factory=dict)

    def look(
        self, scheduler: Scheduler, requests: Sequence[Request], placed: Sequence[PlacedShare], already: int
    ) -> None:
        """See what is about to be placed together, after the `already` new shares that are in the scheduler's account."""
        wanted = next((request for request in requests if request.id == self.name), None)
        if wanted is None:
            return
        ahead = _placed_before(scheduler, requests, wanted)
        if ahead:
            scheduler = Scheduler(scheduler.pools_after(), scheduler.settings, placed)
            place_batch(scheduler, ahead)
        later = {request.id for request in requests} - {request.id for request in ahead}
        self.explanation = explain(scheduler, with_hints(wanted, wanted.hints, lambda name: name not in later))
        self.after = already + len(ahead)


def _placed_before(scheduler: Scheduler, requests: Sequence[Request], wanted: Request) -> list[Request]:
    """Return those that have their turn before; packing places all of them together."""
    if scheduler.settings.algorithm != "manila":
        return [request for request in requests if request is not wanted]
    ordered = [requests[place] for place in placement_order(requests)]
    return ordered[: ordered.index(wanted)]


def place_new_shares(
    draft: Draft, addresses: Sequence[Address], pools: Sequence[Pool], settings: SchedulerSettings
) -> Placement:
    """Return the candidates of each share that can be placed, and refuse the others with the scheduler's reasons.

    A clone is placed after the share that its snapshot is of, since it has to be near it. A share that has no place, and might have
    one on a backend that tells nothing of its pools, is held: said of, and left for a later plan.
    """
    draft.snapshotted = frozenset(
        address_of(Kind.SHARE, draft.desired.snapshot(other).share)
        for other in draft.new
        if is_of(Kind.SNAPSHOT, other)
    )
    places = ServerPlaces.for_shares(draft, addresses)
    placed = _placed_shares(draft, addresses)
    scheduler = Scheduler(places.marked(pools), settings, placed)
    placement: Placement = {}
    silent = _silent_backends(draft, pools)
    waiting: Sequence[Address] = addresses
    while waiting:
        ready, waiting = _ready(draft, waiting)
        for group in places.groups(ready):
            if places.is_limited:  # what is open to a network depends on the servers that those before it take
                scheduler = Scheduler(places.marked(scheduler.pools_after()), settings, placed)
            placed += _place_group(draft, group, _Refusals(scheduler, places, silent), placement, placed)
        if not ready:
            break  # a cycle, which the manifests' validation has named
    for address in _relied_on(draft, placement):
        placement[address] = placement[address][:1]
    return placement


def _ready(draft: Draft, addresses: Sequence[Address]) -> tuple[list[Address], list[Address]]:
    """Return the shares that can be placed now, and those that are made from snapshots of shares among them all."""
    unplaced = set(addresses)
    ready: list[Address] = []
    waiting: list[Address] = []
    for address in addresses:
        (waiting if _waits_for_source(draft, address, unplaced) else ready).append(address)
    return ready, waiting


def _relied_on(draft: Draft, placement: Placement) -> set[Address]:
    """Return the new shares by which the hints of other new ones were placed: elsewhere they would break what those ask for."""
    names: set[str] = set()
    for address in placement:
        hints = draft.desired.share(address).hints
        names.update(hints.same_host, hints.different_host)
    return {address_of(Kind.SHARE, name) for name in names} & placement.keys()


def _place_group(
    draft: Draft, addresses: Iterable[Address], refusals: _Refusals, placement: Placement, placed: Sequence[PlacedShare]
) -> list[PlacedShare]:
    """Place shares together, into `placement`; return those that have a place now, besides those `placed` before."""
    fitting: list[Address] = []
    requests: list[Request] = []
    for address in addresses:
        request = _fitting_request(draft, address, placement)
        if request is not None:
            fitting.append(address)
            requests.append(request)
    draft.desired.let_go()  # placing many shares takes memory of its own
    if draft.options.witness is not None:
        draft.options.witness.look(refusals.scheduler, requests, placed, len(placement))
    batch = place_batch(refusals.scheduler, requests)
    draft.diagnostics += batch.diagnostics
    for address, decision in zip(fitting, batch.decisions, strict=True):
        if decision.candidates or not _hold(draft, address, placement, refusals.silent):
            _take(draft, refusals, address, decision, placement)
    said = (found for decision in batch.decisions for found in decision.diagnostics if found.address is None)
    draft.diagnostics += dict.fromkeys(said)  # of pools, each thing once however many shares met it
    return [
        PlacedShare(request.id, decision.host, request.size_gib)
        for request, decision in zip(requests, batch.decisions, strict=True)
        if decision.host is not None
    ]


def _silent_backends(draft: Draft, pools: Sequence[Pool]) -> list[str]:
    """Return the backends that should have told of their pools, and could not."""
    heard = {pool.backend for pool in pools}
    return sorted(
        name
        for name, seen in draft.observed.items()
        if seen.error is not None and name not in heard and draft.desired.backends[name].enabled
    )


def _hold(draft: Draft, address: Address, placement: Placement, silent: Sequence[str]) -> bool:
    """Leave a share without candidates for a later plan if a backend may have room for it that is silent now; tell whether it is.

    One that replaces another is not held: its removal alone would be left.
    """
    source = draft.desired.share(address).source_snapshot
    if source is not None:
        place = snapshot_place(draft, source, placement)
        silent = [name for name in silent if place is not None and name == place[0]]
    if not silent or address in draft.replaced:
        return False
    request = request_of_new(draft, address, placement)
    unfit = {} if request is None else verdict_of(draft, address, request).unfit
    silent = [name for name in silent if name not in unfit]
    if not silent:
        return False
    if address in draft.recreations:
        draft.recreations.remove(address)
    one = len(silent) == 1
    draft.tell(
        warning,
        SHARE_HELD,
        f"{address} waits: no pool that is known now can take it",
        detail=f"{'backend' if one else 'backends'} {', '.join(silent)} could not be read; {'it' if one else 'they'} may have room.",
        remedy=f"see to the {'backend' if one else 'backends'}, then plan again",
        address=address,
        path="",
    )
    return True


def _waits_for_source(draft: Draft, address: Address, waiting: set[Address]) -> bool:
    snapshot = draft.desired.share(address).source_snapshot
    if snapshot is None or address_of(Kind.SNAPSHOT, snapshot) in draft.records:
        return False
    return address_of(Kind.SHARE, draft.desired.snapshot(address_of(Kind.SNAPSHOT, snapshot)).share) in waiting


def _fitting_request(draft: Draft, address: Address, placement: Placement) -> Request | None:
    """Return the request of a share whose size its type allows; refuse the others."""
    request = request_of_new(draft, address, placement)
    if request is not None:
        request = checked(draft, address, request)
    found = () if request is None else size_limit_diagnostics(request)
    for diagnostic in found:
        draft.refuse_found(diagnostic, address, path="spec.size")
    return None if found else request


def _placed_shares(draft: Draft, addresses: Iterable[Address]) -> list[PlacedShare]:
    """Return the existing shares that hints of the new ones name; the pools' own figures account for all others."""
    named: set[str] = set()
    for address in addresses:
        hints = draft.desired.share(address).hints
        named.update(hints.same_host, hints.different_host)
    placed = []
    for name in sorted(named):
        record = draft.records.get(address_of(Kind.SHARE, name))
        if record is not None:
            placed.append(PlacedShare(name, f"{record.backend}#{record.pool}", (record.size_bytes or 0) / GIB))
    return placed


def _take(draft: Draft, refusals: _Refusals, address: Address, decision: Decision, placement: Placement) -> None:
    spec = draft.desired.share(address)
    if not decision.candidates:
        _refuse_unplaceable(draft, refusals, address, decision, placement)
        return
    needed = needs_of(spec, draft.desired)
    candidates = decision.candidates
    if not all(draft.can(c.backend, capability) for capability in needed for c in candidates):
        candidates = tuple(c for c in candidates if all(draft.can(c.backend, capability) for capability in needed))
    if spec.share_network is not None and candidates:
        candidates = refusals.places.settle(spec.share_network, candidates)
        if not candidates:
            _refuse_unplaceable(draft, refusals, address, decision, placement)
            return
    if not candidates:
        wanted = ", ".join(sorted(needed))
        draft.refuse(
            "scheduler.capability",
            address,
            f"{address} needs a backend that can {wanted}, and none of its candidates can",
            detail=f"the candidates were {', '.join(sorted({c.backend for c in decision.candidates}))}.",
            remedy="choose another share type, or another deletionPolicy",
        )
    elif not draft.options.backends:
        placement[address] = candidates
    elif candidates[0].backend in draft.options.backends:  # else another plan makes it, where it belongs
        placement[address] = tuple(c for c in candidates if c.backend in draft.options.backends)


class _Refusals:
    """Why shares have no place, worked out once for all shares that ask for the same; `silent` are backends that did not answer."""

    def __init__(self, scheduler: Scheduler, places: ServerPlaces, silent: Sequence[str]) -> None:
        self.scheduler = scheduler
        self.places = places
        self.silent = silent
        self._nearest: dict[object, PoolVerdict | None] = {}

    def nearest(self, request: Request) -> PoolVerdict | None:
        """Return the pool that came nearest to taking the share, with what it lacks."""
        unfit = tuple(request.unfit.items())
        key = (id(self.scheduler.query_for(request).traits), request.size_gib, request.hints, unfit)
        if key not in self._nearest and len(self._nearest) < _MOST_EXPLAINED:
            self._nearest[key] = explain(self.scheduler, request).nearest
        return self._nearest.get(key)


def _no_pools(draft: Draft, silent: Sequence[str]) -> str:
    """Say that no pool was told of, and what every backend lacks for that."""
    disabled = sorted(name for name, backend in draft.desired.backends.items() if not backend.enabled)
    reasons = (
        (disabled, "enabled: false, and takes no new shares", "enabled: false, and take no new shares"),
        (silent, "not told of its pools", "not told of their pools"),
    )
    told = [
        f"{'backend' if len(names) == 1 else 'backends'} {listed(list(names), _NAMED_BACKENDS)} {'has' if len(names) == 1 else 'have'} {one if len(names) == 1 else many}"
        for names, one, many in reasons
        if names
    ]
    return ": ".join(("there is no pool at all", *(["; ".join(told)] if told else [])))


def _refuse_unplaceable(
    draft: Draft, refusals: _Refusals, address: Address, decision: Decision, placement: Placement
) -> None:
    network = draft.desired.share(address).share_network
    without_server = [] if network is None else refusals.places.refusals(network)
    if without_server:
        named = "; ".join(f"backend {backend}: {why}" for backend, why in without_server[:_NAMED_BACKENDS])
        draft.refuse(
            "scheduler.no-share-server",
            address,
            f"no backend can take {address} with a share server on {address_of(Kind.SHARE_NETWORK, network or '')}",
            detail=f"{named}.",
            remedy="describe a subnet for the zone, raise the limit, give the network more addresses, or see to the network service",
            path="spec.shareNetwork",
        )
        return
    request = request_of_new(draft, address, placement)
    request = request and checked(draft, address, request)
    nearest = None if request is None else refusals.nearest(request)
    own = [found for found in decision.diagnostics if found.address == address]
    detail = _no_pools(draft, refusals.silent)
    if own:
        detail = f"{own[0].summary}: {own[0].detail.rstrip('.')}"
    elif nearest is not None:
        detail = f"the nearest is {nearest.host}, refused by {nearest.sentence}"
    elif decision.last_filter is not None:
        detail = f"the last of them was refused by {decision.last_filter}"
    draft.refuse(
        "scheduler.no-valid-host",
        address,
        f"no pool can take {address}",
        detail=f"{detail}.",
        remedy=own[0].remedy if own else f"`sharectl explain {address}` shows every pool and what it lacks",
        path="spec.size" if nearest is not None and nearest.refused_by == "CapacityFilter" else "",
    )
