"""The loop of a run: one thread that takes what is ready, commits in batches, submits calls, and takes their answers.

Work is written as a procedure, a generator that yields what it needs next: a Call, and is sent its answer, or a Write, and goes
on when that is durable. A call that failed for good raises CallFailedError in it, a refused write raises what the store raised.
Procedures wait for nothing else, and no two run at once, so that nothing in the engine needs a lock.

In a turn the loop hands what the executor reports to the procedures that wait for it. Each goes on to its next call, which is
submitted, or to its next write. Then all writes are committed as one transaction, intents and results of many steps together, so
that no call is submitted before its intent is durable.

What has begun goes first: the next call of a job, or its next try, waits for a place, and not behind those that have only their intent.

A call that failed for now is submitted again after a pause, as often as its job allows, and only if it may be repeated. A backend that
leaves as many calls unanswered in a row as it has places is silent: calls that have not begun on it are not made any more.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Generator
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from sharectl.engine.retries import retry_delay_seconds
from sharectl.engine.tenure import Permitted
from sharectl.engine.verbs import execute
from sharectl.engine.verbs.base import Site
from sharectl.executors.answers import TRANSIENT_KINDS, Answer, CallFailedError, Failure, FailureKind
from sharectl.executors.base import GATHERING_SECONDS, Began, Submission
from sharectl.executors.calls import Call
from sharectl.model.frozen import dataclass
from sharectl.state.contract import LeaseLostError, StateUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sharectl.drivers.base import Driver
    from sharectl.engine.environment import Environment
    from sharectl.engine.tenure import Heartbeat
    from sharectl.executors.answers import Answer
    from sharectl.executors.base import Executor, Operation, Permit, Report
    from sharectl.executors.calls import Call
    from sharectl.model.records import Change
    from sharectl.network.base import NetworkPlugin
    from sharectl.state.contract import StateStore


class Write(NamedTuple):
    """Changes of the state, all durable or none when the procedure goes on; an intent is not written any more once the loop ends."""

    changes: Sequence[Change]
    is_intent: bool = False


T = TypeVar("T")
Procedure = Generator["Call[Answer] | Write", Any, T]
"""Yields what it needs next, and is sent the answer to a call, or None when what it writes is durable."""


class Job:
    """A procedure in progress, on one backend (None: on the state alone). Its methods are called in the loop's thread."""

    def __init__(
        self,
        procedure: Procedure[Any],
        backend: str | None,
        *,
        attempts: int,
        timeout_seconds: float,
        retries: frozenset[FailureKind] = TRANSIENT_KINDS,
    ) -> None:
        """Make each call up to `attempts` times where it fails with one of `retries`, each time for up to `timeout_seconds`."""
        self.procedure = procedure
        self.backend = backend
        self.attempts = attempts
        self.timeout_seconds = timeout_seconds
        self.retries = retries
        self.goes_first = False
        self.has_begun = False
        self.is_withdrawn = False
        """Its call, or its intent, was taken back before it began, and it has not been told yet."""
        self.operation: Operation | None = None
        self.call: Call[Answer] | None = None
        self.number = 0
        self.tries = 0
        self.trouble: Failure | None = None
        self.worker: str | None = None
        self.lost: str | None = None
        """The worker that was lost in its call, until another takes the call, which may take a while."""

    def taken(self, lost: str | None) -> None:
        """Note that its `worker` makes a call now, when it has begun already; in place of one that was `lost`."""

    def began(self) -> None:
        """Note that its call has begun. A job that `has_begun` is finished even if the run is ending."""
        self.has_begun = True

    def retried(self, number: int, delay_seconds: float, error: str) -> None:
        """Note that try `number` has failed and is repeated after `delay_seconds`."""

    def ended(self, value: Any) -> None:  # noqa: ANN401 - what its procedure returns
        """Take what the procedure has returned."""

    def broke(self, error: Exception) -> None:
        """Take what the procedure has raised."""


@dataclass(frozen=True, slots=True)
class Patience:
    """A backend is silent after as many failures of `kinds` in a row as it has places, and `spare` more."""

    kinds: frozenset[FailureKind] = frozenset({FailureKind.SILENT})
    spare: int = 0


USUAL_PATIENCE: Final = Patience()
_SAYS_NOTHING: Final = frozenset({FailureKind.NOT_PERMITTED, FailureKind.WORKER_LOST})
"""Failures from which nobody can tell whether the backend answers."""


