"""What runs when: widths of lanes, dependencies, one call at a time for an address, and the ways to stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from itertools import count
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.simulated.driver import SimulatedDriver
from sharectl.engine.cancel import Cancellation
from sharectl.model.events import (
    CancelRequested,
    RunFinished,
    RunStarted,
    StepFinished,
    StepRetried,
    StepSkipped,
    StepStarted,
)
from tests.engine.site import Site, backend, share, snapshot, widest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.model.events import Event

RULE = "access: [{type: ip, to: 10.0.0.0/8, level: rw}]"
PATIENCE_SECONDS = 300.0


def before_calls(monkeypatch: pytest.MonkeyPatch, method: str, wait: Callable[[int], object]) -> None:
    """Let a call of the backends' drivers wait before it does anything, as long as `wait` does; that is told which call it is, from 1."""
    plain, numbers = getattr(SimulatedDriver, method), count(1)

    def waits(driver: SimulatedDriver, *arguments: object) -> object:
        wait(next(numbers))
        return plain(driver, *arguments)

    monkeypatch.setattr(SimulatedDriver, method, waits)


def test_a_backend_never_has_more_calls_than_lanes_and_backends_work_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lanes of three are full at the same time, for which the first six calls wait, and no fuller."""
    site = Site(tmp_path / "r")
    slow = "latency: {create_share: 20ms, update_access: 20ms}"
    backends = [backend(name, lanes=3, spec=f"availabilityZone: {name},", config=slow + ",") for name in "ab"]
    both_are_full = threading.Barrier(6, timeout=PATIENCE_SECONDS)
    before_calls(monkeypatch, "create_share", lambda number: both_are_full.wait() if number <= 6 else None)
    shares = [share(f"{zone}{n}", spec=f"availabilityZone: {zone}, {RULE}") for zone in "ab" for n in range(9)]
    assert site.write(*backends, *shares).apply().result.succeeded
    per_backend = [[call for call in site.calls(name) if call[0] in {"create_share", "update_access"}] for name in "ab"]
    assert max(widest(calls) for calls in per_backend) <= 3


def test_an_address_never_has_two_calls_at_once_and_snapshots_wait_for_shares(tmp_path: Path) -> None:
    """Resize, access and record of one share run one after the other, whatever the width."""
    site = Site(tmp_path / "r")
    slow = "latency: {default: 15ms},"
    site.write(backend("a", lanes=8), *(share(f"s{n}") for n in range(4))).apply()
    changed = [share(f"s{n}", size="20GiB", spec=RULE, metadata="labels: {a: b}") for n in range(4)]
    new = [share("n", spec=RULE), snapshot("of-n", "n"), share("clone", spec="sourceSnapshot: of-n")]
    assert site.write(backend("a", lanes=8, config=slow), *changed, *new).apply().result.succeeded
    calls = [call for call in site.calls("a") if call[0] not in {"report", "list_shares", "list_snapshots", "pools"}]
    for resource_id in {call[1] for call in calls}:
        assert widest([call for call in calls if call[1] == resource_id]) == 1
    ends = {(call[0], call[1]): call for call in calls}
    ids = {address: record.resource_id for address, record in site.records().items()}
    created, taken = ends["create_share", ids["share/n"]], ends["create_snapshot", ids["snapshot/of-n"]]
    assert created[4] <= taken[3]
    assert taken[4] <= ends["create_share", ids["share/clone"]][3]
    assert site.plan().is_empty


def test_a_failed_step_lets_the_others_at_its_address_go_on(tmp_path: Path) -> None:
    """They wait for their turn, and not for its success."""
    site = Site(tmp_path / "r")
    site.write(backend("a"), share("x")).apply()
    faults = "latency: {extend_share: 50ms}, faults: [{call: extend_share, effect: error}],"
    run = site.write(backend("a", config=faults), share("x", size="20GiB", spec=RULE)).apply()
    assert [failure.step_id for failure in run.result.failures] == ["extend-share:share/x"]
    assert [event.step_id for event in run.of(StepFinished)] == ["update-access:share/x"]


def test_the_events_tell_a_whole_story(tmp_path: Path) -> None:
    """They begin with the run, end with the run, and a step starts before it finishes."""
    run = Site(tmp_path / "r").write(backend("a"), share("x", spec=RULE)).apply()
    assert isinstance(run.events[0], RunStarted)
    assert run.events[0].steps_by_backend == {"a": 3}
    assert isinstance(run.events[-1], RunFinished)
    for step in run.plan.steps:
        kinds = [type(event) for event in run.events if getattr(event, "step_id", "") == step.step_id]
        assert kinds == [StepStarted, StepFinished]


def test_an_empty_plan_ends_at_once(tmp_path: Path) -> None:
    """With its two events."""
    site = Site(tmp_path / "r")
    site.write(backend("a")).apply()
    run = site.apply()
    assert [type(event) for event in run.events] == [RunStarted, RunFinished]
    assert run.result.succeeded


def test_a_cancel_lets_running_steps_finish_and_starts_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ran is recorded, what did not is skipped, and nothing is in doubt."""
    site = Site(tmp_path / "r").write(backend("a", lanes=2), *(share(f"s{n}", spec=RULE) for n in range(6)))
    requested = threading.Event()
    before_calls(monkeypatch, "create_share", lambda _: requested.wait(PATIENCE_SECONDS))

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepStarted) and event.verb == "create-share" and not cancellation.requested:
            cancellation.request()
            requested.set()

    run = site.apply(observer=observe)
    assert run.result.cancelled
    assert not run.result.failures
    assert 2 <= run.result.done <= 3
    assert run.result.done + run.result.skipped == 13
    assert {(event.cause, event.reason) for event in run.of(StepSkipped)} == {("", "cancelled")}
    assert not site.view().operations
    assert len(site.query("a", "SELECT * FROM shares")) == run.result.done - 1
    assert [event.immediate for event in run.of(CancelRequested)] == [False]


