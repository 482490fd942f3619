"""An executor whose calls are made by other processes of this machine, each of which has the lanes of some backends.

A process has one interpreter, which runs one thread at a time. Where the calls of many backends want more of it than there is, they wait for
it instead of for their backends. Another process has an interpreter of its own, and maybe a core.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress
from multiprocessing.connection import wait
from subprocess import TimeoutExpired
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from sharectl.executors.answers import Failure, FailureKind
from sharectl.executors.base import GATHERING_SECONDS, Began, Report
from sharectl.executors.failures import failure_of
from sharectl.executors.processes.link import Orders, SharedHold, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharectl.executors.base import Submission
    from sharectl.executors.processes.link import Lent, Link
    from sharectl.model.diagnostics import Diagnostic

_REPLY_SECONDS: Final = 10.0
"""How long a process is waited for that is to say whether a call begins; not for its next ones, until it has said something."""
_PIPE_SECONDS: Final = 60.0
"""A process that takes no orders for so long, or says half of something, is stuck."""
_SILENCE_SECONDS: Final = 60.0
"""A process that says nothing for so long, and for as long as its calls may take, is stuck: each says something once a second."""
_LOSSES_IN_A_ROW: Final = 3
"""So often a process is started again whose calls it has taken with it."""
_CLOSE_SECONDS: Final = 25.0
"""How long a process may take to close its drivers, for which it gives them less."""
_EXIT_SECONDS: Final = 2.0
"""How long a process may take to be gone that has closed its end."""
_AGAIN_SECONDS: Final = 1.0


class Process(Protocol):
    """A process that was started."""

    def kill(self) -> None:
        """End it."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Return its status, negative where a signal ended it. Raises TimeoutExpired."""
        ...


class _Place:
    """A place for a process, what is `open` there, and what the process is still to be told; it `is_ready` once it has said something.

    One that `is_mute` has not said in time whether calls begin that are `unanswered`.
    """

    __slots__ = (
        "abandoned", "heard_at", "is_mute", "is_ready", "lent", "link", "losses", "open", "process", "submitted", "unanswered", "width",
    )  # fmt: skip

    def __init__(self) -> None:
        self.width = 0
        self.open: dict[int, Submission] = {}
        self.submitted: list[Submission] = []
        self.unanswered: set[int] = set()
        self.abandoned: list[int] = []
        self.process: Process | None = None
        self.link: Link | None = None
        self.lent: Lent | None = None
        self.heard_at = 0.0
        self.is_ready = self.is_mute = False
        self.losses = 0