class Loop:
    """Carries jobs on, turn by turn."""

    def __init__(
        self,
        executor: Executor,
        commit: Callable[[Sequence[Change]], None],
        environment: Environment,
        patience: Patience,
    ) -> None:
        """Write with `commit`, which raises what StateStore.commit raises; the environment has the clock and the randomness."""
        self._executor = executor
        self._commit = commit
        self._environment = environment
        self._patience = patience
        self._numbers = count(1)
        self._jobs: dict[Job, None] = {}
        self._calls: dict[int, Job] = {}
        self._ready: deque[tuple[Job, Any, Exception | None]] = deque()
        self._writes: list[tuple[Job, Write]] = []
        self._pauses: list[tuple[float, int, Job]] = []
        self._troubles: dict[str, int] = {}
        self.ending = ""

    @property
    def jobs(self) -> Collection[Job]:
        """The jobs that have not ended."""
        return self._jobs.keys()

    def start(self, job: Job) -> None:
        """Begin with the job in the next turn."""
        self._jobs[job] = None
        self._ready.append((job, None, None))

    def is_silent(self, backend: str | None) -> bool:
        """Tell whether the backend is no longer asked, because it does not answer."""
        if backend is None or backend not in self._troubles:
            return False
        return self._troubles[backend] >= self._executor.width(backend) + self._patience.spare

    def turn(self) -> None:
        """Wait for reports, and carry every job on as far as it goes."""
        self.listen()
        self.carry_on()

    def listen(self) -> None:
        """Wait for reports, no longer than the watch interval, unless a job can go on already."""
        if not self._ready:
            for report in self._executor.reports(self._wait_seconds()):
                self._take(report)
            self._repeat_due()

    def carry_on(self) -> None:
        """Let procedures go on until all wait, with one transaction; their later writes are for the next turn."""
        self._resume_all()
        if self._writes:
            batch, self._writes = self._writes, []
            self._write_together(batch)
            self._resume_all()

    def end(self, reason: str) -> None:
        """Let nothing more begin. What has begun is finished; intents that are not durable yet, and calls that wait for their turn or for another try, fail."""
        self.ending = reason
        writes, self._writes = self._writes, []
        for job, write in writes:
            if write.is_intent:
                job.is_withdrawn = True
                self._throw(job, Failure(FailureKind.WITHDRAWN, reason))
            else:
                self._writes.append((job, write))
        pauses, self._pauses = self._pauses, []
        for _, _, job in pauses:
            self._cut_short(job)
        self._withdraw(Failure(FailureKind.WITHDRAWN, reason), tuple(self._calls.values()))
        self._executor.go_on()

    def abandon(self, jobs: Iterable[Job]) -> None:
        """Drop these jobs: nothing more of theirs is written, and their calls are not waited for."""
        for job in tuple(jobs):
            if job in self._jobs:
                del self._jobs[job]
                self._executor.abandon(job.number)
                self._calls.pop(job.number, None)
                job.procedure.close()
        self._ready = deque(entry for entry in self._ready if entry[0] in self._jobs)
        self._writes = [entry for entry in self._writes if entry[0] in self._jobs]
        self._pauses = [entry for entry in self._pauses if entry[2] in self._jobs]
        heapq.heapify(self._pauses)

    def hold(self) -> None:
        """Let no call begin until `end`, which has to follow, and end the wait of a turn now. May be called inside a signal handler."""
        self._executor.hold()
        self._executor.wake()

    def wake(self) -> None:
        """End the wait of a turn now. May be called from any thread, and inside a signal handler."""
        self._executor.wake()

    def close(self) -> None:
        """Abandon everything."""
        self.abandon(self.jobs)
        self._executor.close()

    def _wait_seconds(self) -> float:
        if self._writes:
            return GATHERING_SECONDS if self._calls else 0.0
        longest = self._environment.watch_interval_seconds
        if self._pauses:
            return max(0.0, min(longest, self._pauses[0][0] - self._environment.monotonic()))
        return longest

    def _take(self, report: Report) -> None:
        job = self._calls.get(report.number)
        if job is None:
            return
        outcome = report.outcome
        if isinstance(outcome, Began):
            _note_beginning(job, outcome.worker)
            return
        del self._calls[report.number]
        if isinstance(outcome, Failure):
            self._fail(job, outcome)
        else:
            self._troubles.pop(job.backend or "", None)
            job.trouble = job.lost = None
            self._ready.append((job, outcome, None))

    def _fail(self, job: Job, failure: Failure) -> None:
        backend = job.backend or ""
        if failure.kind in self._patience.kinds:
            self._troubles[backend] = self._troubles.get(backend, 0) + 1
            if self.is_silent(backend):
                waiting = [other for other in self._calls.values() if other.backend == backend]
                self._withdraw(_not_asked(backend), waiting)
        elif failure.kind not in _SAYS_NOTHING:
            self._troubles.pop(backend, None)
        may_repeat = job.call is not None and (job.call.repeatable or failure.retry_after_seconds is not None)
        if failure.kind not in job.retries or job.tries >= job.attempts or not may_repeat:
            self._throw(job, failure)
            return
        job.trouble = failure
        if failure.kind is FailureKind.WORKER_LOST:
            job.lost = job.worker
        delay_seconds = retry_delay_seconds(job.tries, failure.retry_after_seconds, self._environment.uniform)
        job.retried(job.tries, delay_seconds, failure.message)
        if self.ending:
            self._cut_short(job)
        else:
            due = self._environment.monotonic() + delay_seconds
            heapq.heappush(self._pauses, (due, next(self._numbers), job))

    def _cut_short(self, job: Job) -> None:
        message = "" if job.trouble is None else job.trouble.message
        self._throw(job, Failure(FailureKind.CUT_SHORT, f"cancelled while it was being repeated: {message}"))

    def _throw(self, job: Job, failure: Failure) -> None:
        self._ready.append((job, None, CallFailedError(failure)))

    def _withdraw(self, failure: Failure, jobs: Iterable[Job]) -> None:
        """Take back what has not begun."""
        for job in jobs:
            if not job.has_begun and self._executor.withdraw(job.number):
                del self._calls[job.number]
                job.is_withdrawn = True
                self._throw(job, failure)

    def _repeat_due(self) -> None:
        now = self._environment.monotonic()
        while self._pauses and self._pauses[0][0] <= now:
            self._submit(heapq.heappop(self._pauses)[2])

    def _resume_all(self) -> None:
        while self._ready:
            self._resume(*self._ready.popleft())

    def _resume(self, job: Job, value: Any, error: Exception | None) -> None:  # noqa: ANN401 - an answer, or None
        job.is_withdrawn = False
        try:
            wanted = job.procedure.send(value) if error is None else job.procedure.throw(error)
        except StopIteration as end:
            del self._jobs[job]
            job.ended(end.value)
            return
        except Exception as problem:  # noqa: BLE001 - a procedure that fails ends alone
            del self._jobs[job]
            job.broke(problem)
            return
        if isinstance(wanted, Write):
            self._writes.append((job, wanted))
        else:
            job.call, job.tries = wanted, 0
            self._submit(job)

    def _submit(self, job: Job) -> None:
        if job.call is None or job.backend is None:
            raise AssertionError  # only jobs of a backend make calls
        if not job.has_begun:
            if self.ending:
                self._throw(job, Failure(FailureKind.WITHDRAWN, self.ending))
                return
            if self.is_silent(job.backend):
                self._throw(job, _not_asked(job.backend))
                return
        job.number = next(self._numbers)
        job.tries += 1
        self._calls[job.number] = job
        goes_first = job.has_begun or job.goes_first
        self._executor.submit(
            Submission(job.number, job.backend, job.call, job.timeout_seconds, job.operation, goes_first)
        )

    def _write_together(self, batch: Sequence[tuple[Job, Write]]) -> None:
        """Commit these as one; if something in them is refused, commit the halves, so that the refusal reaches its cause alone."""
        error = self._committed([change for _, write in batch for change in write.changes])
        if error is None or len(batch) == 1 or isinstance(error, StateUnavailableError | LeaseLostError):
            self._ready.extend((job, None, error) for job, _ in batch)
        else:
            half = len(batch) // 2
            self._write_together(batch[:half])
            self._write_together(batch[half:])

    def _committed(self, changes: Sequence[Change]) -> Exception | None:
        try:
            self._commit(changes)
        except Exception as error:  # noqa: BLE001 - handed to the procedure that wrote
            return error
        return None


