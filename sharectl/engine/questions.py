"""Questions to backends, many at once: each backend in a lane of its own, answers as they come, and one that hangs holds up only itself."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import BackendUnavailableError
from sharectl.engine.attempt import AbandonedError
from sharectl.engine.lanes import Lane
from sharectl.state.contract import LeaseLostError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharectl.engine.resolving import Outcome
    from sharectl.engine.tenure import Permit
    from sharectl.model.records import OperationRecord

_POLLS_PER_SILENCE: Final = 20


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of a job: an outcome for each operation (None: no answer), and further jobs for others."""

    outcomes: tuple[tuple[OperationRecord, Outcome | None], ...] = ()
    jobs: tuple[Job, ...] = ()


@dataclass(eq=False, slots=True)
class Job:
    """Something to ask of a backend on behalf of `operations`; `work` asks its permit before each call that changes something."""

    backend: str
    operations: tuple[OperationRecord, ...]
    work: Callable[[Permit], Findings]
    since_seconds: float | None = None
    is_over: bool = False


@dataclass(slots=True)
class Questions:
    """Runs jobs, those of a backend on `width(backend)` threads.

    A job that is silent for longer than `silence_seconds` is given up and another thread takes its place. A backend that leaves
    more jobs without an answer, one after the other, than it is wide, is asked no more.
    """

    width: Callable[[str], int]
    silence_seconds: float
    monotonic: Callable[[], float]
    permit: Permit
    _lanes: dict[str, Lane[Job]] = field(default_factory=dict)
    _open: set[Job] = field(default_factory=set)
    _trouble: dict[str, int] = field(default_factory=dict)
    _answers: SimpleQueue[tuple[Job, Findings | BaseException]] = field(default_factory=SimpleQueue)
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, job: Job) -> None:
        """Ask as soon as a thread of the backend's lane is free."""
        self._open.add(job)
        lane = self._lanes.get(job.backend)
        if lane is None:
            lane = self._lanes[job.backend] = Lane(job.backend, max(1, self.width(job.backend)), self._work)
        lane.submit(job)

    def answers(self) -> Iterator[tuple[tuple[OperationRecord, Outcome | None], ...]]:
        """Yield outcomes as they come, until every job is over. Raises LeaseLostError and StateError from the permit."""
        while self._open:
            found = list(self._next())
            found += self._overdue()
            if found:
                yield tuple(found)

    def close(self) -> None:
        """Let no job go on: what is under way begins no further call."""
        with self._mutex:
            for job in self._open:
                job.is_over = True
        self._open.clear()
        for lane in self._lanes.values():
            lane.close()

    def _work(self, job: Job) -> bool:
        with self._mutex:
            if job.is_over:
                return True
            job.since_seconds = self.monotonic()
        answer: Findings | BaseException
        try:
            answer = job.work(lambda: self._expect_right(job))
        except BaseException as error:  # noqa: BLE001 - a thread that died silently would be waited for
            answer = error
        with self._mutex:
            if job.is_over:
                return False
            job.is_over = True
        self._answers.put((job, answer))
        return True

    def _expect_right(self, job: Job) -> None:
        self.permit()
        if job.is_over:
            raise AbandonedError

    def _next(self) -> Iterator[tuple[OperationRecord, Outcome | None]]:
        """Wait for answers, not for long, and yield all there are."""
        try:
            job, answer = self._answers.get(timeout=self.silence_seconds / _POLLS_PER_SILENCE)
            while True:
                yield from self._take(job, answer)
                job, answer = self._answers.get_nowait()
        except Empty:
            return

    def _take(self, job: Job, answer: Findings | BaseException) -> Iterator[tuple[OperationRecord, Outcome | None]]:
        self._open.discard(job)
        if isinstance(answer, LeaseLostError | StateError):
            raise answer
        if isinstance(answer, BackendUnavailableError):
            yield from self._note_trouble(job.backend)
        elif isinstance(answer, Findings):
            self._trouble.pop(job.backend, None)
            for follower in answer.jobs:
                self.submit(follower)
            yield from answer.outcomes
            return
        yield from ((operation, None) for operation in job.operations)

    def _overdue(self) -> Iterator[tuple[OperationRecord, Outcome | None]]:
        """Give up the jobs that have been silent for too long; their threads are left behind."""
        limit = self.monotonic() - self.silence_seconds
        with self._mutex:
            silent = [
                job
                for job in self._open
                if not job.is_over and job.since_seconds is not None and job.since_seconds < limit
            ]
            for job in silent:
                job.is_over = True
        for job in silent:
            self._open.discard(job)
            self._lanes[job.backend].give_up_thread()
            yield from ((operation, None) for operation in job.operations)
            yield from self._note_trouble(job.backend)

    def _note_trouble(self, backend: str) -> Iterator[tuple[OperationRecord, Outcome | None]]:
        """Count a job without an answer; where it is one too many, give up all that the backend has not begun."""
        self._trouble[backend] = self._trouble.get(backend, 0) + 1
        if self._trouble[backend] <= self._lanes[backend].width:
            return
        with self._mutex:
            waiting = [job for job in self._open if job.backend == backend and job.since_seconds is None]
            for job in waiting:
                job.is_over = True
        for job in waiting:
            self._open.discard(job)
            yield from ((operation, None) for operation in job.operations)
