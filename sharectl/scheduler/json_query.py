"""The language of a request's JSON query, as Manila's hint `query` has it: a list such as `["and", [">=", "$free_capacity_gb", 1024], ["=", "$capabilities.tier", "gold"]]`."""

from __future__ import annotations

import json
import operator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.scheduler.pools import PoolState

_MAX_QUERY_DEPTH: Final = 50


class QueryError(ValueError):
    """A JSON query that cannot be read."""


@lru_cache(maxsize=256)
def parse_query(text: str) -> list[Any]:
    """Return the query; raises QueryError where it is not a JSON list of known operators."""
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


def query_holds(text: str, state: PoolState) -> bool:
    """Tell whether a query that can be read is true of the pool, or a list with something true in it."""
    facts = {**state.stats(), "capabilities": state.pool.capabilities, "pool_name": state.pool.name}
    try:
        result = _evaluate(parse_query(text), facts)
    except TypeError:
        return False
    return any(result) if isinstance(result, list) else bool(result)


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
