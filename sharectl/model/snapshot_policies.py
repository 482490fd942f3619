"""Snapshot policies: when a share's storage takes snapshots by itself, and how many of them it keeps."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from sharectl.model.codec import Spec
from sharectl.model.fields import ruled
from sharectl.model.frozen import dataclass, field

DEFAULT_TIME_ZONE: Final = "UTC"


class Weekday(StrEnum):
    """The days of a week, in the order of `datetime.weekday`."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


@dataclass(frozen=True, slots=True)
class HourlySnapshots:
    """One snapshot each hour, `minute` minutes past it; the newest `keep` are kept, and with 0 none is taken."""

    keep: int
    minute: int = 0


@dataclass(frozen=True, slots=True)
class DailySnapshots:
    """One snapshot each day; `keep` as of hourly ones."""

    keep: int
    hour: int = 0
    minute: int = 0


@dataclass(frozen=True, slots=True)
class WeeklySnapshots:
    """One snapshot each week; `keep` as of hourly ones."""

    keep: int
    weekday: str = field(default=Weekday.SUNDAY, metadata=ruled(choices=Weekday))
    hour: int = 0
    minute: int = 0


@dataclass(frozen=True, slots=True)
class MonthlySnapshots:
    """One snapshot each month, on its last day where it has no such `day`; `keep` as of hourly ones."""

    keep: int
    day: int = field(default=1, metadata=ruled(minimum=1))
    hour: int = 0
    minute: int = 0


@dataclass(frozen=True, slots=True)
class SnapshotPolicy(Spec):
    """When snapshots are taken, by the wall clock of a time zone of IANA's database. One without any interval takes none."""

    hourly: HourlySnapshots | None = None
    daily: DailySnapshots | None = None
    weekly: WeeklySnapshots | None = None
    monthly: MonthlySnapshots | None = None
    time_zone: str = DEFAULT_TIME_ZONE

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is taken by it, and nothing is let go of."""
        return self.hourly is None and self.daily is None and self.weekly is None and self.monthly is None


def policy_in_force(own: SnapshotPolicy | None, of_type: SnapshotPolicy | None) -> SnapshotPolicy | None:
    """Return the policy of a share: its own goes before that of its type, also where it is empty."""
    policy = of_type if own is None else own
    return None if policy is None or policy.is_empty else policy
