"""The other end: a process that has lanes, and makes what a run submits until that says it was all, or is gone."""

from __future__ import annotations

import os
import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final

from sharectl.executors.answers import Failure, FailureKind
from sharectl.executors.base import Report
from sharectl.executors.failures import failure_of
from sharectl.executors.processes.link import Lent, Told
from sharectl.state.contract import StateUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharectl.executors.base import Permit
    from sharectl.executors.lanes import Lanes
    from sharectl.executors.processes.link import Link, Orders
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.records import Lease

ORPHAN_STATUS: Final = 70
"""The status of a process whose run is gone."""
_SAYS_SOMETHING_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.05
"""How long after a call has begun its run is told so at most: how long a step takes counts from then."""
_LENT_SECONDS: Final = 20.0
"""How long a call waits for its run to say whether it may begin."""


class LentRight:
    """The right of a run to begin calls, as far as it was lent to this process."""

    def __init__(self, lease: Lease, location: str, clock: Callable[[], float]) -> None:
        """Begin without any; `location` is where the state of the run is, and the clock the one that it has, too."""
        self.lease = lease
        self._location = location
        self._clock = clock
        self._lent = Lent(float("-inf"))
        self._changed = threading.Condition()

    def lend(self, lent: Lent) -> None:
        """Have the right as it is said there from now on."""
        with self._changed:
            self._lent = lent
            self._changed.notify_all()

    def require(self) -> None:
        """Return where a call may begin now, as soon as the run says so. Raises StateError where it may not, or nobody can tell."""
        if self._clock() < self._lent.until_seconds:
            return
        with self._changed:
            self._changed.wait_for(self._is_settled, _LENT_SECONDS)
            if self._clock() < self._lent.until_seconds:
                return
            raise StateUnavailableError(
                self._location, self._lent.problem or "the run does not say whether it still has its lock"
            )

    def _is_settled(self) -> bool:
        return bool(self._lent.problem) or self._clock() < self._lent.until_seconds


def serve(
    link: Link,
    right: LentRight,
    make_lanes: Callable[[Permit], Lanes],
    close: Callable[[], Sequence[Diagnostic]],
) -> None:
    """Make what comes over the link with lanes that ask the right, until the last orders; then `close`, and say what it returns.

    Where the run is gone, the process ends on the spot: somebody else may have the lock by now.
    """
    lanes = make_lanes(right.require)
    inbox: deque[Orders] = deque()

    def listen() -> None:
        try:
            while True:
                orders: Orders = link.receive()
                right.lend(orders.lent)
                inbox.append(orders)
                lanes.wake()
        finally:
            os._exit(ORPHAN_STATUS)

    threading.Thread(target=listen, name="orders", daemon=True).start()
    _tell(link, Told())
    said_at, is_last = monotonic(), False
    while not is_last:
        reports = lanes.reports(_LOOK_SECONDS)
        withdrawn: list[tuple[int, bool]] = []
        while inbox:
            orders = inbox.popleft()
            for submission in orders.submitted:
                lanes.submit(submission)
            for number in orders.abandoned:
                lanes.abandon(number)
            withdrawn += [(number, lanes.withdraw(number)) for number in orders.withdrawn]
            is_last = is_last or orders.is_last
        if reports or withdrawn or monotonic() >= said_at + _SAYS_SOMETHING_SECONDS:
            _tell(link, Told(tuple(reports), tuple(withdrawn)))
            said_at = monotonic()
    lanes.close()
    _tell(link, Told(problems=tuple(close())))


def _tell(link: Link, told: Told) -> None:
    """Send this. A driver may be anybody's, and answer with what cannot be sent."""
    try:
        link.send(told)
    except OSError:
        os._exit(ORPHAN_STATUS)
    except Exception:  # noqa: BLE001 - as above; the others are sent
        for report in told.reports:
            try:
                link.send(Told((report,)))
            except Exception as error:  # noqa: BLE001 - as above
                message = f"the driver has answered with what cannot be handed on: {failure_of(error).message}"
                link.send(Told((Report(report.number, Failure(FailureKind.MISBEHAVED, message)),)))
        link.send(told._replace(reports=()))
