"""Manila's weighers: raw values of pools for a request, and their min-max normalisation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from sharectl.scheduler import capacity
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.expressions import ExpressionError
from sharectl.scheduler.filters import evaluate_function

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.scheduler.pools import PoolState
    from sharectl.scheduler.request import Query

_GOODNESS_MAX = 100


class Weigher(Protocol):
    """What every weigher meets; an entry point of the group `sharectl.scheduler.weighers` names one such object."""

    @property
    def name(self) -> str:
        """The name in `sharectl.yaml` and in explanations."""
        ...

    def concerns(self, query: Query, states: Sequence[PoolState]) -> bool:
        """Tell whether the pools can differ for this request, now or once their capacities change."""
        ...

    def raw(self, state: PoolState, query: Query) -> float | None:
        """Return the pool's raw value, None where it is unknown; raises UnfitValueError for a value that it cannot use."""
        ...


class CapacityWeigher:
    """Free capacity, or on thin pools what may still be promised; pools of unknown capacity come last."""

    name = "CapacityWeigher"

    def concerns(self, query: Query, states: Sequence[PoolState]) -> bool:
        """Concern every request."""
        return bool(states)

    def raw(self, state: PoolState, query: Query) -> float | None:
        """Return GiB."""
        return capacity.headroom(state, query.traits)


class GoodnessWeigher:
    """The pool's `goodness_function`, from 0 to 100; without one, or with one that cannot be evaluated, 0."""

    name = "GoodnessWeigher"

    def concerns(self, query: Query, states: Sequence[PoolState]) -> bool:
        """Concern requests for which a pool has a function."""
        return any(state.pool.capabilities.get("goodness_function") is not None for state in states)

    def raw(self, state: PoolState, query: Query) -> float | None:
        """Return the goodness; true is 100."""
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
        raise UnfitValueError(self.name, "goodness_function", text, why)


class HostAffinityWeigher:
    """Nearness to the source snapshot: 100 in its pool, 75 on its backend, 50 in its zone, 25 elsewhere."""

    name = "HostAffinityWeigher"

    def concerns(self, query: Query, states: Sequence[PoolState]) -> bool:
        """Concern shares made from a snapshot."""
        return query.request.snapshot_id is not None and query.request.snapshot_host is not None

    def raw(self, state: PoolState, query: Query) -> float | None:
        """Return 0 where there is no snapshot."""
        request = query.request
        if request.snapshot_id is None or request.snapshot_host is None:
            return 0
        backend, _, pool = request.snapshot_host.partition("#")
        if state.pool.backend_host == backend:
            return 100 if pool and pool == state.pool.name else 75
        zone = request.snapshot_availability_zone
        return 50 if zone and zone == request.availability_zone else 25


class PoolWeigher:
    """1 for pools that hold a share server already: those whose capability `has_share_server` is true."""

    name = "PoolWeigher"

    def concerns(self, query: Query, states: Sequence[PoolState]) -> bool:
        """Concern requests for which a pool holds a share server."""
        return any(state.pool.capabilities.get("has_share_server") for state in states)

    def raw(self, state: PoolState, query: Query) -> float | None:
        """Return 1 or 0."""
        return 1 if state.pool.capabilities.get("has_share_server") else 0


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


def normalised(raw: Sequence[float]) -> list[float]:
    """Return the values scaled to 0..1 between the lowest and the highest; all 0 where they are equal."""
    if not raw:
        return []
    lowest, highest = float(min(raw)), float(max(raw))
    if lowest == highest:
        return [0.0] * len(raw)
    span = highest - lowest
    return [(value - lowest) / span for value in raw]
