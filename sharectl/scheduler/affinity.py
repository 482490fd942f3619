"""Filters for the hints that set shares together or apart, and for a JSON query over pools."""

from __future__ import annotations

import json
import operator
from typing import TYPE_CHECKING, Any, Final

from sharectl.scheduler.filters import BaseFilter, HostChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.model.specs import SchedulerHints
    from sharectl.scheduler.pools import Ledger, PoolState
    from sharectl.scheduler.request import Query

_MAX_QUERY_DEPTH: Final = 50


class _HintFilter(BaseFilter):
    """What affinity and anti-affinity have in common: the hosts of the shares that a hint names."""

    def concerns(self, query: Query) -> bool:
        """Concern requests with the hint."""
        return bool(self._shares(query.request.hints))

    def stops(self, query: Query, ledger: Ledger) -> str | None:
        """Stop a request that names a share without a place."""
        for share in self._shares(query.request.hints):
            if share not in ledger.hosts_of_share:
                return f"share {share}, which the hint names, has no place"
        return None

    def _shares(self, hints: SchedulerHints) -> tuple[str, ...]:
        raise NotImplementedError


class AffinityFilter(_HintFilter):
    """The hint `same_host`: a pool that holds all the named shares."""

    name = "AffinityFilter"

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass pools that hold each named share."""
        return all(state.host in ledger.hosts_of_share[share] for share in query.request.hints.same_host)

    def hosts(self, query: Query, ledger: Ledger) -> HostChoice:
        """Return the hosts that all the named shares have in common."""
        common = (frozenset(ledger.hosts_of_share[share]) for share in query.request.hints.same_host)
        return HostChoice(only=frozenset.intersection(*common))

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Name a share that is elsewhere."""
        away = next(share for share in query.request.hints.same_host if state.host not in ledger.hosts_of_share[share])
        return f"the hint same_host names {away}, which is on {', '.join(ledger.hosts_of_share[away])}"

    def _shares(self, hints: SchedulerHints) -> tuple[str, ...]:
        return hints.same_host


class AntiAffinityFilter(_HintFilter):
    """The hint `different_host`: a pool that holds none of the named shares."""

    name = "AntiAffinityFilter"

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass pools that hold no named share."""
        return not any(state.host in ledger.hosts_of_share[share] for share in query.request.hints.different_host)

    def hosts(self, query: Query, ledger: Ledger) -> HostChoice:
        """Return all but the hosts of the named shares."""
        shares = query.request.hints.different_host
        return HostChoice(never=frozenset(host for share in shares for host in ledger.hosts_of_share[share]))

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Name a share that is here."""
        here = next(share for share in query.request.hints.different_host if state.host in ledger.hosts_of_share[share])
        return f"the hint different_host names {here}, which is on this pool"

    def _shares(self, hints: SchedulerHints) -> tuple[str, ...]:
        return hints.different_host


class QueryError(ValueError):
    """A JSON query that cannot be read."""


class JsonFilter(BaseFilter):
    """The hint `query`: a JSON list such as `["and", [">=", "$free_capacity_gb", 1024], ["=", "$capabilities.tier", "gold"]]`."""

    name = "JsonFilter"

    def concerns(self, query: Query) -> bool:
        """Concern requests with a query."""
        return bool(query.request.query)

    def stops(self, query: Query, ledger: Ledger) -> str | None:
        """Stop a request whose query is not a JSON list of known operators."""
        try:
            _parse(query.request.query or "")
        except QueryError as problem:
            return str(problem)
        return None

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass pools for which the query is true, or a list with something true in it."""
        facts = {**state.stats(), "capabilities": state.pool.capabilities, "pool_name": state.pool.name}
        try:
            result = _evaluate(_parse(query.request.query or ""), facts)
        except TypeError:
            return False
        return any(result) if isinstance(result, list) else bool(result)

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Quote the query."""
        return f"the query {query.request.query} does not hold"


def _parse(text: str) -> list[Any]:
    try:
        query = json.loads(text)
    except (ValueError, RecursionError):
        message = f"the query {text[:80]!r} is not JSON"
        raise QueryError(message) from None
    if not isinstance(query, list):
        message = f"the query {text[:80]!r} is not a JSON list"
        raise QueryError(message)
    _check(query, 0)
    return query


def _check(query: list[Any], depth: int) -> None:
    if depth > _MAX_QUERY_DEPTH:
        message = f"the query is nested more than {_MAX_QUERY_DEPTH} levels deep"
        raise QueryError(message)
    if query and (not isinstance(query[0], str) or query[0] not in _COMMANDS):
        message = f"the query has no operator {query[0]!r}; there are {', '.join(_COMMANDS)}"
        raise QueryError(message)
    for argument in query[1:]:
        if isinstance(argument, list):
            _check(argument, depth + 1)


def _evaluate(query: list[Any], facts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a truth or a list of truths
    if not query:
        return True
    arguments = []
    for argument in query[1:]:
        value = argument
        if isinstance(argument, list):
            value = _evaluate(argument, facts)
        elif isinstance(argument, str):
            value = _look_up(argument, facts)
        if value is not None:
            arguments.append(value)
    return _COMMANDS[query[0]](arguments)


def _look_up(text: str, facts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a capability is any JSON value
    if not text.startswith("$"):
        return text or None
    value: Any = facts
    for name in text[1:].split("."):
        value = value.get(name) if hasattr(value, "get") else None
    return value


def _first_against_rest(holds: Callable[[Any, Any], bool]) -> Callable[[list[Any]], bool]:
    return lambda arguments: len(arguments) > 1 and all(holds(arguments[0], other) for other in arguments[1:])


_COMMANDS: Final[Mapping[str, Callable[[list[Any]], Any]]] = {
    "=": _first_against_rest(operator.eq),
    "<": _first_against_rest(operator.lt),
    ">": _first_against_rest(operator.gt),
    "<=": _first_against_rest(operator.le),
    ">=": _first_against_rest(operator.ge),
    "in": lambda arguments: len(arguments) > 1 and arguments[0] in arguments[1:],
    "not": lambda arguments: [not argument for argument in arguments],
    "or": any,
    "and": all,
}
