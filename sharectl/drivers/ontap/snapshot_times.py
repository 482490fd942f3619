"""A share's snapshot policy as an array has it: schedules, copies and names, and why it cannot have some. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.model.specs import DailySnapshots, HourlySnapshots, MonthlySnapshots, SnapshotPolicy, WeeklySnapshots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import tzinfo

    from sharectl.model.canonical import JsonObject

NO_POLICY: Final = "none"
"""The array's own policy that takes nothing."""
OWN_PREFIX: Final = "sharectl_"
MOST_COPIES: Final = 1023
LAST_DAY: Final = 28
"""The last day that each month has: the array leaves a month out that has no such day."""
INTERVALS: Final = ("hourly", "daily", "weekly", "monthly")
_WEEKDAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_CRON: Final = ("months", "weekdays", "days", "hours", "minutes")
_TEXT: Final = re.compile(
    r"(?:h(?P<h>\d+)-(?P<hm>\d\d)_)?(?:d(?P<d>\d+)-(?P<dt>\d{4})_)?(?:w(?P<w>\d+)-(?P<wd>[a-z]+)-(?P<wt>\d{4})_)?"
    r"(?:m(?P<m>\d+)-(?P<md>\d\d)-(?P<mt>\d{4})_)?(?P<zone>[A-Za-z0-9/_+-]+)?"
)
_OWN_NAME: Final = re.compile(
    rf"{OWN_PREFIX}(?=[hdwm]\d)(?:h\d+-\d\d_?)?(?:d\d+-\d{{4}}_?)?(?:w\d+-[a-z]+-\d{{4}}_?)?(?:m\d+-\d\d-\d{{4}})?"
)
_SCHEDULED: Final = re.compile(
    rf"{OWN_PREFIX}(hourly|daily|weekly|monthly)\.[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(_[0-9]{{4}})?"
)


class Times(NamedTuple):
    """When snapshots of one interval are taken, by the array's clock, and how many are kept."""

    interval: str
    keep: int
    cron: Mapping[str, Sequence[int]]

    @property
    def prefix(self) -> str:
        """How the names of the snapshots begin."""
        return f"{OWN_PREFIX}{self.interval}"

    @property
    def words(self) -> str:
        """When it is, for people."""
        return f"{self.interval} snapshots at {' '.join(_parts(self.interval, self.cron))}"

    @property
    def command(self) -> str:
        """The options of the array's own command that makes such a schedule."""
        options = {"minute": "minutes", "hour": "hours", "day": "days"}
        found = [f"-{option} {self.cron[part][0]}" for option, part in options.items() if part in self.cron]
        weekday = [f"-dayofweek {_WEEKDAYS[self.cron['weekdays'][0]].title()}"] if "weekdays" in self.cron else []
        return " ".join((*found, *weekday))

    @property
    def schedule(self) -> str:
        """The name of the schedule, where sharectl makes it."""
        return f"{OWN_PREFIX}{self.interval}_{'_'.join(_parts(self.interval, self.cron))}"


def policy_problem(policy: SnapshotPolicy) -> tuple[str, str] | None:
    """Return why no array takes snapshots so, and the way out; None where it can, as far as that is known without it."""
    kept = sum(part.keep for part in _intervals(policy).values())
    if kept > MOST_COPIES:
        return f"a volume of ONTAP has {MOST_COPIES} snapshots at most, not {kept}", "keep fewer"
    if policy.monthly is not None and policy.monthly.keep and policy.monthly.day > LAST_DAY:
        summary = f"schedules of ONTAP leave out the months that have no day {policy.monthly.day}"
        return summary, f"choose a day from 1 to {LAST_DAY}"
    return None


def times_of(policy: SnapshotPolicy, minutes_off: int = 0) -> tuple[Times, ...]:
    """Return what an array is to take; `minutes_off` is by how much the hours of its clock begin later than those of the policy's."""
    return tuple(
        Times(interval, part.keep, _cron_of(interval, part, minutes_off if interval == "hourly" else 0))
        for interval, part in _intervals(policy).items()
        if part.keep
    )


def policy_name(times: Sequence[Times]) -> str:
    """Return the name of the array's policy with these times: one for each content, whichever shares follow it."""
    if not times:
        return NO_POLICY
    return OWN_PREFIX + "_".join(
        "-".join((f"{each.interval[0]}{each.keep}", *_parts(each.interval, each.cron))) for each in times
    )


def is_own_name(name: str) -> bool:
    """Tell whether an array's policy is called as sharectl calls its own."""
    return _OWN_NAME.fullmatch(name) is not None


def is_scheduled(name: str) -> bool:
    """Tell whether a snapshot is called as those that the array takes by a policy of sharectl's."""
    return _SCHEDULED.fullmatch(name) is not None


