"""When snapshots are due: the wall clock of a time zone, also where it is put forward and back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.drivers.linux.agent.due_times import INTERVALS, UnknownZoneError, latest_due, next_due

_ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo"]
_WHOLE_HOURS = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]
_INSTANTS = st.integers(1_293_840_000, 1_924_992_000).map(lambda at: datetime.fromtimestamp(at, tz=UTC))
_MINUTES = st.integers(0, 59)
_HOUR = timedelta(hours=1)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("interval", "part", "now", "latest", "following"),
    [
        ("hourly", {"minute": 5}, "2026-06-01T12:04:59+02:00", "2026-06-01T11:05:00+02:00", "2026-06-01T12:05:00+02:00"),
        ("hourly", {}, "2026-06-01T12:00:00+02:00", "2026-06-01T12:00:00+02:00", "2026-06-01T13:00:00+02:00"),
        ("daily", {"hour": 1}, "2026-06-01T00:59:00+02:00", "2026-05-31T01:00:00+02:00", "2026-06-01T01:00:00+02:00"),
        ("weekly", {}, "2026-06-03T12:00:00+02:00", "2026-05-31T00:00:00+02:00", "2026-06-07T00:00:00+02:00"),
        (
            "weekly",
            {"weekday": "wednesday", "hour": 13},
            "2026-06-03T12:00:00+02:00",
            "2026-05-27T13:00:00+02:00",
            "2026-06-03T13:00:00+02:00",
        ),
        ("monthly", {}, "2026-06-30T12:00:00+02:00", "2026-06-01T00:00:00+02:00", "2026-07-01T00:00:00+02:00"),
        ("monthly", {"day": 31}, "2026-06-30T12:00:00+02:00", "2026-06-30T00:00:00+02:00", "2026-07-31T00:00:00+02:00"),
        ("monthly", {"day": 30}, "2028-02-29T12:00:00+01:00", "2028-02-29T00:00:00+01:00", "2028-03-30T00:00:00+02:00"),
        # The clock is put forward from 2:00 to 3:00, and back from 3:00 to 2:00.
        ("daily", {"hour": 2, "minute": 30}, "2026-03-29T12:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"),
        ("daily", {"hour": 2, "minute": 30}, "2026-10-25T12:00:00+01:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"),
        ("daily", {"hour": 2, "minute": 30}, "2026-10-25T02:40:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"),
        ("hourly", {"minute": 30}, "2026-03-29T03:10:00+02:00", "2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"),
        ("hourly", {"minute": 30}, "2026-10-25T02:40:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"),
        ("hourly", {"minute": 30}, "2026-10-25T02:40:00+01:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"),
    ],
)  # fmt: skip
def test_due_times_of_berlin(interval: str, part: dict[str, object], now: str, latest: str, following: str) -> None:
    """The last due time and the next are those of the wall clock."""
    policy = {interval: {"keep": 1, **part}, "time_zone": "Europe/Berlin"}
    found = latest_due(interval, policy, _at(now)), next_due(interval, policy, _at(now))
    assert found == (_at(latest), _at(following))


@pytest.mark.parametrize("interval", INTERVALS)
def test_nothing_is_due_of_what_is_not_kept(interval: str) -> None:
    """An interval that is not in the policy, or keeps none, has no due times."""
    now = datetime(2026, 6, 1, tzinfo=UTC)
    for policy in ({}, {interval: {"keep": 0}}):
        assert latest_due(interval, policy, now) is None
        assert next_due(interval, policy, now) is None


def test_a_zone_that_the_host_does_not_know_is_named() -> None:
    """An unknown time zone is an error of its own, with its name."""
    with pytest.raises(UnknownZoneError, match="Mars/Olympus"):
        latest_due("daily", {"daily": {"keep": 1}, "time_zone": "Mars/Olympus"}, datetime(2026, 6, 1, tzinfo=UTC))


@given(zone=st.sampled_from(_ZONES), interval=st.sampled_from(INTERVALS), now=_INSTANTS, minute=_MINUTES)
def test_due_times_follow_each_other_without_a_gap(zone: str, interval: str, now: datetime, minute: int) -> None:
    """Whatever the moment, the last due time is not after it, the next one is, and none lies between them."""
    policy = {interval: {"keep": 1, "minute": minute}, "time_zone": zone}
    latest, following = latest_due(interval, policy, now), next_due(interval, policy, now)
    assert latest is not None
    assert following is not None
    assert latest <= now < following
    assert next_due(interval, policy, latest) == following
    assert latest_due(interval, policy, following) == following


@given(zone=st.sampled_from(_WHOLE_HOURS), now=_INSTANTS, minute=_MINUTES)
def test_hourly_snapshots_are_an_hour_apart(zone: str, now: datetime, minute: int) -> None:
    """However the clock is put by whole hours, no hour that passes goes without a snapshot, and none has two."""
    policy = {"hourly": {"keep": 1, "minute": minute}, "time_zone": zone}
    latest, following = latest_due("hourly", policy, now), next_due("hourly", policy, now)
    assert latest is not None
    assert following is not None
    assert following - latest == _HOUR


@given(now=_INSTANTS, minute=_MINUTES)
def test_where_the_clock_is_put_by_half_an_hour_none_is_doubled(now: datetime, minute: int) -> None:
    """On Lord Howe, hourly snapshots are an hour apart, give or take the half hour by which the clock is put."""
    policy = {"hourly": {"keep": 1, "minute": minute}, "time_zone": "Australia/Lord_Howe"}
    latest, following = latest_due("hourly", policy, now), next_due("hourly", policy, now)
    assert latest is not None
    assert following is not None
    assert _HOUR / 2 <= following - latest <= _HOUR * 1.5


@settings(deadline=None, max_examples=30)
@given(
    zone=st.sampled_from([*_ZONES, "Pacific/Apia"]),
    start=st.dates(date(2011, 1, 1), date(2030, 1, 1)),
    hour=st.integers(0, 23),
    minute=_MINUTES,
)
def test_each_day_has_one_daily_snapshot(zone: str, start: date, hour: int, minute: int) -> None:
    """Whatever is done to the clock, each date that the zone has has one due time, and no other."""
    policy = {"daily": {"keep": 1, "hour": hour, "minute": minute}, "time_zone": zone}
    at = datetime(start.year, start.month, start.day, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    end = at + timedelta(days=40)
    dates = []
    while at < end:
        following = next_due("daily", policy, at)
        assert following is not None
        dates.append(following.astimezone(ZoneInfo(zone)).date())
        at = following
    steps = {(after - before).days for before, after in pairwise(dates)}
    assert len(set(dates)) == len(dates)
    # Samoa had no 30 December 2011.
    assert steps <= ({1, 2} if zone == "Pacific/Apia" else {1})
