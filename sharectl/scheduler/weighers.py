"""Manila's weighers, each a row of a table: raw values of pools for a request, and their min-max normalisation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from sharectl.model.frozen import dataclass
from sharectl.scheduler import capacity
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.expressions import ExpressionError
from sharectl.scheduler.filters import evaluate_function

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.scheduler.pools import PoolState
    from sharectl.scheduler.request import Query

_GOODNESS_MAX: Final = 100


class Weigher(Protocol):
    """What every weigher meets; an entry point of the group `sharectl.scheduler.weighers` names one such object."""

    @property
    def name(self) -> str:
        """The name in `sharectl.yaml` and in explanations."""
        ...

    def concerns(self, query: Query, states: Sequence[PoolState], /) -> bool:
        """Tell whether the pools can differ for this request, now or once their capacities change."""
        ...

    def raw(self, state: PoolState, query: Query, /) -> float | None:
        """Return the pool's raw value, None where it is unknown; raises UnfitValueError for a value that it cannot use."""
        ...


@dataclass(frozen=True, slots=True)
class BuiltInWeigher:
    """A weigher of Manila's, by its parts."""

    name: str
    raw: Callable[[PoolState, Query], float | None]
    concerns: Callable[[Query, Sequence[PoolState]], bool]


def _goodness(state: PoolState, query: Query) -> float:
    """Return what the pool's function yields, true as 100; 0 without one, or with one that cannot be evaluated."""
    text = state.pool.capabilities.get("goodness_function")
    if text is None:
        return 0
    try:
        value = evaluate_function(str(text), state, query)
    except ExpressionError:
        return 0
    if isinstance(value, bool):
        return _GOODNESS_MAX if value else 0
    if isinstance(value, int | float):
        return value if 0 <= value <= _GOODNESS_MAX else 0
    why = f"which yields {value!r} instead of a number from 0 to {_GOODNESS_MAX}"
    raise UnfitValueError(GOODNESS.name, "goodness_function", text, why)


def _nearness(state: PoolState, query: Query) -> float:
    """Return 100 in the pool of the source snapshot, 75 on its backend, 50 in its zone, 25 elsewhere; 0 where there is none."""
    request = query.request
    if request.snapshot_id is None or request.snapshot_host is None:
        return 0
    backend, _, pool = request.snapshot_host.partition("#")
    if state.pool.backend_host == backend:
        return 100 if pool and pool == state.pool.name else 75
    zone = request.snapshot_availability_zone
    return 50 if zone and zone == request.availability_zone else 25


CAPACITY: Final = BuiltInWeigher(
    "CapacityWeigher", lambda state, query: capacity.headroom(state, query.traits), lambda _query, states: bool(states)
)
GOODNESS: Final = BuiltInWeigher(
    "GoodnessWeigher",
    _goodness,
    lambda _query, states: any(state.pool.capabilities.get("goodness_function") is not None for state in states),
)
BUILT_IN_WEIGHERS: Final[Mapping[str, Weigher]] = {
    each.name: each
    for each in (
        CAPACITY,
        GOODNESS,
        BuiltInWeigher(
            "HostAffinityWeigher",
            _nearness,
            lambda query, _: query.request.snapshot_id is not None and query.request.snapshot_host is not None,
        ),
        BuiltInWeigher(
            "PoolWeigher",
            lambda state, _: 1 if state.pool.capabilities.get("has_share_server") else 0,
            lambda _query, states: any(state.pool.capabilities.get("has_share_server") for state in states),
        ),
    )
}


def fill_unknown(raw: Sequence[float | None], multiplier: float) -> list[float]:
    """Replace unknown values: one below the lowest, so that they come last (one above the highest for a multiplier <= 0).

    Where all are unknown, they are all infinitely low (high).
    """
    if None not in raw:
        return list(raw)  # type: ignore[arg-type] # there is no None among them
    known = [value for value in raw if value is not None]
    lowest, highest = min(known, default=-math.inf), max(known, default=math.inf)
    stand_in = lowest - 1 if multiplier > 0 else highest + 1
    return [stand_in if value is None else value for value in raw]


def normalised(raw: Sequence[float], multiplier: float = 1) -> list[float]:
    """Return the values scaled to 0..1 between the lowest and the highest (all 0 if they are equal), times `multiplier`."""
    if not raw:
        return []
    lowest, highest = float(min(raw)), float(max(raw))
    if lowest == highest:
        return [0.0] * len(raw)
    span = highest - lowest
    if multiplier == 1:
        return [(value - lowest) / span for value in raw]
    return [multiplier * ((value - lowest) / span) for value in raw]
