"""Decisions from what is known about a class of requests, without judging each pool again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.model.candidates import Candidates, shared_place
from sharectl.model.specs import NO_HINTS
from sharectl.scheduler.capacity import GRID
from sharectl.scheduler.decision import Decision, Outcome
from sharectl.scheduler.evaluation import diagnostics_of, first_refusal, weigh
from sharectl.scheduler.fast.classes import CapacityView, FactIndex, PoolSet, fixed_verdicts, positions_in
from sharectl.scheduler.fast.functions import PoolFunctions
from sharectl.scheduler.filters import BUILT_IN_FILTERS, Stability
from sharectl.scheduler.weighers import BUILT_IN_WEIGHERS, CAPACITY, GOODNESS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from sharectl.model.candidates import Place
    from sharectl.scheduler.evaluation import Problem
    from sharectl.scheduler.filters import Filter, HostChoice
    from sharectl.scheduler.pools import Ledger, PoolState
    from sharectl.scheduler.registry import Rules
    from sharectl.scheduler.request import Query, Traits

_SMALLEST_EXACT_MULTIPLIER: Final = 1e-6
"""Below this, different head-rooms could round to equal weights."""
_CAPACITY_ALONE: Final = (CAPACITY.name,)


class FastPath:
    """What is kept between decisions: facts of pools, readings of their capacities, rankings, and what their functions yield."""

    def __init__(self, ledger: Ledger) -> None:
        """Know nothing yet of the pools in the ledger."""
        self.ledger = ledger
        self.index = FactIndex(ledger.states)
        self.functions = PoolFunctions(ledger.states)
        self.pool_sets: dict[Hashable, PoolSet] = {}
        self._views: dict[Hashable, CapacityView] = {}

    def follow(self, state: PoolState) -> None:
        """Take note that the pool's capacities have changed."""
        self.functions.changes.append(state.index)
        for view in self._views.values():
            view.update(state)

    def view(self, traits: Traits) -> CapacityView:
        """Return the reading of capacities that holds for the traits."""
        key = traits.reserve, traits.thin_logic
        found = self._views.get(key)
        if found is None:
            found = self._views[key] = CapacityView(self.ledger.states, traits)
        return found


class RequestClass:
    """What is known of the requests with equal traits: fixed verdicts on pools, and the rankings that follow their capacities."""

    def __init__(self, query: Query, filters: tuple[Filter, ...], rules: Rules, path: FastPath) -> None:
        """Judge all pools by everything that is the same for each request in the class of `query`."""
        ledger, index, view = path.ledger, path.index, path.view(query.traits)
        self.traits = query.traits
        self.filters = filters
        self.view = view
        self.verdicts = fixed_verdicts(filters, query, ledger, index, view.irregular)
        self.steady = self.verdicts.alive_after[-1] if filters else index.everything & ~view.irregular
        self.by_request = tuple(each for each in filters if each.stability is Stability.REQUEST)
        self.knows_wishes = all(BUILT_IN_FILTERS.get(each.name) is each for each in self.by_request)
        places = [place for place, each in enumerate(filters) if each.stability is Stability.CAPACITY]
        self.capacity_place = places[0] if len(places) == 1 else None
        self.members = positions_in(self.steady | self.verdicts.changing)
        self.odd = positions_in(self.verdicts.odd)
        able = [ledger.states[position] for position in (*self.members, *self.odd)]
        multiplier = rules.multipliers.get(CAPACITY.name, 0.0)
        self.multiplier = multiplier
        foreign = {each.name for each in rules.weighers if BUILT_IN_WEIGHERS.get(each.name) is not each}
        telling = (each for each in rules.weighers if each.name in foreign or each.concerns(query, able))
        self.rules = replace(rules, weighers=tuple(telling))
        self.is_ranked = (
            not self.odd
            and not self.verdicts.changing
            and abs(multiplier) >= _SMALLEST_EXACT_MULTIPLIER
            and all(weigher is CAPACITY for weigher in self.rules.weighers)
        )
        self.weighs_goodness = GOODNESS in self.rules.weighers
        self.functions = path.functions
        self.has_changing_functions = bool(self.verdicts.changing)
        self._pool_sets = path.pool_sets

    def pool_set(self, mask: int) -> PoolSet:
        """Return the ranking of the pools in `mask`, up to date."""
        key = mask, self.view
        found = self._pool_sets.get(key)
        if found is None:
            found = self._pool_sets[key] = PoolSet(mask, self.view, self.multiplier)
        found.follow()
        return found


def decide_quickly(query: Query, known: RequestClass, ledger: Ledger, limit: int) -> Decision | None:
    """Return the decision with at most `limit` candidates, None where only the plain evaluation can tell."""
    if known.capacity_place is None or (query.size_gib * GRID) % 1:
        return None
    only, never = None, frozenset[int]()
    request = query.request
    wishes = request.hints is not NO_HINTS or request.retry is not None or request.query is not None or request.unfit
    plain = known.knows_wishes and not wishes
    for each in () if plain else known.by_request:
        if each.concerns(query):
            hosts: Callable[[Query, Ledger], HostChoice] | None = getattr(each, "hosts", None)
            if hosts is None or each.stops(query, ledger) is not None:
                return None
            choice = hosts(query, ledger)
            never |= {ledger.by_host[host].index for host in choice.never if host in ledger.by_host}
            if choice.only is not None:
                named = {ledger.by_host[host].index for host in choice.only if host in ledger.by_host}
                only = named if only is None else only & named
    if only is None and known.is_ranked:
        candidates = _ranked_candidates(query, known, ledger, limit, never)
        if candidates:
            return Decision(query.request.id, Outcome.SCHEDULED, candidates.first_host, candidates)
        return None if never else _refusal(query, known, ledger, [])
    return _decide_by_members(query, known, ledger, limit, only, never)


