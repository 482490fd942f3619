"""Lanes: for each backend a pool of threads, as many as its width, so that no backend waits for another.

The threads do nothing but make calls. They share no lock: queued and running calls stand in two dictionaries, and a call
belongs to the thread that takes it out of one.

The interpreter runs one thread at a time, and threads on several cores that compete for it cost more than their calls, if those are
short. So they are woken one by one, and more only while calls take long; and a thread with short calls goes on only while the loop
waits in `reports`, which gathers outcomes for a moment, so that both work in long stretches.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from sharectl.executors.answers import Failure, FailureKind
from sharectl.executors.base import GATHERING_SECONDS, Began, Report
from sharectl.executors.call_queue import CallQueue
from sharectl.executors.failures import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sharectl.executors.answers import Answer
    from sharectl.executors.base import Execute, Permit, Submission

_BEGAN: Final = Began()
_OVERDUE_CHECK_SECONDS: Final = 0.05
_PACE: Final = 1
"""How many threads are woken at once while outcomes come; twice as many each time that none has come for a while."""
_MOST_AT_ONCE: Final = 256
_LONG_AT_ONCE: Final = 4
"""How many are woken at least if calls take long, or it is not known yet."""
_SHORT_SECONDS: Final = 0.00025
"""A thread whose call took at most this long rests while the loop works: at once, they would only take the interpreter from each other."""
_PACE_SECONDS: Final = 0.001
_LONGEST_PACE_SECONDS: Final = 0.008
"""The longest time between two looks at the threads while outcomes come steadily: each look takes the interpreter from them."""
_STEADY: Final = 4
"""How many outcomes between two looks are steady, so that the next look is later."""
_SHORT_GATHERING_SECONDS: Final = 0.05
"""How long outcomes are gathered where all that work have short calls: many are done in it, and nobody waits for an outcome in the meantime."""
_WITHOUT_THREADS_SECONDS: Final = 1.0
"""How long until a call for which there was no thread may be made again; it has certainly not begun."""


class _AbandonedError(BaseException):
    """Nobody waits for the call any more. Not an Exception, so that no handler takes it for a failure of the driver."""


class Hold(Protocol):
    """Says whether calls may begin. `set` may be called inside a signal handler."""

    def set(self) -> None:
        """Let none begin."""
        ...

    def clear(self) -> None:
        """Let them begin."""
        ...

    def is_set(self) -> bool:
        """Tell whether none may begin."""
        ...


class _Hold:
    """A Hold of this process alone."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set


class _Lane:
    """The threads of one backend: those that wait to be woken are in `idle`; its last call `is_short`, or was not.

    `threads` is touched by the loop's thread alone. `coming` has an entry for each thread that was woken, or started, and has not
    looked at the queue yet.
    """

    __slots__ = ("coming", "idle", "is_short", "name", "queue", "threads", "width")

    def __init__(self, name: str, width: int) -> None:
        self.name = name
        self.width = width
        self.queue = CallQueue()
        self.idle: deque[SimpleQueue[None]] = deque()
        self.coming: deque[None] = deque()
        self.is_short = False
        self.threads = 0

    @property
    def busy(self) -> int:
        """How many threads are at work."""
        return self.threads - len(self.idle)

    @property
    def lacks_threads(self) -> bool:
        """Tell whether calls wait that no thread comes for although there is room for them."""
        return len(self.queue) > len(self.coming) and self.busy < self.width


def _drained(reports: deque[Report]) -> list[Report]:
    found: list[Report] = []
    while reports:
        found.append(reports.popleft())
    return found