def test_a_second_cancel_stops_at_once_and_the_next_apply_resolves_what_ran(tmp_path: Path) -> None:
    """Nobody waits for the call under way, whose answer would say how it went; its intent stays."""
    slow = backend("a", lanes=3, config="latency: {create_share: 60s},")
    shares = [share(f"s{n}", spec=RULE) for n in range(3)]
    site = Site(tmp_path / "r").write(slow, *shares)

    started: list[Event] = []

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepStarted) and event.verb == "create-share":
            started.append(event)
            if len(started) == len(shares):
                cancellation.request()
                cancellation.request()

    run = site.apply(observer=observe)
    assert run.result.cancelled
    assert all(failure.unresolved for failure in run.result.failures)
    assert {failure.error for failure in run.result.failures} == {
        "stopped at once; what was running is resolved by the next apply"
    }
    assert len(site.view().operations) == len(run.result.failures)
    assert site.write(backend("a"), *shares).apply().result.succeeded
    assert site.plan().is_empty


def test_what_a_second_cancel_keeps_from_beginning_is_skipped(tmp_path: Path) -> None:
    """Its intent was there already and stays, for nothing more is written; nobody is told that it ran."""
    slow = backend("a", lanes=1, config="latency: {create_share: 60s},")
    shares = [share(f"s{n}") for n in range(3)]
    site = Site(tmp_path / "r").write(slow, *shares)

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepStarted) and event.verb == "create-share":
            cancellation.request()
            cancellation.request()

    run = site.apply(observer=observe)
    assert len(site.view().operations) > 1
    assert [failure.unresolved for failure in run.result.failures] == [True]
    assert {(event.verb, event.reason) for event in run.of(StepSkipped)} == {("create-share", "cancelled")}
    assert run.result.skipped == 2
    assert site.write(backend("a"), *shares).apply().result.succeeded
    assert site.plan().is_empty


def test_a_cancel_ends_the_pause_before_a_repetition(tmp_path: Path) -> None:
    """The step fails with the transient error, and what it may have left is removed."""
    faults = "{call: create_share, effect: transient}"
    site = Site(tmp_path / "r").write(backend("a", spec="attempts: 12,", config=f"faults: [{faults}],"), share("x"))

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepRetried) and event.attempt == 3:
            cancellation.request()

    run = site.apply(observer=observe)
    assert [failure.error for failure in run.result.failures] == [
        "cancelled while it was being repeated: simulated fault: transient in create_share"
    ]
    assert len(site.calls("a", "create_share")) == 3
    assert len(site.calls("a", "delete_share")) == 1
    assert not site.view().operations


def test_a_cancel_during_the_first_question_begins_nothing(tmp_path: Path) -> None:
    """The report is repeated as any call; a cancel ends that too."""
    site = Site(tmp_path / "r")
    site.write(backend("a"), share("x")).apply()
    made = site.write(backend("a"), share("x", size="20GiB")).plan()
    site.write(backend("a", config="faults: [{call: report, effect: transient}],"), share("x", size="20GiB"))

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepRetried):
            cancellation.request()

    run = site.apply(plan=made, observer=observe)
    assert run.result.failures[0].error.startswith("cancelled while it was being repeated")
    assert not run.of(StepStarted)
    assert not site.calls("a", "extend_share")


def test_a_cancel_before_the_run_starts_nothing(tmp_path: Path) -> None:
    """It is remembered."""
    cancellation = Cancellation()
    cancellation.request()
    run = Site(tmp_path / "r").write(backend("a"), share("x")).apply(cancellation=cancellation)
    assert (run.result.done, run.result.skipped, run.result.cancelled) == (0, 2, True)
    assert [type(event) for event in run.events] == [RunStarted, CancelRequested, StepSkipped, StepSkipped, RunFinished]


