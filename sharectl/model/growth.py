"""How something grows, and when it will be full, from samples of former times: an estimate that says where there is too little to tell."""

from __future__ import annotations

from itertools import combinations
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.usage import PoolSample, ShareSample

_DAY_SECONDS: Final = 86400
_RECENT_SECONDS: Final = 45 * _DAY_SECONDS
_LEAST_POINTS: Final = 4
_LEAST_DAYS: Final = 1.0
_FARTHEST: Final = 10
"""Nothing is foretold for longer than so many times the time that was looked at."""

Point = tuple[int, int]
"""A time in seconds since 1970, and bytes."""


class Growth(NamedTuple):
    """By how much it grows a day (less than 0: it shrinks), by what was seen over so many days."""

    bytes_per_day: float
    seen_days: float


class Forecast(NamedTuple):
    """When it will be full. `full_in_days` is None where that cannot be said, and `reason` says why in a few words."""

    growth: Growth | None
    full_in_days: float | None
    reason: str = ""


def points_of_share(samples: Sequence[ShareSample]) -> list[Point]:
    """Return what of a share was used when."""
    return [(sample.at, sample.used_bytes) for sample in samples]


def points_of_pool(samples: Sequence[PoolSample]) -> list[Point]:
    """Return what of a pool was taken when, as far as its total and what was free were known."""
    return [
        (sample.at, sample.total_bytes - sample.free_bytes)
        for sample in samples
        if sample.total_bytes is not None and sample.free_bytes is not None
    ]


def growth_of(points: Sequence[Point]) -> Growth | None:
    """Return how it grows, by points in the order of their times; None where there is too little to tell.

    The median of the slopes between all pairs of points (Theil and Sen): a jump, such as a large import, is not taken for the rule.
    What is older than some weeks counts only where there is nothing newer.
    """
    recent = [point for point in points if points[-1][0] - point[0] <= _RECENT_SECONDS]
    chosen = recent if len(recent) >= _LEAST_POINTS else points
    seen_days = (chosen[-1][0] - chosen[0][0]) / _DAY_SECONDS if chosen else 0.0
    if len(chosen) < _LEAST_POINTS or seen_days < _LEAST_DAYS:
        return None
    slopes = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in combinations(chosen, 2)]
    return Growth(median(slopes) * _DAY_SECONDS, seen_days)


def forecast(points: Sequence[Point], limit_bytes: int | None) -> Forecast:
    """Return when what is used reaches the limit (None: there is none)."""
    growth = growth_of(points)
    if limit_bytes is None:
        return Forecast(growth, None, "it has no limit")
    if points and points[-1][1] >= limit_bytes:
        return Forecast(growth, 0.0)
    if growth is None:
        return Forecast(None, None, "too few samples to tell")
    if growth.bytes_per_day <= 0:
        return Forecast(growth, None, "it does not grow")
    days = (limit_bytes - points[-1][1]) / growth.bytes_per_day
    if days > _FARTHEST * growth.seen_days:
        return Forecast(growth, None, f"not within {_FARTHEST * growth.seen_days:.0f} days")
    return Forecast(growth, days)
