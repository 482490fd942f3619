"""Which snapshot policies volumes follow, and what the array has taken by them, as it was read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.snapshot_times import (
    NO_POLICY,
    next_due,
    policy_in,
    policy_name,
    same_cron,
    times_of,
    with_counts,
)
from sharectl.model.observed import ScheduledSnapshots
from sharectl.model.time_zones import minutes_between, zone_problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.drivers.ontap.volumes import Volume
    from sharectl.model.canonical import JsonObject
    from sharectl.model.specs import SnapshotPolicy

SNAPSHOTS_NOTE: Final = "snapshots"
"""Value of a volume's note: the policy that its share was given, `-` where that has ended."""


@dataclass(frozen=True, slots=True)
class SnapshotsSeen:
    """What was read of the snapshots that the array takes by itself.

    `policies` are those of sharectl's by SVM and name, `crons` the schedules by name, `time_zone` the array's, `taken` the times of the scheduled
    snapshots by the UUIDs of their volumes.
    """

    policies: Mapping[tuple[str, str], JsonObject] = field(default_factory=dict)
    crons: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    time_zone: str | None = None
    taken: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def policy_of(self, volume: Volume) -> SnapshotPolicy | None:
        """Return the policy that a volume follows: the one that it was given, as far as the array still has it so."""
        asked = None if volume.note is None else policy_in(volume.note.values.get(SNAPSHOTS_NOTE, ""))
        minutes = None if asked is None or self.time_zone is None else minutes_between(asked.time_zone, self.time_zone)
        if asked is None or self.time_zone is None or minutes is None:
            return None
        times = times_of(asked, minutes)
        name = policy_name(times)
        if volume.value("snapshot_policy.name", NO_POLICY) != name:
            return None
        if zone_problem(asked, self.time_zone) is not None:
            return replace(asked, time_zone=self.time_zone)
        if not times:
            return asked
        record = self.policies.get((volume.svm, name))
        if record is None or record.get("enabled") is not True:
            return None
        copies = {str(copy.get("prefix")): copy for copy in record.get("copies", ())}
        counts = {
            each.interval: int(copies[each.prefix]["count"])
            for each in times
            if each.prefix in copies and same_cron(self.crons.get(schedule_of(copies[each.prefix]), {}), each.cron)
        }
        found = with_counts(asked, counts)
        return found if found != asked or len(copies) == len(times) else None

    def scheduled_of(self, volume: Volume) -> ScheduledSnapshots | None:
        """Return the scheduled snapshots of a volume; None of one that was given no policy."""
        if not has_note(volume):
            return None
        taken = sorted(self.taken.get(volume.uuid, ()))
        policy = self.policy_of(volume)
        due = None if policy is None else next_due(policy, datetime.now(UTC))
        return ScheduledSnapshots(
            len(taken), taken[0] if taken else None, taken[-1] if taken else None, None if due is None else in_utc(due)
        )


def in_utc(moment: datetime) -> str:
    """Return a moment as records of drivers have it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def has_note(volume: Volume) -> bool:
    """Tell whether a volume was ever given a policy of sharectl's."""
    return volume.note is not None and SNAPSHOTS_NOTE in volume.note.values


def taken_at(record: JsonObject) -> str:
    """Return when a snapshot was taken."""
    return in_utc(datetime.fromisoformat(record["create_time"]))


def schedule_of(copy: JsonObject) -> str:
    """Return the name of the schedule of a policy's copies."""
    return str((copy.get("schedule") or {}).get("name"))
