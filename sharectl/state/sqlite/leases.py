"""Leases in the state file: one row for each, which tells who may write what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.canonical import canonical_json
from sharectl.model.records import Lease
from sharectl.state import lock
from sharectl.state.columns import LEASE, expect_rows
from sharectl.state.contract import LeaseLostError, LockedError, StateMovedError
from sharectl.state.lock import HeldLock, here, process_start, scope_of, status_of, timestamp
from sharectl.state.sqlite.changes import insert_rows
from sharectl.state.sqlite.errors import damaged

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, Holder, LockStatus, Scope
    from sharectl.state.lock import Clock

_SELECT: Final = f"SELECT {', '.join(LEASE.columns)} FROM lease ORDER BY token"  # noqa: S608 - constants
_RENEW: Final = "UPDATE lease SET heartbeat_at = ?, heartbeat_boottime_seconds = ?, boot_id = ?, duration_seconds = ? WHERE token = ?"


def read_leases(connection: sqlite3.Connection, clock: Clock, location: Path) -> list[LockStatus]:
    """Return the leases as they stand, the oldest first."""
    found = []
    rows = connection.execute(_SELECT).fetchall()
    expect_rows(LEASE, rows)
    for held in (HeldLock(*row) for row in rows):
        try:
            found.append(status_of(held, scope_of(held.scope), clock))
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise damaged(location, f"the record of its lock cannot be understood ({error})") from error
    return found


def take(  # noqa: PLR0913, PLR0917 - where, who, what and how long
    connection: sqlite3.Connection,
    location: Path,
    holder: Holder,
    scope: Scope,
    duration_seconds: float,
    clock: Clock,
    passing: str | None = None,
) -> Lease:
    """Write a lease in place of those that it touches; raises LockedError where one of them may not be taken over, and StateMovedError for any mark but `passing`."""
    (moved_to,) = connection.execute("SELECT moved_to FROM meta").fetchone()
    if moved_to not in {None, passing}:
        raise StateMovedError(str(location), moved_to)
    beside = set()
    for status in read_leases(connection, clock, location):
        if not scope.touches(status.scope):
            beside.add(status.token)
            continue
        if not status.expired:
            raise LockedError(str(location), status, scope)
        free(connection, status.token)
    wall, place = clock.wall(), here(clock)
    connection.execute("UPDATE meta SET last_token = max(last_token + 1, ?)", (int(wall.timestamp()),))
    (token,) = connection.execute("SELECT last_token FROM meta").fetchone()
    now = timestamp(wall)
    who = (holder.user, holder.host, holder.process_id, holder.command, process_start(holder.process_id))
    where = (place.node, place.boot_id, place.process_namespace)
    what = canonical_json({"addresses": sorted(scope.addresses), "backends": sorted(scope.backends)}).decode()
    times = (now, now, clock.boottime_seconds(), duration_seconds)
    row = (token, *who, *where, *times, what, holder.actor, holder.ci_job_url)
    insert_rows(connection, LEASE, [row])
    return Lease(token, holder, duration_seconds, scope, frozenset(beside))


def renew(connection: sqlite3.Connection, lease: Lease, clock: Clock) -> None:
    """Write a heartbeat."""
    values = (timestamp(clock.wall()), clock.boottime_seconds(), clock.boot_id(), lease.duration_seconds, lease.token)
    connection.execute(_RENEW, values)


def free(connection: sqlite3.Connection, token: int) -> bool:
    """Remove a lease; return whether it was there."""
    return connection.execute("DELETE FROM lease WHERE token = ?", (token,)).rowcount == 1


def expect_held(connection: sqlite3.Connection, lease: Lease, clock: Clock, location: Path) -> None:
    """Raise LeaseLostError where the lease has been taken away."""
    if connection.execute("SELECT 1 FROM lease WHERE token = ?", (lease.token,)).fetchone() is not None:
        return
    for status in read_leases(connection, clock, location):
        if status.scope.touches(lease.scope):
            who = f"{status.holder.name} (token {status.token})"
            message = f"the lock (token {lease.token}) has passed to {who}"
            raise LeaseLostError(message)
    message = f"the lock (token {lease.token}) has been taken away; nobody holds it now"
    raise LeaseLostError(message)


def expect_within(connection: sqlite3.Connection, lease: Lease, changes: Sequence[Change], location: Path) -> None:
    """Raise StateRefusedError where a change is beyond the scope of the lease."""

    def recorded(
        addresses: Collection[Address], operations: Collection[str]
    ) -> tuple[dict[Address, str | None], dict[str, tuple[Address, str | None]]]:
        backends = {
            address: backend
            for name in addresses
            for address, backend in connection.execute(
                "SELECT address, backend FROM resource WHERE address = ?", (name,)
            )
        }
        select = "SELECT address, backend FROM operation WHERE operation_id = ?"
        return backends, {name: found for name in operations for found in connection.execute(select, (name,))}

    lock.expect_within(lease, changes, recorded, str(location))
