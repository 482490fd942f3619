"""The loop: procedures that go on when what they wait for is there, writes in one transaction, calls through any executor."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.engine.environment import Environment
from sharectl.engine.loop import Job, Loop, Patience, Procedure, Write
from sharectl.executors.answers import CallFailedError, Done, Failure, FailureKind
from sharectl.executors.base import Began, Report, Submission
from sharectl.executors.calls import Identify, RevertShare, ask
from sharectl.executors.lanes import Lanes
from sharectl.executors.wire import decode, encode
from sharectl.model.records import Holder, PutRun, RemoveResource, RunRecord
from sharectl.model.requests import ShareRef, SnapshotRef
from sharectl.state.contract import (
    LeaseLostError,
    StateRefusedError,
    StateUnavailableError,
    VersionConflictError,
)
from sharectl.state.sqlite.store import open_store
from tests.engine import scenario
from tests.engine.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sharectl.executors.answers import Answer
    from sharectl.executors.base import Execute, Executor, Permit
    from sharectl.executors.calls import Call
    from sharectl.model.records import Change

HOLDER = Holder("alice", "one.example", 1, "sharectl apply")
REVERT = RevertShare(ShareRef("a", "b", "c", "d", "NFS", 1), SnapshotRef("a", "b", "c", "d", "e"))


class Scripted:
    """An executor that answers what it is told to, when it is told to."""

    def __init__(self) -> None:
        """Answer nothing yet."""
        self.submitted: list[Submission] = []
        self.withdrawn: list[int] = []
        self.abandoned: list[int] = []
        self.said: deque[Report] = deque()
        self.begun: set[int] = set()

    def width(self, backend: str) -> int:
        """Two calls at once."""
        return 2

    def submit(self, submission: Submission) -> None:
        """See Executor."""
        self.submitted.append(submission)

    def reports(self, timeout_seconds: float) -> Sequence[Report]:
        """See Executor."""
        found, self.said = list(self.said), deque()
        return found

    def withdraw(self, number: int) -> bool:
        """See Executor."""
        if number in self.begun:
            return False
        self.withdrawn.append(number)
        return True

    def abandon(self, number: int) -> None:
        """See Executor."""
        self.abandoned.append(number)

    def wake(self) -> None:
        """See Executor."""

    def hold(self) -> None:
        """See Executor."""

    def go_on(self) -> None:
        """See Executor."""

    def close(self) -> None:
        """See Executor."""

    def begin(self, number: int, worker: str | None = None) -> None:
        """Let a call begin."""
        self.begun.add(number)
        self.said.append(Report(number, Began(worker)))

    def answer(self, number: int, outcome: Answer | Failure) -> None:
        """Let a call end."""
        self.said.append(Report(number, outcome))


class Noted(Job):
    """A job that keeps what happens to it."""

    def __init__(self, procedure: Procedure[Any], backend: str | None = None, attempts: int = 3) -> None:
        """As Job."""
        super().__init__(procedure, backend, attempts=attempts, timeout_seconds=1.0)
        self.value: Any = None
        self.error: Exception | None = None
        self.pauses: list[float] = []
        self.takings: list[tuple[str | None, str | None]] = []

    def taken(self, lost: str | None) -> None:
        """See Job."""
        self.takings.append((self.worker, lost))

    def ended(self, value: object) -> None:
        """See Job."""
        self.value = value

    def broke(self, error: Exception) -> None:
        """See Job."""
        self.error = error

    def retried(self, number: int, delay_seconds: float, error: str) -> None:
        """See Job."""
        self.pauses.append(delay_seconds)


class Bench:
    """A loop with a real store, a scripted executor, and a clock that stands still."""

    def __init__(self, path: Path) -> None:
        """Open the store."""
        self.store = open_store(path, create=True)
        self.lease = self.store.acquire(HOLDER, duration_seconds=60)
        self.executor = Scripted()
        self.batches: list[int] = []
        self.error: Exception | None = None
        self.now = 0.0
        environment = Environment(
            driver=lambda _: None,  # type: ignore[arg-type, return-value] - not asked for
            monotonic=lambda: self.now,
            uniform=Random(0).uniform,  # noqa: S311 - jitter is no secret
        )
        self.loop = Loop(self.executor, self.commit, environment, Patience())

    def commit(self, changes: Sequence[Change]) -> None:
        """Commit, and count."""
        self.batches.append(len(changes))
        if self.error is not None:
            raise self.error
        self.store.commit(self.lease, changes)

    def start(self, procedure: Procedure[Any], backend: str | None = None, attempts: int = 3) -> Noted:
        """Start a job."""
        job = Noted(procedure, backend, attempts)
        self.loop.start(job)
        return job


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a loop."""
    made = Bench(tmp_path / "state.db")
    yield made
    made.store.close()