class Processes:
    """An Executor."""

    def __init__(  # noqa: PLR0913, PLR0917 - how many, how they are started, what they may, and who is told
        self,
        count: int,
        start: Callable[[SharedHold], tuple[Process, Link]],
        lent: Callable[[], Lent],
        width: Callable[[str], int],
        tell: Callable[[Sequence[Diagnostic]], object],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Make calls in up to `count` processes, which `start` starts (raises OSError), for as long as `lent` says.

        `tell` is told what could not be closed in the end.
        """
        self._start = start
        self._lent = lent
        self._width = width
        self._tell = tell
        self._clock = clock
        self._places = [_Place() for _ in range(count)]
        self._place_of: dict[str, _Place] = {}
        self._open: dict[int, _Place] = {}
        self._found: deque[Report] = deque()
        self._has_outcome = False
        self._hold = SharedHold()
        self._woken, self._waker = socket.socketpair()
        self._woken.settimeout(0)
        self._waker.settimeout(0)

    def width(self, backend: str) -> int:
        """See Executor."""
        return max(1, self._width(backend))

    def submit(self, submission: Submission) -> None:
        """See Executor."""
        place = self._place_of.get(submission.backend)
        if place is None:
            place = self._place_of[submission.backend] = min(self._places, key=lambda each: each.width)
            place.width += self.width(submission.backend)
        place.submitted.append(submission)
        self._open[submission.number] = place

    def look(self) -> list[Report]:
        """Return what there is to report, and wait for nothing."""
        return list(self.reports(0.0))

    def reports(self, timeout_seconds: float) -> Sequence[Report]:
        """See Executor."""
        until = monotonic() + timeout_seconds
        for place in self._places:
            self._forward(place)
        is_gathering = False
        while True:
            if self._has_outcome and not is_gathering:
                is_gathering, until = True, min(until, monotonic() + GATHERING_SECONDS)
            if is_gathering and not self._open:
                break
            if self._is_woken_within(until - monotonic()) or monotonic() >= until:
                break
        self._look_for_stuck()
        found = list(self._found)
        self._found.clear()
        self._has_outcome = False
        return found

    def _is_woken_within(self, seconds: float) -> bool:
        """Take what processes say within this time; tell whether there was a call to wake."""
        links = {place.link.connection: place for place in self._places if place.link is not None}
        is_woken = False
        for each in wait([*links, self._woken], max(0.0, seconds)):
            if each is self._woken:
                is_woken = True
                with suppress(BlockingIOError):
                    while self._woken.recv(4096):
                        pass
            else:
                self._hear(links[each])  # type: ignore[index] # what was waited for
        return is_woken

    def withdraw(self, number: int) -> bool:
        """See Executor."""
        place = self._open.get(number)
        if place is None:
            return False
        if number not in place.open:  # the process has not been told of it
            place.submitted = [each for each in place.submitted if each.number != number]
            del self._open[number]
            return True
        self._send(place, Orders(self._lent(), (), (), (number,)))
        until = monotonic() + (0.0 if place.is_mute else _REPLY_SECONDS)
        while place.link is not None and number in place.open and place.link.has_message_within(until - monotonic()):
            withdrawn = dict(self._hear(place))
            if number in withdrawn:
                return withdrawn[number]
        if number in place.open:  # what it says of it later is reported
            place.is_mute = True
            place.unanswered.add(number)
        return False

    def abandon(self, number: int) -> None:
        """See Executor."""
        place = self._open.get(number)
        if place is not None and number in place.open:
            self._forget(number)
            place.abandoned.append(number)
        elif place is not None:
            self.withdraw(number)

    def wake(self) -> None:
        """See Executor."""
        with suppress(OSError):  # it is full, so that the wait ends anyway, or there is no wait any more
            self._waker.send(b"\0")

    def hold(self) -> None:
        """See Executor."""
        self._hold.set()

    def go_on(self) -> None:
        """See Executor."""
        self._hold.clear()
        for place in self._places:
            place.lent = None  # so that it is told something, and looks again at what waits

    def close(self) -> None:
        """See Executor."""
        for number in tuple(self._open):
            self.abandon(number)
        running = [place for place in self._places if place.link is not None]
        for place in running:
            self._send(place, Orders(self._lent(), (), place.abandoned, is_last=True))
        until = monotonic() + _CLOSE_SECONDS
        for place in running:
            while place.link is not None and place.link.has_message_within(until - monotonic()):
                self._hear(place)
            self._end(place, until - monotonic())
        self._hold.close()
        self._woken.close()
        self._waker.close()

    # --- what a process is told ---

    def _forward(self, place: _Place) -> None:
        """Tell the process what there is to tell, once there is one; start it where it has something to do."""
        if place.link is None and not (place.submitted and self._is_started(place)):
            return
        lent = self._lent()
        if place.submitted or place.abandoned or lent != place.lent:
            if not self._send(place, Orders(lent, place.submitted, place.abandoned)):
                self._forward(place)  # to another one, which may be started but so often
                return
            place.open.update((each.number, each) for each in place.submitted)
            place.submitted, place.abandoned, place.lent = [], [], lent

    def _is_started(self, place: _Place) -> bool:
        why = f"the process for its calls has ended {place.losses} times in a row"
        if place.losses < _LOSSES_IN_A_ROW:
            try:
                place.process, place.link = self._start(self._hold)
            except OSError as error:
                why = f"no process could be started for its calls: {error}"
            else:
                place.link.limit(_PIPE_SECONDS)
                place.heard_at, place.is_ready, place.is_mute = self._clock(), False, False
                return True
        for submission in place.submitted:
            self._report(
                submission.number, Failure(FailureKind.UNAVAILABLE, f"it was not asked: {why}", _AGAIN_SECONDS)
            )
        place.submitted = []
        return False

    def _send(self, place: _Place, orders: Orders) -> bool:
        """Tell the process; where it is gone or stuck it is lost, and has not heard of this: return False."""
        if place.link is None:
            return False
        try:
            place.link.send(orders)
        except BlockingIOError:
            self._kill(place, f"it took no orders for {_PIPE_SECONDS:g} s")
        except OSError:
            self._hear_rest(place)
        else:
            return True
        return False

    # --- and what it says ---

    def _hear(self, place: _Place, why: str = "") -> Sequence[tuple[int, bool]]:
        """Take the next message; return what it says of calls that were to be withdrawn. Where there is none any more, `why` is known, or not."""
        if place.link is None:
            return ()
        try:
            told: Told = place.link.receive()
        except (EOFError, OSError):
            self._lose(place, why)
            return ()
        except Exception as error:  # noqa: BLE001 - what a driver has answered, which may be anybody's, can be sent but not read
            self._lose(place, f"what it said cannot be read: {failure_of(error).message}")
            return ()
        place.heard_at, place.is_ready, place.is_mute = self._clock(), True, False
        for report in told.reports:
            if report.number not in place.open:  # nobody waits for it
                continue
            if isinstance(report.outcome, Began):
                self._found.append(report)
            else:
                place.losses = 0
                self._report(report.number, report.outcome)
        self._hear_withdrawn(place, told.withdrawn)
        if told.problems:
            self._tell(told.problems)
        return told.withdrawn

    def _hear_withdrawn(self, place: _Place, withdrawn: Sequence[tuple[int, bool]]) -> None:
        for number, is_withdrawn in withdrawn:
            if is_withdrawn and number in place.unanswered and number in place.open:
                self._report(number, Failure(FailureKind.WITHDRAWN, "it was taken back before it began"))
            elif is_withdrawn:
                self._forget(number)
            place.unanswered.discard(number)

    def _report(self, number: int, outcome: object) -> None:
        self._forget(number)
        self._found.append(Report(number, outcome))  # type: ignore[arg-type] # no Began
        self._has_outcome = True

    def _forget(self, number: int) -> None:
        place = self._open.pop(number, None)
        if place is not None:
            place.open.pop(number, None)

    # --- a process that is gone, or stuck ---

    def _look_for_stuck(self) -> None:
        now = self._clock()
        for place in self._places:
            if place.link is None or not place.open:
                continue
            silent_seconds = now - place.heard_at - _SILENCE_SECONDS
            if silent_seconds > 0 and silent_seconds > max(each.timeout_seconds for each in place.open.values()):
                self._kill(place, f"it said nothing for {now - place.heard_at:.0f} s")

    def _kill(self, place: _Place, why: str) -> None:
        """End the process, which is stuck; what it has said until then counts."""
        if place.process is not None:
            place.process.kill()
            place.process.wait()
        self._hear_rest(place, why)

    def _hear_rest(self, place: _Place, why: str = "") -> None:
        """Take what the process has said, which is gone; it may have begun calls, and ended some, that nobody has heard of yet."""
        while place.link is not None and place.link.has_message_within(0.0):
            self._hear(place, why)
        self._lose(place, why)

    def _lose(self, place: _Place, why: str = "") -> None:
        """End the process, and report what it had: nobody knows how that ended, unless it was never ready."""
        if place.link is None:
            return
        is_ready = place.is_ready
        status = self._end(place, 0.0 if why else _EXIT_SECONDS)
        why = why or (f"signal {-status}" if status < 0 else f"status {status}")
        place.losses += 1
        place.abandoned, place.lent = [], None
        place.unanswered.clear()
        for number in tuple(place.open):
            if is_ready:
                failure = Failure(FailureKind.WORKER_LOST, f"the process that made the call has ended: {why}")
            else:
                message = f"it was not asked: the process for its calls has ended at its start: {why}"
                failure = Failure(FailureKind.UNAVAILABLE, message, _AGAIN_SECONDS)
            self._report(number, failure)

    def _end(self, place: _Place, patience_seconds: float) -> int:
        """Let go of the process, which is killed where it does not end by itself in time; return its status."""
        link, process = place.link, place.process
        place.link = place.process = None
        if link is None or process is None:
            return 0
        link.close()
        try:
            return process.wait(max(0.0, patience_seconds))
        except TimeoutExpired:
            process.kill()
            return process.wait()
