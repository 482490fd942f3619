"""The engine: walks a plan's graph, one lane of threads per backend, every intent durable before its effect."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from sharectl.applying.board import Board
from sharectl.applying.cancel import Cancellation
from sharectl.applying.committer import Committer
from sharectl.applying.heartbeat import Heartbeat
from sharectl.applying.lanes import Lane
from sharectl.applying.ledger import Ledger
from sharectl.applying.worker import Attempt, Ending, EndingKind, Worker
from sharectl.events import (
    CancelRequested,
    CandidateFailed,
    RunFinished,
    RunStarted,
    StepFailed,
    StepFinished,
    StepSkipped,
)
from sharectl.model import Verb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.applying.environment import Environment
    from sharectl.events import Event
    from sharectl.model import Address
    from sharectl.planning.types import Plan, Step
    from sharectl.state.store import Lease, RunRecord, StateStore

_STATE_LANE = ""
_STATE_LANE_WIDTH = 4


@dataclass(frozen=True, slots=True)
class RunResult:
    """How an apply ended. `problem` says why it stopped before its time, where it did (the state could not be written)."""

    done: int
    failures: tuple[StepFailed, ...]
    skipped: int
    cancelled: bool
    seconds: float
    problem: str = ""

    @property
    def succeeded(self) -> bool:
        """Tell whether everything in the plan is done."""
        return not (self.failures or self.skipped or self.cancelled or self.problem)


def apply(  # noqa: PLR0913 - the plan, where it is recorded, what it runs on, and who watches
    plan: Plan,
    *,
    store: StateStore,
    lease: Lease,
    run: RunRecord,
    environment: Environment,
    observer: Callable[[Event], None],
    cancellation: Cancellation | None = None,
) -> RunResult:
    """Do what the plan says and return how it went; `observer` is called in this thread, with every event.

    A step is refused where its row in the state has changed since the plan was made, or where an earlier operation on its
    address is unresolved. A failed step takes along only what waits for it.
    """
    engine = _Engine(plan, store, lease, run, environment, cancellation or Cancellation())
    return engine.run(observer)


class _Engine:
    """One run. The board, the lanes and the counts are guarded by `_mutex`; events go to the caller through a queue."""

    def __init__(  # noqa: PLR0913, PLR0917 - see apply()
        self,
        plan: Plan,
        store: StateStore,
        lease: Lease,
        run: RunRecord,
        environment: Environment,
        cancellation: Cancellation,
    ) -> None:
        self._plan = plan
        self._run = run
        self._environment = environment
        self._cancellation = cancellation
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._mutex = threading.Lock()
        self._board = Board(plan.steps)
        self._committer = Committer(store, lease)
        self._ledger = Ledger(plan, store)
        self._worker = Worker(plan, run, environment, self._committer, self._ledger, cancellation, self._events.put)
        self._lanes: dict[str, Lane[Attempt]] = {}
        self._attempts: dict[str, Attempt] = {}
        self._silent: dict[str, int] = {}
        self._done = 0
        self._skipped = 0
        self._failures: list[StepFailed] = []
        self._problem = ""
        self._heartbeat = Heartbeat(store, lease, self._stop)

    def run(self, observer: Callable[[Event], None]) -> RunResult:
        started = self._environment.monotonic()
        self._cancellation.subscribe(self._on_cancel)
        self._events.put(RunStarted(self._run.run_id, len(self._plan.steps), self._steps_by_backend()))
        self._heartbeat.start()
        try:
            self._begin()
            self._watch(observer)
        finally:
            self._heartbeat.stop()
            self._committer.close()
            for lane in self._lanes.values():
                lane.close()
        seconds = self._environment.monotonic() - started
        cancelled = self._cancellation.requested.is_set()
        finished = RunFinished(self._run.run_id, self._done, len(self._failures), self._skipped, cancelled, seconds)
        observer(finished)
        return RunResult(self._done, tuple(self._failures), self._skipped, cancelled, seconds, self._problem)

    def _steps_by_backend(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for step in self._plan.steps:
            counts[step.backend or ""] = counts.get(step.backend or "", 0) + 1
        return counts

    def _begin(self) -> None:
        with self._mutex:
            if self._cancellation.requested.is_set():
                self._skip_all("cancelled")
            refused = [(step, reason) for step in self._plan.steps if (reason := self._ledger.refusal(step))]
            for step, reason in refused:
                if self._board.is_open(step):
                    self._fail(step, reason, unresolved=False)
            for step in self._board.first():
                self._dispatch(step)
            self._wake_if_settled()

    def _watch(self, observer: Callable[[Event], None]) -> None:
        """Hand events to the observer until the board is settled; notice calls that take too long."""
        while True:
            try:
                event = self._events.get(timeout=self._environment.watch_interval_seconds)
            except Empty:
                self._give_up_overdue()
                continue
            if event is None:
                break
            observer(event)
        while not self._events.empty():
            event = self._events.get()
            if event is not None:
                observer(event)

    def _dispatch(self, step: Step, index: int = 0) -> None:
        """Give the step to the lane of its backend; `_mutex` is held."""
        if not self._board.is_open(step):
            return
        backend = self._ledger.backend_of(step, index)
        attempt = Attempt(step, backend, index)
        self._attempts[step.step_id] = attempt
        name = backend or _STATE_LANE
        lane = self._lanes.get(name)
        if lane is None:
            spec = self._plan.backends.get(name)
            width = _STATE_LANE_WIDTH if spec is None else spec.lanes
            lane = self._lanes[name] = Lane(name, width, self._work)
        lane.submit(attempt)

    def _work(self, attempt: Attempt) -> bool:
        """Run one attempt in a thread of a lane; return False where the thread was given up meanwhile."""
        with self._mutex:
            if not self._board.is_open(attempt.step):
                return True
            silent = attempt.backend is not None and self._is_silent(attempt.backend)
        if silent:
            ending = Ending(EndingKind.FAILED, error=f"backend {attempt.backend} does not answer")
        else:
            ending = self._worker.run(attempt)
        with self._mutex:
            if attempt.abandoned:
                return False
            if ending.answered and attempt.backend is not None:
                self._silent.pop(attempt.backend, None)
            self._settle(attempt, ending)
            self._wake_if_settled()
        return True

    def _settle(self, attempt: Attempt, ending: Ending) -> None:
        step = attempt.step
        self._attempts.pop(step.step_id, None)
        if not self._board.is_open(step):
            return  # everything was stopped at once meanwhile
        if ending.kind is EndingKind.DONE:
            self._done += 1
            self._events.put(
                StepFinished(step.step_id, step.address, step.verb, attempt.backend, ending.pool, ending.seconds)
            )
            for ready in self._board.settle(step):
                self._dispatch(ready)
        elif ending.kind is EndingKind.STATE_LOST:
            self._fail(step, ending.error, unresolved=True)
            self._halt(ending.error)
        elif ending.kind is EndingKind.CANCELLED:
            self._skip(step, "", "cancelled")
            self._skip_dependants(step, "cancelled")
        elif self._has_other_candidate(attempt) and not self._cancellation.requested.is_set():
            candidate = step.candidates[attempt.index]
            self._events.put(
                CandidateFailed(step.step_id, step.address, candidate.backend, candidate.pool, ending.error)
            )
            self._dispatch(step, attempt.index + 1)
        else:
            self._fail(step, ending.error, unresolved=ending.unresolved)

    def _has_other_candidate(self, attempt: Attempt) -> bool:
        return attempt.step.verb is Verb.CREATE_SHARE and attempt.index + 1 < len(attempt.step.candidates)

    def _fail(self, step: Step, error: str, *, unresolved: bool) -> None:
        failed = StepFailed(step.step_id, step.address, step.verb, step.backend, error, unresolved)
        self._failures.append(failed)
        self._events.put(failed)
        doomed, ready = self._board.fail(step)
        for other in doomed:
            self._skip(other, step.address, error)
        for other in ready:
            self._dispatch(other)

    def _skip(self, step: Step, cause: Address, reason: str) -> None:
        self._skipped += 1
        self._events.put(StepSkipped(step.step_id, step.address, step.verb, step.backend, cause, reason))

    def _skip_dependants(self, step: Step, reason: str) -> None:
        doomed, _ready = self._board.fail(step)
        for other in doomed:
            self._skip(other, "", reason)

    def _skip_all(self, reason: str) -> None:
        """Let no further step start; those that run are left to finish."""
        for step in self._board.unsettled:
            if step.step_id not in self._attempts or not self._attempts[step.step_id].started:
                if self._board.is_open(step):
                    self._skip(step, "", reason)
                self._skip_dependants(step, reason)

    def _halt(self, problem: str) -> None:
        """Stop because the state cannot be written: no further step starts, and those that run will not be recorded."""
        self._problem = self._problem or problem
        self._skip_all("the state could not be written")

    def _abandon_running(self, error: str) -> None:
        for attempt in list(self._attempts.values()):
            if attempt.started and self._board.is_open(attempt.step):
                attempt.give_up()
                self._fail(attempt.step, error, unresolved=True)
                self._attempts.pop(attempt.step.step_id, None)

    def _stop(self, problem: str) -> None:
        """Stop at once because the lease is lost: somebody else may be at work on the same shares."""
        self._committer.close()
        with self._mutex:
            self._abandon_running(problem)
            self._halt(problem)
            self._wake_if_settled()

    def _on_cancel(self, immediate: bool) -> None:  # noqa: FBT001 - the contract of Cancellation.subscribe
        self._events.put(CancelRequested(immediate))
        threading.Thread(target=self._cancel, args=(immediate,), daemon=True).start()

    def _cancel(self, immediate: bool) -> None:  # noqa: FBT001 - the contract of Cancellation.subscribe
        if immediate:
            self._committer.close()
        with self._mutex:
            self._skip_all("cancelled")
            if immediate:
                self._abandon_running("stopped at once; its intent stays open")
            self._wake_if_settled()

    def _is_silent(self, backend: str) -> bool:
        return self._silent.get(backend, 0) >= self._plan.backends[backend].lanes

    def _give_up_overdue(self) -> None:
        """Fail the steps whose driver call has outlived its timeout; their threads are left behind."""
        now = self._environment.monotonic()
        with self._mutex:
            for attempt in list(self._attempts.values()):
                if attempt.backend is None or not attempt.give_up_if_overdue(now):
                    continue
                self._silent[attempt.backend] = self._silent.get(attempt.backend, 0) + 1
                self._lanes[attempt.backend].give_up_thread()
                timeout = self._plan.backends[attempt.backend].step_timeout_seconds
                self._attempts.pop(attempt.step.step_id, None)
                self._fail(attempt.step, f"no answer within {timeout:g} s; how it ended is unknown", unresolved=True)
            self._wake_if_settled()

    def _wake_if_settled(self) -> None:
        if self._board.is_settled:
            self._events.put(None)
