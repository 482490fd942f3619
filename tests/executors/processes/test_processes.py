"""Calls in processes of their own: what an executor promises holds, also where a process is killed, stuck, or has lost its run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.executors.answers import Failure, FailureKind, Identity
from sharectl.executors.base import Began, Report, Submission
from sharectl.executors.calls import Identify
from sharectl.executors.processes import executor as executor_module
from sharectl.executors.processes.executor import Processes
from sharectl.executors.processes.link import Lent, Link, SharedHold
from sharectl.executors.processes.service import ORPHAN_STATUS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sharectl.model.diagnostics import Diagnostic

PATIENCE_SECONDS = 300.0
FOR_EVER = Lent(float("inf"))


class House:
    """Where the backends are, and the processes that were started for them."""

    def __init__(self, folder: Path) -> None:
        """Begin with closed backends."""
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        self.lent = FOR_EVER
        self.now = 0.0
        self.told: list[str] = []
        self.problem: OSError | None = None
        self.module = "tests.executors.processes.child"

    def start(self, hold: SharedHold) -> tuple[subprocess.Popen[bytes], Link]:
        """Start a process."""
        if self.problem is not None:
            raise self.problem
        ours, theirs = socket.socketpair()
        with ours, theirs:
            words = ("-m", self.module, str(self.folder), str(theirs.fileno()), str(hold.descriptor))
            process = subprocess.Popen(
                [sys.executable, *words], pass_fds=(theirs.fileno(), hold.descriptor), start_new_session=True
            )
            self.started.append(process)
            return process, Link(ours.detach())

    def tell(self, problems: Sequence[Diagnostic]) -> None:
        """Note what could not be closed."""
        self.told += [each.summary for each in problems]

    def open(self) -> None:
        """Let all calls go on."""
        (self.folder / "open").touch()

    def begun(self, backend: str = "") -> list[str]:
        """Return the calls that have begun, as the backends saw them."""
        return [each.name for each in self.folder.iterdir() if each.name.startswith(f"{backend}-")]


@contextmanager
def processes(house: House, count: int = 1) -> Iterator[Processes]:
    """Make an executor, and close it in the end; none of its processes is left."""
    made = Processes(count, house.start, lambda: house.lent, lambda _: 2, house.tell, lambda: house.now)
    try:
        yield made
    finally:
        house.open()
        made.close()
        assert [each.poll() is None for each in house.started] == [False] * len(house.started)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Return a house."""
    return House(tmp_path)


def submit(executor: Processes, *numbers: int, backend: str = "a", timeout_seconds: float = 60.0) -> None:
    """Submit calls."""
    for number in numbers:
        executor.submit(Submission(number, backend, Identify(), timeout_seconds))


def outcomes(executor: Processes, wanted: int) -> dict[int, Any]:
    """Return so many outcomes by number; of each call is told at most once that it began, before its outcome, which comes once."""
    found: dict[int, Any] = {}
    begun: set[int] = set()
    until = monotonic() + PATIENCE_SECONDS
    while len(found) < wanted:
        assert monotonic() < until, found
        for number, outcome in executor.reports(0.05):
            assert number not in found
            if isinstance(outcome, Began):
                assert number not in begun
                begun.add(number)
            else:
                found[number] = outcome
    return found


def turn_until(executor: Processes, condition: Callable[[], bool]) -> None:
    """Wait for reports, none of which is an outcome, until the condition holds."""
    until = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < until
        assert not [outcome for _, outcome in executor.reports(0.01) if not isinstance(outcome, Began)]


def test_each_backend_is_as_wide_as_it_is_and_has_one_process(house: House) -> None:
    """And the calls of two backends are made in two processes, if there may be two."""
    with processes(house, count=2) as executor:
        submit(executor, 1, 2, 3)
        submit(executor, 4, 5, 6, backend="b")
        turn_until(executor, lambda: len(house.begun("a")) == len(house.begun("b")) == 2)
        house.open()
        assert outcomes(executor, 6) == {
            **dict.fromkeys((1, 2, 3), Identity("a")),
            **dict.fromkeys((4, 5, 6), Identity("b")),
        }
    makers = {backend: {each.split("-")[1] for each in house.begun(backend)} for backend in ("a", "b")}
    assert {str(each.pid) for each in house.started} == makers["a"] | makers["b"]
    assert (len(makers["a"]), len(makers["b"])) == (1, 1)
    assert house.told == ["the driver of backend a could not be closed"] * 2


