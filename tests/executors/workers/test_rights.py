"""Rights: a worker's role can claim, renew and finish the calls of its own backends, and nothing else; a message can do nothing that no plan holds."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from sharectl.executors.workers.claims import Claim, ClaimAnswer, FinishAnswer, NotAdmittedError
from sharectl.executors.workers.offers import Offers, Run
from sharectl.state.contract import StateUnavailableError
from sharectl.state.postgresql.errors import GRANT_REMEDY

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
