"""The engine: walks a plan's graph, one lane of threads per backend, every intent durable before its effect."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharectl.engine.attempt import AbandonedError, Attempt, Ending, EndingKind
from sharectl.engine.board import Board
from sharectl.engine.cancel import Cancellation
from sharectl.engine.committer import Committer
from sharectl.engine.core import bind_thread, shared_core
from sharectl.engine.lanes import Lane
from sharectl.engine.ledger import Ledger
from sharectl.engine.worker import Worker
from sharectl.model.events import (
    CancelRequested,
    CandidateFailed,
    RunFinished,
    RunStarted,
    StepFailed,
    StepFinished,
    StepSkipped,
)
from sharectl.model.kinds import Kind, address_of
from sharectl.model.verbs import Verb
from sharectl.planner.draft import step_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.engine.environment import Environment
    from sharectl.engine.heartbeat import Heartbeat
    from sharectl.model.events import Event
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan, Step
    from sharectl.model.records import RunRecord
    from sharectl.state.contract import StateStore

_STATE_LANE = ""
_STATE_LANE_WIDTH = 16  # threads that only commit; the more wait at once, the more share a transaction
_THREADS_PER_CALL = 2  # while one thread is in a driver call, another commits: the backend need not wait for that
_RESOLVED_LATER = "what was running is resolved by the next apply"


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
    heartbeat: Heartbeat,
    run: RunRecord,
    environment: Environment,
    observer: Callable[[Event], None],
    cancellation: Cancellation | None = None,
) -> RunResult:
    """Do what the plan says, under the lease of `heartbeat`, and return how it went.

    `observer` is called in this thread, with every event; where it raises, running steps finish and are recorded as after a
    cancel, and the exception is passed on. A step is refused where its row in the state has changed since the plan was made, or
    where an earlier operation on its address is unresolved. A failed step takes along only what waits for it.
    """
    engine = _Engine(plan, store, heartbeat, run, environment, cancellation or Cancellation())
    return engine.run(observer)


class _Engine:
    """One run. Board, lanes, running attempts and counts are guarded by `_mutex`, and so is the order of the events about steps.

    Events go to the caller through `_events`, looked at from time to time and not one by one: a thread that is woken for every
    event would cost more than the steps.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - see apply()
        self,
        plan: Plan,
        store: StateStore,
        heartbeat: Heartbeat,
        run: RunRecord,
        environment: Environment,
        cancellation: Cancellation,
    ) -> None:
        self._plan = plan
        self._run = run
        self._environment = environment
        self._cancellation = cancellation
        self._heartbeat = heartbeat
        self._events: deque[Event] = deque()
        self._settled = threading.Event()
        self._mutex = threading.Lock()
        self._board = Board(plan.steps)
        self._committer = Committer(store, heartbeat.lease)
        self._ledger = Ledger(plan, store)
        self._lanes: dict[str, Lane[Attempt]] = {}
        self._running: dict[str, Attempt] = {}
        self._unprepared: dict[str, list[Attempt]] = {}
        self._silent: dict[str, int] = {}
        self._core = shared_core()
        self._worker = Worker(
            plan,
            run,
            environment,
            self._committer,
            self._ledger,
            cancellation,
            self._emit,
            self._is_silent,
            heartbeat.tenure.require,
        )
        self._done = 0
        self._skipped = 0
        self._failures: list[StepFailed] = []
        self._problem = ""
        self._broken: BaseException | None = None

    def run(self, observer: Callable[[Event], None]) -> RunResult:
        started = self._environment.monotonic()
        self._events.append(RunStarted(self._run.run_id, len(self._plan.steps), self._steps_by_backend()))
        if self._cancellation.requested:
            self._on_cancel(immediate=False)
        self._cancellation.subscribe(self._on_cancel)
        try:
            self._heartbeat.on_loss(self._stop)
            self._begin()
            self._watch(observer)
        finally:
            self._heartbeat.on_loss(None)
            self._committer.close()
            self._leave()
        seconds = self._environment.monotonic() - started
        cancelled = self._cancellation.requested and self._done < len(self._plan.steps)
        failures = tuple(self._failures)
        observer(RunFinished(self._run.run_id, self._done, len(failures), self._skipped, cancelled, seconds))
        return RunResult(self._done, failures, self._skipped, cancelled, seconds, self._problem)

    def _leave(self) -> None:
        with self._mutex:
            for attempt in self._running.values():  # only where an exception has cut the run short
                attempt.give_up()
            for lane in self._lanes.values():
                lane.close()

    def _steps_by_backend(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for step in self._plan.steps:
            counts[step.backend or ""] = counts.get(step.backend or "", 0) + 1
        return counts

    def _begin(self) -> None:
        with self._mutex:
            if self._cancellation.requested:
                self._skip_unstarted("cancelled")
            for step in self._plan.steps:
                reason = self._ledger.refusal(step) if self._board.is_open(step.step_id) else ""
                if reason:
                    self._fail(step, step.backend, reason, unresolved=False)
            for step in self._board.first():
                self._dispatch(step)
            self._note_if_settled()

    def _watch(self, observer: Callable[[Event], None]) -> None:
        """Hand on events until the board is settled."""
        try:
            self._relay(observer)
        except BaseException:
            if not self._cancellation.requested:
                self._cancellation.request()
            self._relay(lambda _event: None)
            raise

    def _relay(self, observer: Callable[[Event], None]) -> None:
        settled = False
        while not settled:
            settled = self._settled.wait(self._environment.watch_interval_seconds)
            for _ in range(
                len(self._events)
            ):  # no more than these, or many events would hide the calls that are overdue
                event = self._events.popleft()
                if isinstance(event, CancelRequested):
                    self._cancel(event)
                observer(event)
            if self._broken is not None:
                raise self._broken
            self._give_up_overdue()

    def _emit(self, attempt: Attempt, event: Event) -> None:
        """Tell of a running attempt, unless the step has been settled meanwhile."""
        with self._mutex:
            if not attempt.abandoned:
                self._events.append(event)

    def _dispatch(self, step: Step, index: int = 0) -> None:
        """Give the step to the lane of its backend, once that is prepared; `_mutex` is held."""
        attempt = Attempt(step, self._ledger.backend_of(step, index), index)
        preparation = step_id(Verb.PREPARE_BACKEND, address_of(Kind.BACKEND, attempt.backend or ""))
        if index > 0 and self._board.is_open(preparation):
            self._unprepared.setdefault(preparation, []).append(attempt)
        else:
            self._submit(attempt)

    def _submit(self, attempt: Attempt) -> None:
        name = attempt.backend or _STATE_LANE
        lane = self._lanes.get(name)
        if lane is None:
            spec = self._plan.backends.get(name)
            threads = _STATE_LANE_WIDTH if spec is None else _THREADS_PER_CALL * spec.lanes
            lane = self._lanes[name] = Lane(name, threads, self._work, lambda: bind_thread(self._core))
        lane.submit(attempt)

    def _work(self, attempt: Attempt) -> bool:
        """Run one attempt in a thread of a lane; return False where the thread was given up meanwhile."""
        try:
            return self._attempt(attempt)
        except BaseException as problem:  # noqa: BLE001 - the run would wait for ever for a thread that has died
            self._broken = problem
            self._settled.set()
            return True

    def _attempt(self, attempt: Attempt) -> bool:
        name = attempt.step.step_id
        with self._mutex:
            if not self._board.is_open(name):
                return True
            self._running[name] = attempt
            silent = self._is_silent(attempt.backend)
        try:
            if silent:
                ending = Ending(
                    EndingKind.REFUSED, error=f"backend {attempt.backend} does not answer; it was not asked"
                )
            else:
                ending = self._worker.run(attempt)
        except AbandonedError:
            return False
        with self._mutex:
            if attempt.abandoned:
                return False
            if attempt.answered:
                self._silent.pop(attempt.backend or "", None)
            del self._running[name]
            self._settle(attempt, ending)
            self._note_if_settled()
        return True

    def _settle(self, attempt: Attempt, ending: Ending) -> None:
        step = attempt.step
        if ending.kind is EndingKind.DONE:
            self._done += 1
            self._events.append(
                StepFinished(step.step_id, step.address, step.verb, attempt.backend, ending.pool, ending.seconds)
            )
            for ready in self._board.settle(step):
                self._dispatch(ready)
            self._submit_prepared(step)
        elif ending.kind is EndingKind.STATE_LOST:
            self._fail(step, attempt.backend, ending.error, unresolved=ending.unresolved)
            self._halt(ending.error)
        elif ending.kind is EndingKind.CANCELLED:
            self._board.discard(step)
            self._skip(step, "", ending.error)
        elif ending.kind is EndingKind.REFUSED and self._has_other_candidate(attempt):
            candidate = step.candidates[attempt.index]
            self._events.append(
                CandidateFailed(step.step_id, step.address, candidate.backend, candidate.pool, ending.error)
            )
            self._dispatch(step, attempt.index + 1)
        else:
            self._fail(step, attempt.backend, ending.error, unresolved=ending.unresolved)

    def _has_other_candidate(self, attempt: Attempt) -> bool:
        if self._cancellation.requested or self._problem:
            return False
        return attempt.step.verb is Verb.CREATE_SHARE and attempt.index + 1 < len(attempt.step.candidates)

    def _submit_prepared(self, step: Step) -> None:
        """Let the shares go on that have come to a backend before it was prepared, however that ended."""
        for attempt in self._unprepared.pop(step.step_id, ()):
            self._submit(attempt)

    def _fail(self, step: Step, backend: str | None, error: str, *, unresolved: bool) -> None:
        failed = StepFailed(step.step_id, step.address, step.verb, backend, error, unresolved)
        self._failures.append(failed)
        self._events.append(failed)
        doomed, ready = self._board.fail(step)
        for other in doomed:
            self._skip(other, step.address, error)
        for other in ready:
            self._dispatch(other)
        self._submit_prepared(step)

    def _skip(self, step: Step, cause: Address, reason: str) -> None:
        self._skipped += 1
        self._events.append(StepSkipped(step.step_id, step.address, step.verb, step.backend, cause, reason))

    def _skip_unstarted(self, reason: str) -> None:
        """Let no further step start; those that run are left to finish."""
        for step in self._board.unsettled:
            if step.step_id not in self._running:
                self._board.discard(step)
                self._skip(step, "", reason)

    def _halt(self, problem: str) -> None:
        """Stop because the state cannot be written: no further step starts, and those that run will not be recorded."""
        if not self._problem:
            self._problem = f"{problem}; {_RESOLVED_LATER}"
        self._skip_unstarted("the state could not be written")

    def _abandon_running(self, error: str) -> None:
        for attempt in list(self._running.values()):
            attempt.give_up()
            self._drop(attempt, f"{error}; {_RESOLVED_LATER}" if attempt.in_doubt else error)

    def _drop(self, attempt: Attempt, error: str) -> None:
        """Settle the step of an attempt that has been given up."""
        del self._running[attempt.step.step_id]
        self._fail(attempt.step, attempt.backend, error, unresolved=attempt.in_doubt)

    def _stop(self, problem: str) -> None:
        """Stop at once because the lease is lost: somebody else may be at work on the same shares."""
        self._committer.close()
        with self._mutex:
            self._halt(problem)
            self._abandon_running(problem)
            self._note_if_settled()

    def _on_cancel(self, immediate: bool) -> None:  # noqa: FBT001 - the contract of Cancellation.subscribe
        """Take note only: this may be a signal handler, and the thread that it interrupted may hold any lock."""
        self._events.append(CancelRequested(immediate))

    def _cancel(self, event: CancelRequested) -> None:
        self._cancellation.wake()
        if event.immediate:
            self._committer.close()
        with self._mutex:
            self._skip_unstarted("cancelled")
            if event.immediate:
                self._abandon_running("stopped at once")
            self._note_if_settled()

    def _is_silent(self, backend: str | None) -> bool:
        return backend is not None and self._silent.get(backend, 0) >= self._plan.backends[backend].lanes

    def _give_up_overdue(self) -> None:
        """Fail the steps whose driver call has outlived its timeout; their threads are left behind."""
        now = self._environment.monotonic()
        with self._mutex:
            for attempt in list(self._running.values()):
                if attempt.backend is None or not attempt.give_up_if_overdue(now):
                    continue
                self._silent[attempt.backend] = self._silent.get(attempt.backend, 0) + 1
                self._lanes[attempt.backend].give_up_thread()
                timeout = self._plan.backends[attempt.backend].step_timeout_seconds
                unknown = "; how it ended is unknown" if attempt.in_doubt else ""
                self._drop(attempt, f"no answer within {timeout:g} s{unknown}")
            self._note_if_settled()

    def _note_if_settled(self) -> None:
        if self._board.is_settled:
            self._settled.set()
