"""Calls made by workers: offered within the width of a backend, reported once, taken back, given up, and refused where nobody can make them."""

from __future__ import annotations

import threading
import zlib
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from sharectl.executors.answers import Answer, Failure, FailureKind, Identity
from sharectl.executors.base import Began, Operation, Report, Submission
from sharectl.executors.calls import Call, Identify
from sharectl.executors.wire import encode
from sharectl.executors.workers.claims import ClaimAnswer, ClaimsUnavailableError, FinishAnswer
from sharectl.executors.workers.executor import NoHints, Remote, Workers
from sharectl.executors.workers.offers import Offers, Run
from sharectl.executors.workers.service import Service
from sharectl.state.contract import StateUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from uuid import UUID

    from sharectl.executors.base import Permit
    from sharectl.executors.workers.offers import Offer
    from sharectl.executors.workers.service import Fence
    from tests.executors.workers.conftest import Database

PATIENCE_SECONDS = 300.0


class Filer:
    """Answers once its gate is open, and counts the calls under way."""

    def __init__(self) -> None:
        """Begin with an open gate."""
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.now = self.most = 0
        self._lock = threading.Lock()

    def make(self, _call: Call[Answer], fence: Fence, permit: Permit) -> Answer:
        """Wait, and answer with the token of the run."""
        permit()
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.entered.release()
        assert self.gate.wait(PATIENCE_SECONDS)
        with self._lock:
            self.now -= 1
        return Identity(str(fence.token))


@contextmanager
def serving(database: Database, filer: Filer, name: str = "w", **changes: object) -> Iterator[Service]:
    """Have a worker look into the database until the end."""
    claims = database.worker(name, serves=False, **changes)
    service = Service(claims, filer.make, lease_seconds=60.0, end_process=lambda _: None)
    service.start()
    stopped = threading.Event()
    looking = threading.Thread(target=service.look_until, args=(stopped, lambda: 0.02))
    looking.start()
    try:
        yield service
    finally:
        filer.gate.set()
        stopped.set()
        looking.join(PATIENCE_SECONDS)
        service.drain(PATIENCE_SECONDS)


def executor_of(database: Database, width: int = 4, digest: str = "digest") -> Workers:
    """Return an executor of a run."""
    return Workers(database.offers(), NoHints(), lambda _: Remote(width, digest))


def submission(database: Database, number: int, seconds: float = 60.0) -> Submission:
    """Return a call of an operation that is open."""
    operation = Operation(f"operation {number}", f"share/{number}")
    database.begin(operation.operation_id, operation.address)
    return Submission(number, "filer", Identify(), seconds, operation)


def reports(executor: Workers, outcomes: int) -> list[Report]:
    """Return what is reported until so many outcomes are there."""
    found: list[Report] = []
    deadline = monotonic() + PATIENCE_SECONDS
    while sum(not isinstance(report.outcome, Began) for report in found) < outcomes:
        assert monotonic() < deadline, found
        found += executor.reports(0.05)
    return found


def outcomes(executor: Workers, wanted: int) -> dict[int, Any]:
    """Return so many outcomes by number."""
    return {
        report.number: report.outcome for report in reports(executor, wanted) if not isinstance(report.outcome, Began)
    }


def begun(executor: Workers, wanted: int) -> None:
    """Return when so many calls are reported as begun."""
    found = 0
    deadline = monotonic() + PATIENCE_SECONDS
    while found < wanted:
        assert monotonic() < deadline
        found += sum(isinstance(report.outcome, Began) for report in executor.reports(0.05))


def test_a_call_is_told_of_when_it_begins_and_when_it_has_ended(database: Database) -> None:
    """In this order, each once; nothing of it is left in the database when its intent is gone."""
    executor = executor_of(database)
    with serving(database, Filer()):
        executor.submit(submission(database, 1))
        assert reports(executor, 1) == [Report(1, Began("w")), Report(1, Identity(str(database.token)))]
    database.execute("DELETE FROM {s}.operation")
    executor.close()
    assert database.execute("SELECT count(*) FROM {s}.call") == [(0,)]


def test_what_goes_first_is_offered_before_all_that_does_not(database: Database) -> None:
    """What is offered already stays so."""
    filer, executor = Filer(), executor_of(database, width=1)
    filer.gate.clear()
    with serving(database, filer):
        executor.submit(submission(database, 1))
        begun(executor, 1)
        executor.submit(submission(database, 2))
        executor.submit(replace(submission(database, 3), goes_first=True))
        filer.gate.set()
        found = [report.number for report in reports(executor, 3) if isinstance(report.outcome, Began)]
    assert found == [3, 2]
    executor.close()


