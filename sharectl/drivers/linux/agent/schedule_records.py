"""What the agent keeps of snapshot policies, and of the snapshots that were taken by them: tables of the file of records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.drivers.linux.agent.due_times import INTERVALS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping

    from sharectl.drivers.linux.agent.database import Database

_SNAPSHOTS: Final = "SELECT number, resource_id, share_id, pool, intervals, taken_at, identity FROM scheduled_snapshot"
_SCHEDULES: Final = "SELECT share_id, policy, handled, is_settled, failure FROM schedule"
_AT_WORK: Final = f"""
{_SCHEDULES} JOIN share ON resource_id = share_id
WHERE is_made AND NOT is_removing AND trashed_at IS NULL AND suspended IS NULL AND next_identity IS NULL
"""
"""Nothing is taken of a share in the trash, nor while it is turned back, and nothing is let go of."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The policy of a share. `handled` says of each interval until when all that was due has been seen to (seconds since 1970).

    It `is_settled` where nothing is left to do until something is due. `failure` is why what was due last could not be taken.
    """

    share_id: str
    policy: Mapping[str, Any]
    handled: Mapping[str, int]
    is_settled: bool = False
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduledSnapshot:
    """A snapshot that was taken by a policy for one or several intervals; numbers grow. Without an `identity` it may not be there yet."""

    number: int
    resource_id: str
    share_id: str
    pool: str
    intervals: tuple[str, ...]
    taken_at: int
    identity: str | None


class ScheduleTotals(NamedTuple):
    """How many snapshots of a share were taken by its policy and are kept, and when the oldest and the newest were taken."""

    number: int
    oldest: int
    newest: int


class ScheduleRecords:
    """The policies and scheduled snapshots of one backend."""

    def __init__(self, database: Database) -> None:
        """Read nothing yet."""
        self._database = database

    def set_policy(self, share_id: str, policy: Mapping[str, Any] | None, now: int) -> None:
        """Remember the policy of a share, None for none. What was due before `now` by another time of day is not caught up on."""
        with self._database.transaction() as connection:
            before = self.schedule(share_id)
            if policy is None:
                connection.execute("DELETE FROM schedule WHERE share_id = ?", (share_id,))
            elif before is None or before.policy != policy:
                handled = {
                    interval: now
                    if before is None or _times(before.policy, interval) != _times(policy, interval)
                    else before.handled[interval]
                    for interval in INTERVALS
                }
                connection.execute(
                    "INSERT OR REPLACE INTO schedule VALUES (?, ?, ?, 0, NULL)",
                    (share_id, json.dumps(policy, sort_keys=True), json.dumps(handled)),
                )

    def schedule(self, share_id: str) -> Schedule | None:
        """Return the policy of a share."""
        return next(iter(self._schedules(f"{_SCHEDULES} WHERE share_id = ?", (share_id,))), None)

    def schedules(self, share_ids: Collection[str] | None = None) -> list[Schedule]:
        """Return all policies, or those of these shares."""
        if share_ids is None:
            return self._schedules(_SCHEDULES)
        wanted = json.dumps(sorted(share_ids))
        return self._schedules(f"{_SCHEDULES} WHERE share_id IN (SELECT value FROM json_each(?))", (wanted,))  # noqa: S608 - constants

    def at_work(self, share_id: str | None = None) -> list[Schedule]:
        """Return the policies of the shares that are there and at rest, or of this one, if it is."""
        return (
            self._schedules(_AT_WORK)
            if share_id is None
            else self._schedules(f"{_AT_WORK} AND share_id = ?", (share_id,))
        )

    def begin(self, snapshot: ScheduledSnapshot) -> None:
        """Remember a snapshot that is taken next, and that its intervals have been seen to."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO scheduled_snapshot (resource_id, share_id, pool, intervals, taken_at) VALUES (?, ?, ?, ?, ?)",
                (
                    snapshot.resource_id,
                    snapshot.share_id,
                    snapshot.pool,
                    json.dumps(snapshot.intervals),
                    snapshot.taken_at,
                ),
            )
            self._put_handled(connection, snapshot.share_id, dict.fromkeys(snapshot.intervals, snapshot.taken_at))

    def finish(self, resource_id: str, identity: str) -> None:
        """Remember that the snapshot is there."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE scheduled_snapshot SET identity = ? WHERE resource_id = ?", (identity, resource_id)
            )

    def give_up(self, snapshot: ScheduledSnapshot, handled: Mapping[str, int]) -> None:
        """Forget a snapshot that was never taken; its intervals have been seen to until `handled` again."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM scheduled_snapshot WHERE resource_id = ?", (snapshot.resource_id,))
            self._put_handled(connection, snapshot.share_id, handled)

    def keep_for(self, resource_id: str, intervals: Iterable[str]) -> None:
        """Keep a snapshot for these intervals alone; for none, it is to go."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE scheduled_snapshot SET intervals = ? WHERE resource_id = ?",
                (json.dumps(list(intervals)), resource_id),
            )

    def remove(self, resource_id: str) -> None:
        """Forget a snapshot that is gone."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM scheduled_snapshot WHERE resource_id = ?", (resource_id,))

    def settle(self, share_id: str, failure: str | None = None) -> None:
        """Remember that nothing is left to do until something is due; or why what is due could not be done."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE schedule SET is_settled = ?, failure = ? WHERE share_id = ?",
                (failure is None, failure, share_id),
            )

    def snapshots(self, share_id: str) -> list[ScheduledSnapshot]:
        """Return the scheduled snapshots of a share in the order in which they were taken."""
        rows = self._database.query(f"{_SNAPSHOTS} WHERE share_id = ? ORDER BY number", (share_id,))
        return [
            ScheduledSnapshot(number, resource_id, share, pool, tuple(json.loads(intervals)), taken_at, identity)
            for number, resource_id, share, pool, intervals, taken_at, identity in rows
        ]

    def totals(self, share_ids: Collection[str] | None = None) -> dict[str, ScheduleTotals]:
        """Return how many each share has, or each of these; those that have none are left out."""
        narrowed = "" if share_ids is None else " AND share_id IN (SELECT value FROM json_each(?))"
        rows = self._database.query(
            "SELECT share_id, COUNT(*), MIN(taken_at), MAX(taken_at) FROM scheduled_snapshot"  # noqa: S608 - constants
            f" WHERE identity IS NOT NULL{narrowed} GROUP BY share_id",
            () if share_ids is None else (json.dumps(sorted(share_ids)),),
        )
        return {share_id: ScheduleTotals(*totals) for share_id, *totals in rows}

    def _schedules(self, statement: str, parameters: tuple[str, ...] = ()) -> list[Schedule]:
        return [
            Schedule(share_id, json.loads(policy), json.loads(handled), bool(is_settled), failure)
            for share_id, policy, handled, is_settled, failure in self._database.query(statement, parameters)
        ]

    def _put_handled(self, connection: sqlite3.Connection, share_id: str, handled: Mapping[str, int]) -> None:
        schedule = self.schedule(share_id)
        if schedule is not None:
            connection.execute(
                "UPDATE schedule SET handled = ?, is_settled = 0 WHERE share_id = ?",
                (json.dumps({**schedule.handled, **handled}), share_id),
            )


def _times(policy: Mapping[str, Any], interval: str) -> tuple[Any, ...]:
    """Return what decides when snapshots of an interval are due, whatever is kept."""
    part = policy.get(interval) or {}
    times = {name: value for name, value in part.items() if name != "keep"}
    return bool(part.get("keep")), times, policy.get("time_zone")
