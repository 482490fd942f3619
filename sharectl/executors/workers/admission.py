"""What lets a role of the database serve a backend, with sessions that are in nobody's way for long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg import errors, sql

from sharectl.executors.workers.tables import grant

if TYPE_CHECKING:
    from psycopg import Connection

_LIMITS: Final = {"idle_in_transaction_session_timeout": "10s", "statement_timeout": "60s", "lock_timeout": "15s"}
"""What the sessions of a worker's role begin with, so that one that dies or hangs in a transaction is not in the way for longer."""


def admit(connection: Connection[Any], schema: str, role: str, backend: str) -> str:
    """Let the database's role serve the backend as a worker, which reads and writes no table.

    Returns the statement that somebody with more rights has to execute, so that its sessions are limited; empty where that is done.
    """
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    with connection.transaction():
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {schema} TO {role}").format(**names))
        grant(connection, names["schema"], role)
        insert = sql.SQL("INSERT INTO {schema}.worker_role VALUES (%s, %s) ON CONFLICT DO NOTHING").format(**names)
        connection.execute(insert, (role, backend))
    database = sql.Identifier(connection.info.dbname)
    limits = [
        sql.SQL("ALTER ROLE {role} IN DATABASE {database} SET {name} = {value}").format(
            **names, database=database, name=sql.Identifier(name), value=sql.Literal(value)
        )
        for name, value in _LIMITS.items()
    ]
    try:
        with connection.transaction():
            for limit in limits:
                connection.execute(limit)
    except errors.InsufficientPrivilege:
        is_set = _limits_of(connection, role)
        return "; ".join(
            limit.as_string(connection) for limit, name in zip(limits, _LIMITS, strict=True) if name not in is_set
        )
    return ""


def _limits_of(connection: Connection[Any], role: str) -> frozenset[str]:
    """Return the limits that the role has in this database already, whatever their values: somebody has chosen them."""
    rows = connection.execute(
        "SELECT unnest(setconfig) FROM pg_catalog.pg_db_role_setting"
        " JOIN pg_catalog.pg_roles ON pg_roles.oid = setrole JOIN pg_catalog.pg_database ON pg_database.oid = setdatabase"
        " WHERE rolname = %s AND datname = current_database()",
        (role,),
    )
    return frozenset(setting.partition("=")[0] for (setting,) in rows)