def test_what_drivers_raise_or_answer_is_an_outcome(house: House) -> None:
    """Also what cannot be handed on; the calls beside it are not held up."""
    house.open()
    with processes(house) as executor:
        submit(executor, 1, backend="refuses")
        submit(executor, 2, backend="odd")
        submit(executor, 3)
        found = outcomes(executor, 3)
    assert found[1] == Failure(FailureKind.REFUSED, "no")
    assert found[2].kind is FailureKind.MISBEHAVED
    assert "cannot be handed on" in found[2].message
    assert found[3] == Identity("a")


def test_once_held_nothing_begins_and_what_has_not_begun_is_taken_back(house: House) -> None:
    """Nobody has to be told: the bit is seen by all at once."""
    with processes(house) as executor:
        submit(executor, 1, 2, 3, 4)
        turn_until(executor, lambda: len(house.begun("a")) == 2)
        executor.hold()
        house.open()
        assert sorted(outcomes(executor, 2)) == [1, 2]
        submit(executor, 5)
        assert [executor.withdraw(number) for number in (1, 2, 3, 5)] == [False, False, True, True]
        assert len(house.begun("a")) == 2
        executor.go_on()
        assert outcomes(executor, 1) == {4: Identity("a")}
        assert len(house.begun("a")) == 3


def test_what_has_begun_is_not_taken_back(house: House) -> None:
    """It is finished, and reported."""
    with processes(house) as executor:
        submit(executor, 1)
        turn_until(executor, lambda: bool(house.begun("a")))
        assert not executor.withdraw(1)
        house.open()
        assert outcomes(executor, 1) == {1: Identity("a")}


def test_nothing_is_heard_of_an_abandoned_call_and_its_place_is_free(house: House) -> None:
    """Whether it hangs or not."""
    with processes(house) as executor:
        submit(executor, 1, 2, 3)
        turn_until(executor, lambda: len(house.begun("a")) == 2)
        executor.abandon(1)
        executor.abandon(2)
        turn_until(executor, lambda: len(house.begun("a")) == 3)
        house.open()
        assert outcomes(executor, 1) == {3: Identity("a")}


def test_that_a_call_has_begun_is_told_soon(house: House) -> None:
    """How long a step takes counts from then; one of ten may be in luck on a busy machine."""
    with processes(house) as executor:
        for number in range(1, 11):
            submit(executor, number, backend=f"a{number}")
            while not any(each == Report(number, Began()) for each in executor.reports(0.01)):
                assert house.started[0].poll() is None
            heard_at = monotonic()
            (name,) = house.begun(f"a{number}")
            if heard_at - float(name.split("-")[2]) < 0.5:
                return
        raise AssertionError(number)


def test_a_call_without_an_answer_in_time_is_silent(house: House) -> None:
    """As it is with lanes of this process."""
    with processes(house) as executor:
        submit(executor, 1, timeout_seconds=0.2)
        assert outcomes(executor, 1)[1].kind is FailureKind.SILENT


def test_of_a_process_that_is_killed_nobody_knows_how_its_calls_ended(house: House) -> None:
    """Those that come later are made by another."""
    with processes(house) as executor:
        submit(executor, 1, 2, 3)
        turn_until(executor, lambda: len(house.begun("a")) == 2)
        house.started[0].kill()
        lost = outcomes(executor, 3)
        assert {each.kind for each in lost.values()} == {FailureKind.WORKER_LOST}
        assert lost[1].message == "the process that made the call has ended: signal 9"
        house.open()
        submit(executor, 4)
        assert outcomes(executor, 1) == {4: Identity("a")}
        assert len(house.started) == 2


def test_a_process_that_is_stuck_is_ended(house: House) -> None:
    """It says nothing for as long as its calls may take, and a minute more."""
    with processes(house) as executor:
        submit(executor, 1)
        turn_until(executor, lambda: bool(house.begun("a")))
        house.started[0].send_signal(signal.SIGSTOP)
        while executor.reports(1.5):  # what it had said before
            pass
        house.now += 121
        (failure,) = outcomes(executor, 1).values()
        assert failure.kind is FailureKind.WORKER_LOST
        assert house.started[0].wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_what_a_process_has_said_before_it_died_counts(house: House) -> None:
    """It has begun the call, though nobody has listened until somebody has something else for it to do, which another does."""
    house.open()
    with processes(house) as executor:
        submit(executor, 1, backend="dies")
        executor.reports(0.0)
        house.started[0].wait(PATIENCE_SECONDS)
        assert len(house.begun("dies")) == 1
        submit(executor, 2)
        found = outcomes(executor, 2)
        assert found[1] == Failure(FailureKind.WORKER_LOST, "the process that made the call has ended: status 1")
        assert found[2] == Identity("a")