def test_a_cancel_holds_also_while_the_observer_is_held_up(tmp_path: Path) -> None:
    """It may write into a pipe that nobody reads. Calls that have their intent and wait for a place do not begin."""
    slow = backend("a", lanes=1, config="latency: {create_share: 20ms},")
    site = Site(tmp_path / "r").write(slow, *[share(f"s{number:02}") for number in range(20)])
    begun: list[int] = []
    finished: list[Event] = []

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepFinished) and event.verb == "create-share":
            finished.append(event)
            if len(finished) == 6:
                cancellation.request()
                begun.append(len(site.calls("a", "create_share")))
                time.sleep(0.3)

    run = site.apply(observer=observe)
    assert run.result.cancelled
    assert not run.result.failures
    assert len(site.calls("a", "create_share")) <= begun[0] + 1  # one may be on its way from its intent to the backend
    assert not site.view().operations


def test_a_cancel_while_the_run_subscribes_is_not_lost(tmp_path: Path) -> None:
    """A signal may come between any two instructions."""

    class Late(Cancellation):
        def subscribe(self, notify: Callable[[bool], object]) -> None:
            self.request()
            super().subscribe(notify)

    site = Site(tmp_path / "r").write(backend("a"), share("x"))
    run = site.apply(cancellation=Late())
    assert (run.result.done, run.result.cancelled) == (0, True)
    assert len(run.of(CancelRequested)) == 1


def test_a_cancel_that_comes_when_all_is_done_changes_nothing(tmp_path: Path) -> None:
    """A run that has done everything has not been cancelled."""

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepFinished) and event.verb == "create-share":
            cancellation.request()

    run = Site(tmp_path / "r").write(backend("a"), share("x")).apply(observer=observe)
    assert run.result.succeeded


def test_signals_inside_signal_handlers_do_not_lock_up(tmp_path: Path) -> None:
    """Requests may come at any instruction, also inside a request."""
    cancellation = Cancellation()
    previous = [signal.signal(number, lambda *_: cancellation.request()) for number in (signal.SIGUSR1, signal.SIGUSR2)]
    try:
        site = Site(tmp_path / "r").write(
            backend("a", config="latency: {create_share: 50ms},"), *(share(f"s{n}") for n in range(8))
        )

        def observe(event: Event, cancel: Cancellation) -> None:
            if isinstance(event, StepStarted) and event.verb == "create-share":
                for _ in range(50):
                    os.kill(os.getpid(), signal.SIGUSR1)
                    os.kill(os.getpid(), signal.SIGUSR2)

        run = site.apply(observer=observe, cancellation=cancellation)
    finally:
        for number, handler in zip((signal.SIGUSR1, signal.SIGUSR2), previous, strict=True):
            signal.signal(number, handler)
    assert run.result.cancelled


class _BrokenPipe(Exception):  # noqa: N818 - stands for any
    pass


def test_an_observer_that_fails_cancels_gracefully_and_its_error_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken pipe must not leave anything in doubt."""
    site = Site(tmp_path / "r").write(backend("a", lanes=2), *(share(f"s{n}") for n in range(6)))
    cancellation = Cancellation()

    def until_it_is_cancelled(_: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not cancellation.requested and time.monotonic() < deadline:
            time.sleep(0.001)

    before_calls(monkeypatch, "create_share", until_it_is_cancelled)

    def observe(event: Event, _: Cancellation) -> None:
        if isinstance(event, StepStarted) and event.verb == "create-share":
            raise _BrokenPipe

    with pytest.raises(_BrokenPipe):
        site.apply(observer=observe, cancellation=cancellation)
    assert not site.view().operations
    assert 1 <= len(site.query("a", "SELECT * FROM shares")) <= 2


def test_an_observer_that_fails_after_a_cancel_does_not_stop_at_once(tmp_path: Path) -> None:
    """One cancel is enough."""
    site = Site(tmp_path / "r").write(backend("a", config="latency: {create_share: 60ms},"), share("x"))

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepStarted) and event.verb == "create-share":
            cancellation.request()
            raise _BrokenPipe

    with pytest.raises(_BrokenPipe):
        site.apply(observer=observe)
    assert "share/x" in site.records()


def test_no_thread_of_a_run_outlives_it(tmp_path: Path) -> None:
    """Lanes and heartbeat end."""
    site = Site(tmp_path / "r").write(backend("a"), *(share(f"s{n}") for n in range(5)))
    site.apply()
    ours = [thread for thread in threading.enumerate() if thread.name.startswith(("lane-", "heartbeat"))]
    for thread in ours:
        thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in ours)
