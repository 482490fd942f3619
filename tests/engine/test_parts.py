"""The parts of the engine, each alone: retry delays, group commit, the board, lanes, heartbeat and cancellation."""

from __future__ import annotations

import os
import threading
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.engine.attempt import AbandonedError, Attempt
from sharectl.engine.board import Board
from sharectl.engine.cancel import Cancellation
from sharectl.engine.committer import Committer, CommitterClosedError
from sharectl.engine.core import bind_thread, shared_core
from sharectl.engine.environment import Environment, new_resource_id, utc_now
from sharectl.engine.heartbeat import Heartbeat
from sharectl.engine.lanes import Lane
from sharectl.engine.retry import MAX_DELAY_SECONDS, retry_delay_seconds
from sharectl.model.plans import Action, Step
from sharectl.model.records import Holder, Lease, PutRun, RemoveResource, RunRecord
from sharectl.model.verbs import Verb
from sharectl.state.contract import LeaseLostError, StateRefusedError, StateUnavailableError, VersionConflictError
from sharectl.state.sqlite.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sharectl.model.records import Change
    from sharectl.state.sqlite.store import SqliteStore

HOLDER = Holder("alice", "one.example", 1, "sharectl apply")


@given(st.integers(1, 60), st.integers(0, 2**32))
def test_pauses_double_up_to_a_limit_with_jitter_below(attempt: int, seed: int) -> None:
    """Half of the whole pause at least."""
    whole = min(0.2 * 2.0 ** (attempt - 1), MAX_DELAY_SECONDS)
    assert whole / 2 <= retry_delay_seconds(attempt, None, Random(seed)) <= whole  # noqa: S311 - jitter is no secret


@pytest.mark.parametrize(("asked", "given_seconds"), [(3.0, 3.0), (-1.0, 0.0), (1e9, 5 * MAX_DELAY_SECONDS)])
def test_what_the_backend_asks_for_is_honoured_within_reason(asked: float, given_seconds: float) -> None:
    """Neither the past nor for ever."""
    assert retry_delay_seconds(1, asked, Random(0)) == given_seconds  # noqa: S311 - jitter is no secret


def test_ids_are_new_and_times_are_utc() -> None:
    """As the state stores them."""
    assert new_resource_id() != new_resource_id()
    assert utc_now().endswith("Z")
    assert Environment(driver=lambda _: None).monotonic() > 0  # type: ignore[arg-type, return-value] - not asked for


# --- group commit ---


class CountingStore:
    """A real store that counts its transactions, and can be held at its gate or made to fail."""

    def __init__(self, store: SqliteStore) -> None:
        """Commit to `store`."""
        self.store = store
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()
        self.error: Exception | None = None

    def commit(self, lease: Lease, changes: Sequence[Change]) -> None:
        """Commit, after the gate has been opened."""
        self.reached.set()
        self.gate.wait(10)
        self.batches.append(len(changes))
        if self.error is not None:
            raise self.error
        self.store.commit(lease, changes)


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[tuple[CountingStore, Committer]]:
    """Give a committer on a real store."""
    store = open_store(tmp_path / "state.db", create=True)
    counted = CountingStore(store)
    lease = store.acquire(HOLDER, duration_seconds=60)
    yield counted, Committer(counted, lease)  # type: ignore[arg-type] - as much of a store as it needs
    store.close()


def run_record(name: str) -> PutRun:
    """Return a change that is always possible."""
    return PutRun(RunRecord(name, "c", "u", "h", "2026-01-01T00:00:00Z"))


def commit_behind_the_gate(
    counted: CountingStore, committer: Committer, batches: Sequence[Sequence[Change]]
) -> list[BaseException | None]:
    """Commit the first alone, and all others while that is being written; return what each of them raised."""
    errors: list[BaseException | None] = [None] * len(batches)

    def work(number: int) -> None:
        try:
            committer.commit(batches[number])
        except Exception as error:  # noqa: BLE001 - what the test is about
            errors[number] = error

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(batches))]
    counted.gate.clear()
    threads[0].start()
    assert counted.reached.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(committer._waiting) < len(batches) - 1:
        threads[-1].join(0.001)
    counted.gate.set()
    for thread in threads:
        thread.join(10)
    return errors