def interval_of(name: str) -> str:
    """Return the interval of such a snapshot."""
    return name.partition(".")[0].removeprefix(OWN_PREFIX)


def same_cron(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two schedules are due at the same times."""
    return all(sorted(one.get(part) or ()) == sorted(other.get(part) or ()) for part in _CRON)


def text_of(policy: SnapshotPolicy) -> str:
    """Return the policy as the comment of a volume remembers it."""
    parts = [
        "-".join((f"{interval[0]}{part.keep}", *_parts(interval, _cron_of(interval, part))))
        for interval, part in _intervals(policy).items()
    ]
    return "_".join((*parts, policy.time_zone))


def policy_in(text: str) -> SnapshotPolicy | None:
    """Return the policy that a comment remembers; None where there is none."""
    found = _TEXT.fullmatch(text)
    if found is None or found["zone"] is None:
        return None
    return SnapshotPolicy(
        None if found["h"] is None else HourlySnapshots(int(found["h"]), int(found["hm"])),
        None if found["d"] is None else DailySnapshots(int(found["d"]), *_clock(found["dt"])),
        None if found["w"] is None else WeeklySnapshots(int(found["w"]), found["wd"], *_clock(found["wt"])),
        None if found["m"] is None else MonthlySnapshots(int(found["m"]), int(found["md"]), *_clock(found["mt"])),
        found["zone"],
    )


def with_counts(policy: SnapshotPolicy, counts: Mapping[str, int]) -> SnapshotPolicy:
    """Return the policy with the numbers that an array really keeps; an interval that it has none of keeps none."""
    from dataclasses import replace  # noqa: PLC0415 - only of what somebody changed

    changed = {interval: replace(part, keep=counts.get(interval, 0)) for interval, part in _intervals(policy).items()}
    return replace(policy, **changed)


def _intervals(policy: SnapshotPolicy) -> dict[str, Any]:
    parts = {interval: getattr(policy, interval) for interval in INTERVALS}
    return {interval: part for interval, part in parts.items() if part is not None}


def _cron_of(interval: str, part: Any, minutes_off: int = 0) -> Mapping[str, Sequence[int]]:  # noqa: ANN401 - a part of a policy
    cron: dict[str, Sequence[int]] = {"minutes": [(part.minute + minutes_off) % 60]}
    if interval != "hourly":
        cron["hours"] = [part.hour]
    if interval == "weekly":
        cron["weekdays"] = [_WEEKDAYS.index(part.weekday)]
    if interval == "monthly":
        cron["days"] = [part.day]
    return cron


def _parts(interval: str, cron: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Yield how names write a time: `05`, `0130`, `sunday-0130`, `01-0130`."""
    if interval == "hourly":
        yield f"{cron['minutes'][0]:02}"
        return
    if interval == "weekly":
        yield _WEEKDAYS[cron["weekdays"][0]]
    if interval == "monthly":
        yield f"{cron['days'][0]:02}"
    yield f"{cron['hours'][0]:02}{cron['minutes'][0]:02}"


def _clock(text: str) -> tuple[int, int]:
    return int(text[:2]), int(text[2:])


def copies_of(times: Sequence[Times], schedules: Mapping[str, str]) -> list[JsonObject]:
    """Return the copies of a request for a policy; `schedules` are the names of those to use, by intervals."""
    return [
        {"schedule": {"name": schedules[each.interval]}, "count": each.keep, "prefix": each.prefix} for each in times
    ]


def next_due(policy: SnapshotPolicy, now: datetime) -> datetime | None:
    """Return when a snapshot is taken next; None where none is."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only where a share has a policy

    zone = ZoneInfo(policy.time_zone)
    parts = {interval: part for interval, part in _intervals(policy).items() if part.keep}
    return min((_next(interval, part, zone, now) for interval, part in parts.items()), default=None)


def _next(interval: str, part: Any, zone: tzinfo, now: datetime) -> datetime:  # noqa: ANN401 - a part of a policy
    if interval == "hourly":
        start = now.replace(second=0, microsecond=0)
        moments = (start + timedelta(minutes=minutes) for minutes in range(1, 121))
        return next(moment for moment in moments if moment.astimezone(zone).minute == part.minute)
    today = now.astimezone(zone).date()
    days = (today + timedelta(days=number) for number in range(64))
    moments = (
        datetime.combine(day, time(part.hour, part.minute), zone).astimezone(UTC)
        for day in days
        if (interval != "weekly" or _WEEKDAYS[(day.weekday() + 1) % 7] == part.weekday)
        and (interval != "monthly" or day.day == part.day)
    )
    return next(moment for moment in moments if moment > now)
