"""Whether pools have room for shares that grow, beside what is new in them."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import listed, warning
from sharectl.model.plans import CreateShare, ResizeShare
from sharectl.model.quantities import GIB
from sharectl.model.verbs import Verb
from sharectl.scheduler.capacity import fits, shortage
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.pools import PoolState
from sharectl.scheduler.request import Operation, request_from_share, traits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Step
    from sharectl.model.settings import SchedulerSettings
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.draft import Draft
    from sharectl.scheduler.pools import Pool
    from sharectl.scheduler.request import Traits

NO_ROOM: Final = "share.no-room"
_CAPACITY: Final = "CapacityFilter"
_NAMED: Final = 4


def note_room(draft: Draft, pools: Sequence[Pool], settings: SchedulerSettings) -> None:
    """Note at each step that extends a share what its pool lacks, by the rules of Manila's CapacityFilter, nothing where it has room.

    New shares are counted at the first of their candidates, what is removed is not: it may go later. Where shares in the pool shrink,
    those that need the room wait for them. Nothing is noted of a pool that was not asked, or where the scheduler does not count capacity.
    A lack is a warning, since the backend has the last word.
    """
    filters = settings.filters if settings.extend_filters is None else settings.extend_filters
    if not pools or (filters is not None and _CAPACITY not in filters):
        return
    states = _states(draft, pools, settings.max_over_subscription_ratio)
    smaller = {host: _Shrinking(draft, steps) for host, steps in _shrinking(draft).items()}
    lacking: dict[str, list[Address]] = {}
    lacks: dict[str, str] = {}
    for name, step in list(draft.steps.items()):
        if step.verb is not Verb.EXTEND_SHARE or not isinstance(step.work, ResizeShare):
            continue
        record = draft.records[step.address]
        state = states.get((record.backend or "", record.pool or ""))
        if state is None:
            continue
        growth_gib = (step.work.spec.size_bytes - (record.size_bytes or 0)) / GIB
        traits = _traits(draft, step.work.spec, Operation.EXTEND)
        lack = _lack(state, growth_gib, traits)
        shrinking = smaller.get(state.host)
        if lack and shrinking is not None:
            lack = shrinking.lack(state, growth_gib, traits)
        if lack is None:
            continue
        if not lack and shrinking is not None and (makers := shrinking.makers()):
            draft.room_from[name] = makers
        draft.steps[name] = replace(step, work=replace(step.work, shortage=lack))
        if lack:
            lacking.setdefault(state.host, []).append(step.address)
            lacks.setdefault(state.host, lack)
    for host, addresses in lacking.items():
        first = addresses[0]
        even_then = ", even when others have shrunk" if host in smaller else ""
        draft.tell(
            warning,
            NO_ROOM,
            f"{host} has no room for {listed(sorted(addresses), _NAMED)} to grow{even_then}",
            detail=f"{first} {lacks[host]}. The backend has the last word, when the share is extended.",
            remedy="make room in the pool, or write a smaller size",
            address=first,
            path="spec.size",
        )


def _states(draft: Draft, pools: Sequence[Pool], default_ratio: float) -> dict[tuple[str, str], PoolState]:
    """Return the pools as they are with the new shares, by backend and name."""
    states = {(pool.backend, pool.name): PoolState(pool, 0, 0.0, default_ratio) for pool in pools}
    for step in draft.steps.values():
        if isinstance(step.work, CreateShare) and step.candidates:
            state = states.get((step.candidates[0].backend, step.candidates[0].pool))
            if state is not None:
                spec = step.work.spec
                state.consume(spec.size_bytes / GIB, thin_logic=_traits(draft, spec).thin_logic)
    return states


def _shrinking(draft: Draft) -> dict[str, list[Step]]:
    """Return the steps that make shares smaller, by address, by the host of their pool."""
    found: dict[str, list[Step]] = {}
    for step in draft.steps.values() if Verb.SHRINK_SHARE in draft.verbs else ():
        if step.verb is Verb.SHRINK_SHARE:
            record = draft.records[step.address]
            found.setdefault(f"{record.backend}#{record.pool}", []).append(step)
    for steps in found.values():
        steps.sort(key=attrgetter("address"))
    return found


class _Shrinking:
    """The steps of a pool that make shares smaller, each of which is used by whoever needs its room, and by who comes next and may use the rest of it."""

    def __init__(self, draft: Draft, steps: Sequence[Step]) -> None:
        self._draft = draft
        self._unused = deque(steps)
        self._used: list[Step] = []
        self._too_much_gib = float("inf")

    def lack(self, state: PoolState, growth_gib: float, traits: Traits) -> str | None:
        """Use as many steps as a growth needs, and take the room; where all of them are too little, use none, and return why (None: as `_lack`)."""
        if growth_gib >= self._too_much_gib:
            return _lack(state, growth_gib, traits)
        lack, used = _lack(state, growth_gib, traits), self._used[-1:]
        while lack and self._unused:
            used.append(self._unused.popleft())
            self._give_back(state, used[-1])
            lack = _lack(state, growth_gib, traits)
        if lack:
            self._too_much_gib = growth_gib
            kept = len(self._used[-1:])
            for step in reversed(used[kept:]):
                self._give_back(state, step, -1)
                self._unused.appendleft(step)
        else:
            self._used = used
        return lack

    def makers(self) -> tuple[str, ...]:
        """Return the steps that made the room which was just taken; the next to take some may take what is left of the last."""
        found = tuple(step.step_id for step in self._used)
        self._used = self._used[-1:]
        return found

    def _give_back(self, state: PoolState, step: Step, factor: int = 1) -> None:
        if isinstance(step.work, ResizeShare):
            spec = step.work.spec
            freed_gib = max(((self._draft.records[step.address].size_bytes or 0) - spec.size_bytes) / GIB, 0.0)
            state.consume(-factor * freed_gib, thin_logic=_traits(self._draft, spec).thin_logic)


def _lack(state: PoolState, growth_gib: float, traits: Traits) -> str | None:
    """Return why there is no room, an empty text where there is, and take it; None if the pool's figures are unusable."""
    try:
        if not fits(state, growth_gib, traits):
            return shortage(state, growth_gib, traits)
    except UnfitValueError:
        return None
    state.consume(growth_gib, thin_logic=traits.thin_logic)
    return ""


def _traits(draft: Draft, spec: ShareSpec, operation: Operation = Operation.CREATE) -> Traits:
    request = request_from_share(spec, draft.desired.share_types.get(spec.share_type or ""))
    return traits_of(replace(request, operation=operation), None)