def test_calls_that_are_offered_together_wait_in_the_order_in_which_they_were_submitted(database: Database) -> None:
    """The loop submits first what most waits for; rows are written in the order of random ids."""
    executor, worker = executor_of(database, width=20), database.worker(width=20)
    for number in range(20):
        executor.submit(submission(database, number))
    executor.reports(0.0)
    addresses = dict(database.execute("SELECT call_id, address FROM {s}.call"))
    assert [addresses[call_id] for call_id in worker.waiting(20)] == [f"share/{number}" for number in range(20)]
    executor.close()


def test_no_more_calls_are_offered_at_once_than_the_backend_is_wide(database: Database) -> None:
    """And two workers together make no more either."""
    filer, executor = Filer(), executor_of(database, width=3)
    filer.gate.clear()
    with serving(database, filer, width=3), serving(database, filer, "w2", width=3):
        for number in range(9):
            executor.submit(submission(database, number))
        begun(executor, 3)
        assert database.execute("SELECT count(*) FROM {s}.call") == [(3,)]
        filer.gate.set()
        assert outcomes(executor, 9) == dict.fromkeys(range(9), Identity(str(database.token)))
    assert filer.most <= 3
    executor.close()


def test_two_runs_together_do_not_exceed_the_width(database: Database) -> None:
    """The database counts, and not who offers."""
    filer, first, second = Filer(), executor_of(database, width=2), executor_of(database, width=2)
    filer.gate.clear()
    with serving(database, filer, width=2):
        for number in range(2):
            first.submit(submission(database, number))
            second.submit(submission(database, 10 + number))
        begun(first, 2)
        second.reports(0.0)
        assert database.execute("SELECT count(*) FROM {s}.call") == [(4,)]
        filer.gate.set()
        assert outcomes(first, 2).keys() == {0, 1}
        assert outcomes(second, 2).keys() == {10, 11}
    assert filer.most <= 2
    first.close()
    second.close()


def test_a_backend_without_a_worker_is_told_of_at_once(database: Database) -> None:
    """With when the last one was seen; what has not begun may be tried again, and is withdrawn."""
    executor = executor_of(database, width=1)
    for number in range(3):
        executor.submit(submission(database, number))
    found = outcomes(executor, 3)
    assert {failure.kind for failure in found.values()} == {FailureKind.UNAVAILABLE}
    assert "has no worker (none was ever seen); start one with `sharectl worker --backend filer`" in found[0].message
    assert found[0].retry_after_seconds is not None
    database.worker()
    database.execute("UPDATE {s}.worker SET heartbeat_at = clock_timestamp() - interval '3 h'")
    executor.submit(submission(database, 3))
    assert "has no worker (last seen 3 h ago)" in outcomes(executor, 1)[3].message
    assert database.worker("late").waiting(10) == []
    executor.close()


def test_a_worker_with_another_manifest_of_the_backend_is_refused_with_both_digests(database: Database) -> None:
    """Nothing is begun on it."""
    executor = executor_of(database, digest="mine")
    with serving(database, Filer(), digest="theirs"):
        executor.submit(submission(database, 1))
        failure = outcomes(executor, 1)[1]
    assert failure.kind is FailureKind.REFUSED
    assert "digest theirs there, mine here" in failure.message
    executor.close()


def test_a_worker_of_another_protocol_is_refused_with_its_version(database: Database) -> None:
    """The upgrade is for people to finish."""
    executor = executor_of(database)
    with serving(database, Filer(), protocol=99, version="9.9"):
        executor.submit(submission(database, 1))
        failure = outcomes(executor, 1)[1]
    assert failure.kind is FailureKind.REFUSED
    assert "is of sharectl 9.9, which speaks version 99" in failure.message
    executor.close()


def test_a_call_whose_worker_is_gone_is_lost_when_its_lease_is_over(database: Database) -> None:
    """Its place goes to the next one; what it answers later is dropped."""
    executor = executor_of(database, width=1)
    gone = database.worker("gone", width=1)
    executor.submit(submission(database, 1))
    executor.submit(submission(database, 2))
    executor.reports(0.0)
    (call_id,) = gone.waiting(10)
    gone.claim(call_id)
    begun(executor, 1)
    database.lapse(call_id)
    failure = outcomes(executor, 1)[1]
    assert failure == Failure(FailureKind.WORKER_LOST, "the worker gone was lost while it made the call")
    assert gone.finish(call_id, b"late") == "fenced"
    executor.reports(0.0)
    assert len(gone.waiting(10)) == 1
    executor.close()


