"""What takes a worker's right away again: its role claims nothing more, or loses what it has claimed, too, and its sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg import sql

from sharectl.executors.workers.claims import ClaimsUnavailableError, NotAdmittedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection

    from sharectl.executors.workers.claims import Requests

_LOOK_AGAIN_SECONDS: Final = 1.0
"""A claim takes far less: what is held then as it was before is held by somebody who does not let go."""
_END_MILLISECONDS: Final = 5000
_TRIES: Final = 3

_UNDER_WAY: Final = """
SELECT count(*)::integer FROM {schema}.call JOIN {schema}.worker USING (worker_id)
WHERE role = %s AND worker.backend = %s AND finished_at IS NULL AND lease_until > clock_timestamp()
"""
_HELD: Final = """
SELECT pid, usename::text, coalesce(host(client_addr), client_hostname, ''), locktype = 'advisory',
    extract(epoch FROM clock_timestamp() - xact_start)::float8, virtualtransaction
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND locktype IN ('transactionid', 'advisory') AND datname = current_database() AND pid <> pg_backend_pid()
    AND (usename IN (SELECT role FROM {schema}.worker_role) OR usename IN (SELECT role FROM {schema}.worker))
    AND NOT pg_has_role(usesysid, (SELECT relowner FROM pg_class WHERE oid = '{schema}.call'::regclass), 'MEMBER')
"""
"""What anybody may see of the sessions of workers' roles: who holds locks; since when, whoever may read that of others."""
_END: Final = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, %s))::integer FROM pg_stat_activity
WHERE datname = current_database() AND usename = %s AND pid <> pg_backend_pid()
"""

_IS_OWNER: Final = """
SELECT pg_has_role(pg_roles.oid, relowner, 'MEMBER') FROM pg_roles, pg_class
WHERE rolname = %s AND pg_class.oid = '{schema}.call'::regclass
"""


_WAS_ADMITTED: Final = """
SELECT EXISTS (SELECT FROM {schema}.worker WHERE role = %(role)s) OR EXISTS (
    SELECT FROM pg_roles JOIN pg_namespace ON nspname = {name}, aclexplode(nspacl) AS given
    WHERE rolname = %(role)s AND grantee = pg_roles.oid AND privilege_type = 'USAGE'
        AND NOT has_table_privilege(rolname, '{schema}.meta', 'SELECT')
)
"""
"""What is left of an admission when everything else was taken away is its own right to look into the schema, and into no table of it."""


class HoldingSession(NamedTuple):
    """A session of a worker's role that holds on to what others wait for; seconds are those of its transaction (None: not to be seen)."""

    process_id: int
    role: str
    client: str
    is_advisory: bool
    transaction_seconds: float | None


class MayNotEndError(Exception):
    """The database does not let this role end the sessions of another."""


def holding_sessions(requests: Requests, wait: Callable[[float], object]) -> list[HoldingSession]:
    """Return the sessions that hold locks for longer than any request of a worker does. Raises as Requests.owned."""
    before = _held(requests)
    if not before:
        return []
    wait(_LOOK_AGAIN_SECONDS)
    found = {session.process_id: session for held, session in _held(requests).items() if held in before}
    return [found[process_id] for process_id in sorted(found)]


def _held(requests: Requests) -> dict[tuple[object, ...], HoldingSession]:
    """Return what sessions of workers' roles hold, each by what stays the same as long as they hold on to it."""
    with requests.owned() as connection:
        rows = connection.execute(sql.SQL(_HELD).format(schema=requests.schema)).fetchall()
    rows.sort(key=lambda row: not row[3])  # a transaction that claims has both
    return {(row[0], row[3], row[5]): HoldingSession(*row[:5]) for row in rows}


def has_rights_of_owner(requests: Requests, role: str) -> bool:
    """Tell whether the role serves every backend, whoever admits or dismisses it. Raises as Requests.owned."""
    with requests.owned() as connection:
        row = connection.execute(sql.SQL(_IS_OWNER).format(schema=requests.schema), (role,)).fetchone()
        return row is not None and bool(row[0])


def was_admitted(requests: Requests, role: str) -> bool:
    """Tell whether the role has ever been one of workers, as far as that is known. Raises as Requests.owned."""
    query = sql.SQL(_WAS_ADMITTED).format(schema=requests.schema, name=sql.Literal(requests.schema_name))
    with requests.owned() as connection:
        row = connection.execute(query, {"role": role}).fetchone()
        return row is not None and bool(row[0])


def dismiss(requests: Requests, role: str, backend: str) -> tuple[bool, int]:
    """Let the role claim no more calls of the backend; return whether it might, and how many it still makes. Raises as Requests.owned."""
    with requests.owned() as connection:
        delete = sql.SQL("DELETE FROM {schema}.worker_role WHERE role = %s AND backend = %s").format(
            schema=requests.schema
        )
        might = connection.execute(delete, (role, backend)).rowcount > 0
        (under_way,) = connection.execute(
            sql.SQL(_UNDER_WAY).format(schema=requests.schema), (role, backend)
        ).fetchone() or (0,)
    return might, under_way


def take_away(requests: Requests, role: str, backend: str) -> int:
    """Let the role, once dismissed, renew and finish nothing of the backend any more; return how many of its sessions were ended.

    Raises MayNotEndError where all is done but that, and as Requests.owned.
    """
    ended, refusal = 0, None
    for tries_left in reversed(range(_TRIES)):
        try:
            ended += _end_sessions(requests, role)
        except NotAdmittedError as problem:
            refusal = problem
        try:
            _forget(requests, role, backend)
            break
        except ClaimsUnavailableError:  # another session of the role was quicker to lock what is to go
            if refusal is not None or not tries_left:
                raise
    if refusal is not None:
        raise MayNotEndError(str(refusal)) from refusal
    return ended


def _end_sessions(requests: Requests, role: str) -> int:
    with requests.connection() as connection:
        (ended,) = connection.execute(_END, (_END_MILLISECONDS, role)).fetchone() or (0,)
        return int(ended)


def _forget(requests: Requests, role: str, backend: str) -> None:
    with requests.owned() as connection:
        _revoke(connection, requests.schema, role)
        delete = sql.SQL("DELETE FROM {schema}.worker WHERE role = %s AND backend = %s").format(schema=requests.schema)
        connection.execute(delete, (role, backend))


def _revoke(connection: Connection[Any], schema: sql.Identifier, role: str) -> None:
    """Take the functions away from a role that is there and serves no other backend."""
    query = sql.SQL(
        "SELECT FROM pg_roles WHERE rolname = %(role)s AND NOT EXISTS (SELECT FROM {schema}.worker_role WHERE role = %(role)s)"
    )
    if connection.execute(query.format(schema=schema), {"role": role}).fetchone() is None:
        return
    revoke = sql.SQL("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} FROM {role}")
    connection.execute(revoke.format(schema=schema, role=sql.Identifier(role)))
