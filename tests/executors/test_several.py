"""Backends side by side of which some are served by workers and the others by lanes of this process."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from sharectl.executors.answers import Identity
from sharectl.executors.base import Began, Submission
from sharectl.executors.calls import Identify
from sharectl.executors.lanes import Lanes
from sharectl.executors.several import Several
from sharectl.executors.workers.claims import ClaimAnswer
from tests.executors.workers.conftest import database as database  # noqa: PLC0414 - a fixture
from tests.executors.workers.test_executor import Filer, executor_of, serving, submission

if TYPE_CHECKING:
    from tests.executors.workers.conftest import Database

PATIENCE_SECONDS = 300.0


def several_of(database: Database) -> Several:
    """Return lanes for all backends but `filer`."""
    lanes = Lanes(lambda backend, *_: Identity(backend), lambda: None, lambda _: 2)
    return Several(lanes, executor_of(database), {"filer"}.__contains__, 0.1)


def outcomes(executor: Several, wanted: int) -> dict[int, Any]:
    """Return so many outcomes by number; each call is told of as begun before."""
    found: dict[int, Any] = {}
    begun = set()
    deadline = monotonic() + PATIENCE_SECONDS
    while len(found) < wanted:
        assert monotonic() < deadline, found
        for number, outcome in executor.reports(0.05):
            if isinstance(outcome, Began):
                begun.add(number)
            else:
                assert number in begun
                found[number] = outcome
    return found


def test_each_call_is_made_where_its_backend_is(database: Database) -> None:
    """Whatever comes first."""
    executor = several_of(database)
    with serving(database, Filer()):
        executor.submit(submission(database, 1))
        executor.submit(Submission(2, "here", Identify(), 60.0))
        assert outcomes(executor, 2) == {1: Identity(str(database.token)), 2: Identity("here")}
        executor.submit(submission(database, 3))
        assert outcomes(executor, 1) == {3: Identity(str(database.token))}
        executor.submit(Submission(4, "here", Identify(), 60.0))
        assert outcomes(executor, 1) == {4: Identity("here")}
    assert (executor.width("filer"), executor.width("here")) == (4, 2)
    executor.close()


def test_calls_are_taken_back_and_abandoned_where_they_are(database: Database) -> None:
    """And nothing begins while it is held."""
    executor, worker = several_of(database), database.worker()
    executor.hold()
    executor.submit(submission(database, 1))
    executor.submit(Submission(2, "here", Identify(), 60.0))
    executor.wake()
    assert list(executor.reports(0.0)) == []
    assert executor.withdraw(1)
    assert executor.withdraw(2)
    executor.submit(submission(database, 3))
    executor.submit(Submission(4, "here", Identify(), 60.0))
    executor.go_on()
    assert outcomes(executor, 1) == {4: Identity("here")}
    (call_id,) = worker.waiting(10)
    executor.abandon(3)
    executor.close()
    assert worker.claim(call_id).answer is ClaimAnswer.CANCELLED
