"""Dismissal: a role claims nothing more, or loses what it has claimed too; and who is in the way of others is named."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from sharectl.executors.workers.admission import admit
from sharectl.executors.workers.claims import PROTOCOL, ClaimAnswer, FinishAnswer, NotAdmittedError
from sharectl.executors.workers.dismissal import (
    MayNotEndError,
    dismiss,
    has_rights_of_owner,
    holding_sessions,
    take_away,
    was_admitted,
)
from sharectl.executors.workers.executor import Remote, refusal
from sharectl.executors.workers.tables import FUNCTIONS, install
from tests.postgresql import USER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.executors.workers.conftest import Database

PATIENCE_SECONDS = 300.0


@pytest.fixture
def deputy(database: Database) -> Iterator[str]:
    """Return a role that has the rights of the owner, and is no superuser."""
    name = f"deputy_{os.getpid()}_{uuid4().hex[:8]}"
    database.execute(f"CREATE ROLE {name} LOGIN; GRANT sharectl TO {name}")
    yield name
    database.execute(f"DROP ROLE {name}")


def test_a_dismissed_worker_finishes_what_runs_and_claims_nothing_more(database: Database, role: str) -> None:
    """It is told so, as often as it asks."""
    worker, running, waiting = database.worker(user=role), database.offer(), database.offer("share/b")
    assert worker.claim(running).answer is ClaimAnswer.GO
    assert dismiss(database.own, role, "filer") == (True, 1)
    for request in (lambda: worker.waiting(10), lambda: worker.claim(waiting)):
        with pytest.raises(NotAdmittedError):
            request()
    assert worker.renew([running]) == {running}
    assert worker.finish(running, b"done") is FinishAnswer.RECORDED
    with pytest.raises(NotAdmittedError):
        database.worker("another", user=role)
    assert dismiss(database.own, role, "filer") == (False, 0)


def test_of_two_backends_the_other_is_served_on(database: Database, role: str) -> None:
    """Also by a worker that runs; of the one that was dismissed, it is told which backend that is."""
    with database.own.connection() as connection:
        admit(connection, database.place.schema, role, "other")
    here, there = database.worker("here", user=role), database.worker("there", user=role, backend="other")
    dismiss(database.own, role, "filer")
    take_away(database.own, role, "filer")
    call_id = database.offer(backend="other")
    assert there.claim(call_id).answer is ClaimAnswer.GO
    with pytest.raises(NotAdmittedError):
        here.waiting(1)
    with database.own.connection() as connection:
        admit(connection, database.place.schema, role, "filer")
    again = database.worker("again", user=role)
    dismiss(database.own, role, "filer")
    with pytest.raises(NotAdmittedError, match="does not serve backend filer any more"):
        again.waiting(1)


def test_a_dismissed_worker_counts_as_none(database: Database, role: str) -> None:
    """A plan says at once that there is no other, and why."""
    database.worker("gone", user=role)
    remote = Remote(4, "digest")
    assert refusal("filer", remote, database.offers().workers(), PROTOCOL) is None
    dismiss(database.own, role, "filer")
    (seen,) = database.offers().workers()
    assert (seen.is_alive, seen.is_admitted, seen.protocol) == (False, False, PROTOCOL)
    told = refusal("filer", remote, [seen], PROTOCOL)
    assert told is not None
    assert "has no worker (that on host was dismissed" in told.message
    assert told.message.endswith("let a role serve it with `sharectl workers admit --role ROLE --backend filer`")
    database.worker("owner's")
    assert refusal("filer", remote, database.offers().workers(), PROTOCOL) is None


def test_a_role_with_the_rights_of_the_owner_is_known(database: Database, role: str, deputy: str) -> None:
    """It serves whatever it likes, and its sessions may be those of applies."""
    found = [name for name in (role, deputy, USER, "nobody_of_this_name") if has_rights_of_owner(database.own, name)]
    assert found == [deputy, USER]


def test_what_it_has_claimed_can_be_taken_away(database: Database, role: str) -> None:
    """It renews and finishes nothing more, and who holds what it has locked is ended first."""
    worker, call_id = database.worker(user=role), database.offer()
    worker.claim(call_id)
    with closing(database.connect(role)) as holding:
        holding.autocommit = False
        holding.execute(sql.SQL("SELECT {}.renew('w', '{{}}')").format(sql.Identifier(database.place.schema)))
        dismiss(database.own, role, "filer")
        assert take_away(database.own, role, "filer") >= 1
        with pytest.raises(psycopg.OperationalError):
            holding.execute("SELECT 1")
        with suppress(psycopg.OperationalError):
            holding.rollback()
    for request in (lambda: worker.renew([call_id]), lambda: worker.finish(call_id, b"late"), worker.leave):
        with pytest.raises(NotAdmittedError):
            request()
    assert database.offers().workers() == []


def test_whoever_may_end_no_sessions_takes_the_rest_away(database: Database, role: str, deputy: str) -> None:
    """And is told."""
    worker = database.worker(user=role)
    requests = database.requests(deputy)
    dismiss(requests, role, "filer")
    with closing(database.connect(role)), pytest.raises(MayNotEndError):
        take_away(requests, role, "filer")
    with pytest.raises(NotAdmittedError):
        worker.renew([])


def test_who_never_was_a_worker_is_known(database: Database, role: str, deputy: str) -> None:
    """Nor is one that merely reads the state, or may look into its schema as everybody may.

    A worker stays one after all was taken from it, so that what is left of its sessions can be ended.
    """
    reader = f"reader_{os.getpid()}_{uuid4().hex[:8]}"
    database.execute(f"CREATE ROLE {reader} LOGIN; GRANT USAGE ON SCHEMA {{s}} TO {reader}")
    database.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {{s}} TO {reader}")
    other = f"other_{os.getpid()}_{uuid4().hex[:8]}"
    database.execute(f"CREATE ROLE {other} LOGIN; GRANT USAGE ON SCHEMA {{s}} TO PUBLIC")
    try:
        assert not any(was_admitted(database.own, name) for name in (reader, other, "nobody_of_this_name"))
        assert was_admitted(database.own, role)
        dismiss(database.own, role, "filer")
        with closing(database.connect(role)), pytest.raises(MayNotEndError):
            take_away(database.requests(deputy), role, "filer")
        assert was_admitted(database.own, role)
    finally:
        database.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}, {other}")


@pytest.mark.parametrize(
    ("statement", "held"),
    [("SELECT {s}.claim('w', {call})", "a transaction"), ("SELECT pg_advisory_lock(7)", "advisory locks")],
)
def test_a_session_that_holds_on_to_a_lock_is_named(
    database: Database, role: str, deputy: str, statement: str, held: str
) -> None:
    """Also to somebody who may not see what it does, until it has ended; one that works is not."""
    worker, call_id = database.worker(user=role), database.offer()
    with closing(database.connect(role)) as holding:
        holding.autocommit = held == "advisory locks"
        literals = {"s": sql.Identifier(database.place.schema), "call": sql.Literal(call_id)}
        holding.execute(sql.SQL(statement).format(**literals))  # type: ignore[arg-type]
        for requests in (database.own, database.requests(deputy)):
            (found,) = holding_sessions(requests, lambda _: worker.renew([]) and None)
            assert (found.process_id, found.role) == (holding.info.backend_pid, role)
            assert found.is_advisory is (held == "advisory locks")
    deadline = monotonic() + PATIENCE_SECONDS
    while holding_sessions(database.own, sleep):
        assert monotonic() < deadline


def test_older_functions_are_replaced_and_newer_ones_left(database: Database) -> None:
    """Tables are the same: a coordinator of an older sharectl goes on with them."""
    leave = "CREATE OR REPLACE FUNCTION {s}.leave(worker_name text) RETURNS void LANGUAGE sql AS 'SELECT'"
    source = "SELECT prosrc FROM pg_proc WHERE oid = to_regprocedure(%s)", f'"{database.place.schema}".leave(text)'
    for mark, is_replaced in (("NULL", True), (f"'sharectl functions {FUNCTIONS + 1}'", False)):
        database.execute(leave)
        database.execute(f"COMMENT ON FUNCTION {{s}}.claim(text, uuid) IS {mark}")
        with database.own.connection() as connection:
            install(connection, database.place.schema)
        ((found,),) = database.execute(*source)
        assert (found != "SELECT") is is_replaced
