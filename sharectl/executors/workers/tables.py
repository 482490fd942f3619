"""The tables and functions by which workers claim calls, in the schema of the state.

Functions run with the rights of the owner of the schema. A worker's role may call seven of them and touch no table: each looks
which backends the role of the session serves, so that whoever has the password of one worker can do nothing in the name of another.
All times are the database's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from sharectl.model.settings import LONGEST_LEASE_SECONDS
from sharectl.state.contract import StateNewerError

if TYPE_CHECKING:
    from psycopg import Connection

FORMAT: Final = 1
"""The version of these tables; it stands in a comment on the table of calls."""
_MARK: Final = "sharectl workers {}"

FUNCTIONS: Final = 5
"""The version of the functions, in a comment on that which claims (none: 1); older ones are replaced, newer ones are left."""
_FUNCTIONS_MARK: Final = "sharectl functions {}"

QUESTIONS_AT_ONCE: Final = 2
"""How many questions each backend is asked at once, besides the calls of steps, so that they do not wait for steps of hours."""

_TABLES: Final = """
CREATE TABLE {schema}.worker_role (
    role name NOT NULL,
    backend text NOT NULL,
    PRIMARY KEY (role, backend)
);
CREATE TABLE {schema}.worker (
    worker_id text PRIMARY KEY,
    role name NOT NULL,
    backend text NOT NULL,
    host text NOT NULL,
    process_id integer NOT NULL,
    version text NOT NULL,
    protocol integer NOT NULL,
    width integer NOT NULL CHECK (width > 0),
    digest text NOT NULL,
    lease_seconds double precision NOT NULL CHECK (lease_seconds > 0),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    left_at timestamptz
);
CREATE TABLE {schema}.call (
    call_id uuid PRIMARY KEY,
    run_id text NOT NULL,
    token bigint,
    lineage text NOT NULL,
    operation_id text,
    address text,
    backend text NOT NULL,
    digest text NOT NULL,
    protocol integer NOT NULL,
    body bytea NOT NULL,
    offered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    worker_id text,
    claimed_at timestamptz,
    lease_until timestamptz,
    given_up_at timestamptz,
    finished_at timestamptz,
    outcome bytea,
    CHECK ((worker_id IS NULL) = (claimed_at IS NULL)),
    CHECK ((worker_id IS NULL) = (lease_until IS NULL)),
    CHECK ((finished_at IS NULL) = (outcome IS NULL)),
    CHECK ((operation_id IS NULL) = (address IS NULL)),
    CHECK (operation_id IS NULL OR token IS NOT NULL)
);
CREATE INDEX call_run ON {schema}.call (run_id);
CREATE INDEX call_waiting ON {schema}.call (backend, offered_at)
    WHERE worker_id IS NULL AND given_up_at IS NULL;
CREATE INDEX call_running ON {schema}.call (backend)
    WHERE worker_id IS NOT NULL AND finished_at IS NULL AND given_up_at IS NULL;
CREATE UNIQUE INDEX call_address ON {schema}.call (address)
    WHERE worker_id IS NOT NULL AND finished_at IS NULL AND given_up_at IS NULL;
