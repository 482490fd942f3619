"""Rights: a worker's role can claim, renew and finish the calls of its own backends, and nothing else; a message can do nothing that no plan holds."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from sharectl.executors.workers.admission import admit
from sharectl.executors.workers.claims import Claim, ClaimAnswer, FinishAnswer, NotAdmittedError
from sharectl.executors.workers.offers import Offers, Run
from sharectl.state.contract import StateUnavailableError
from sharectl.state.postgresql.errors import GRANT_REMEDY, translated

if TYPE_CHECKING:
    from tests.executors.workers.conftest import Database


def test_a_role_that_serves_a_backend_can_do_all_that_a_worker_does(database: Database, role: str) -> None:
    """With nothing but the functions."""
    worker, call_id = database.worker(user=role), database.offer()
    assert worker.waiting(10) == [call_id]
    assert worker.claim(call_id).answer is ClaimAnswer.GO
    assert worker.renew([call_id]) == {call_id}
    assert worker.finish(call_id, b"done") is FinishAnswer.RECORDED
    worker.leave()


def test_its_sessions_are_ended_that_hold_others_up(database: Database, role: str) -> None:
    """One that dies or hangs with a claim that it has not committed: what it holds is in the way of a release and of a takeover."""
    with closing(database.connect(role)) as connection:
        found = [
            connection.execute(f"SHOW {name}".encode()).fetchone()
            for name in ("idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout")
        ]
    assert found == [("10s",), ("1min",), ("15s",)]


def test_who_may_not_limit_its_sessions_is_told_what_is_left(database: Database) -> None:
    """The owner of a schema may let a role in, and need not be one who may alter it."""
    owner, name = (f"{kind}_{os.getpid()}_{uuid4().hex[:8]}" for kind in ("owner", "worker"))
    database.execute(f"CREATE ROLE {owner} LOGIN; CREATE ROLE {name} LOGIN; ALTER SCHEMA {{s}} OWNER TO {owner}")
    owned = "SELECT 'ALTER ' || CASE WHEN kind = 'f' THEN 'FUNCTION ' ELSE 'TABLE ' END || oid || ' OWNER TO ' FROM ("
    owned += (
        "SELECT oid::regprocedure::text AS oid, 'f' AS kind FROM pg_proc WHERE pronamespace = %s::regnamespace UNION "
    )
    owned += "SELECT oid::regclass::text, 'r' FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r') AS all_of_it"
    for (statement,) in database.execute(owned, database.place.schema, database.place.schema):
        database.execute(f"{statement}{owner}")
    try:
        with database.requests(owner).connection() as connection:
            left = admit(connection, database.place.schema, name, "filer")
        assert left.startswith(f'ALTER ROLE "{name}" IN DATABASE "postgres" SET "idle_in_transaction_session_timeout"')
        assert database.worker(user=name).waiting(1) == []
        database.execute(left)
        with closing(database.connect(name)) as connection:
            assert connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("10s",)
        with database.requests(owner).connection() as connection:
            assert admit(connection, database.place.schema, name, "filer") == ""
    finally:
        database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}; REASSIGN OWNED BY {owner} TO sharectl")
        database.execute(f"DROP OWNED BY {owner}; DROP ROLE {owner}")


def test_a_role_that_is_not_there_is_told_so(database: Database) -> None:
    """Rather than to look whether the server runs."""
    name = f"nobody_{os.getpid()}_{uuid4().hex[:8]}"
    with database.own.connection() as connection, pytest.raises(StateUnavailableError) as told, translated("db"):
        admit(connection, database.place.schema, name, "filer")
    assert (told.value.reason, told.value.remedy) == (
        f'what is named does not exist there (role "{name}" does not exist)',
        "make it, or correct its name",
    )


def test_it_reads_and_writes_no_table(database: Database, role: str) -> None:
    """Neither those of workers nor those of the state."""
    found = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", database.place.schema)
    tables = [name for (name,) in found]
    assert {"call", "worker", "worker_role", "operation", "resource", "lease"} <= {*tables}
    with closing(database.connect(role)) as connection:
        for table in tables:
            for statement in ("SELECT FROM {}", "DELETE FROM {}", "INSERT INTO {} DEFAULT VALUES", "TRUNCATE {}"):
                composed = sql.SQL(statement).format(sql.Identifier(database.place.schema, table))
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(composed)


@pytest.mark.parametrize("call", ["may_begin(1)", "own_worker('w')", "has_room('filer', true, 1)"])
def test_it_calls_no_function_behind_those_of_a_worker(database: Database, role: str, call: str) -> None:
    """They would tell, or hold up, what is none of its business."""
    with closing(database.connect(role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql.SQL("SELECT {}." + call).format(sql.Identifier(database.place.schema)))


def test_it_serves_no_other_backend(database: Database, role: str) -> None:
    """Whatever it says of itself."""
    with pytest.raises(NotAdmittedError, match="does not serve backend other"):
        database.worker(user=role, backend="other")


@pytest.mark.parametrize("lease_seconds", [86401.0, 1e300, float("inf"), float("nan")])
def test_it_holds_nobody_up_by_what_it_says_of_its_lease(database: Database, role: str, lease_seconds: float) -> None:
    """A longer one than a day is refused; one that is there from earlier counts as a day, and the workers of others are shown."""
    with pytest.raises(NotAdmittedError, match="too long"):
        database.worker("long", user=role, lease_seconds=lease_seconds)
    database.worker("own")
    database.execute("UPDATE {s}.worker SET lease_seconds = %s", lease_seconds)
    assert [seen.is_alive for seen in database.offers().workers()] == [True]


def test_it_does_nothing_in_the_name_of_another_worker(database: Database, role: str) -> None:
    """Whose name it may know from a log."""
    call_id = database.offer()
    database.worker("somebody").claim(call_id)
    impostor = database.worker("somebody", user=role, serves=False)
    requests = (
        lambda: impostor.waiting(1),
        lambda: impostor.claim(call_id),
        lambda: impostor.renew([call_id]),
        lambda: impostor.finish(call_id, b"forged"),
        impostor.leave,
    )
    for request in requests:
        with pytest.raises(NotAdmittedError):
            request()
    own = database.worker("own", user=role)
    assert own.claim(call_id) == Claim(ClaimAnswer.BUSY)
    assert own.renew([call_id]) == set()
    assert own.finish(call_id, b"forged") is FinishAnswer.FENCED


def test_it_gets_no_call_of_another_backend(database: Database, role: str) -> None:
    """Also where it knows the id."""
    call_id = database.offer(backend="other")
    worker = database.worker(user=role)
    assert worker.waiting(10) == []
    assert worker.claim(call_id) == Claim(ClaimAnswer.FOREIGN)


def test_a_function_of_its_own_is_not_called_in_their_place(database: Database, role: str) -> None:
    """Functions look nowhere but in the system's and their own schema."""
    worker, call_id = database.worker(user=role), database.offer()
    with closing(database.connect(role)) as connection:
        connection.execute("CREATE TEMP TABLE call (call_id uuid)")
        name = sql.Identifier(database.place.schema)
        row = connection.execute(sql.SQL("SELECT answer FROM {}.claim('w', %s)").format(name), (call_id,)).fetchone()
    assert row == ("go",)
    assert worker.claim(call_id).answer is ClaimAnswer.MINE


def test_whoever_runs_applies_without_the_tables_is_told_how_to_get_them(database: Database, role: str) -> None:
    """A worker's role is none that offers calls."""
    offers = Offers(database.requests(role), Run("run", "lineage", None))
    with pytest.raises(StateUnavailableError) as caught:
        offers.workers()
    assert caught.value.remedy == GRANT_REMEDY
    assert str(caught.value).count(database.place.location) == 1


def test_a_role_that_serves_nothing_can_do_nothing(database: Database) -> None:
    """It has to be admitted first."""
    name = f"nobody_{os.getpid()}_{uuid4().hex[:8]}"
    database.execute(f"CREATE ROLE {name} LOGIN")
    try:
        with pytest.raises(NotAdmittedError):
            database.worker(user=name)
    finally:
        database.execute(f"DROP ROLE {name}")