def test_a_call_that_is_overdue_is_given_up(database: Database) -> None:
    """The time runs from when it began."""
    seconds = [0.0]
    executor = Workers(database.offers(), NoHints(), lambda _: Remote(1, "digest"), lambda: seconds[0])
    worker = database.worker(width=1)

    def turn(by_seconds: float) -> list[Report]:
        seconds[0] += by_seconds
        return executor.look()

    executor.submit(submission(database, 1, seconds=30.0))
    turn(0.0)
    (call_id,) = worker.waiting(10)
    turn(40.0)
    worker.claim(call_id)
    assert turn(1.0) == [Report(1, Began("w"))]
    assert turn(29.9) == []
    assert turn(0.2) == [Report(1, Failure(FailureKind.SILENT, "no answer within 30 s"))]
    turn(1.0)
    executor.close()
    assert worker.renew([call_id]) == set()


def test_a_call_can_be_taken_back_until_it_begins(database: Database) -> None:
    """Whether it waits here or is offered already."""
    executor, worker = executor_of(database, width=2), database.worker(width=2)
    for number in range(3):
        executor.submit(submission(database, number))
    executor.reports(0.0)
    offered = worker.waiting(10)
    assert len(offered) == 2
    worker.claim(next(iter(offered)))
    assert not executor.withdraw(0)
    assert executor.withdraw(1)
    assert executor.withdraw(2)
    assert worker.waiting(10) == []
    executor.close()


def test_what_is_abandoned_is_not_told_of_and_its_outcome_is_not_taken(database: Database) -> None:
    """As with `close`."""
    executor, worker = executor_of(database, width=2), database.worker(width=2)
    for number in range(2):
        executor.submit(submission(database, number))
    executor.reports(0.0)
    calls = list(worker.waiting(10))
    for call_id in calls:
        worker.claim(call_id)
    begun(executor, 2)
    executor.abandon(0)
    executor.close()
    assert [worker.finish(call_id, b"late") for call_id in calls] == ["fenced", "fenced"]
    assert executor.reports(0.0) == []


def test_nothing_is_offered_while_it_is_held(database: Database) -> None:
    """Until it goes on."""
    executor, worker = executor_of(database), database.worker()
    executor.hold()
    executor.submit(submission(database, 1))
    executor.reports(0.0)
    assert worker.waiting(10) == []
    executor.go_on()
    executor.reports(0.0)
    assert len(worker.waiting(10)) == 1
    executor.close()


def test_hints_name_calls_and_their_backend_alone(database: Database) -> None:
    """What a message holds, everybody may read."""
    given: list[tuple[str, list[UUID]]] = []

    class Noted(NoHints):
        def give(self, backend: str, call_ids: Any) -> None:  # noqa: ANN401 - see Hints
            given.append((backend, list(call_ids)))

    executor = Workers(database.offers(), Noted(), lambda _: Remote(4, "digest"))
    worker = database.worker()
    executor.submit(submission(database, 1))
    executor.reports(0.0)
    assert given == [("filer", list(worker.waiting(10)))]
    executor.close()


class Shaky(Offers):
    """Offers that are made, but whose answer is lost while `loses` it; and a database that is away while `is_away`."""

    loses = False
    is_away = False

    def _ask(self, query: str, *values: object, locking: Collection[UUID] = ()) -> list[tuple[Any, ...]]:
        if self.is_away:
            message = "the server is away"
            raise ClaimsUnavailableError(message)
        return super()._ask(query, *values, locking=locking)

    def offer(self, offers: Sequence[Offer]) -> None:
        """See Offers."""
        super().offer(offers)
        if self.loses:
            message = "the answer is lost"
            raise ClaimsUnavailableError(message)


def shaky(database: Database, clock: Callable[[], float] = monotonic) -> tuple[Workers, Shaky]:
    """Return an executor and its offers."""
    offers = Shaky(database.own, Run("run", "lineage", database.token))
    return Workers(offers, NoHints(), lambda _: Remote(4, "digest"), clock), offers


def test_an_offer_whose_answer_was_lost_is_the_same_one_when_it_is_made_again(database: Database) -> None:
    """Two would be two calls of one intent, one after the other."""
    worker = database.worker()
    executor, offers = shaky(database)
    offers.loses = True
    executor.submit(submission(database, 1))
    assert executor.look() == []
    (call_id,) = worker.waiting(10)
    worker.claim(call_id)
    executor.look()  # which may be told already that it has begun
    offers.loses = False
    executor.look()
    assert database.execute("SELECT call_id FROM {s}.call") == [(call_id,)]
    worker.finish(call_id, zlib.compress(encode(Identity("here"))))
    assert outcomes(executor, 1) == {1: Identity("here")}
    executor.close()