def test_threads_that_come_together_share_a_transaction(counting: tuple[CountingStore, Committer]) -> None:
    """Twenty wait for the first, and are written as one."""
    counted, committer = counting
    errors = commit_behind_the_gate(counted, committer, [[run_record(f"r{n}")] for n in range(21)])
    assert errors == [None] * 21
    assert counted.batches == [1, 20]


def test_a_refusal_reaches_the_thread_that_it_is_for(counting: tuple[CountingStore, Committer]) -> None:
    """The others of its transaction are written."""
    counted, committer = counting
    stale: list[Change] = [RemoveResource("share/none", 3)]
    errors = commit_behind_the_gate(
        counted, committer, [[run_record("a")], [run_record("b")], stale, [run_record("c")]]
    )
    assert [type(error) for error in errors] == [type(None), type(None), VersionConflictError, type(None)]


def test_a_value_that_cannot_be_stored_fails_alone(counting: tuple[CountingStore, Committer]) -> None:
    """Text that is no Unicode, of one backend, does not end the run."""
    counted, committer = counting
    errors = commit_behind_the_gate(counted, committer, [[run_record("a")], [run_record("b")], [run_record("\ud800")]])
    assert [type(error) for error in errors] == [type(None), type(None), StateRefusedError]


@pytest.mark.parametrize("error", [StateUnavailableError("here", "full"), LeaseLostError("gone")])
def test_what_concerns_the_store_as_a_whole_reaches_all(
    counting: tuple[CountingStore, Committer], error: Exception
) -> None:
    """After one try."""
    counted, committer = counting
    counted.error = error
    errors = commit_behind_the_gate(counted, committer, [[run_record(f"r{n}")] for n in range(4)])
    assert errors == [error] * 4
    assert counted.batches == [1, 3]


def test_nothing_is_written_after_close_which_waits_for_what_is_being_written(
    counting: tuple[CountingStore, Committer],
) -> None:
    """The one under way is durable when close returns, and those behind it are refused."""
    counted, committer = counting
    outcome: list[str] = []

    def late() -> None:
        try:
            committer.commit([run_record("late")])
        except CommitterClosedError:
            outcome.append("refused")

    def close() -> None:
        committer.close()
        outcome.append(f"closed after {len(counted.batches)}")

    counted.gate.clear()
    threads = [threading.Thread(target=committer.commit, args=([run_record("first")],))]
    threads[0].start()
    assert counted.reached.wait(10)
    threads += [threading.Thread(target=late), threading.Thread(target=close)]
    for waiting, thread in enumerate(threads[1:], 1):
        thread.start()
        while len(committer._waiting) < waiting:
            thread.join(0.001)
    counted.gate.set()
    for thread in threads:
        thread.join(10)
    assert sorted(outcome) == ["closed after 1", "refused"]
    with pytest.raises(CommitterClosedError):
        committer.commit([run_record("later")])
    assert counted.batches == [1]


def test_under_load_nothing_is_lost_and_transactions_are_fewer_than_commits(
    counting: tuple[CountingStore, Committer],
) -> None:
    """Sixteen threads, as fast as they can."""
    counted, committer = counting

    def work(number: int) -> None:
        for each in range(25):
            committer.commit([run_record(f"{number}-{each}")])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(counted.batches) == 400
    assert len(counted.batches) < 400


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


# --- attempts, lanes, heartbeat, cancellation ---


def test_a_given_up_attempt_makes_no_further_call() -> None:
    """Neither the one under way is heard, nor does another begin."""
    attempt = Attempt(Step("a", "share/x", Action.UPDATE, Verb.EXTEND_SHARE, ""), "a")
    slot = threading.Semaphore(1)
    attempt.begin_call(slot, 5.0, lambda: 0.0)
    assert not attempt.give_up_if_overdue(4.0)
    assert attempt.give_up_if_overdue(5.0)
    with pytest.raises(AbandonedError):
        attempt.end_call()
    with pytest.raises(AbandonedError):
        attempt.begin_call(slot, 9.0, lambda: 0.0)
    assert not attempt.give_up_if_overdue(99.0)