def run_record(name: str) -> PutRun:
    """Return a change that is always possible."""
    return PutRun(RunRecord(name, "c", "u", "h", "2026-01-01T00:00:00Z"))


def writes(change: Change) -> Procedure[str]:
    """Write, and be done."""
    yield Write([change])
    return "written"


def asks(*calls: Call[Any], writes_first: bool = False) -> Procedure[Any]:
    """Ask one after the other, and return the last answer."""
    answer = None
    if writes_first:
        yield Write([run_record("first")])
    for call in calls:
        answer = yield from ask(call)
    return answer


def test_writes_of_many_procedures_are_one_transaction(bench: Bench) -> None:
    """However many there are."""
    jobs = [bench.start(writes(run_record(f"r{number}"))) for number in range(20)]
    bench.loop.turn()
    assert bench.batches == [20]
    assert [job.value for job in jobs] == ["written"] * 20
    assert not bench.loop.jobs


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (RemoveResource("share/none", 3), VersionConflictError),
        (run_record("\ud800"), StateRefusedError),
    ],
)
def test_a_refusal_meets_the_procedure_that_it_is_for(bench: Bench, change: Change, error: type[Exception]) -> None:
    """The others of its transaction are written."""
    jobs = [bench.start(writes(change if number == 5 else run_record(f"r{number}"))) for number in range(16)]
    bench.loop.turn()
    assert [number for number, job in enumerate(jobs) if job.value is None] == [5]
    assert isinstance(jobs[5].error, error)
    assert len(bench.batches) < 16


@pytest.mark.parametrize("error", [StateUnavailableError("here", "full"), LeaseLostError("gone")])
def test_what_concerns_the_store_as_a_whole_meets_all_after_one_try(bench: Bench, error: Exception) -> None:
    """A full disk, a lost lease."""
    bench.error = error
    jobs = [bench.start(writes(run_record(f"r{number}"))) for number in range(4)]
    bench.loop.turn()
    assert [job.error for job in jobs] == [error] * 4
    assert bench.batches == [4]


def test_nothing_is_submitted_before_what_was_written_first_is_durable(bench: Bench) -> None:
    """An intent that could not be written is followed by no call."""
    bench.error = StateUnavailableError("here", "full")
    job = bench.start(asks(Identify(), writes_first=True), "a")
    bench.loop.turn()
    assert job.error is bench.error
    assert bench.executor.submitted == []


def test_a_procedure_that_fails_ends_alone(bench: Bench) -> None:
    """Whatever is wrong with it."""

    def fails() -> Procedure[None]:
        yield Write([run_record("a")])
        raise ZeroDivisionError

    failing, other = bench.start(fails()), bench.start(writes(run_record("b")))
    bench.loop.turn()
    assert isinstance(failing.error, ZeroDivisionError)
    assert other.value == "written"


def test_a_transient_failure_is_repeated_after_a_pause(bench: Bench) -> None:
    """As often as the job allows, each time for longer; then it is a failure."""
    job = bench.start(asks(Identify()), "a")
    for number in (1, 2, 3):
        bench.loop.turn()
        assert len(bench.executor.submitted) == number
        submission = bench.executor.submitted[-1]
        bench.executor.answer(submission.number, Failure(FailureKind.TRANSIENT, "busy"))
        bench.loop.turn()
        assert len(bench.executor.submitted) == number
        bench.now += 10.0
    assert isinstance(job.error, CallFailedError)
    assert len(job.pauses) == 2
    assert job.pauses[0] < job.pauses[1]