def test_what_runs_is_not_withdrawn_though_the_answer_to_its_offer_was_lost(database: Database) -> None:
    """Its intent would be ended, and what it makes nobody's."""
    worker = database.worker()
    executor, offers = shaky(database)
    offers.loses = True
    executor.submit(submission(database, 1))
    executor.look()
    (call_id,) = worker.waiting(10)
    worker.claim(call_id)
    assert not executor.withdraw(1)
    begun(executor, 1)
    executor.close()


def test_what_was_not_begun_is_withdrawn_though_the_answer_to_its_offer_was_lost(database: Database) -> None:
    """And is offered no more."""
    worker = database.worker()
    executor, offers = shaky(database)
    offers.loses = True
    executor.submit(submission(database, 1))
    executor.look()
    assert executor.withdraw(1)
    offers.loses = False
    assert executor.look() == []
    assert worker.waiting(10) == []
    executor.close()


def test_what_could_not_be_withdrawn_begins_no_more_when_the_database_is_back(database: Database) -> None:
    """A run that is to end begins nothing; what was begun meanwhile goes on."""
    worker = database.worker()
    executor, offers = shaky(database)
    executor.submit(submission(database, 1))
    executor.submit(submission(database, 2))
    executor.look()
    _, waiting = calls = sorted(worker.waiting(10), key=lambda call_id: number_of(database, call_id))
    worker.claim(calls[0])
    offers.is_away = True
    assert not executor.withdraw(1)
    assert not executor.withdraw(2)
    offers.is_away = False
    assert outcomes(executor, 1)[2].kind is FailureKind.WITHDRAWN
    assert worker.claim(waiting).answer is ClaimAnswer.CANCELLED
    assert worker.finish(calls[0], zlib.compress(encode(Identity("here")))) is FinishAnswer.RECORDED
    assert outcomes(executor, 1) == {1: Identity("here")}
    executor.close()


def test_while_the_database_is_away_calls_wait_as_long_as_the_run_may_make_any(database: Database) -> None:
    """Then each fails, whether it was not offered yet, not begun, or begun: no worker and no commit would tell. What was begun is given up."""
    rights: list[Exception] = []
    seconds = [0.0]

    def permit() -> None:
        for right in rights:
            raise right

    offers = Shaky(database.own, Run("run", "lineage", database.token))
    executor = Workers(offers, NoHints(), lambda _: Remote(2, "digest"), lambda: seconds[0], permit=permit)
    worker = database.worker(width=2)
    for number in range(3):
        executor.submit(submission(database, number))
    executor.look()
    first, second = sorted(worker.waiting(10), key=lambda call_id: number_of(database, call_id))
    worker.claim(first)
    seconds[0] = 5.0
    assert executor.look() == [Report(0, Began("w"))]
    offers.is_away = True
    seconds[0] = 10.0
    assert executor.look() == []
    rights.append(StateUnavailableError("here", "the server is away"))
    seconds[0] = 20.0
    failure = Failure(FailureKind.NOT_PERMITTED, "here: the server is away")
    assert sorted(executor.look()) == [Report(number, failure) for number in range(3)]
    assert executor.look() == []
    offers.is_away = False
    executor.close()
    assert [worker.claim(second).answer, worker.finish(first, b"late")] == [ClaimAnswer.CANCELLED, FinishAnswer.FENCED]
    assert worker.waiting(10) == []


def number_of(database: Database, call_id: UUID) -> str:
    """Return the address of a call, which ends with the number of its submission."""
    ((address,),) = database.execute("SELECT address FROM {s}.call WHERE call_id = %s", call_id)
    return str(address)


def test_an_outcome_is_told_though_the_next_offer_fails(database: Database) -> None:
    """In the same look; it is read once."""
    seconds = [0.0]
    worker = database.worker()
    executor, offers = shaky(database, lambda: seconds[0])
    executor.submit(submission(database, 1))
    executor.look()
    (call_id,) = worker.waiting(10)
    worker.claim(call_id)
    worker.finish(call_id, zlib.compress(encode(Identity("here"))))
    executor.submit(submission(database, 2))
    offers.loses = True
    seconds[0] = 10.0
    assert executor.look() == [Report(1, Began("w")), Report(1, Identity("here"))]
    executor.close()


def test_what_a_run_has_done_is_not_lost_with_its_right_to_tidy_up(database: Database) -> None:
    """Whoever closes it has the outcomes already; the next run tidies up."""
    name = f"nobody_{uuid4().hex[:12]}"
    database.execute(f"CREATE ROLE {name} LOGIN")
    try:
        offers = Offers(database.requests(name), Run("run", "lineage", database.token))
        Workers(offers, NoHints(), lambda _: Remote(4, "digest")).close()
        with pytest.raises(StateUnavailableError):
            offers.tidy()
    finally:
        database.execute(f"DROP ROLE {name}")
