"""The parts of the engine, each alone: retry delays, the board, heartbeat and cancellation."""

from __future__ import annotations

import threading
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.engine.board import Board
from sharectl.engine.cancel import Cancellation
from sharectl.engine.environment import Environment, new_resource_id, utc_now
from sharectl.engine.retries import MAX_DELAY_SECONDS, retry_delay_seconds
from sharectl.engine.tenure import Heartbeat
from sharectl.model.plans import Action, Step
from sharectl.model.records import Holder, Lease
from sharectl.model.verbs import Verb
from sharectl.state.contract import LeaseLostError, StateUnavailableError

HOLDER = Holder("alice", "one.example", 1, "sharectl apply")


@given(st.integers(1, 60), st.integers(0, 2**32))
def test_pauses_double_up_to_a_limit_with_jitter_below(attempt: int, seed: int) -> None:
    """Half of the whole pause at least."""
    whole = min(0.2 * 2.0 ** (attempt - 1), MAX_DELAY_SECONDS)
    assert whole / 2 <= retry_delay_seconds(attempt, None, Random(seed).uniform) <= whole  # noqa: S311 - jitter is no secret


@pytest.mark.parametrize(("asked", "given_seconds"), [(3.0, 3.0), (-1.0, 0.0), (1e9, 5 * MAX_DELAY_SECONDS)])
def test_what_the_backend_asks_for_is_honoured_within_reason(asked: float, given_seconds: float) -> None:
    """Neither the past nor for ever."""
    assert retry_delay_seconds(1, asked, Random(0).uniform) == given_seconds  # noqa: S311 - jitter is no secret


def test_ids_are_new_and_times_are_utc() -> None:
    """As the state stores them."""
    assert new_resource_id() != new_resource_id()
    assert utc_now().endswith("Z")
    assert Environment(driver=lambda _: None).monotonic() > 0  # type: ignore[arg-type, return-value] - not asked for


# --- the board ---


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    """Return steps in an order that honours what they wait for, some of them at one address."""
    size = draw(st.integers(1, 14))
    steps = []
    for number in range(size):
        waits = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        address = f"share/{draw(st.integers(0, 6))}"
        waits_for = (*(f"s{wait}" for wait in sorted(waits)), "elsewhere")
        steps.append(Step(f"s{number}", address, Action.UPDATE, Verb.EXTEND_SHARE, "", waits_for=waits_for))
    return steps


@given(graphs(), st.data())
def test_the_board_agrees_with_a_naive_model(steps: list[Step], data: st.DataObject) -> None:
    """Whatever succeeds or fails, in whatever order: dependencies hold, addresses are exclusive, each step settles once."""
    board = Board(steps)
    by_id = {step.step_id: step for step in steps}
    done: set[str] = set()
    doomed: set[str] = set()
    running = {step.step_id for step in board.first()}
    ever_started = Counter(running)
    while running:
        assert len({by_id[name].address for name in running}) == len(running)
        for name in running:
            assert {wait for wait in by_id[name].waits_for if wait in by_id} <= done
        name = data.draw(st.sampled_from(sorted(running)))
        running.discard(name)
        assert board.is_open(name)
        if data.draw(st.booleans()):
            done.add(name)
            ready = board.settle(by_id[name])
        else:
            newly, ready = board.fail(by_id[name])
            doomed |= {name} | {step.step_id for step in newly}
        running |= {step.step_id for step in ready}
        ever_started.update(step.step_id for step in ready)
        assert {step.step_id for step in board.unsettled} == set(by_id) - done - doomed
        busy = {by_id[other].address for other in running}
        for step in board.unsettled:  # nothing that could run is forgotten
            waits = {wait for wait in step.waits_for if wait in by_id}
            assert step.step_id in running or not waits <= done or step.address in busy
    assert board.is_settled
    assert done | doomed == set(by_id)
    assert not done & doomed
    assert set(ever_started.values()) <= {1}
    for name in doomed:
        assert name not in done
    for step in steps:
        if doomed.intersection(step.waits_for):
            assert step.step_id in doomed


def test_a_step_that_fails_before_its_turn_does_not_free_an_address_that_another_holds() -> None:
    """Refusals come before anything runs, and also while something does."""
    first, second, third = (Step(name, "share/x", Action.UPDATE, Verb.EXTEND_SHARE, "") for name in "abc")
    board = Board([first, second, third])
    assert board.first() == [first]
    assert board.fail(second) == ([], [])
    board.discard(third)
    assert board.settle(first) == []
    assert board.is_settled


# --- heartbeat, cancellation ---


class FlakyStore:
    """A store whose renewals answer as they are told."""

    def __init__(self, *answers: Exception | None) -> None:
        """Give these answers, one after the other, and no trouble after that."""
        self.answers = list(answers)
        self.asked = threading.Semaphore(0)

    def renew(self, lease: Lease) -> None:
        """Give the next answer."""
        self.asked.release()
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer


def test_a_heartbeat_survives_trouble_and_tells_of_a_loss_once() -> None:
    """Also whoever asks later."""
    store = FlakyStore(StateUnavailableError("here", "busy"), None, LeaseLostError("passed to bob"))
    told: list[str] = []
    noticed = threading.Event()
    heartbeat = Heartbeat(store, Lease(1, HOLDER, 0.03))  # type: ignore[arg-type] - as above
    heartbeat.on_loss(lambda problem: (told.append(problem), noticed.set()))
    heartbeat.start()
    assert noticed.wait(300)
    heartbeat.stop()
    heartbeat.on_loss(None)
    heartbeat.on_loss(told.append)
    assert told == ["passed to bob; nothing more is written"] * 2


def test_a_loss_that_nobody_listens_for_is_remembered() -> None:
    """Until somebody does."""
    store = FlakyStore(LeaseLostError("passed to bob"))
    heartbeat = Heartbeat(store, Lease(1, HOLDER, 0.03))  # type: ignore[arg-type] - as above
    heartbeat.start()
    heartbeat._thread.join(300)
    heartbeat.stop()
    told: list[str] = []
    heartbeat.on_loss(told.append)
    assert told == ["passed to bob; nothing more is written"]


def test_the_first_request_is_graceful_and_all_further_ones_are_not() -> None:
    """Whether or not somebody listens."""
    cancellation = Cancellation()
    told: list[bool] = []
    cancellation.subscribe(told.append)
    for _ in range(3):
        cancellation.request()
    assert told == [False, True, True]
    assert cancellation.requested


def test_a_cancel_is_seen_only_when_the_run_has_been_told() -> None:
    """Until then another call might begin."""
    cancellation = Cancellation()
    seen: list[bool] = []
    cancellation.subscribe(lambda _: seen.append(cancellation.requested))
    cancellation.request()
    assert seen == [False]
    assert cancellation.requested
