"""Whether times of one zone can be told by the clock of another."""

from __future__ import annotations

import pytest

from sharectl.model.specs import DailySnapshots, HourlySnapshots, SnapshotPolicy
from sharectl.model.time_zones import minutes_between, same_clock, zone_problem


@pytest.mark.parametrize(
    ("one", "other", "is_so"),
    [
        ("UTC", "Etc/UTC", True),
        ("Europe/Berlin", "Europe/Paris", True),
        ("Europe/Berlin", "Africa/Lagos", False),
        ("No/Such", "No/Other", False),
        ("No/Such", "No/Such", True),
    ],
)
def test_clocks_are_alike_where_they_always_show_the_same(one: str, other: str, *, is_so: bool) -> None:
    """In summer as in winter; what is not known is not alike."""
    assert same_clock(one, other) is is_so


@pytest.mark.parametrize(
    ("one", "other", "minutes"),
    [("UTC", "Europe/Berlin", 0), ("UTC", "Asia/Kolkata", 30), ("Asia/Kolkata", "Asia/Kathmandu", 15)],
)
def test_hours_begin_alike_but_for_some_minutes(one: str, other: str, minutes: int) -> None:
    """By how many the other clock is ahead."""
    assert minutes_between(one, other) == minutes


def test_where_the_minutes_change_nothing_is_said() -> None:
    """As in a zone whose summer is half an hour ahead, or that nobody knows."""
    assert minutes_between("UTC", "Australia/Lord_Howe") is None
    assert minutes_between("UTC", "No/Such") is None


def test_a_policy_of_hours_fits_where_one_of_days_does_not() -> None:
    """With what to write in its place."""
    assert zone_problem(SnapshotPolicy(HourlySnapshots(1), DailySnapshots(0)), "Europe/Berlin") is None
    problem = zone_problem(SnapshotPolicy(daily=DailySnapshots(1)), "Europe/Berlin")
    assert problem is not None
    assert "timeZone: Europe/Berlin" in problem[1]
