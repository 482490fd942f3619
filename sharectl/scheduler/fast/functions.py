"""The values of the pools' own functions, remembered until something that they read changes."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Any, Final

from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.expressions import ExpressionError, conjuncts_of
from sharectl.scheduler.filters import namespaces, share_facts
from sharectl.scheduler.pools import CHANGING_STATS
from sharectl.scheduler.weighers import GOODNESS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from sharectl.scheduler.expressions import Expression
    from sharectl.scheduler.pools import PoolState
    from sharectl.scheduler.request import Query

    Ask = Callable[[PoolState, Query], object]

_MOST_REMEMBERED: Final = 2_000_000
"""Outcomes that one memory holds at most: some 16 MB."""
_UNREAD: Final = object()
_MISSING: Final = object()
_POOL_FACTS: Final = ("stats", "capabilities")


class Remembered:
    """One outcome for each pool, for shares that look the same to the functions."""

    __slots__ = ("by_pool", "seen")

    def __init__(self, by_pool: list[Any], seen: int) -> None:
        """`by_pool` is what is known after the first `seen` changes of pools."""
        self.by_pool = by_pool
        self.seen = seen


class Memory:
    """The outcomes of one question to every pool, by what the question reads of the share."""

    def __init__(self, states: Sequence[PoolState], expressions: Sequence[tuple[Expression, ...]], ask: Ask) -> None:
        """`expressions` are those that `ask` evaluates, for each pool."""
        self._states = states
        self._ask = ask
        self._expressions = expressions
        distinct = {each for several in expressions for each in several}
        self._share_names = sorted({entry for each in distinct for space, entry in each.names if space == "share"})
        self._reads_extra = any(space == "extra" for each in distinct for space, _ in each.names)
        self._reads_pools = any(_reads_pool(each) for each in distinct)
        stats = {("stats", entry) for entry in CHANGING_STATS}
        changing = {each for each in distinct if not stats.isdisjoint(each.names)}
        self._changes = [any(each in changing for each in several) for several in expressions]
        self._known: dict[Hashable, Remembered] = {}
        self._most = max(16, _MOST_REMEMBERED // max(1, len(states)))

    def outcomes(self, indices: Sequence[int], query: Query, changes: Sequence[int]) -> list[Any]:
        """Return the outcome for each of these pools; `changes` lists the pools whose capacities changed, oldest first."""
        known = self._remembered(query, changes)
        by_pool = known.by_pool
        found = [by_pool[index] for index in indices]
        if _UNREAD not in found:
            return found
        states, ask = self._states, self._ask
        for index in indices:
            if by_pool[index] is _UNREAD:
                by_pool[index] = ask(states[index], query)
        return [by_pool[index] for index in indices]

    def _remembered(self, query: Query, changes: Sequence[int]) -> Remembered:
        facts = share_facts(query.request) if self._share_names else {}
        extra = id(query.traits) if self._reads_extra else 0
        key = (extra, *(facts.get(name, _MISSING) for name in self._share_names))
        try:
            hash(key)
        except TypeError:
            return self._nothing_known(query, len(changes))
        known = self._known.pop(key, None)
        if known is None:
            known = self._nothing_known(query, len(changes))
            if len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
        self._known[key] = known
        for index in changes[known.seen :]:
            if self._changes[index]:
                known.by_pool[index] = _UNREAD
        known.seen = len(changes)
        return known

    def _nothing_known(self, query: Query, seen: int) -> Remembered:
        """Start over: with all outcomes if the expressions alone decide them, else with none."""
        if self._reads_pools:
            return Remembered([_UNREAD] * len(self._states), seen)
        example = dict(zip(self._expressions, self._states, strict=True))
        outcome = {several: self._ask(state, query) for several, state in example.items()}
        return Remembered([outcome[several] for several in self._expressions], seen)


class PoolFunctions:
    """The filter and goodness functions of all pools, each conjunct judged as rarely as what it reads allows."""

    def __init__(self, states: Sequence[PoolState]) -> None:
        """Compile the functions of all pools."""
        self.changes: list[int] = []
        parts = [_parts(state, "filter_function") for state in states]
        ways = ((False, True), (True, False), (True, True))
        kinds = [
            [tuple(each for each in several if (_reads_share(each), _reads_pool(each)) == way) for several in parts]
            for way in ways
        ]
        self._broken = frozenset(
            state.index
            for state, several in zip(states, parts, strict=True)
            if not several and state.pool.capabilities.get("filter_function") is not None
        )
        self._filters = [
            Memory(states, expressions, _all_hold(expressions)) for expressions in kinds if any(expressions)
        ]
        self._goodness = Memory(states, [_parts(state, "goodness_function") for state in states], _goodness)

    def willing(self, indices: Sequence[int], query: Query) -> Sequence[int]:
        """Return those of the pools whose `filter_function` takes the share, or that have none."""
        broken = self._broken
        found = [index for index in indices if index not in broken] if broken else indices
        for memory in self._filters:
            found = list(compress(found, memory.outcomes(found, query, self.changes)))
        return found

    def goodness(self, indices: Sequence[int], query: Query) -> list[Any] | None:
        """Return what GoodnessWeigher says of each of the pools, None where it cannot use a value."""
        values = self._goodness.outcomes(indices, query, self.changes)
        return None if _UNFIT in values else values


_UNFIT: Final = object()


def _goodness(state: PoolState, query: Query) -> object:
    try:
        return GOODNESS.raw(state, query)
    except UnfitValueError:
        return _UNFIT


def _all_hold(expressions: Sequence[Sequence[Expression]]) -> Ask:
    def ask(state: PoolState, query: Query) -> bool:
        names = namespaces(state, query)
        try:
            return all(each.evaluate(names) for each in expressions[state.index])
        except ExpressionError:
            return False

    return ask


def _parts(state: PoolState, key: str) -> tuple[Expression, ...]:
    """Return what all must hold for the function to be true; nothing without a function, or with one that is broken."""
    text = state.pool.capabilities.get(key)
    if text is None:
        return ()
    try:
        return conjuncts_of(str(text))
    except ExpressionError:
        return ()


def _reads_share(each: Expression) -> bool:
    return any(space == "share" for space, _ in each.names)


def _reads_pool(each: Expression) -> bool:
    """Tell whether the expression has to be evaluated for each pool; one that reads nothing at all counts too."""
    return any(space in _POOL_FACTS for space, _ in each.names) or not _reads_share(each)
