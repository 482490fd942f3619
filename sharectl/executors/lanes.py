"""Lanes: for each backend a pool of threads of fixed width, so that no backend waits for another.

The threads do nothing but make calls. They share no lock: what is queued and what runs stands in two dictionaries, and whoever
takes an entry out of one has the call.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final

from sharectl.executors.base import Began, Report
from sharectl.executors.calls import Failure, FailureKind
from sharectl.executors.failures import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sharectl.executors.base import Execute, Permit, Submission
    from sharectl.executors.calls import Answer

_OVERDUE_CHECK_SECONDS: Final = 0.05


class _AbandonedError(BaseException):
    """Nobody waits for the call any more. No Exception, so that no handler takes it for a failure of the driver."""


class _Lane:
    """The threads of one backend. `threads` and `unfinished` are touched by the loop's thread alone."""

    __slots__ = ("name", "queue", "threads", "unfinished", "width")

    def __init__(self, name: str, width: int) -> None:
        self.name = name
        self.width = width
        self.queue: SimpleQueue[Submission | None] = SimpleQueue()
        self.threads = 0
        self.unfinished = 0


class Lanes:
    """An Executor in threads of this process; they are daemons, so that one that hangs keeps nobody from leaving."""

    def __init__(
        self,
        execute: Execute,
        permit: Permit,
        width: Callable[[str], int],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Make calls with `execute`, each request of them only where `permit` returns."""
        self._execute = execute
        self._permit = permit
        self._width = width
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._queued: dict[int, Submission] = {}
        self._running: dict[int, tuple[Submission, float]] = {}
        self._reports: deque[tuple[_Lane, Report]] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._rung = False
        self._short: list[_Lane] = []
        self._check_at = 0.0

    def width(self, backend: str) -> int:
        """See Executor."""
        return max(1, self._width(backend))

    def submit(self, submission: Submission) -> None:
        """See Executor."""
        lane = self._lanes.get(submission.backend)
        if lane is None:
            lane = self._lanes[submission.backend] = _Lane(submission.backend, self.width(submission.backend))
        self._queued[submission.number] = submission
        lane.queue.put(submission)
        lane.unfinished += 1
        self._staff(lane)

    def reports(self, timeout_seconds: float) -> Sequence[Report]:
        """See Executor. The places of calls that were reported as silent are free from now on, no sooner."""
        while self._short:
            self._staff(self._short.pop())
        with suppress(Empty):
            self._bell.get(timeout=timeout_seconds) if timeout_seconds > 0 else self._bell.get_nowait()
        self._rung = False  # before they are taken: whoever adds one later rings again
        found: list[Report] = []
        while self._reports:
            lane, report = self._reports.popleft()
            lane.unfinished -= not isinstance(report.outcome, Began)
            found.append(report)
        now = self._clock()
        if now >= self._check_at:
            self._check_at = now + _OVERDUE_CHECK_SECONDS
            found += self._overdue(now)
        return found

    def withdraw(self, number: int) -> bool:
        """See Executor."""
        submission = self._queued.pop(number, None)
        if submission is None:
            return False
        self._lanes[submission.backend].unfinished -= 1
        return True

    def abandon(self, number: int) -> None:
        """See Executor."""
        if not self.withdraw(number):
            running = self._running.pop(number, None)
            if running is not None:
                self._leave_thread(running[0].backend)

    def wake(self) -> None:
        """See Executor."""
        self._bell.put(None)

    def close(self) -> None:
        """See Executor."""
        self._queued.clear()
        self._running.clear()
        for lane in self._lanes.values():
            for _ in range(lane.threads):
                lane.queue.put(None)

    def _staff(self, lane: _Lane) -> None:
        """Start a thread where one is missing."""
        if lane.threads < min(lane.width, lane.unfinished):
            lane.threads += 1
            threading.Thread(target=self._work, args=(lane,), name=f"lane-{lane.name}", daemon=True).start()

    def _leave_thread(self, backend: str) -> None:
        """Leave a thread behind in the call that it does not come back from; another takes its place."""
        lane = self._lanes[backend]
        lane.threads -= 1
        lane.unfinished -= 1
        self._short.append(lane)

    def _overdue(self, now: float) -> Iterator[Report]:
        for number, (submission, deadline) in self._running.copy().items():
            if deadline <= now and self._running.pop(number, None) is not None:
                self._leave_thread(submission.backend)
                message = f"no answer within {submission.timeout_seconds:g} s"
                yield Report(number, Failure(FailureKind.SILENT, message))

    def _work(self, lane: _Lane) -> None:
        worker = Began(threading.current_thread().name)
        while (submission := lane.queue.get()) is not None:
            number = submission.number
            self._running[number] = submission, self._clock() + submission.timeout_seconds
            if self._queued.pop(number, None) is None:  # withdrawn
                self._running.pop(number, None)
                continue
            self._reports.append((lane, Report(number, worker)))
            outcome = self._outcome(submission)
            if self._running.pop(number, None) is None:  # abandoned: another thread has taken the place of this one
                return
            self._reports.append((lane, Report(number, outcome)))
            if not self._rung:
                self._rung = True
                self._bell.put(None)

    def _outcome(self, submission: Submission) -> Answer | Failure:
        def permit() -> None:
            if submission.number not in self._running:
                raise _AbandonedError
            self._permit()

        try:
            return self._execute(submission.backend, submission.call, permit)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is an outcome, and the thread lives on
            return failure_of(error)
