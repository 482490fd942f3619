"""An executor for backends of which some are served by workers elsewhere, and the others by lanes of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.executors.base import Began
from sharectl.executors.workers.executor import POLL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from sharectl.executors.base import Executor, Report, Submission
    from sharectl.executors.lanes import Lanes
    from sharectl.executors.workers.executor import Workers


class Several:
    """An Executor."""

    def __init__(
        self, lanes: Lanes, workers: Workers, remote: Container[str], own_networks: Container[str] = frozenset()
    ) -> None:
        """Have calls on `remote` backends made by `workers`, others by `lanes`, which also ask the network services of `own_networks`."""
        self._lanes = lanes
        self._workers = workers
        self._remote = remote
        self._own_networks = own_networks
        self._elsewhere: set[int] = set()
        self._here: set[int] = set()

    def width(self, backend: str) -> int:
        """See Executor."""
        return (self._workers if backend in self._remote else self._lanes).width(backend)

    def submit(self, submission: Submission) -> None:
        """See Executor."""
        if submission.backend in self._remote and not self._is_of_own_network(submission):
            self._elsewhere.add(submission.number)
            self._workers.submit(submission)
        else:
            self._here.add(submission.number)
            self._lanes.submit(submission)

    def _is_of_own_network(self, submission: Submission) -> bool:
        return submission.call.of_network and submission.backend in self._own_networks

    def reports(self, timeout_seconds: float) -> Sequence[Report]:
        """See Executor."""
        if not self._here:
            found = list(self._workers.reports(timeout_seconds))
        elif not self._elsewhere:
            found = list(self._lanes.reports(timeout_seconds))
        else:
            found = self._workers.look()
            wait_seconds = 0.0 if _has_outcome(found) else min(timeout_seconds, POLL_SECONDS)
            found += self._lanes.reports(wait_seconds)
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
        self._workers.wake()
        self._lanes.wake()

    def hold(self) -> None:
        """See Executor."""
        self._workers.hold()
        self._lanes.hold()

    def go_on(self) -> None:
        """See Executor."""
        self._workers.go_on()
        self._lanes.go_on()

    def close(self) -> None:
        """See Executor."""
        self._lanes.close()
        self._workers.close()

    def _holder(self, number: int) -> Executor:
        return self._workers if number in self._elsewhere else self._lanes

    def _forget(self, number: int) -> None:
        self._elsewhere.discard(number)
        self._here.discard(number)


def _has_outcome(reports: Sequence[Report]) -> bool:
    return any(not isinstance(report.outcome, Began) for report in reports)
