"""Lanes: calls side by side, no more on a backend than it is wide; whatever becomes of one is reported once, and holds up no other."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import BackendUnavailableError, ConflictError, DriverError, FencedError, TransientError
from sharectl.executors.answers import Done, Failure, FailureKind
from sharectl.executors.base import Began, Report, Submission
from sharectl.executors.calls import Identify
from sharectl.executors.lanes import Lanes
from sharectl.state.contract import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharectl.executors.answers import Answer
    from sharectl.executors.base import Permit
    from sharectl.executors.calls import Call

PATIENCE_SECONDS = 300.0


class Backend:
    """Counts the calls that are under way, each of which waits for its gate."""

    def __init__(self) -> None:
        """Begin with its gate shut."""
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.now = self.most = 0
        self.permits = 0
        self.lock = threading.Lock()
        self.error: BaseException | None = None

    def execute(self, backend: str, call: Call[Answer], permit: Permit) -> Answer:
        """Wait, and be done."""
        permit()
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.entered.release()
        self.gate.wait(PATIENCE_SECONDS)
        with self.lock:
            self.now -= 1
        if self.error is not None:
            raise self.error
        permit()
        self.permits += 1
        return Done()


@contextmanager
def lanes(
    execute: Callable[[str, Call[Answer], Permit], Answer], width: int = 2, clock: Callable[[], float] = lambda: 0.0
) -> Iterator[Lanes]:
    """Open lanes, and close them in the end."""
    made = Lanes(execute, lambda: None, lambda _: width, clock)
    try:
        yield made
    finally:
        made.close()


def submission(number: int, backend: str = "a") -> Submission:
    """Return a call that may take a second."""
    return Submission(number, backend, Identify(), 1.0)


def entered(executor: Lanes, backend: Backend, within_seconds: float = PATIENCE_SECONDS) -> bool:
    """Tell whether a call enters the backend in time."""
    deadline = monotonic() + within_seconds
    while not backend.entered.acquire(blocking=False):
        if monotonic() > deadline:
            return False
        assert not [outcome for _, outcome in executor.reports(0.001) if not isinstance(outcome, Began)]
    return True


def outcomes(executor: Lanes, wanted: int) -> dict[int, Any]:
    """Return so many outcomes by number."""
    found: dict[int, Any] = {}
    while len(found) < wanted:
        for number, outcome in executor.reports(0.01):
            if not isinstance(outcome, Began):
                assert number not in found
                found[number] = outcome
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds."""
    deadline = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < deadline
        sleep(0.001)


