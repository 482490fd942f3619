"""An executor whose calls are observed: when each began and ended, where it was made, and how it ended."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from sharectl.executors.answers import Failure, FailureKind
from sharectl.executors.base import Began
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharectl.executors.answers import Answer
    from sharectl.executors.base import Execute, Executor, MakeExecutor, Permit, Report, Submission
    from sharectl.executors.calls import Call

_ABANDONED = Failure(FailureKind.CUT_SHORT, "nobody waited for it any more")


@dataclass(frozen=True, slots=True)
class CallSeen:
    """A call that has ended, in nanoseconds since 1970, made by the `worker` of this id (None: this machine).

    For a call in this process the times are those of its thread, for one in another process those at which this process heard of it.
    """

    submission: Submission
    began_ns: int
    ended_ns: int
    failure: Failure | None = None
    worker: str | None = None


def watched(make: MakeExecutor, see: Callable[[CallSeen], None]) -> MakeExecutor:
    """Return what makes the executor that `make` makes, with `see` told in the thread of the loop of each call that has begun, when it has ended."""

    def make_watched(
        execute: Execute, permit: Permit, width: Callable[[str], int], clock: Callable[[], float]
    ) -> Executor:
        times: dict[int, tuple[int, int]] = {}

        def timed(backend: str, call: Call[Answer], permit: Permit) -> Answer:
            key, began_ns = id(call), time_ns()  # the call itself: it lives until its outcome is there
            times[key] = began_ns, 0
            try:
                return execute(backend, call, permit)
            finally:
                if times.get(key) == (began_ns, 0):  # or nobody waits for it any more, or for its next try alone
                    times[key] = began_ns, time_ns()

        return _Watched(make(timed, permit, width, clock), times, see)

    return make_watched


class _Open:
    """A call that has been submitted."""

    __slots__ = ("began_ns", "submission", "worker")

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self.began_ns = 0
        self.worker: str | None = None


class _Watched:
    """An Executor."""

    def __init__(self, executor: Executor, times: dict[int, tuple[int, int]], see: Callable[[CallSeen], None]) -> None:
        self._executor = executor
        self._times = times
        self._see = see
        self._open: dict[int, _Open] = {}

    def width(self, backend: str) -> int:
        """See Executor."""
        return self._executor.width(backend)

    def submit(self, submission: Submission) -> None:
        """See Executor."""
        self._open[submission.number] = _Open(submission)
        self._executor.submit(submission)

    def reports(self, timeout_seconds: float) -> Sequence[Report]:
        """See Executor."""
        found = self._executor.reports(timeout_seconds)
        for report in found:
            self._note(report)
        return found

    def withdraw(self, number: int) -> bool:
        """See Executor."""
        is_back = self._executor.withdraw(number)
        if is_back:
            self._open.pop(number, None)
        return is_back

    def abandon(self, number: int) -> None:
        """See Executor."""
        self._executor.abandon(number)
        self._end(number, _ABANDONED)

    def wake(self) -> None:
        """See Executor."""
        self._executor.wake()

    def hold(self) -> None:
        """See Executor."""
        self._executor.hold()

    def go_on(self) -> None:
        """See Executor."""
        self._executor.go_on()

    def close(self) -> None:
        """See Executor."""
        self._executor.close()

    def _note(self, report: Report) -> None:
        outcome = report.outcome
        if not isinstance(outcome, Began):
            self._end(report.number, outcome if isinstance(outcome, Failure) else None)
        elif (call := self._open.get(report.number)) is not None:
            call.began_ns, call.worker = call.began_ns or time_ns(), outcome.worker

    def _end(self, number: int, failure: Failure | None) -> None:
        call = self._open.pop(number, None)
        if call is None:
            return
        began_ns, ended_ns = self._times.pop(id(call.submission.call), (0, 0))
        began_ns = began_ns or call.began_ns
        if began_ns:  # it has begun
            ended_ns = max(began_ns, ended_ns or time_ns())
            self._see(CallSeen(call.submission, began_ns, ended_ns, failure, call.worker))
