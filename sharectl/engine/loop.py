"""The loop of a run: one thread that takes what is ready, commits in batches, submits calls, and takes their answers.

What is to be done is written as a procedure, a generator that yields what it needs next: a Call, whose answer it is sent, or a
Write, which is durable when it goes on. A call that failed for good comes back as CallFailedError, a write that was refused as what
the store raised. A procedure never waits otherwise, and no two run at once, so that nothing in the engine needs a lock.

One turn: what the executor reports is handed to the procedures that wait for it; each goes on to its next call, which is submitted,
or its next write; then all writes are one transaction. Intents and results of many steps share it, and nothing is submitted before its
intent is durable.

A transient failure is repeated after a pause, as often as the job allows and where the call may be repeated at all. A backend that
leaves more calls unanswered, one after the other, than it is wide is silent: what has not begun on it is not asked of it any more.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from itertools import count
from time import sleep
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from sharectl.engine.retry import retry_delay_seconds
from sharectl.executors.base import Began, Submission
from sharectl.executors.calls import (
    TRANSIENT_KINDS,
    UNANSWERED_KINDS,
    Answer,
    Call,
    CallFailedError,
    Failure,
    FailureKind,
)
from sharectl.state.contract import LeaseLostError, StateUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sharectl.engine.environment import Environment
    from sharectl.executors.base import Executor, Report
    from sharectl.model.records import Change

_GATHERING_SECONDS: Final = 0.004
"""How long outcomes are gathered while other calls are under way: a transaction costs the same for one step as for many."""


class Write(NamedTuple):
    """Changes of the state, all durable or none when the procedure goes on."""

    changes: Sequence[Change]


T = TypeVar("T")
Procedure = Generator["Call[Answer] | Write", Any, T]
"""Yields what it needs next, and is sent the answer to a call, or None when what it writes is durable."""


class Job:
    """A procedure on its way, on one backend (None: on the state alone). It is told of what happens to it in the loop's thread."""

    def __init__(
        self, procedure: Procedure[Any], backend: str | None, *, attempts: int, timeout_seconds: float
    ) -> None:
        """Make each call up to `attempts` times, each time for up to `timeout_seconds`."""
        self.procedure = procedure
        self.backend = backend
        self.attempts = attempts
        self.timeout_seconds = timeout_seconds
        self.has_begun = False
        self.call: Call[Answer] | None = None
        self.number = 0
        self.tries = 0
        self.trouble: Failure | None = None

    def began(self) -> None:
        """Take note that a call has left. A job that `has_begun` is finished, also where the run is ending."""
        self.has_begun = True

    def retried(self, number: int, delay_seconds: float, error: str) -> None:
        """Take note that try `number` has failed for now."""

    def ended(self, value: Any) -> None:  # noqa: ANN401 - what its procedure returns
        """Take what the procedure has returned."""

    def broke(self, error: Exception) -> None:
        """Take what the procedure has raised."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When a backend counts as silent: failures of `kinds`, one after the other, `spare` more than the backend is wide."""

    kinds: frozenset[FailureKind] = UNANSWERED_KINDS
    spare: int = 0


USUAL_PATIENCE: Final = Patience()


