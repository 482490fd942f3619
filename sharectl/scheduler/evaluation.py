"""The plain evaluation of one request: every filter on every pool, then every weigher."""

from __future__ import annotations

import math
from operator import add
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.candidates import Candidate, Candidates
from sharectl.model.frozen import dataclass
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.weighers import fill_unknown, normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.scheduler.filters import Filter
    from sharectl.scheduler.pools import Ledger, PoolState
    from sharectl.scheduler.registry import Rules
    from sharectl.scheduler.request import Query


_FEW: Final = 8
"""Up to this many candidates, looking for each is faster than sorting all."""


class Problem(NamedTuple):
    """A pool that was left out for a value that it reports."""

    state: PoolState
    error: UnfitValueError


def diagnostics_of(problems: Iterable[Problem]) -> tuple[Diagnostic, ...]:
    """Return what the problems say, in the order of their pools."""
    ordered = sorted(problems, key=lambda problem: problem.state.index)
    return tuple(problem.error.diagnostic(problem.state.host) for problem in ordered)


class Stage(NamedTuple):
    """One filter's work: the pools that it left, those that it removed, and why it stopped the request where it did."""

    filter: Filter
    passed: tuple[PoolState, ...]
    removed: tuple[PoolState, ...]
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class Weighing:
    """The weights of pools in their order: raw and unknown-filled values, and their contributions, by weigher."""

    states: tuple[PoolState, ...]
    raw: Mapping[str, Sequence[float]]
    parts: Mapping[str, Sequence[float]]
    weights: Sequence[float]
    shown: frozenset[str]

    def ranked(self, limit: int | None) -> Candidates:
        """Return the first `limit` pools by descending weight; equal ones keep their order."""
        if limit is not None and limit <= _FEW:
            order = _heaviest(list(self.weights), limit)
        else:
            order = sorted(range(len(self.states)), key=self.weights.__getitem__, reverse=True)[:limit]
        return Candidates.of(map(self._entry, order))

    def _entry(self, position: int) -> Candidate:
        pool = self.states[position].pool
        parts = tuple((name, values[position]) for name, values in self.parts.items() if name in self.shown)
        return Candidate(pool.backend, pool.name, self.weights[position], parts)


def run_filters(
    states: Sequence[PoolState], query: Query, ledger: Ledger, filters: Sequence[Filter]
) -> tuple[list[Stage], list[Problem]]:
    """Run the filters in order until none is left; return the stages that ran and the pools with unusable values."""
    stages: list[Stage] = []
    problems: list[Problem] = []
    alive = tuple(states)
    for each in filters:
        if not each.concerns(query):
            stages.append(Stage(each, alive, ()))
            continue
        stopped = each.stops(query, ledger)
        if stopped is not None:
            stages.append(Stage(each, (), alive, stopped))
            break
        verdicts = [_passes(each, state, query, ledger, problems) for state in alive]
        passed = tuple(state for state, verdict in zip(alive, verdicts, strict=True) if verdict)
        removed = tuple(state for state, verdict in zip(alive, verdicts, strict=True) if not verdict)
        stages.append(Stage(each, passed, removed))
        alive = passed
        if not alive:
            break
    return stages, problems


def weigh(
    states: Sequence[PoolState],
    query: Query,
    rules: Rules,
    given: Mapping[str, Sequence[float | None]] | None = None,
) -> tuple[Weighing, list[Problem]]:
    """Weigh the pools; one whose value a weigher cannot use is left out before the others are compared.

    `given` are raw values that are known already, by weigher.
    """
    problems: list[Problem] = []
    unfit: set[str] = set()
    raw: dict[str, Sequence[float | None]] = {}
    for weigher in rules.weighers:
        if given is not None and weigher.name in given:
            raw[weigher.name] = given[weigher.name]
            continue
        values: list[float | None] = []
        for state in states:
            try:
                values.append(weigher.raw(state, query))
            except UnfitValueError as problem:
                problems.append(Problem(state, problem))
                unfit.add(state.host)
                values.append(None)
        raw[weigher.name] = values
    fit = tuple(states)
    if unfit:
        fit = tuple(state for state in states if state.host not in unfit)
        kept = [state.host not in unfit for state in states]
        raw = {name: [value for value, keep in zip(values, kept, strict=True) if keep] for name, values in raw.items()}
    shown = frozenset(weigher.name for weigher in rules.weighers if weigher.concerns(query, fit))
    filled = {name: fill_unknown(values, rules.multipliers[name]) for name, values in raw.items()}
    parts = {name: normalised(values, rules.multipliers[name]) for name, values in filled.items()}
    weights = [0.0] * len(fit)
    for part in parts.values():
        weights = list(map(add, weights, part))
    return Weighing(fit, filled, parts, weights, shown), problems


def first_refusal(
    state: PoolState, query: Query, ledger: Ledger, filters: Sequence[Filter]
) -> tuple[int | None, Problem | None]:
    """Return the place of the filter that refuses the pool (None where it passes), and the unusable value."""
    for place, each in enumerate(filters):
        if each.concerns(query):
            problems: list[Problem] = []
            if not _passes(each, state, query, ledger, problems):
                return place, problems[0] if problems else None
    return None, None


def _heaviest(weights: list[float], count: int) -> list[int]:
    """Return the places of the highest weights; of equal ones the first come first."""
    found = []
    for _ in range(min(count, len(weights))):
        place = weights.index(max(weights))
        found.append(place)
        weights[place] = -math.inf
    return found


def _passes(each: Filter, state: PoolState, query: Query, ledger: Ledger, problems: list[Problem]) -> bool:
    try:
        return each.passes(state, query, ledger)
    except UnfitValueError as problem:
        problems.append(Problem(state, problem))
        return False