def test_what_has_begun_goes_first(bench: Bench) -> None:
    """Its next try and its next call; its first call does only where the job says so."""

    def asks_twice() -> Procedure[None]:
        yield from ask(Identify())
        yield from ask(Identify())

    bench.start(asks_twice(), "a")
    bench.start(asks_twice(), "a").goes_first = True
    bench.loop.turn()
    assert [submission.goes_first for submission in bench.executor.submitted] == [False, True]
    bench.executor.begin(1)
    bench.executor.answer(1, Failure(FailureKind.UNAVAILABLE, "busy"))
    bench.loop.turn()
    bench.now += 60.0
    bench.loop.turn()
    bench.executor.answer(bench.executor.submitted[-1].number, Done())
    bench.loop.turn()
    assert [submission.goes_first for submission in bench.executor.submitted[2:]] == [True, True]


@pytest.mark.parametrize("retry_after_seconds", [None, 1.0])
def test_what_may_not_be_repeated_is_repeated_only_where_it_has_not_begun(
    bench: Bench, retry_after_seconds: float | None
) -> None:
    """The backend says so by saying when to come again."""
    job = bench.start(asks(REVERT), "a")
    bench.loop.turn()
    failure = Failure(FailureKind.TRANSIENT, "busy", retry_after_seconds)
    bench.executor.answer(bench.executor.submitted[0].number, failure)
    bench.loop.turn()
    bench.now += 5.0
    bench.loop.turn()
    assert (job.error is None, len(bench.executor.submitted)) == (
        (False, 1) if retry_after_seconds is None else (True, 2)
    )


def test_at_the_end_nothing_begins_and_what_has_begun_is_finished(bench: Bench) -> None:
    """What waits for its turn is taken back, what waits for a pause is not repeated, what comes later is not asked."""
    running, waiting, paused = (bench.start(asks(Identify()), "a") for _ in range(3))
    bench.loop.turn()
    bench.executor.begin(1)
    bench.executor.begin(3)
    bench.executor.answer(3, Failure(FailureKind.TRANSIENT, "busy"))
    bench.loop.turn()
    bench.loop.end("cancelled")
    late = bench.start(asks(Identify()), "a")
    bench.loop.turn()
    kinds = [job.error.failure.kind for job in (waiting, paused, late) if isinstance(job.error, CallFailedError)]
    assert kinds == [FailureKind.WITHDRAWN, FailureKind.CUT_SHORT, FailureKind.WITHDRAWN]
    bench.executor.answer(1, Done())
    bench.loop.turn()
    assert running.value == Done()
    assert len(bench.executor.submitted) == 3


def test_at_the_end_an_intent_that_is_not_durable_yet_is_not_written_any_more(bench: Bench) -> None:
    """Whatever else is to be written is."""

    def intends() -> Procedure[str]:
        yield Write([run_record("first")])
        try:
            yield Write([run_record("intent")], is_intent=True)
        except CallFailedError as error:
            yield Write([run_record("given back")])
            return error.failure.message
        return "begun"

    def records() -> Procedure[str]:
        yield Write([run_record("second")])
        yield from writes(run_record("result"))
        return "recorded"

    intending, recording = bench.start(intends()), bench.start(records())
    bench.loop.turn()
    bench.loop.end("cancelled")
    bench.loop.turn()
    bench.loop.turn()
    assert (intending.value, recording.value) == ("cancelled", "recorded")
    assert bench.batches == [2, 2]
    assert [bench.store.has_run(name) for name in ("intent", "given back", "result")] == [False, True, True]


def test_what_is_abandoned_writes_nothing_and_goes_no_further(bench: Bench) -> None:
    """Whatever is answered later."""
    job = bench.start(asks(Identify()), "a")
    bench.loop.turn()
    bench.loop.abandon([job])
    bench.executor.answer(1, Done())
    bench.loop.turn()
    assert (job.value, job.error) == (None, None)
    assert bench.executor.abandoned == [1]
    assert not bench.loop.jobs


def test_a_lost_worker_says_nothing_of_its_backend(bench: Bench) -> None:
    """All its calls are lost at once, and the next worker makes them again; nor is it a sign of life."""
    for _ in range(5):
        bench.start(asks(Identify()), "a")
    bench.loop.turn()
    for number in (1, 2, 3):
        bench.executor.begin(number)
        bench.executor.answer(number, Failure(FailureKind.WORKER_LOST, "gone"))
    bench.loop.turn()
    assert not bench.loop.is_silent("a")
    bench.executor.answer(4, Failure(FailureKind.SILENT, "no answer"))
    bench.loop.turn()
    bench.executor.answer(5, Failure(FailureKind.WORKER_LOST, "gone"))
    bench.loop.turn()
    assert not bench.loop.is_silent("a")


