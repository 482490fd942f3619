"""Room that runs have promised to their new shares: subtracted from the pools, so that two plans do not both count on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from sharectl.model.diagnostics import error, listed, warning
from sharectl.model.frozen import NamedTuple
from sharectl.model.quantities import GIB, format_size
from sharectl.model.specs import ShareTypeSpec
from sharectl.model.verbs import Effect, Verb, verbs_that
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.saved.checks import held_by, rest_of, row_of
from sharectl.scheduler.capacity import fits
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.pools import PoolState
from sharectl.scheduler.request import Operation, request_from_share, traits_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.plans import CreateShare, Plan, Step
    from sharectl.model.records import Promise, Record
    from sharectl.model.specs import ShareSpec
    from sharectl.scheduler.pools import Pool
    from sharectl.scheduler.request import Traits

Place = tuple[str, str]
"""A backend and a pool of it."""
PROMISED: Final = "pool.promised"
_NAMED: Final = 4
_REMOVES: Final = verbs_that(Effect.REMOVES)
_UNHELD: Final = frozenset({Verb.MOVE, Verb.UPDATE_ACCESS})
"""What is done to a share whether or not it is extended."""


class Need(NamedTuple):
    """What a step takes: so many bytes at the first of its places that has room."""

    size_bytes: int
    places: tuple[Place, ...]


def extended_rows(plan: Plan) -> dict[str, Address]:
    """Return where the state has the shares that are extended, by step: at another address if the plan renames them."""
    origins = {step.address: step.former for step in plan.steps if step.former is not None}
    return {step.step_id: row_of(step, origins) for step in plan.steps if step.verb is Verb.EXTEND_SHARE}


def needs_of(plan: Plan, records: Mapping[Address, Record]) -> dict[str, Need]:
    """Return what the steps that make or extend shares need, by step; `records` are the rows of those that are there."""
    rows = extended_rows(plan)
    found = {}
    for step in plan.steps:
        if step.verb is Verb.CREATE_SHARE:
            places = tuple((candidate.backend, candidate.pool) for candidate in step.candidates)
            found[step.step_id] = Need(_spec_of(step).size_bytes, places)
        record = records.get(rows.get(step.step_id, ""))
        if record is not None and record.backend is not None and record.pool is not None:
            growth = _spec_of(step).size_bytes - (record.size_bytes or 0)
            found[step.step_id] = Need(growth, ((record.backend, record.pool),))
    return {name: need for name, need in found.items() if need.size_bytes > 0 and need.places}


def total_of(needs: Mapping[str, Need]) -> Counter[Place]:
    """Return how much is needed in each pool if all shares go to the first of their places."""
    total: Counter[Place] = Counter()
    for need in needs.values():
        total[need.places[0]] += need.size_bytes
    return total


def reduced(pools: Sequence[Pool], promises: Sequence[Promise]) -> tuple[Pool, ...]:
    """Return the pools without what others have promised."""
    taken = _taken(promises)
    return tuple(_reduced(pool, taken[pool.backend, pool.name]) for pool in pools)


def warnings_of(promises: Sequence[Promise], pools: Sequence[Pool]) -> Iterator[Diagnostic]:
    """Yield what a plan, or a look at these pools, has to say about the promised room in them."""
    places = {(pool.backend, pool.name) for pool in pools}
    for promise in promises:
        if (promise.backend, promise.pool) in places:
            summary = f"{format_size(promise.size_bytes)} of pool {promise.pool} on backend {promise.backend} are promised to {promise.status.run}"
            yield warning(PROMISED, summary, detail="plans do not count on them.")


def keep_to_room(
    plan: Plan, needs: Mapping[str, Need], pools: Sequence[Pool], promises: Sequence[Promise], default_ratio: float
) -> tuple[Plan, dict[str, Need]]:
    """Return the part of a plan that has room beside the `promises` of others, and what that needs.

    A share whose first pool has none left goes to the next of its candidates that has; one without any is held, with what depends on it.
    Pools in which nobody else has promised anything are as the plan has found them; of the others, `pools` are those that could be asked.
    `default_ratio` is the over-subscription of a thin pool that reports none.
    """
    taken = _taken(promises)
    states = {(pool.backend, pool.name): PoolState(pool, 0, 0.0, default_ratio) for pool in reduced(pools, promises)}
    steps: list[Step] = []
    kept: dict[str, Need] = {}
    refused: dict[Address, str] = {}
    for step in plan.steps:
        need = needs.get(step.step_id)
        if need is None:
            steps.append(step)
            continue
        size_gib, traits = need.size_bytes / GIB, _traits_of(step, plan)
        left = [at for at in need.places if at not in taken or _has_room(states.get(at), size_gib, traits)]
        if not left:
            whose = [each for each in promises if (each.backend, each.pool) in need.places]
            refused[step.address] = (
                f"{format_size(need.size_bytes)} have no room beside what is promised to {whose[0].status.run}"
            )
            steps.append(step)
            continue
        if (state := states.get(left[0])) is not None:
            state.consume(size_gib, thin_logic=traits.thin_logic)
        kept[step.step_id] = need._replace(places=tuple(left))
        steps.append(step if len(left) == len(need.places) else _narrowed(step, left))
    if not refused:
        return replace(plan, steps=tuple(steps)), kept
    remaining, entries = held_by(steps, refused, PROMISED, _causes(steps, refused))
    summary = f"others have promised the room of {listed(sorted(refused), _NAMED)}"
    found = error(
        PROMISED,
        summary,
        detail="; ".join(sorted(set(refused.values()))),
        remedy="wait until that run has ended, make room, or plan anew: a new plan looks for other places",
    )
    there = {step.step_id for step in remaining}
    return rest_of(plan, remaining, entries, (found,)), {name: need for name, need in kept.items() if name in there}


def _causes(steps: Sequence[Step], refused: Collection[Address]) -> Callable[[Step], Address | None]:
    """Return what tells because of which refused share a step is held.

    A share that is not extended has its access brought up to date even so. What a share would replace stays, and is not set aside,
    with the snapshots that would go with it.
    """
    by_id = {step.step_id: step for step in steps}
    made = {step.address for step in steps if step.verb is Verb.CREATE_SHARE}
    causes: dict[str, Address] = {}
    for step in steps:
        place = step.address.partition(DEPOSED_MARK)[0]
        if place not in refused or (place not in made and step.verb in _UNHELD):
            continue
        causes[step.step_id] = place
        if step.verb in _REMOVES:
            causes |= {name: place for name in step.waits_for if by_id[name].verb in _REMOVES}
    return lambda step: causes.get(step.step_id)


def _taken(promises: Sequence[Promise]) -> Counter[Place]:
    taken: Counter[Place] = Counter()
    for promise in promises:
        taken[promise.backend, promise.pool] += promise.size_bytes
    return taken


def _reduced(pool: Pool, size_bytes: int) -> Pool:
    if not size_bytes:
        return pool
    state = PoolState(pool, 0, 0.0, 1.0)
    state.consume(size_bytes / GIB)
    return state.current()


def _has_room(state: PoolState | None, size_gib: float, traits: Traits) -> bool:
    try:
        return state is not None and fits(state, size_gib, traits)
    except UnfitValueError:
        return False


def _traits_of(step: Step, plan: Plan) -> Traits:
    spec = _spec_of(step)
    name = spec.share_type or ""
    share_type = ShareTypeSpec(name=name, extra_specs=plan.extra_specs.get(name, {}))
    request = request_from_share(spec, share_type)
    if step.verb is Verb.EXTEND_SHARE:
        request = replace(request, operation=Operation.EXTEND)
    return traits_of(request, None)


def _narrowed(step: Step, places: Sequence[Place]) -> Step:
    work = cast("CreateShare", step.work)
    candidates = tuple(each for each in work.candidates if (each.backend, each.pool) in places)
    return replace(step, work=replace(work, candidates=candidates))


def _spec_of(step: Step) -> ShareSpec:
    return cast("ShareSpec", step.spec)
