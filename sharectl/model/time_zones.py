"""Time zones compared: whether times of one can be told by the clock of another. Pure: the days that are looked at are fixed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sharectl.model.specs import SnapshotPolicy

_FIRST: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
_DAYS: Final = 730


@lru_cache(maxsize=64)
def _offsets(zone: str) -> tuple[timedelta, ...]:
    """Return by how much the zone's clock is ahead on each of the days; nothing of a zone that this machine does not know."""
    import zoneinfo  # noqa: PLC0415 - few shares have a snapshot policy

    try:
        found = zoneinfo.ZoneInfo(zone)
    except (KeyError, OSError, ValueError):
        return ()
    days = (_FIRST + timedelta(days=number) for number in range(_DAYS))
    return tuple(day.astimezone(found).utcoffset() or timedelta() for day in days)


def same_clock(one: str, other: str) -> bool:
    """Tell whether the clocks of two zones always show the same."""
    return one == other or (bool(_offsets(one)) and _offsets(one) == _offsets(other))


def minutes_between(one: str, other: str) -> int | None:
    """Return by how many minutes of the hour the clock of the other zone is ahead; None where that changes, or a zone is not known."""
    if one == other:
        return 0
    found = {int((b - a).total_seconds() // 60) % 60 for a, b in zip(_offsets(one), _offsets(other), strict=False)}
    return found.pop() if len(found) == 1 else None


def zone_problem(policy: SnapshotPolicy, clock: str) -> tuple[str, str] | None:
    """Return why a backend whose clock is that of a zone does not take snapshots by the policy, and the way out; hours begin alike in most zones."""
    by_day = any(part is not None and part.keep for part in (policy.daily, policy.weekly, policy.monthly))
    fits = same_clock(policy.time_zone, clock) if by_day else minutes_between(policy.time_zone, clock) is not None
    if fits:
        return None
    summary = f"it takes snapshots by the clock of {clock}, and the policy is by that of {policy.time_zone}"
    return summary, f"write `timeZone: {clock}`, and times of that clock"