def test_who_takes_a_call_is_told_with_who_was_lost_also_where_there_was_nobody_for_a_while(bench: Bench) -> None:
    """Once: the next call is nobody's that was lost."""
    job = bench.start(asks(Identify(), Identify()), "a")
    job.retries |= {FailureKind.WORKER_LOST}
    bench.loop.turn()
    for failure in (Failure(FailureKind.WORKER_LOST, "gone"), Failure(FailureKind.UNAVAILABLE, "no worker", 5.0)):
        if failure.kind is FailureKind.WORKER_LOST:
            bench.executor.begin(bench.executor.submitted[-1].number, "first")
        bench.executor.answer(bench.executor.submitted[-1].number, failure)
        bench.loop.turn()
        bench.now += 60
        bench.loop.turn()
    for worker in ("second", "third"):
        bench.executor.begin(bench.executor.submitted[-1].number, worker)
        bench.executor.answer(bench.executor.submitted[-1].number, Done())
        bench.loop.turn()
    assert job.takings == [("second", "first"), ("third", None)]


def test_a_backend_that_leaves_as_many_calls_unanswered_as_it_is_wide_is_asked_no_more(bench: Bench) -> None:
    """What waits on it is taken back; an answer would have been a sign of life."""
    jobs = [bench.start(asks(Identify()), "a") for _ in range(5)]
    other = bench.start(asks(Identify()), "b")
    bench.loop.turn()
    for number in (1, 2, 3):
        bench.executor.begin(number)
    bench.executor.answer(1, Failure(FailureKind.SILENT, "no answer"))
    bench.executor.answer(2, Done())
    bench.executor.answer(3, Failure(FailureKind.SILENT, "no answer"))
    bench.loop.turn()
    assert not bench.loop.is_silent("a")
    bench.executor.begin(4)
    bench.executor.answer(4, Failure(FailureKind.SILENT, "no answer"))
    bench.loop.turn()
    assert bench.loop.is_silent("a")
    assert isinstance(jobs[4].error, CallFailedError)
    assert jobs[4].error.failure.kind is FailureKind.NOT_ASKED
    assert bench.executor.withdrawn == [5]
    bench.executor.answer(6, Done())
    bench.loop.turn()
    assert other.value == Done()


def test_every_verb_can_be_done_by_somebody_who_has_only_the_calls(tmp_path: Path) -> None:
    """All calls and answers of an apply go through their JSON form, and nothing is missing on the other side."""
    travelled: set[str] = set()

    def elsewhere(
        execute: Execute, permit: Permit, width: Callable[[str], int], clock: Callable[[], float]
    ) -> Executor:
        def travels(backend: str, call: Call[Answer], permit: Permit) -> Answer:
            travelled.add(type(call).__name__)
            arrived: Any = decode(encode(call))
            answer: Any = decode(encode(execute(backend, arrived, permit)))
            return answer  # type: ignore[no-any-return] - as it was

        return Lanes(travels, permit, width, clock)

    root = tmp_path / "r"
    scenario.prepare(root, "simulated")
    site = Site(root)
    site.change_environment = lambda environment: replace(environment, executor=elsewhere)
    while not site.plan(scenario.options(site)).is_empty:
        assert site.apply(options=scenario.options(site)).result.succeeded
    scenario.check(site)
    assert {"CreateShare", "UpdateAccess", "RevertShare", "AdoptShare", "RestoreShare", "DeleteShare"} <= travelled


def test_a_turn_has_one_transaction(bench: Bench) -> None:
    """However long a chain of steps of the state alone is, a cancel between two of them is noticed, and events are handed on."""

    class Chained(Noted):
        def ended(self, value: object) -> None:
            if len(bench.batches) < 5:
                bench.loop.start(Chained(writes(run_record(f"r{len(bench.batches)}"))))

    bench.loop.start(Chained(writes(run_record("r"))))
    for turn in range(1, 6):
        bench.loop.turn()
        assert len(bench.batches) == turn
    assert not bench.loop.jobs