def threads_of(backend: str) -> list[threading.Thread]:
    """Return the threads that work for a backend."""
    return [thread for thread in threading.enumerate() if thread.name == f"lane-{backend}"]


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lanes wait for an outcome as long as it takes before they wake more threads, which on a busy machine they do in between."""
    monkeypatch.setattr("sharectl.executors.lanes._PACE_SECONDS", 60.0)


def warm(executor: Lanes, *backends: str) -> None:
    """Make a short call on each backend, and wait until its thread rests, which it does only after its outcome is told.

    One wait for reports is long enough: each that begins while a thread still has to take its call wakes another.
    """
    for number, backend in enumerate(backends):
        executor.submit(submission(-1 - number, backend))
    told = 0
    while told < len(backends):
        told += sum(outcome == Done() for _, outcome in executor.reports(PATIENCE_SECONDS))
    wait_until(lambda: not any(executor._lanes[backend].busy for backend in backends))


def test_a_backend_has_no_more_calls_at_once_than_it_is_wide() -> None:
    """And as many, where there are enough."""
    backend = Backend()
    with lanes(backend.execute, width=3) as executor:
        for number in range(10):
            executor.submit(submission(number, "wide"))
        for _ in range(3):
            assert entered(executor, backend)
        assert not entered(executor, backend, 0.02)
        backend.gate.set()
        assert outcomes(executor, 10) == dict.fromkeys(range(10), Done())
    assert backend.most == 3


def test_one_backend_does_not_wait_for_another() -> None:
    """The one hangs, the other answers."""
    hanging, quick = Backend(), Backend()
    quick.gate.set()
    by_name = {"hanging": hanging, "quick": quick}
    with lanes(lambda name, call, permit: by_name[name].execute(name, call, permit)) as executor:
        executor.submit(submission(1, "hanging"))
        executor.submit(submission(2, "quick"))
        assert outcomes(executor, 1) == {2: Done()}
        hanging.gate.set()


def test_a_call_that_begins_is_told_of_before_its_outcome() -> None:
    """In this order, each once."""
    backend = Backend()
    backend.gate.set()
    with lanes(backend.execute) as executor:
        executor.submit(submission(1, "told"))
        reports: list[Report] = []
        while len(reports) < 2:
            reports += executor.reports(PATIENCE_SECONDS)
    assert reports == [Report(1, Began()), Report(1, Done())]


class _Odd(BaseException):
    def __str__(self) -> str:
        raise RuntimeError


class _EvasiveError(TransientError):
    def __getattribute__(self, name: str) -> object:
        if name == "retry_after_seconds":
            raise RuntimeError
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DriverError("no"), FailureKind.REFUSED),
        (ConflictError("taken"), FailureKind.CONFLICT),
        (FencedError("late"), FailureKind.FENCED),
        (TransientError("busy", 3.0), FailureKind.TRANSIENT),
        (BackendUnavailableError("gone"), FailureKind.UNAVAILABLE),
        (LeaseLostError("passed on"), FailureKind.NOT_PERMITTED),
        (RuntimeError("boom"), FailureKind.MISBEHAVED),
        (SystemExit(3), FailureKind.MISBEHAVED),
        (KeyboardInterrupt(), FailureKind.MISBEHAVED),
        (GeneratorExit(), FailureKind.MISBEHAVED),
        (_Odd(), FailureKind.MISBEHAVED),
        (TransientError("busy", "soon"), FailureKind.TRANSIENT),  # type: ignore[arg-type] - anybody's driver
        (TransientError("busy", float("nan")), FailureKind.TRANSIENT),
        (TransientError("busy", 10**400), FailureKind.TRANSIENT),
        (_EvasiveError("busy"), FailureKind.TRANSIENT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_a_driver_raises_is_a_failure_and_the_lane_goes_on(error: BaseException, kind: FailureKind) -> None:
    """Its one thread makes the next call."""
    backend = Backend()
    backend.gate.set()
    backend.error = error
    with lanes(backend.execute, width=1) as executor:
        executor.submit(submission(1))
        failure = outcomes(executor, 1)[1]
        assert isinstance(failure, Failure)
        assert failure.kind is kind
        assert failure.retry_after_seconds in {None, 3.0}
        backend.error = None
        executor.submit(submission(2))
        assert outcomes(executor, 1) == {2: Done()}


def test_what_goes_first_begins_before_all_that_do_not() -> None:
    """In the order in which it came, and no call that has begun gives way."""
    backend = Backend()
    with lanes(backend.execute, width=1) as executor:
        executor.submit(submission(1))
        assert entered(executor, backend)
        for number in (2, 3):
            executor.submit(submission(number))
        for number in (4, 5):
            executor.submit(replace(submission(number), goes_first=True))
        assert executor.withdraw(4)
        backend.gate.set()
        begun: list[int] = []
        while len(begun) < 3:
            begun += [number for number, outcome in executor.reports(0.01) if isinstance(outcome, Began)]
    assert begun == [5, 2, 3]
    assert backend.most == 1


def test_a_call_can_be_taken_back_until_it_begins() -> None:
    """One that has begun cannot; of one that was taken back nothing is ever heard."""
    backend = Backend()
    with lanes(backend.execute, width=1) as executor:
        for number in (1, 2, 3):
            executor.submit(submission(number))
        assert entered(executor, backend)
        assert not executor.withdraw(1)
        assert executor.withdraw(2)
        assert not executor.withdraw(2)
        backend.gate.set()
        assert outcomes(executor, 2).keys() == {1, 3}


def test_a_call_that_is_overdue_is_given_up_and_its_place_goes_to_the_next() -> None:
    """The time runs from when it begins. What it answers later is not told, and it asks nothing more of its backend."""
    seconds = [0.0]
    backend = Backend()
    with lanes(backend.execute, width=1, clock=lambda: seconds[0]) as executor:
        executor.submit(submission(1, "overdue"))
        executor.submit(submission(2, "overdue"))
        assert entered(executor, backend)
        seconds[0] = 0.9
        assert [outcome for _, outcome in executor.reports(0.0) if isinstance(outcome, Failure)] == []
        seconds[0] = 1.0
        assert outcomes(executor, 1) == {1: Failure(FailureKind.SILENT, "no answer within 1 s")}
        assert not backend.entered.acquire(timeout=0.02)  # the loop may still withdraw the next one
        executor.reports(0.0)
        assert entered(executor, backend)
        first = threads_of("overdue")
        backend.gate.set()
        assert outcomes(executor, 1) == {2: Done()}
        assert backend.permits == 1
        executor.submit(submission(3, "overdue"))
        assert outcomes(executor, 1) == {3: Done()}
    for thread in first:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def test_an_abandoned_call_is_never_told_of_and_begins_no_further_request() -> None:
    """Whether it waits or runs."""
    backend = Backend()
    with lanes(backend.execute, width=1) as executor:
        executor.submit(submission(1))
        executor.submit(submission(2))
        assert entered(executor, backend)
        executor.abandon(1)
        executor.abandon(2)
        executor.submit(submission(3))
        backend.gate.set()
        assert outcomes(executor, 1) == {3: Done()}
        assert backend.permits == 1


@pytest.mark.parametrize("ends", ["overdue", "abandoned", "closed"])
def test_a_call_that_is_given_up_while_its_permit_is_asked_does_not_leave(ends: str) -> None:
    """The permit may take long, where the lock is renewed first."""
    seconds = [0.0]
    asked, renewed = threading.Event(), threading.Event()
    left = []

    def permit() -> None:
        asked.set()
        renewed.wait(PATIENCE_SECONDS)

    def execute(_backend: str, _call: Call[Answer], permit: Permit) -> Answer:
        permit()
        left.append("request")
        return Done()

    executor = Lanes(execute, permit, lambda _: 1, lambda: seconds[0])
    try:
        executor.submit(submission(1, "renewing"))
        executor.reports(0.01)
        assert asked.wait(PATIENCE_SECONDS)
        threads = threads_of("renewing")
        if ends == "overdue":
            seconds[0] = 1.0
            assert outcomes(executor, 1) == {1: Failure(FailureKind.SILENT, "no answer within 1 s")}
        elif ends == "abandoned":
            executor.abandon(1)
        else:
            executor.close()
        renewed.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
        assert not left
    finally:
        executor.close()


@pytest.mark.usefixtures("unhurried")
def test_threads_are_started_when_they_are_needed() -> None:
    """One call after the other needs one."""
    with lanes(lambda *_: Done(), width=4) as executor:
        for _ in range(5):
            warm(executor, "lazy")
        assert len(threads_of("lazy")) == 1


@pytest.mark.parametrize("available", [0, 1, 2])
def test_where_the_system_gives_no_more_threads_a_lane_goes_on_with_those_it_has(
    monkeypatch: pytest.MonkeyPatch, available: int
) -> None:
    """Without any, calls fail for now, and are made when there is one again."""
    plain, left = threading.Thread.start, [available]

    def start(thread: threading.Thread) -> None:
        if thread.name == "lane-few":
            if not left[0]:
                message = "can't start new thread"
                raise RuntimeError(message)
            left[0] -= 1
        plain(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    backend = Backend()
    with lanes(backend.execute, width=8) as executor:
        for number in range(20):
            executor.submit(submission(number, "few"))
        for _ in range(available):
            assert entered(executor, backend)
        backend.gate.set()
        failure = Failure(FailureKind.UNAVAILABLE, "it was not asked: can't start new thread", 1.0)
        assert outcomes(executor, 20) == dict.fromkeys(range(20), Done() if available else failure)
        left[0] = 1
        executor.submit(submission(20, "few"))
        assert outcomes(executor, 1) == {20: Done()}
    assert backend.most <= max(1, available)


def test_nothing_that_waits_begins_after_close() -> None:
    """And the threads end, the one that hung as well, when it comes back."""
    backend = Backend()
    with lanes(backend.execute, width=1) as executor:
        executor.submit(submission(1, "closed"))
        executor.submit(submission(2, "closed"))
        assert entered(executor, backend)
        executor.close()
        threads = threads_of("closed")
        backend.gate.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
    assert backend.permits == 0
    assert not backend.entered.acquire(blocking=False)


def test_the_wait_for_reports_is_ended_from_any_thread() -> None:
    """At once, with nothing to tell."""
    with lanes(Backend().execute) as executor:
        threading.Timer(0.01, executor.wake).start()
        assert executor.reports(60.0) == []


def test_under_load_each_call_has_one_outcome() -> None:
    """Many calls that end at the same moment, on several backends."""
    with lanes(lambda *_: Done(), width=4) as executor:
        for number in range(3000):
            executor.submit(submission(number, f"b{number % 7}"))
        found = Counter(outcomes(executor, 3000))
    assert set(found) == set(range(3000))


_AFFINITY = """
import os, subprocess, sys
from sharectl.executors.base import Submission
from sharectl.executors.answers import Done
from sharectl.executors.calls import Identify
from sharectl.executors.lanes import Lanes
def execute(*_):
    subprocess.run([sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"], check=True)
    return Done()
lanes = Lanes(execute, lambda: None, lambda _: 1)
lanes.submit(Submission(1, "a", Identify(), 60.0))
while not any(isinstance(outcome, Done) for _, outcome in lanes.reports(60.0)):
    pass
"""


def test_children_of_drivers_may_use_every_core() -> None:
    """No thread is bound to one, which a child process would inherit."""
    found = subprocess.run([sys.executable, "-c", _AFFINITY], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(sorted(os.sched_getaffinity(0)))


@pytest.mark.usefixtures("unhurried")
def test_short_calls_take_few_threads() -> None:
    """Threads that all want the interpreter cost more than short calls: one more is woken in each wait for reports, and no others."""
    with lanes(lambda *_: Done(), width=32) as executor:
        warm(executor, "short")
        for number in range(200):
            executor.submit(submission(number, "short"))
        found, waits = 0, 0
        while found < 200:
            found += sum(isinstance(outcome, Done) for _, outcome in executor.reports(PATIENCE_SECONDS))
            waits += 1
            assert len(threads_of("short")) <= 1 + waits


def test_long_calls_take_all_the_threads_that_there_may_be() -> None:
    """A backend that makes them wait is asked at its full width."""
    backend = Backend()
    with lanes(backend.execute, width=32) as executor:
        for number in range(40):
            executor.submit(submission(number, "long"))
        for _ in range(32):
            assert entered(executor, backend)
        backend.gate.set()
        outcomes(executor, 40)
    assert backend.most == 32


def test_a_lane_with_short_calls_rests_while_nobody_waits_for_reports() -> None:
    """The loop has the interpreter for itself then; with the next `reports` the lane goes on."""
    made: list[int] = []
    fifth = threading.Event()

    def execute(_backend: str, _call: Call[Answer], _permit: Permit) -> Answer:
        made.append(len(made))
        if len(made) == 5:
            fifth.wait(PATIENCE_SECONDS)
        return Done()

    with lanes(execute, width=1) as executor:
        for number in range(20):
            executor.submit(submission(number, "short"))
        found = outcomes(executor, 4)
        while len(made) < 5:  # it may have found nobody who waits after the fourth
            executor.reports(0.01)
        fifth.set()
        (thread,) = threads_of("short")
        while not is_resting(thread) and len(made) < 20:
            pass
        assert (len(found), len(made)) == (4, 5)
        assert len(outcomes(executor, 16)) == 16


def is_resting(thread: threading.Thread) -> bool:
    """Tell whether a thread of a lane waits to be woken."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_name == "_rests"


@pytest.mark.usefixtures("unhurried")
def test_short_calls_on_one_backend_do_not_keep_another_from_its_first() -> None:
    """However many there are: threads are woken for each backend in its turn, one in each wait for reports."""
    backend = Backend()
    is_warm = threading.Event()

    def execute(name: str, call: Call[Answer], permit: Permit) -> Answer:
        return backend.execute(name, call, permit) if name == "other" and is_warm.is_set() else Done()

    with lanes(execute) as executor:
        warm(executor, "short", "other")
        is_warm.set()
        for number in range(20_000):
            executor.submit(submission(number, "short"))
        executor.submit(submission(20_000, "other"))
        for _ in range(2):
            executor.reports(0.01)
        assert backend.entered.acquire(timeout=PATIENCE_SECONDS), "which needs no further wait for reports"
        backend.gate.set()
