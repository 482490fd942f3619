"""Whether pools have room for shares that grow, beside what is new in them."""

from __future__ import annotations

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
    shrinking = _shrinking(draft)
    shrunk: dict[str, list[Step]] = {}
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
        if lack and (shrinks := shrinking.pop(state.host, None)):
            shrunk[state.host] = shrinks
            _shrink(draft, state, shrinks)
            lack = _lack(state, growth_gib, traits)
        if lack is None:
            continue
        if state.host in shrunk:  # whoever comes after it may live on the same room
            draft.room_from[name] = tuple(each.step_id for each in shrunk[state.host])
        draft.steps[name] = replace(step, work=replace(step.work, shortage=lack))
        if lack:
            lacking.setdefault(state.host, []).append(step.address)
            lacks.setdefault(state.host, lack)
    for host, addresses in lacking.items():
        first = addresses[0]
        smaller = ", even when others have shrunk" if host in shrunk else ""
        draft.tell(
            warning,
            NO_ROOM,
            f"{host} has no room for {listed(sorted(addresses), _NAMED)} to grow{smaller}",
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


def _shrink(draft: Draft, state: PoolState, steps: Sequence[Step]) -> None:
    """Give the pool the room back that the steps make."""
    for step in steps:
        if isinstance(step.work, ResizeShare):
            spec = step.work.spec
            freed_gib = ((draft.records[step.address].size_bytes or 0) - spec.size_bytes) / GIB
            state.consume(-max(freed_gib, 0.0), thin_logic=_traits(draft, spec).thin_logic)


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