def _ranked_candidates(
    query: Query, known: RequestClass, ledger: Ledger, limit: int, never: frozenset[int]
) -> Candidates | None:
    """Return the candidates by the ranking of head-room alone."""
    pools, size, multiplier = known.pool_set(known.steady), query.size_gib, known.multiplier
    count = limit + len(never)
    best = pools.known.best(size, count)
    unknown = pools.unknown.best(size, count) if pools.has_unknown else []
    worst = pools.known.worst(size)
    if never:
        best = [key for key in best if pools.index_of(key) not in never]
        unknown = [key for key in unknown if pools.index_of(key) not in never]
        worst = min((key for key in pools.known.members(size) if pools.index_of(key) not in never), default=None)
    weights = [0.0] * len(unknown)
    if worst is not None:
        raw = [pools.headroom_of(key) for key in best]
        last = pools.headroom_of(worst)
        if unknown:
            last = min(raw[0], last) - 1 if multiplier > 0 else max(raw[0], last) + 1
            raw += [last] * len(unknown)
        lowest, highest = (float(last), float(raw[0])) if multiplier > 0 else (float(raw[0]), float(last))
        span = highest - lowest
        weights = [multiplier * ((value - lowest) / span) if span else 0.0 for value in raw]
    states = ledger.states
    places: list[Place] = []
    parts: list[float] = []
    for key, weight in zip((best + unknown)[:limit], weights, strict=False):
        pool = states[pools.index_of(key)].pool
        places.append(shared_place(pool.backend, pool.name, None, _CAPACITY_ALONE))
        parts += (0.0 + weight, weight)
    return Candidates.shared(places, parts) if places else None


def _decide_by_members(  # noqa: PLR0913, PLR0917 - the engine's parts, and what the request's hints leave
    query: Query,
    known: RequestClass,
    ledger: Ledger,
    limit: int,
    only: set[int] | None,
    never: frozenset[int],
) -> Decision | None:
    """Decide by looking at each pool that the fixed verdicts left."""
    limits, size = known.view.limits, query.size_gib
    alive: Sequence[int] = [index for index in known.members if limits[index] >= size]
    odd = known.odd
    if only is not None or never:
        alive = [index for index in alive if index not in never and (only is None or index in only)]
        odd = [index for index in odd if index not in never and (only is None or index in only)]
    if known.has_changing_functions:
        alive = known.functions.willing(alive, query)
    states = [ledger.states[index] for index in alive]
    problems: list[Problem] = []
    if odd:
        states = sorted([*states, *_passing(odd, query, known, ledger, problems)], key=lambda state: state.index)
    if not states:
        return None if only is not None or never else _refusal(query, known, ledger, problems)
    given = None if odd else _given(alive, query, known)
    weighing, unfit = weigh(states, query, known.rules, given)
    if not weighing.states:
        return None
    candidates = weighing.ranked(limit)
    diagnostics = diagnostics_of((*problems, *unfit))
    return Decision(query.request.id, Outcome.SCHEDULED, candidates[0].host, candidates, None, diagnostics)


def _given(alive: Sequence[int], query: Query, known: RequestClass) -> Mapping[str, Sequence[float | None]]:
    """Return the raw values that are known without asking the weighers."""
    given: dict[str, Sequence[float | None]] = {}
    if CAPACITY.name in known.rules.multipliers:
        given[CAPACITY.name] = [known.view.headrooms[index] for index in alive]
    goodness = known.functions.goodness(alive, query) if known.weighs_goodness else None
    if goodness is not None:
        given[GOODNESS.name] = goodness
    return given


def _passing(
    odd: Sequence[int], query: Query, known: RequestClass, ledger: Ledger, problems: list[Problem]
) -> list[PoolState]:
    found = []
    for index in odd:
        place, problem = first_refusal(ledger.states[index], query, ledger, known.filters)
        if place is None:
            found.append(ledger.states[index])
        if problem is not None:
            problems.append(problem)
    return found


def _refusal(query: Query, known: RequestClass, ledger: Ledger, problems: Sequence[Problem]) -> Decision:
    """Return the decision on a request that no pool takes: the last filter is the latest first refusal of any pool."""
    last = _last_place_of_steady(query, known)
    for index in positions_in(known.verdicts.watched):
        place, _ = first_refusal(ledger.states[index], query, ledger, known.filters)
        last = max(last, place if place is not None else 0)
    name = known.filters[last].name
    return Decision(query.request.id, Outcome.NO_VALID_HOST, None, (), name, diagnostics_of(problems))


def _last_place_of_steady(query: Query, known: RequestClass) -> int:
    for place, mask in enumerate(known.verdicts.alive_after):
        if not mask:
            return place
        past_capacity = known.capacity_place is not None and place >= known.capacity_place
        if past_capacity and not known.pool_set(mask).has_room(query.size_gib):
            return place
    return 0