"""

_MAY_BEGIN: Final = """
CREATE OR REPLACE FUNCTION {schema}.may_begin(run_token bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- The row is held until the claim is durable: whoever takes the lock over waits for it.
    PERFORM FROM {schema}.lease
        WHERE token = run_token AND clock_timestamp() < heartbeat_at + make_interval(secs => duration_seconds)
        FOR KEY SHARE;
    RETURN FOUND;
END $$
"""

_OWN_WORKER: Final = """
CREATE OR REPLACE FUNCTION {schema}.own_worker(worker_name text) RETURNS {schema}.worker LANGUAGE plpgsql AS $$
DECLARE found_worker {schema}.worker;
BEGIN
    SELECT * INTO found_worker FROM {schema}.worker WHERE worker_id = worker_name AND role = session_user;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no worker of this name belongs to %', session_user USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN found_worker;
END $$
"""

_SERVE: Final = """
CREATE OR REPLACE FUNCTION {schema}.serve(
    worker_name text, backend_name text, on_host text, process integer, release text, speaks integer,
    places integer, spec_digest text, lease double precision
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(session_user, current_user, 'MEMBER')
        AND NOT EXISTS (
            SELECT FROM {schema}.worker_role WHERE role = session_user AND worker_role.backend = backend_name
        )
    THEN
        RAISE EXCEPTION '% does not serve backend %', session_user, backend_name
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF lease > {longest} THEN
        RAISE EXCEPTION 'a lease of % seconds is too long', lease USING ERRCODE = 'insufficient_privilege';
    END IF;
    DELETE FROM {schema}.worker
        WHERE backend = backend_name AND coalesce(left_at, heartbeat_at) < clock_timestamp() - interval '7 days';
    INSERT INTO {schema}.worker
            (worker_id, role, backend, host, process_id, version, protocol, width, digest, lease_seconds)
        VALUES (worker_name, session_user, backend_name, on_host, process, release, speaks, places, spec_digest, lease);
END $$
"""

_ADMITTED: Final = """
    IF NOT pg_has_role(session_user, current_user, 'MEMBER')
        AND NOT EXISTS (SELECT FROM {schema}.worker_role WHERE role = session_user AND worker_role.backend = me.backend)
    THEN
        RAISE EXCEPTION '% does not serve backend % any more', session_user, me.backend
            USING ERRCODE = 'insufficient_privilege';
    END IF;
"""
"""Whoever is dismissed finishes what runs, and claims nothing more."""

TURN: Final = "pg_advisory_xact_lock(hashtextextended({backend}, '{schema}.call'::regclass::oid::bigint))"
"""By which claims on one backend take turns, so that all its workers together never make more calls than it is wide."""

_ROOM: Final = """
CREATE OR REPLACE FUNCTION {schema}.has_room(backend_name text, is_question boolean, places integer) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {turn};
    RETURN places > (
        SELECT count(*) FROM {schema}.call
        WHERE backend = backend_name AND worker_id IS NOT NULL AND finished_at IS NULL AND given_up_at IS NULL
            AND lease_until > clock_timestamp() AND (operation_id IS NULL) = is_question
    );
END $$
"""

_WAITING: Final = """
CREATE OR REPLACE FUNCTION {schema}.waiting(worker_name text, at_most integer) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me {schema}.worker := {schema}.own_worker(worker_name);
    asks boolean;
BEGIN {admitted}
    -- Whom others are just claiming is left to them, and what could not begin now stands in nobody's way but for want of room:
    -- of which questions have some of their own.
    FOREACH asks IN ARRAY ARRAY[true, false] LOOP
        RETURN QUERY SELECT call_id FROM {schema}.call
            WHERE call.backend = me.backend AND worker_id IS NULL AND given_up_at IS NULL
                AND call.digest = me.digest AND call.protocol <= me.protocol
                AND (operation_id IS NULL) = asks
                AND (call.token IS NULL OR EXISTS (
                    SELECT FROM {schema}.lease WHERE lease.token = call.token
                        AND clock_timestamp() < heartbeat_at + make_interval(secs => duration_seconds)
                ))
                AND (asks OR EXISTS (
                    SELECT FROM {schema}.operation WHERE operation.operation_id = call.operation_id
                ))
                AND (asks OR NOT EXISTS (
                    SELECT FROM {schema}.call AS other WHERE other.address = call.address
                        AND other.worker_id IS NOT NULL AND other.finished_at IS NULL AND other.given_up_at IS NULL
                ))
            ORDER BY offered_at LIMIT at_most FOR UPDATE OF call SKIP LOCKED;
    END LOOP;
END $$
"""

_CLAIM: Final = """
CREATE OR REPLACE FUNCTION {schema}.claim(
    worker_name text, chosen uuid,
    OUT answer text, OUT body bytea, OUT token bigint, OUT lineage text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me {schema}.worker := {schema}.own_worker(worker_name);
    found_call {schema}.call;
BEGIN {admitted}
    SELECT * INTO found_call FROM {schema}.call WHERE call_id = chosen FOR UPDATE;
    answer := CASE
        WHEN NOT FOUND THEN 'unknown'
        WHEN found_call.backend <> me.backend THEN 'foreign'
        WHEN found_call.finished_at IS NOT NULL THEN 'done'
        WHEN found_call.given_up_at IS NOT NULL THEN 'cancelled'
        WHEN found_call.worker_id = me.worker_id AND found_call.lease_until > clock_timestamp() THEN 'mine'
        WHEN found_call.worker_id IS NOT NULL THEN 'busy'
        WHEN found_call.protocol > me.protocol THEN 'version'
        WHEN found_call.digest <> me.digest THEN 'manifest'
        WHEN me.left_at IS NOT NULL THEN 'left'
        WHEN found_call.token IS NOT NULL AND NOT {schema}.may_begin(found_call.token) THEN 'fenced'
        WHEN found_call.operation_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM {schema}.operation WHERE operation_id = found_call.operation_id)
            THEN 'cancelled'
        WHEN NOT {schema}.has_room(
            me.backend, found_call.operation_id IS NULL,
            CASE WHEN found_call.operation_id IS NULL THEN {questions} ELSE me.width END
        ) THEN 'full'
        ELSE 'go'
    END;
    IF answer IN ('go', 'mine') THEN
        BEGIN
            UPDATE {schema}.call SET worker_id = me.worker_id, claimed_at = coalesce(claimed_at, clock_timestamp()),
                    lease_until = clock_timestamp() + make_interval(secs => me.lease_seconds)
                WHERE call_id = chosen;
        EXCEPTION WHEN unique_violation THEN
            answer := 'conflict';
        END;
    END IF;
    IF answer IN ('go', 'mine') THEN
        body := found_call.body;
        token := found_call.token;
        lineage := found_call.lineage;
    END IF;
END $$
"""

_LEASES: Final = """
CREATE OR REPLACE FUNCTION {schema}.leases(worker_name text) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM {schema}.own_worker(worker_name);
    RETURN QUERY SELECT token FROM {schema}.lease;
END $$
"""
"""The tokens of all leases: a backend is told of the run that a call is for, and of those before it that it may still work for."""

_RENEW: Final = """
CREATE OR REPLACE FUNCTION {schema}.renew(worker_name text, running uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE me {schema}.worker := {schema}.own_worker(worker_name);
BEGIN
    UPDATE {schema}.worker SET heartbeat_at = clock_timestamp() WHERE worker_id = me.worker_id;
    -- In the order in which outcomes are recorded, or two transactions of a worker wait for each other.
    PERFORM FROM {schema}.call WHERE call_id = ANY (running) AND worker_id = me.worker_id ORDER BY call_id FOR UPDATE;
    -- What was given up is still under way until the worker says otherwise: the next run waits for it.
    UPDATE {schema}.call SET lease_until = clock_timestamp() + make_interval(secs => me.lease_seconds)
        WHERE call_id = ANY (running) AND worker_id = me.worker_id AND finished_at IS NULL;
    RETURN QUERY SELECT call_id FROM {schema}.call
        WHERE call_id = ANY (running) AND worker_id = me.worker_id AND finished_at IS NULL AND given_up_at IS NULL;
END $$
"""

_FINISH: Final = """
CREATE OR REPLACE FUNCTION {schema}.finish(worker_name text, chosen uuid, result bytea) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me {schema}.worker := {schema}.own_worker(worker_name);
    found_call {schema}.call;
BEGIN
    SELECT * INTO found_call FROM {schema}.call WHERE call_id = chosen AND worker_id = me.worker_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'fenced';
    END IF;
    IF found_call.finished_at IS NULL THEN
        -- Of a call that was given up, too: nobody waits for it, and the next run learns that it has ended, and how.
        UPDATE {schema}.call SET finished_at = clock_timestamp(), outcome = result WHERE call_id = chosen;
    END IF;
    RETURN CASE
        WHEN found_call.given_up_at IS NOT NULL THEN 'fenced'
        WHEN found_call.finished_at IS NOT NULL THEN 'already'
        ELSE 'recorded'
    END;
END $$
"""

_LEAVE: Final = """
CREATE OR REPLACE FUNCTION {schema}.leave(worker_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE me {schema}.worker := {schema}.own_worker(worker_name);
BEGIN
    UPDATE {schema}.worker SET left_at = clock_timestamp() WHERE worker_id = me.worker_id AND left_at IS NULL;
END $$
"""

_PRIVATE: Final = ("may_begin(bigint)", "own_worker(text)", "has_room(text, boolean, integer)")
PUBLIC: Final = (
    "serve(text, text, text, integer, text, integer, integer, text, double precision)",
    "waiting(text, integer)",
    "claim(text, uuid)",
    "leases(text)",
    "renew(text, uuid[])",
    "finish(text, uuid, bytea)",
    "leave(text)",
)
"""What a worker's role may call."""
_FUNCTIONS: Final = (_MAY_BEGIN, _OWN_WORKER, _ROOM, _SERVE, _WAITING, _CLAIM, _LEASES, _RENEW, _FINISH, _LEAVE)


def install(connection: Connection[Any], schema: str) -> None:
    """Make the tables and functions in the schema of a state, unless they are there; older functions are replaced.

    Workers of the sharectl that made those go on: what they call keeps its name and its arguments.
    """
    name = sql.Identifier(schema)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"sharectl workers {schema}",))
        found = connection.execute(
            "SELECT to_regclass(%(t)s), obj_description(to_regclass(%(t)s), 'pg_class')", {"t": f'"{schema}".call'}
        )
        table, version = found.fetchone() or (None, None)
        if table is not None:
            _expect_known(schema, version)
        else:
            connection.execute(sql.SQL(_TABLES).format(schema=name))
            comment = sql.SQL("COMMENT ON TABLE {schema}.call IS {version}")
            connection.execute(comment.format(schema=name, version=sql.Literal(_MARK.format(FORMAT))))
        if table is None or _functions_version(connection, schema) < FUNCTIONS:
            _make_functions(connection, name)


def _functions_version(connection: Connection[Any], schema: str) -> int:
    query = "SELECT obj_description(to_regprocedure(%s), 'pg_proc')"
    (mark,) = connection.execute(query, (f'"{schema}".claim(text, uuid)',)).fetchone() or (None,)
    return 1 if mark is None else int(mark.removeprefix(_FUNCTIONS_MARK.format("")))


def _make_functions(connection: Connection[Any], name: sql.Identifier) -> None:
    parts = {
        "questions": sql.Literal(QUESTIONS_AT_ONCE),
        "longest": sql.Literal(LONGEST_LEASE_SECONDS),
        "admitted": sql.SQL(_ADMITTED).format(schema=name),
        "turn": sql.SQL(TURN).format(schema=name, backend=sql.SQL("backend_name")),
    }
    for text in _FUNCTIONS:
        connection.execute(sql.SQL(text).format(schema=name, **parts))
    for signature in (*_PRIVATE, *PUBLIC):
        revoke = "REVOKE ALL ON FUNCTION {schema}." + signature + " FROM PUBLIC"
        connection.execute(sql.SQL(revoke).format(schema=name))
    admitted = "SELECT DISTINCT role FROM {schema}.worker_role JOIN pg_roles ON rolname = role"
    for (role,) in connection.execute(sql.SQL(admitted).format(schema=name)).fetchall():
        grant(connection, name, role)
    comment = sql.SQL("COMMENT ON FUNCTION {schema}.claim(text, uuid) IS {version}")
    connection.execute(comment.format(schema=name, version=sql.Literal(_FUNCTIONS_MARK.format(FUNCTIONS))))


def grant(connection: Connection[Any], name: sql.Identifier, role: str) -> None:
    """Let the role call the functions for workers."""
    for signature in PUBLIC:
        grant = "GRANT EXECUTE ON FUNCTION {schema}." + signature + " TO {role}"
        connection.execute(sql.SQL(grant).format(schema=name, role=sql.Identifier(role)))


def _expect_known(schema: str, mark: str | None) -> None:
    if mark != _MARK.format(FORMAT):
        location, reason = f"schema {schema}", f"the tables of its workers are those of another sharectl ({mark})"
        remedy = "use the version of sharectl that made them; nothing has been changed"
        raise StateNewerError(location, reason, remedy)