def test_the_slot_of_a_call_that_hangs_goes_to_the_next() -> None:
    """Giving the call up gives its slot back, once; so does a call that ends."""
    slot = threading.Semaphore(1)
    hanging, following = (Attempt(Step(n, "share/x", Action.UPDATE, Verb.EXTEND_SHARE, ""), "a") for n in "ab")
    hanging.begin_call(slot, 5.0, lambda: 0.0)
    assert not slot.acquire(blocking=False)
    hanging.give_up()
    following.begin_call(slot, 5.0, lambda: 0.0)
    with pytest.raises(AbandonedError):
        hanging.end_call()
    assert not slot.acquire(blocking=False)
    following.end_call()
    assert slot.acquire(blocking=False)
    assert not slot.acquire(blocking=False)


def test_a_lane_starts_no_more_threads_than_it_needs() -> None:
    """One task after the other needs one."""
    done = threading.Semaphore(0)
    lane: Lane[int] = Lane("x", 4, lambda _: done.release() or True)
    names = set()
    for number in range(5):
        lane.submit(number)
        assert done.acquire(timeout=5)
        names |= {thread.ident for thread in threading.enumerate() if thread.name == "lane-x"}
    assert lane.width == 4
    assert 1 <= len(names) <= 4
    lane.close()


def test_a_lane_that_is_closed_starts_no_thread_for_one_that_is_given_up() -> None:
    """What is still queued is not begun for its sake."""
    stuck = threading.Event()
    began = threading.Semaphore(0)

    def work(_: int) -> bool:
        began.release()
        stuck.wait(10)
        return False

    lane: Lane[int] = Lane("y", 1, work)
    lane.submit(1)
    lane.submit(2)
    assert began.acquire(timeout=5)
    lane.close()
    lane.give_up_thread()
    stuck.set()
    assert not began.acquire(timeout=0.05)


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
    heartbeat = Heartbeat(store, Lease(1, HOLDER, 0.03), lambda problem: (told.append(problem), noticed.set()))  # type: ignore[arg-type] - as above
    heartbeat.start()
    assert noticed.wait(10)
    heartbeat.stop()
    heartbeat.on_loss(None)
    heartbeat.on_loss(told.append)
    assert told == ["passed to bob; nothing more is written"] * 2


def test_a_loss_that_nobody_listens_for_is_remembered() -> None:
    """Until somebody does."""
    store = FlakyStore(LeaseLostError("passed to bob"))
    heartbeat = Heartbeat(store, Lease(1, HOLDER, 0.03))  # type: ignore[arg-type] - as above
    heartbeat.start()
    heartbeat._thread.join(10)
    heartbeat.stop()
    told: list[str] = []
    heartbeat.on_loss(told.append)
    assert told == ["passed to bob; nothing more is written"]


def test_the_first_request_is_graceful_and_all_further_ones_are_not() -> None:
    """Whether or not somebody listens."""
    cancellation = Cancellation()
    assert not cancellation.wait(0.0)
    told: list[bool] = []
    cancellation.subscribe(told.append)
    for _ in range(3):
        cancellation.request()
    assert told == [False, True, True]
    assert cancellation.requested
    assert cancellation.wait(60.0)
    cancellation.wake()


def test_a_wait_is_ended_by_a_request_that_somebody_wakes_it_for() -> None:
    """The engine wakes it outside the signal handler."""
    cancellation = Cancellation()
    cancellation.subscribe(lambda _: threading.Timer(0.01, cancellation.wake).start())
    threading.Timer(0.05, cancellation.request).start()
    assert cancellation.wait(30.0)


def test_the_threads_of_a_run_share_a_core_and_others_keep_theirs() -> None:
    """The main thread still knows all of them, for a child process that needs them."""
    everything = os.sched_getaffinity(0)
    bound: list[set[int]] = []
    core = shared_core()
    thread = threading.Thread(target=lambda: (bind_thread(core), bound.append(os.sched_getaffinity(0))))
    thread.start()
    thread.join()
    assert bound == [set(core) or everything]
    assert os.sched_getaffinity(os.getpid()) == everything
    assert core <= everything
