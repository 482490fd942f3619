"""What is foretold from samples, and where nothing is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.model.growth import Forecast, Growth, forecast, growth_of, points_of_pool, points_of_share
from sharectl.model.usage import PoolSample, ShareSample

DAY = 86400
GIB = 1 << 30


def growing(days: int, per_day: int, start: int = 0) -> list[tuple[int, int]]:
    """Return a point for each day."""
    return [(day * DAY, start + day * per_day) for day in range(days)]


def test_what_grows_evenly_is_full_when_it_gets_there() -> None:
    """By so much a day, from what is used now."""
    found = forecast(growing(11, GIB), 20 * GIB)
    assert found.growth == Growth(GIB, 10)
    assert found.full_in_days == pytest.approx(10)


def test_a_jump_is_not_taken_for_the_rule() -> None:
    """A large import on one day, or a removal, leaves the growth of the other days what it is."""
    for jump in (500 * GIB, -500 * GIB):
        points = [(at, used + 1000 * GIB + (jump if at >= 18 * DAY else 0)) for at, used in growing(20, GIB)]
        found = growth_of(points)
        assert found is not None
        assert found.bytes_per_day == pytest.approx(GIB, rel=0.01)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([], "too few samples to tell"),
        (growing(3, GIB), "too few samples to tell"),
        ([(at // 100, used) for at, used in growing(10, GIB)], "too few samples to tell"),
        (growing(10, 0, GIB), "it does not grow"),
        (growing(10, -GIB, 50 * GIB), "it does not grow"),
        (growing(10, 1), "not within 90 days"),
    ],
)
def test_where_nothing_can_be_said_it_says_why(points: list[tuple[int, int]], reason: str) -> None:
    """Too few samples, too close together, no growth, or a day that is too far away."""
    found = forecast(points, 100 * GIB)
    assert (found.full_in_days, found.reason) == (None, reason)


def test_what_is_full_is_full_now_and_what_has_no_limit_never() -> None:
    """Whatever is known of its growth."""
    assert forecast([(0, 5)], 5) == Forecast(None, 0.0)
    assert forecast(growing(10, GIB), None).reason == "it has no limit"


def test_what_happened_lately_counts() -> None:
    """A year without growth before it does not slow down what has grown for a month."""
    old = [(day * DAY, 10 * GIB) for day in range(0, 360, 30)]
    new = [((360 + day) * DAY, (10 + day) * GIB) for day in range(0, 40, 5)]
    found = growth_of(old + new)
    assert found is not None
    assert found.bytes_per_day == pytest.approx(GIB, rel=0.2)


def test_samples_become_points() -> None:
    """Of a pool what is not free; a sample that does not say that is left out."""
    assert points_of_share([ShareSample(1, 5)]) == [(1, 5)]
    assert points_of_pool([PoolSample(1, 100, 60, 7), PoolSample(2, None, 60, 7), PoolSample(3, 100, None, 7)]) == [
        (1, 40)
    ]


@given(st.lists(st.integers(0, 1 << 62), min_size=4, max_size=34), st.integers(0, 1 << 62), st.integers(DAY, 5 * DAY))
def test_a_forecast_is_never_in_the_past(used: list[int], limit: int, spacing: int) -> None:
    """Whatever the samples are."""
    found = forecast([(place * spacing, each) for place, each in enumerate(used)], limit)
    assert found.full_in_days is None or found.full_in_days >= 0
    assert (found.full_in_days is None) == (found.reason != "")