def test_what_is_taken_back_too_late_is_reported(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stands still says nothing in time, and is waited for but once; it may go on."""
    with processes(house) as executor:
        submit(executor, 1, 2, 3, 4)
        turn_until(executor, lambda: len(house.begun("a")) == 2)
        house.started[0].send_signal(signal.SIGSTOP)
        while executor.reports(1.5):  # what it had said before
            pass
        monkeypatch.setattr(executor_module, "_REPLY_SECONDS", 0.1)
        assert not executor.withdraw(3)
        monkeypatch.setattr(executor_module, "_REPLY_SECONDS", 10 * PATIENCE_SECONDS)
        assert not executor.withdraw(4)
        house.started[0].send_signal(signal.SIGCONT)
        assert {number: each.kind for number, each in outcomes(executor, 2).items()} == {
            3: FailureKind.WITHDRAWN,
            4: FailureKind.WITHDRAWN,
        }
        house.open()
        assert outcomes(executor, 2) == {1: Identity("a"), 2: Identity("a")}
    assert len(house.begun("a")) == 2


def test_a_process_that_takes_no_orders_is_ended(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop does not wait for it for ever; what it has not heard of another does."""
    monkeypatch.setattr(executor_module, "_PIPE_SECONDS", 0.2)
    with processes(house) as executor:
        submit(executor, 1)
        turn_until(executor, lambda: bool(house.begun("a")))
        house.started[0].send_signal(signal.SIGSTOP)
        last = 1
        while len(house.started) == 1:
            last += 1
            submit(executor, last)
            executor.look()
        house.open()
        assert outcomes(executor, 1) == {last: Identity("a")}
        assert house.started[0].wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_of_a_process_whose_words_cannot_be_read_nobody_knows_how_its_calls_ended(house: House) -> None:
    """A driver may answer with what can be sent, and not be read."""
    house.open()
    with processes(house) as executor:
        submit(executor, 1, backend="unreadable")
        failure = outcomes(executor, 1)[1]
        assert failure.kind is FailureKind.WORKER_LOST
        assert "cannot be read" in failure.message


def test_what_drivers_start_does_not_keep_the_link_open() -> None:
    """Otherwise nobody would see that the process is gone."""
    ours, theirs = socket.socketpair()
    with theirs:
        ours.set_inheritable(True)
        link = Link(ours.detach())
        assert not os.get_inheritable(link.connection.fileno())
        link.close()


def test_calls_of_a_process_that_does_not_start_have_certainly_not_begun(house: House) -> None:
    """They are tried again, but not for ever."""
    house.module = "tests.executors.processes.nothing_of_this_name"
    with processes(house) as executor:
        for number in range(1, 6):
            submit(executor, number)
            (failure,) = outcomes(executor, 1).values()
            assert failure.kind is FailureKind.UNAVAILABLE
            assert failure.message.startswith("it was not asked: ")
        assert len(house.started) == 3
        assert failure.message.endswith("has ended 3 times in a row")


def test_where_no_process_can_be_started_the_calls_are_told_of(house: House) -> None:
    """As soon as one can be, they are made."""
    house.problem = OSError(11, "Resource temporarily unavailable")
    house.open()
    with processes(house) as executor:
        submit(executor, 1)
        (failure,) = outcomes(executor, 1).values()
        assert failure.kind is FailureKind.UNAVAILABLE
        assert "Resource temporarily unavailable" in failure.message
        house.problem = None
        submit(executor, 2)
        assert outcomes(executor, 1) == {2: Identity("a")}


def test_nothing_begins_without_the_right_to(house: House) -> None:
    """The reason is the run's; a right that is over may be lent again."""
    house.lent = Lent(float("-inf"), "the lock has passed to somebody else")
    house.open()
    with processes(house) as executor:
        submit(executor, 1)
        failure = outcomes(executor, 1)[1]
        assert failure.kind is FailureKind.NOT_PERMITTED
        assert "the lock has passed to somebody else" in failure.message
        house.lent = Lent(0.0)
        submit(executor, 2)
        turn_until(executor, lambda: executor.reports(0.0) == [])
        assert not house.begun("a")
        house.lent = FOR_EVER
        assert outcomes(executor, 1) == {2: Identity("a")}


def test_a_wait_ends_when_it_is_told_to(house: House) -> None:
    """From any thread, or a signal handler."""
    with processes(house) as executor:
        submit(executor, 1)
        turn_until(executor, lambda: bool(house.begun("a")))
        executor.wake()
        executor.reports(PATIENCE_SECONDS)


def test_a_process_whose_run_is_gone_ends_at_once(house: House) -> None:
    """Its call is cut off: somebody else may have the lock by now."""
    hold = SharedHold()
    process, link = house.start(hold)
    assert link.receive().reports == ()
    link.close()
    assert process.wait(PATIENCE_SECONDS) == ORPHAN_STATUS
    hold.close()