class Loop:
    """Carries jobs on, turn by turn."""

    def __init__(
        self,
        executor: Executor,
        commit: Callable[[Sequence[Change]], None],
        environment: Environment,
        patience: Patience,
    ) -> None:
        """Write with `commit`, which raises as StateStore.commit; the environment has the clock and the chance."""
        self._executor = executor
        self._commit = commit
        self._environment = environment
        self._patience = patience
        self._numbers = count(1)
        self._jobs: dict[Job, None] = {}
        self._calls: dict[int, Job] = {}
        self._ready: deque[tuple[Job, Any, Exception | None]] = deque()
        self._writes: list[tuple[Job, Sequence[Change]]] = []
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
        """Tell whether the backend has left so many calls unanswered that it is not asked any more."""
        if backend is None or backend not in self._troubles:
            return False
        return self._troubles[backend] >= self._executor.width(backend) + self._patience.spare

    def turn(self) -> None:
        """Wait for something to happen, for no longer than the watch interval, and carry everything on as far as it goes."""
        if not self._ready:
            self._take_reports(self._wait_seconds())
            self._repeat_due()
        self._carry_on()

    def end(self, reason: str) -> None:
        """Let nothing more begin: what has begun is finished, what waits to be repeated or for its turn is not made."""
        self.ending = reason
        pauses, self._pauses = self._pauses, []
        for _, _, job in pauses:
            self._cut_short(job)
        self._withdraw(Failure(FailureKind.WITHDRAWN, reason), tuple(self._calls.values()))

    def abandon(self, jobs: Iterable[Job]) -> None:
        """Carry these jobs no further; nothing of theirs is written, and what they have asked is not waited for."""
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

    def wake(self) -> None:
        """End the wait of a turn now. May be called from any thread, and inside a signal handler."""
        self._executor.wake()

    def close(self) -> None:
        """Abandon everything."""
        self.abandon(self.jobs)
        self._executor.close()

    def _wait_seconds(self) -> float:
        if self._writes:
            return _GATHERING_SECONDS if self._calls else 0.0
        longest = self._environment.watch_interval_seconds
        if self._pauses:
            return max(0.0, min(longest, self._pauses[0][0] - self._environment.monotonic()))
        return longest

    def _take_reports(self, wait_seconds: float) -> None:
        """Take what there is to report, and gather more where answers have come and other calls are under way."""
        outstanding = len(self._calls)
        for report in self._executor.reports(wait_seconds):
            self._take(report)
        if 0 < len(self._calls) < outstanding:
            sleep(_GATHERING_SECONDS)
            for report in self._executor.reports(0.0):
                self._take(report)

    def _take(self, report: Report) -> None:
        job = self._calls.get(report.number)
        if job is None:
            return
        outcome = report.outcome
        if isinstance(outcome, Began):
            if not job.has_begun:
                job.began()
            return
        del self._calls[report.number]
        if isinstance(outcome, Failure):
            self._fail(job, outcome)
        else:
            self._troubles.pop(job.backend or "", None)
            self._ready.append((job, outcome, None))

    def _fail(self, job: Job, failure: Failure) -> None:
        backend = job.backend or ""
        if failure.kind in self._patience.kinds:
            self._troubles[backend] = self._troubles.get(backend, 0) + 1
            if self.is_silent(backend):
                waiting = [other for other in self._calls.values() if other.backend == backend]
                self._withdraw(_not_asked(backend), waiting)
        elif failure.kind is not FailureKind.NOT_PERMITTED:
            self._troubles.pop(backend, None)
        may_repeat = job.call is not None and (job.call.repeatable or failure.retry_after_seconds is not None)
        if failure.kind not in TRANSIENT_KINDS or job.tries >= job.attempts or not may_repeat:
            self._throw(job, failure)
            return
        job.trouble = failure
        delay_seconds = retry_delay_seconds(job.tries, failure.retry_after_seconds, self._environment.random)
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
                self._throw(job, failure)

    def _repeat_due(self) -> None:
        now = self._environment.monotonic()
        while self._pauses and self._pauses[0][0] <= now:
            self._submit(heapq.heappop(self._pauses)[2])

    def _carry_on(self) -> None:
        """Let procedures go on until all wait. What they write in the end waits for the next turn where others are under way."""
        has_written = False
        while self._ready or (self._writes and not (has_written and self._calls)):
            while self._ready:
                self._resume(*self._ready.popleft())
            if self._writes and not (has_written and self._calls):
                self._write()
                has_written = True

    def _resume(self, job: Job, value: Any, error: Exception | None) -> None:  # noqa: ANN401 - an answer, or None
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
            self._writes.append((job, wanted.changes))
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
        self._executor.submit(Submission(job.number, job.backend, job.call, job.timeout_seconds))

    def _write(self) -> None:
        """Commit what is to be written as one."""
        batch, self._writes = self._writes, []
        self._write_together(batch)

    def _write_together(self, batch: Sequence[tuple[Job, Sequence[Change]]]) -> None:
        """Commit these; where something in it is refused, in smaller parts, so that the refusal meets its cause alone."""
        error = self._committed([change for _, changes in batch for change in changes])
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


def _not_asked(backend: str) -> Failure:
    return Failure(FailureKind.NOT_ASKED, f"backend {backend} does not answer; it was not asked")
