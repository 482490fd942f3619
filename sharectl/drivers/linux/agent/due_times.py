"""When snapshots are due by a policy: instants from the wall clock of its time zone. Pure; `now` is an argument, in UTC.

A policy is the plain form of `sharectl.model.specs.SnapshotPolicy`. A time that the clock leaves out, when it is put
forward, is taken as that much later; one that it shows twice counts once, the first time. Hours are different: each that passes
counts, so that the hour which the clock shows twice has two.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INTERVALS: Final = ("hourly", "daily", "weekly", "monthly")
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_SPAN: Final = {"hourly": 4 * _HOUR, "daily": 4 * _DAY, "weekly": 10 * _DAY, "monthly": 34 * _DAY}
"""In so much time before and after an instant there is one of the interval, whatever is done to the clock."""


class UnknownZoneError(ValueError):
    """The host knows no such time zone; `str()` is its name."""


def latest_due(interval: str, policy: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return the last instant not after `now` at which a snapshot was due; None where none is. Raises UnknownZoneError."""
    return max((due for due in _around(interval, policy, now) if due <= now), default=None)


def next_due(interval: str, policy: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return the first instant after `now` at which a snapshot is due; None where none is. Raises UnknownZoneError."""
    return min((due for due in _around(interval, policy, now) if due > now), default=None)


@lru_cache(maxsize=64)
def zone_named(name: str) -> ZoneInfo:
    """Return the time zone; raises UnknownZoneError."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise UnknownZoneError(name) from error
    except KeyError as error:
        raise UnknownZoneError(name) from error


def _around(interval: str, policy: Mapping[str, Any], now: datetime) -> Iterator[datetime]:
    part = policy.get(interval)
    if not part or not part["keep"]:
        return
    zone = zone_named(policy.get("time_zone", "UTC"))
    here = now.astimezone(zone).replace(tzinfo=None, fold=0)
    start, end = here - _SPAN[interval], here + _SPAN[interval]
    walls = _hours(part, start, end) if interval == "hourly" else _days(interval, part, start, end)
    for wall in walls:
        yield from _instants(wall, zone, is_hourly=interval == "hourly")


def _hours(part: Mapping[str, Any], start: datetime, end: datetime) -> Iterator[datetime]:
    wall = start.replace(minute=part.get("minute", 0), second=0, microsecond=0)
    while wall <= end:
        yield wall
        wall += _HOUR


def _days(interval: str, part: Mapping[str, Any], start: datetime, end: datetime) -> Iterator[datetime]:
    day = start.date()
    while day <= end.date():
        if _is_of(interval, part, day):
            yield datetime.combine(day, time(part.get("hour", 0), part.get("minute", 0)))
        day += _DAY


def _is_of(interval: str, part: Mapping[str, Any], day: date) -> bool:
    if interval == "weekly":
        return day.weekday() == _WEEKDAYS.index(part.get("weekday", "sunday"))
    if interval == "monthly":
        return bool(day.day == min(part.get("day", 1), calendar.monthrange(day.year, day.month)[1]))
    return True


def _instants(wall: datetime, zone: ZoneInfo, *, is_hourly: bool) -> Iterator[datetime]:
    """Yield when the clock of the zone shows this time, or would if it were not put forward over it."""
    first = wall.replace(tzinfo=zone).astimezone(UTC)
    yield first
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if is_hourly and second - first >= _HOUR:  # less where the clock is put back by half an hour
        yield second
