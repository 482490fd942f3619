"""Leases in a state in PostgreSQL: one row for each, judged by the clock of the database alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.canonical import canonical_json
from sharectl.model.records import Lease, Promise
from sharectl.state import lock
from sharectl.state.columns import LEASE, expect_rows
from sharectl.state.contract import LeaseLostError, LockedError, StateMovedError
from sharectl.state.lock import HeldLock, here, process_start, scope_of, status_by_age
from sharectl.state.postgresql.errors import damaged
from sharectl.state.postgresql.reader import fetch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, Holder, LockStatus, Scope
    from sharectl.state.lock import Clock
    from sharectl.state.postgresql.connections import Connection

_MOMENT: Final = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
_WHO: Final = (
    'token, "user", host, process_id, command, process_started, node, boot_id, process_namespace,'
    f" {_MOMENT.format('acquired_at')}, {_MOMENT.format('heartbeat_at')},"
    " extract(epoch FROM clock_timestamp() - heartbeat_at)::double precision, duration_seconds, scope, actor, ci_job_url"
)


def read_leases(connection: Connection, schema: str, clock: Clock, location: str) -> list[LockStatus]:
    """Return the leases as they stand, the oldest first. `clock` tells where this process is, and no time."""
    rows = fetch(connection, f"SELECT {_WHO} FROM {schema}.lease ORDER BY token")  # noqa: S608 - constants, and a checked name
    expect_rows(LEASE, rows)
    found = []
    for held in (HeldLock(*row) for row in rows):
        try:
            found.append(status_by_age(held, scope_of(held.scope), held.heartbeat_boottime_seconds, clock))
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise damaged(location, f"the record of its lock cannot be understood ({error})") from error
    return found


class Request(NamedTuple):
    """Who wants a lease, on what and for how long. By its id a request is known that is made again, because its answer was lost."""

    request_id: UUID
    holder: Holder
    scope: Scope
    duration_seconds: float

    def granted(self, token: int, beside: frozenset[int]) -> Lease:
        """Return the lease that was asked for."""
        return Lease(token, self.holder, self.duration_seconds, self.scope, beside)


def take(  # noqa: PLR0913, PLR0917 - where, who and what, by whose clock
    connection: Connection, schema: str, location: str, request: Request, clock: Clock, passing: str | None = None
) -> Lease:
    """Write a lease in place of those that it touches; raises LockedError where one of them may not be taken over, and StateMovedError for any mark but `passing`.

    Who asks at the same moment waits for the row of `meta`. Removing a lease waits for the commits that are made under it.
    """
    holder, scope = request.holder, request.scope
    for (moved_to,) in fetch(connection, f"SELECT moved_to FROM {schema}.meta FOR NO KEY UPDATE"):  # noqa: S608 - a checked name
        if moved_to not in {None, passing}:
            raise StateMovedError(location, moved_to)
    select = f"SELECT token FROM {schema}.lease WHERE request_id = %s"  # noqa: S608 - a checked name
    for (token,) in fetch(connection, select, (request.request_id,)):
        held = read_leases(connection, schema, clock, location)
        return request.granted(token, frozenset(status.token for status in held if status.token < token))
    beside = set()
    for status in read_leases(connection, schema, clock, location):
        if not scope.touches(status.scope):
            beside.add(status.token)
            continue
        if not status.expired:
            raise LockedError(location, status, scope)
        free(connection, schema, status.token)
    update = (
        f"UPDATE {schema}.meta SET last_token = greatest(last_token + 1, extract(epoch FROM clock_timestamp())::bigint)"  # noqa: S608 - a checked name
        " RETURNING last_token"
    )
    token = int(fetch(connection, update)[0][0])
    place = here(clock)
    who = (holder.user, holder.host, holder.process_id, holder.command, process_start(holder.process_id))
    what = canonical_json({"addresses": sorted(scope.addresses), "backends": sorted(scope.backends)}).decode()
    insert = (
        f'INSERT INTO {schema}.lease (token, "user", host, process_id, command, process_started, node, boot_id,'  # noqa: S608 - a checked name
        " process_namespace, acquired_at, heartbeat_at, duration_seconds, scope, request_id, actor, ci_job_url)"
        f" SELECT {', '.join(['%s'] * 9)}, now, now, %s, %s, %s, %s, %s FROM clock_timestamp() AS now"
    )
    where = (place.node, place.boot_id, place.process_namespace)
    rest = (request.duration_seconds, what, request.request_id, holder.actor, holder.ci_job_url)
    connection.execute(insert.encode(), (token, *who, *where, *rest))
    return request.granted(token, frozenset(beside))


def renew(connection: Connection, schema: str, lease: Lease) -> bool:
    """Write a heartbeat; return whether the lease is still held."""
    update = f"UPDATE {schema}.lease SET heartbeat_at = clock_timestamp(), duration_seconds = %s WHERE token = %s"  # noqa: S608 - a checked name
    return connection.execute(update, (lease.duration_seconds, lease.token)).rowcount == 1


def free(connection: Connection, schema: str, token: int) -> bool:
    """Remove a lease; return whether it was there."""
    delete = f"DELETE FROM {schema}.lease WHERE token = %s"  # noqa: S608 - a checked name
    return connection.execute(delete, (token,)).rowcount == 1


def promise(  # noqa: PLR0913, PLR0917 - where, whose and what, by whose clock
    connection: Connection,
    schema: str,
    lease: Lease,
    room: Mapping[tuple[str, str], int],
    clock: Clock,
    location: str,
) -> list[Promise]:
    """Make `room` all that is promised under the lease, one run after another; return what others have promised."""
    connection.execute(f"SELECT 1 FROM {schema}.meta FOR NO KEY UPDATE")  # noqa: S608 - a checked name
    if not fetch(connection, f"SELECT 1 FROM {schema}.lease WHERE token = %s FOR KEY SHARE", (lease.token,)):  # noqa: S608 - a checked name
        raise lost(connection, schema, lease, clock, location)
    connection.execute(f"DELETE FROM {schema}.promise WHERE token = %s", (lease.token,))  # noqa: S608 - as above
    wanted = [(backend, pool, size) for (backend, pool), size in sorted(room.items()) if size > 0]
    columns: list[list[object]] = [[row[column] for row in wanted] for column in range(3)]
    insert = (
        f"INSERT INTO {schema}.promise (token, backend, pool, bytes)"  # noqa: S608 - as above
        " SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::bigint[])"
    )
    connection.execute(insert.encode(), (lease.token, *columns))
    found = read_promises(connection, schema, clock, location)
    return [each for each in found if each.status.token != lease.token]


def read_promises(connection: Connection, schema: str, clock: Clock, location: str) -> list[Promise]:
    """Return what is promised under leases that have not run out."""
    select = f"SELECT token, backend, pool, bytes FROM {schema}.promise ORDER BY token, backend, pool"  # noqa: S608 - a checked name
    rows = fetch(connection, select)
    if not rows:
        return []
    living = {each.token: each for each in read_leases(connection, schema, clock, location) if not each.expired}
    return [Promise(backend, pool, size, living[token]) for token, backend, pool, size in rows if token in living]


def lost(connection: Connection, schema: str, lease: Lease, clock: Clock, location: str) -> LeaseLostError:
    """Return the error for a lease that has been taken away."""
    for status in read_leases(connection, schema, clock, location):
        if status.scope.touches(lease.scope):
            who = f"{status.holder.name} (token {status.token})"
            return LeaseLostError(f"the lock (token {lease.token}) has passed to {who}")
    return LeaseLostError(f"the lock (token {lease.token}) has been taken away; nobody holds it now")


def expect_within(connection: Connection, schema: str, lease: Lease, changes: Sequence[Change], location: str) -> None:
    """Raise StateRefusedError where a change is beyond the scope of the lease."""

    def recorded(
        addresses: Collection[Address], operations: Collection[str]
    ) -> tuple[Mapping[Address, str | None], Mapping[str, tuple[Address, str | None]]]:
        select = f"SELECT address, backend FROM {schema}.resource WHERE address = ANY(%s)"  # noqa: S608 - a checked name
        rows = fetch(connection, select, (list(addresses),)) if addresses else []
        select = f"SELECT operation_id, address, backend FROM {schema}.operation WHERE operation_id = ANY(%s)"  # noqa: S608 - a checked name
        begun = fetch(connection, select, (list(operations),)) if operations else []
        return dict(rows), {name: (address, backend) for name, address, backend in begun}

    lock.expect_within(lease, changes, recorded, location)