class Lanes:
    """An Executor in threads of this process; they are daemons, so that one that hangs does not keep the process from ending."""

    def __init__(
        self,
        execute: Execute,
        permit: Permit,
        width: Callable[[str], int],
        clock: Callable[[], float] = monotonic,
        hold: Hold | None = None,
    ) -> None:
        """Make calls with `execute`, each request of them only where `permit` returns; somebody else may have the `hold`, too."""
        self._execute = execute
        self._permit = permit
        self._width = width
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._queued: dict[int, Submission] = {}
        self._running: dict[int, tuple[Submission, float]] = {}
        self._began: deque[Report] = deque()
        self._outcomes: deque[Report] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._rung = False
        self._is_listening = False
        self._is_woken = False
        self._pace = _PACE
        self._is_closed = False
        self._hold = hold or _Hold()
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
        lane.queue.append(submission)

    def reports(self, timeout_seconds: float) -> Sequence[Report]:
        """See Executor."""
        self._listen(timeout_seconds)
        self._rung = False  # before they are taken: a thread that adds one later rings again
        outcomes = _drained(self._outcomes)
        found = [*_drained(self._began), *outcomes]  # taken last, so that each call has begun whose outcome is there
        now = self._clock()
        if now >= self._check_at:
            self._check_at = now + _OVERDUE_CHECK_SECONDS
            found += self._overdue(now)
        return found

    def _listen(self, timeout_seconds: float) -> None:
        """Let threads work until there is an outcome, and a little longer for those that come close after it."""
        until = monotonic() + timeout_seconds
        is_gathering, pace_seconds = False, _PACE_SECONDS
        self._is_listening = True  # before the lanes are looked at: a thread that rests later looks at this
        lacks_threads = self._wake_threads()
        while not self._is_woken:
            known = len(self._outcomes)
            left_seconds = until - monotonic()
            wait_seconds = min(left_seconds, pace_seconds) if lacks_threads else left_seconds
            if self._is_rung_within(wait_seconds) or len(self._outcomes) > known:
                self._pace = _PACE
                if len(self._outcomes) >= known + _STEADY:
                    pace_seconds = min(2 * pace_seconds, _LONGEST_PACE_SECONDS)
            elif wait_seconds == pace_seconds:  # those that were woken wait for their backends
                pace_seconds = _PACE_SECONDS
                self._pace = min(2 * self._pace, _MOST_AT_ONCE)
                lacks_threads = self._wake_threads()
            if self._outcomes and not is_gathering:
                is_gathering, until = True, monotonic() + self._gathering_seconds()
            if monotonic() >= until or (is_gathering and not (self._running or self._queued)):
                break
            if not any(lane.busy for lane in self._lanes.values()):
                lacks_threads = self._wake_threads()
        self._is_listening = self._is_woken = False

    def _gathering_seconds(self) -> float:
        is_short = all(lane.is_short for lane in self._lanes.values() if lane.busy or lane.queue)
        return _SHORT_GATHERING_SECONDS if is_short else GATHERING_SECONDS

    def _is_rung_within(self, wait_seconds: float) -> bool:
        try:
            self._bell.get(timeout=wait_seconds) if wait_seconds > 0 else self._bell.get_nowait()
        except Empty:
            return False
        return True

    def withdraw(self, number: int) -> bool:
        """See Executor."""
        return self._queued.pop(number, None) is not None

    def abandon(self, number: int) -> None:
        """See Executor."""
        if not self.withdraw(number):
            running = self._running.pop(number, None)
            if running is not None:
                self._leave_thread(running[0].backend)

    def wake(self) -> None:
        """See Executor."""
        self._is_woken = True
        self._bell.put(None)

    def hold(self) -> None:
        """See Executor."""
        self._hold.set()

    def go_on(self) -> None:
        """See Executor."""
        self._hold.clear()

    def close(self) -> None:
        """See Executor."""
        self._is_closed = True  # before the threads are woken: one that goes idle later looks at it first
        self._queued.clear()
        self._running.clear()
        for lane in self._lanes.values():
            lane.queue.clear()
            while lane.idle:
                lane.idle.popleft().put(None)

    def _wake_threads(self) -> bool:
        """Wake some threads, or start them, where calls wait; tell whether some still do that have room.

        Those of short calls one by one in turn; those of others a few at once, since they are soon out of the way.
        """
        if self._hold.is_set():
            return False
        lacking = sorted((lane for lane in self._lanes.values() if lane.lacks_threads), key=lambda lane: lane.busy)
        short = [lane for lane in lacking if lane.is_short][: self._pace]
        for lane in [lane for lane in lacking if not lane.is_short][: max(self._pace, _LONG_AT_ONCE)] + short:
            self._lanes[lane.name] = self._lanes.pop(lane.name)  # the last one next time
            lane.coming.append(None)
            if lane.idle:
                lane.idle.popleft().put(None)
            else:
                self._start_thread(lane)
        return bool(lacking)

    def _start_thread(self, lane: _Lane) -> None:
        """Start a thread. If the system allows no more, the lane goes on with those that it has; without any, its calls fail for now."""
        lane.threads += 1
        try:
            threading.Thread(target=self._work, args=(lane,), name=f"lane-{lane.name}", daemon=True).start()
        except RuntimeError as error:
            lane.threads -= 1
            lane.coming.pop()
            if lane.threads:
                lane.width = lane.threads
                return
            failure = Failure(FailureKind.UNAVAILABLE, f"it was not asked: {error}", _WITHOUT_THREADS_SECONDS)
            while lane.queue:
                number = lane.queue.popleft().number
                if self.withdraw(number):
                    self._outcomes.append(Report(number, failure))
            self.wake()

    def _leave_thread(self, backend: str) -> None:
        """Leave a thread behind in a call that does not return; another takes its place with the next reports."""
        self._lanes[backend].threads -= 1

    def _overdue(self, now: float) -> Iterator[Report]:
        for number, (submission, deadline) in self._running.copy().items():
            if deadline <= now and self._running.pop(number, None) is not None:
                self._leave_thread(submission.backend)
                message = f"no answer within {submission.timeout_seconds:g} s"
                yield Report(number, Failure(FailureKind.SILENT, message))

    def _work(self, lane: _Lane) -> None:
        woken = SimpleQueue[None]()
        was_short, is_coming = False, True
        while not self._is_closed:
            submission = None if was_short and not self._is_listening else self._next(lane)
            if is_coming:
                lane.coming.popleft()
            was_short = is_coming = False
            if submission is None:
                is_coming = self._rests(lane, woken)
                continue
            number = submission.number
            began_at = self._clock()
            self._running[number] = submission, began_at + submission.timeout_seconds
            if self._queued.pop(number, None) is None:  # withdrawn
                self._running.pop(number, None)
                continue
            self._began.append(Report(number, _BEGAN))
            outcome = self._outcome(submission)
            lane.is_short = was_short = self._clock() - began_at < _SHORT_SECONDS
            if self._running.pop(number, None) is None:  # abandoned: another thread has taken the place of this one
                return
            self._outcomes.append(Report(number, outcome))
            if not self._rung:
                self._rung = True
                self._bell.put(None)

    def _next(self, lane: _Lane) -> Submission | None:
        try:
            return None if self._hold.is_set() else lane.queue.popleft()
        except IndexError:
            return None

    def _rests(self, lane: _Lane, woken: SimpleQueue[None]) -> bool:
        """Wait to be woken, unless there is something to do by now that nobody wakes this thread for: then return False at once."""
        lane.idle.append(woken)
        if self._is_closed or (self._is_listening and lane.queue and not self._hold.is_set()):
            with suppress(ValueError):
                lane.idle.remove(woken)
                return False
        elif not self._running:
            self._bell.put(None)  # another lane may have its turn
        woken.get()
        return True

    def _outcome(self, submission: Submission) -> Answer | Failure:
        def expect_wanted() -> None:
            if submission.number not in self._running:
                raise _AbandonedError

        def permit() -> None:
            expect_wanted()
            self._permit()
            expect_wanted()  # the permit may have taken longer than anybody waits for the call

        try:
            return self._execute(submission.backend, submission.call, permit)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is an outcome, and the thread lives on
            return failure_of(error)