def _note_beginning(job: Job, worker: str | None) -> None:
    former = job.worker
    if not job.has_begun:
        job.worker = worker
        job.began()
    elif worker not in {None, former}:
        job.worker = worker
        job.taken(job.lost)
        job.lost = None


def _not_asked(backend: str) -> Failure:
    return Failure(FailureKind.NOT_ASKED, f"backend {backend} does not answer; it was not asked")


def loop_for(
    environment: Environment,
    store: StateStore,
    heartbeat: Heartbeat,
    width: Callable[[str], int],
    patience: Patience = USUAL_PATIENCE,
) -> Loop:
    """Return a loop that writes into `store` under the lease of `heartbeat`, and makes calls with the drivers of `environment`."""

    def commit(changes: Sequence[Change]) -> None:
        store.commit(heartbeat.lease, changes)

    permit = heartbeat.tenure.require
    executor = environment.executor(partial(_made, environment), permit, width, environment.monotonic)
    return Loop(executor, commit, environment, patience)


def _made(environment: Environment, backend: str, call: Call[Answer], permit: Permit) -> Answer:
    permit()
    driver = cast("Driver", Permitted(environment.driver(backend), permit))

    def open_network() -> NetworkPlugin:
        return cast("NetworkPlugin", Permitted(environment.network(backend), permit))

    return execute(Site(driver, open_network), call)
