"""An executor of which some calls are made elsewhere, by workers or in other processes, and the others by lanes of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sharectl.executors.base import Began, Executor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharectl.executors.base import Report, Submission


class Looking(Executor, Protocol):
    """An executor that can be looked at."""

    def look(self) -> list[Report]:
        """Return what there is to report, and wait for nothing."""
        ...


class Several:
    """An Executor."""

    def __init__(
        self,
        here: Executor,
        elsewhere: Looking,
        is_elsewhere: Callable[[str], bool],
        poll_seconds: float,
        is_here: Callable[[Submission], bool] = lambda _: False,
    ) -> None:
        """Have calls made `elsewhere` on the backends that are, but for those that are made `here` all the same.

        While calls are under way at both, what is elsewhere is looked at once in `poll_seconds`.
        """
        self._executor_here = here
        self._executor_elsewhere = elsewhere
        self._is_elsewhere = is_elsewhere
        self._is_here = is_here
        self._poll_seconds = poll_seconds
        self._elsewhere: set[int] = set()
        self._here: set[int] = set()

    def width(self, backend: str) -> int:
        """See Executor."""
        return (self._executor_elsewhere if self._is_elsewhere(backend) else self._executor_here).width(backend)

    def submit(self, submission: Submission) -> None:
        """See Executor."""
        if self._is_elsewhere(submission.backend) and not self._is_here(submission):
            self._elsewhere.add(submission.number)
            self._executor_elsewhere.submit(submission)
        else:
            self._here.add(submission.number)
            self._executor_here.submit(submission)

    def reports(self, timeout_seconds: float) -> Sequence[Report]:
        """See Executor."""
        if not self._here:
            found = list(self._executor_elsewhere.reports(timeout_seconds))
        elif not self._elsewhere:
            found = list(self._executor_here.reports(timeout_seconds))
        else:
            found = self._executor_elsewhere.look()
            wait_seconds = 0.0 if _has_outcome(found) else min(timeout_seconds, self._poll_seconds)
            found += self._executor_here.reports(wait_seconds)
        for report in found:
            if not isinstance(report.outcome, Began):
                self._forget(report.number)
        return found

    def withdraw(self, number: int) -> bool:
        """See Executor."""
        is_back = self._holder(number).withdraw(number)
        if is_back:
            self._forget(number)
        return is_back

    def abandon(self, number: int) -> None:
        """See Executor."""
        self._holder(number).abandon(number)
        self._forget(number)

    def wake(self) -> None:
        """See Executor."""
        self._executor_elsewhere.wake()
        self._executor_here.wake()

    def hold(self) -> None:
        """See Executor."""
        self._executor_elsewhere.hold()
        self._executor_here.hold()

    def go_on(self) -> None:
        """See Executor."""
        self._executor_elsewhere.go_on()
        self._executor_here.go_on()

    def close(self) -> None:
        """See Executor."""
        self._executor_here.close()
        self._executor_elsewhere.close()

    def _holder(self, number: int) -> Executor:
        return self._executor_elsewhere if number in self._elsewhere else self._executor_here

    def _forget(self, number: int) -> None:
        self._elsewhere.discard(number)
        self._here.discard(number)


def _has_outcome(reports: Sequence[Report]) -> bool:
    return any(not isinstance(report.outcome, Began) for report in reports)
