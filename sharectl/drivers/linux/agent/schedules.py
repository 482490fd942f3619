"""Snapshots that are taken by the policies of shares, and let go of by their number."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import Hindrance, Problem, ProblemKind
from sharectl.drivers.linux.agent.due_times import INTERVALS, UnknownZoneError, latest_due, next_due, zone_named
from sharectl.drivers.linux.agent.holdings import Holdings
from sharectl.drivers.linux.agent.host.daemons import locked
from sharectl.drivers.linux.agent.host.system_errors import told_as
from sharectl.drivers.linux.agent.locks import changes_lock, resource_locked_within
from sharectl.drivers.linux.agent.schedule_records import Schedule, ScheduledSnapshot, ScheduleRecords

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.rows import ShareRow
    from sharectl.drivers.linux.agent.versions import Versions
    from sharectl.drivers.linux.agent.volumes.contract import VolumePool
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom

_LOCK_SECONDS: Final = 3.0
_BACKWARD_SECONDS: Final = 900
"""A clock that was put back by less has not shown the times in between for the first time."""


class Schedules:
    """The snapshot policies of one backend."""

    def __init__(self, root: str, records: Records, pools: PoolRoom, versions: Versions) -> None:
        """Touch nothing."""
        self._versions = versions
        self._root = root
        self._records = records
        self._pools = pools
        self._holdings = Holdings(records, pools)
        self._schedules = ScheduleRecords(records)

    def set_policy(self, share_id: str, policy: Mapping[str, Any] | None, now: datetime) -> None:
        """Take snapshots of a share by this policy from now on, by none where it is None; those that were taken stay."""
        if policy is None:
            self._holdings.known_share(share_id)
        else:
            _require_snapshots(*self._holdings.present(share_id), policy)
        self._schedules.set_policy(share_id, policy, int(now.timestamp()))

    def hindrances(self, *, is_watched: bool) -> list[Hindrance]:
        """Return what to say of snapshots that are not taken."""
        schedules = self._schedules.at_work() if self._records.exists() else []
        if not schedules:
            return []
        count = f"{len(schedules)} share{'' if len(schedules) == 1 else 's'}"
        found = []
        if not is_watched:
            remedy = "let somebody watch over its servers (`supervisor` of the backend), who takes them too"
            found.append(Hindrance(f"nobody takes the snapshots that are due by the policies of {count}", remedy))
        failed = [schedule for schedule in schedules if schedule.failure]
        if failed:
            more = f" (and of {len(failed) - 1} more)" if len(failed) > 1 else ""
            name = self._name(failed[0])
            summary = f"the snapshot of the share {name}{more} that is due could not be taken: {failed[0].failure}"
            found.append(Hindrance(summary, "see to that; the storage host tries again by itself"))
        return found

    def keep(self, now: datetime) -> list[str]:
        """Take what is due at `now`, each share for itself, and let go of what is too many; return what could not be done, for people.

        Whatever was missed since a share's last snapshot is made good by one.
        """
        if not self._records.exists():
            return []
        problems = []
        latest: dict[tuple[str, str], int] = {}
        for schedule in self._schedules.at_work():
            try:
                if schedule.is_settled and not _due(schedule, now, latest):
                    continue
                with told_as("taking snapshots"):
                    self._keep(schedule.share_id, now)
            except (Problem, UnknownZoneError) as problem:
                text = str(problem) if isinstance(problem, Problem) else _unknown_zone(problem)
                problems.append(f"snapshots of the share {self._name(schedule)}: {text}")
                if text != schedule.failure:
                    with suppress(Problem):  # the records are on a disk of their own, which may be full as well
                        self._schedules.settle(schedule.share_id, text)
        return problems

    def discard(self, row: ShareRow, pool: VolumePool) -> None:
        """Remove all scheduled snapshots of a share that is removed itself."""
        self._schedules.set_policy(row.resource_id, None, 0)
        for snapshot in self._schedules.snapshots(row.resource_id):
            # Without an identity it may have been taken by a process that was killed before it could say so.
            pool.delete_snapshot(snapshot.resource_id, snapshot.identity)
            self._schedules.remove(snapshot.resource_id)

    def _keep(self, share_id: str, now: datetime) -> None:
        """Do for one share what is to be done, unless somebody is at work on it."""
        with (
            locked(changes_lock(self._root), shared=True),
            resource_locked_within(self._root, share_id, _LOCK_SECONDS) as is_mine,
        ):
            if not is_mine or not self._schedules.at_work(share_id):
                return
            row, pool = self._holdings.present(share_id)
            self._reconcile(share_id, pool)
            for schedule in self._schedules.at_work(share_id):
                if intervals := _due(schedule, now, {}):
                    self._take(row, pool, intervals, now)
                self._let_go(schedule, pool)
                self._schedules.settle(share_id)
            self._versions.refresh(share_id)

    def _name(self, schedule: Schedule) -> str:
        row = self._records.share(schedule.share_id)
        return repr(schedule.share_id if row is None else row.export_name)

    def _reconcile(self, share_id: str, pool: VolumePool) -> None:
        """Hold the records against the snapshots that are there: one that was cut short is recorded, or was never taken."""
        rows = self._schedules.snapshots(share_id)
        for snapshot in rows:
            found = pool.identify_snapshot(snapshot.resource_id)
            if snapshot.identity is None and found is not None:
                self._schedules.finish(snapshot.resource_id, found)
            elif snapshot.identity is None:
                others = [each for each in rows if each.identity is not None]
                handled = {
                    interval: max((each.taken_at for each in others if interval in each.intervals), default=0)
                    for interval in snapshot.intervals
                }
                self._schedules.give_up(snapshot, handled)
            elif found != snapshot.identity:
                self._schedules.remove(snapshot.resource_id)

    def _take(self, row: ShareRow, pool: VolumePool, intervals: Sequence[str], now: datetime) -> None:
        # The record comes first, so that a snapshot which is taken before a crash is found by its id.
        resource_id = str(uuid.uuid4())
        self._schedules.begin(
            ScheduledSnapshot(0, resource_id, row.resource_id, row.pool, tuple(intervals), int(now.timestamp()), None)
        )
        self._schedules.finish(resource_id, pool.create_snapshot(row.volume, resource_id, row.identity))

    def _let_go(self, schedule: Schedule, pool: VolumePool) -> None:
        """Remove what no interval keeps any more. One that has left the policy keeps what it has."""
        rows = self._schedules.snapshots(schedule.share_id)
        kept: dict[str, set[str]] = {row.resource_id: set(row.intervals) for row in rows}
        for interval in INTERVALS:
            part = schedule.policy.get(interval)
            of_interval = [row.resource_id for row in reversed(rows) if interval in row.intervals]
            for resource_id in of_interval[part["keep"] :] if part else ():
                kept[resource_id].discard(interval)
        for row in rows:
            if kept[row.resource_id] != set(row.intervals):
                self._schedules.keep_for(row.resource_id, [each for each in INTERVALS if each in kept[row.resource_id]])
        gone = [row for row in rows if not kept[row.resource_id]]
        if gone:
            self._versions.refresh(schedule.share_id)  # what clients look into is not removed under their feet
        for row in gone:
            pool.delete_snapshot(row.resource_id, row.identity)
            self._schedules.remove(row.resource_id)


class ScheduleListing:
    """What listings tell of the policies of shares and of the snapshots that were taken by them."""

    def __init__(self, records: Records, share_ids: Collection[str] | None, now: datetime) -> None:
        """Read it of all shares, or of these."""
        schedules = ScheduleRecords(records)
        self._policies = {each.share_id: each.policy for each in schedules.schedules(share_ids)}
        self._totals = schedules.totals(share_ids)
        self._now = now
        self._next: dict[str, str | None] = {}

    def policy(self, share_id: str) -> Mapping[str, Any] | None:
        """Return the policy by which snapshots of the share are taken."""
        return self._policies.get(share_id)

    def snapshots(self, share_id: str) -> dict[str, Any] | None:
        """Return what there is, field for field a ScheduledSnapshots of the model; None where there is neither a policy nor a snapshot."""
        policy, totals = self._policies.get(share_id), self._totals.get(share_id)
        if policy is None and totals is None:
            return None
        return {
            "number": 0 if totals is None else totals.number,
            "oldest": None if totals is None else _told(totals.oldest),
            "newest": None if totals is None else _told(totals.newest),
            "next_due": None if policy is None else self._next_due(policy),
        }

    def _next_due(self, policy: Mapping[str, Any]) -> str | None:
        key = str(policy)
        if key not in self._next:
            try:
                dues = [next_due(interval, policy, self._now) for interval in INTERVALS]
            except UnknownZoneError:
                dues = []
            first = min((due for due in dues if due is not None), default=None)
            self._next[key] = None if first is None else _told(int(first.timestamp()))
        return self._next[key]


def _told(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="seconds")


def _due(schedule: Schedule, now: datetime, latest: dict[tuple[str, str], int]) -> list[str]:
    """Return the intervals of which a snapshot is due; `latest` remembers due times for the shares that have the same policy."""
    found = []
    for interval in INTERVALS:
        key = (str(schedule.policy), interval)
        if key not in latest:
            due = latest_due(interval, schedule.policy, now)
            latest[key] = 0 if due is None else int(due.timestamp())
        handled = schedule.handled[interval]
        is_ahead = handled > int(now.timestamp()) + _BACKWARD_SECONDS  # the clock was wrong then
        if latest[key] and (handled < latest[key] or is_ahead):
            found.append(interval)
    return found


def _require_snapshots(row: ShareRow, pool: VolumePool, policy: Mapping[str, Any]) -> None:
    """Raise REFUSED where the pool takes no snapshots, or the host does not know the time zone of the policy."""
    if "snapshots" not in pool.features:
        message = f"the pool {pool.name!r}, in which the share {row.export_name!r} is, takes no snapshots, so that its snapshotPolicy cannot be followed"
        raise Problem(ProblemKind.REFUSED, message)
    try:
        zone_named(policy.get("time_zone", "UTC"))
    except UnknownZoneError as error:
        raise Problem(ProblemKind.REFUSED, _unknown_zone(error)) from error


def _unknown_zone(error: Exception) -> str:
    return f"the storage host does not know the time zone {str(error)!r}; install tzdata there, or name another"
