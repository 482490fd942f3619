"""The run of a plan: what is ready on the board becomes jobs of the loop, and how they end goes back to the board."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from sharectl.engine.board import Board
from sharectl.engine.journal import Journal
from sharectl.engine.loop import loop_for
from sharectl.engine.rows import Rows
from sharectl.engine.steps import Attempt, Ending, EndingKind, Steps
from sharectl.model.events import (
    CancelRequested,
    CandidateFailed,
    RunFinished,
    RunStarted,
    StepFailed,
    StepFinished,
    StepSkipped,
)
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import Kind, address_of
from sharectl.model.verbs import Verb
from sharectl.planner.draft import step_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sharectl.engine.cancel import Cancellation
    from sharectl.engine.environment import Environment
    from sharectl.engine.tenure import Heartbeat
    from sharectl.model.events import Event
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan, Step
    from sharectl.model.records import RunRecord
    from sharectl.state.contract import StateStore

_PREPARED: Final = 64
"""How many steps of a backend have their intent and wait for a free place, so that no place waits for a commit; its width, if larger."""
_ONLY_WITH_A_PLACE: Final = frozenset({Verb.REVERT_SHARE})
"""Steps that get no intent before there is a place for them: if it stayed open, the next run would have to say that nobody knows whether it was done."""
_OF_THE_STATE_AT_ONCE: Final = 1000
_NOT_WRITTEN: Final = "the state could not be written"
_RESOLVED_LATER: Final = "what was running is resolved by the next apply"


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


class PlanRun:
    """One run, all in the thread that calls `run`; other threads, and signal handlers, only leave requests and wake it."""

    def __init__(  # noqa: PLR0913, PLR0917 - see apply()
        self,
        plan: Plan,
        store: StateStore,
        heartbeat: Heartbeat,
        run: RunRecord,
        environment: Environment,
        cancellation: Cancellation,
    ) -> None:
        """Prepare to do what `plan` says."""
        self._plan = plan
        self._run_id = run.run_id
        self._environment = environment
        self._heartbeat = heartbeat
        self._cancellation = cancellation
        self._board = Board(plan.steps)
        self._rows = Rows(plan, store)
        self._loop = loop_for(environment, store, heartbeat, lambda name: plan.backends[name].lanes)
        self._steps = Steps(plan, self._rows, Journal(run, environment.now), environment, self._loop)
        self._waiting: dict[str | None, deque[tuple[Step, int, bool]]] = {}
        self._active: Counter[str | None] = Counter()
        self._settled: Counter[str | None] = Counter()
        self._attempts: dict[str, Attempt] = {}
        self._unprepared: dict[str, list[tuple[Step, int]]] = {}
        self._events: deque[Event] = deque()
        self._requests: deque[bool] = deque()
        self._loss = ""
        self._done = self._skipped = 0
        self._failures: list[StepFailed] = []
        self._problem = ""

    def run(self, observer: Callable[[Event], None]) -> RunResult:
        """Do it, tell `observer` of each event, and return how it went."""
        started = self._environment.monotonic()
        counts = Counter(step.backend or "" for step in self._plan.steps)
        self._events.append(RunStarted(self._run_id, len(self._plan.steps), dict(counts)))
        self._cancellation.subscribe(self._on_request)
        if self._cancellation.requested and not self._requests:  # before there was anybody to be told
            self._requests.append(False)
        try:
            self._heartbeat.on_loss(self._on_loss)
            self._begin()
            self._work(observer)
        finally:
            self._heartbeat.on_loss(None)
            self._loop.close()
        seconds = self._environment.monotonic() - started
        cancelled = self._cancellation.requested and self._done < len(self._plan.steps)
        failures = tuple(self._failures)
        observer(RunFinished(self._run_id, self._done, len(failures), self._skipped, cancelled, seconds))
        return RunResult(self._done, failures, self._skipped, cancelled, seconds, self._problem)

    # --- what comes from elsewhere ---

    def _on_request(self, immediate: bool) -> None:  # noqa: FBT001 - the contract of Cancellation.subscribe
        """Take note of a cancel; this may be a signal handler, and what it interrupts may be in the middle of anything."""
        self._requests.append(immediate)
        self._loop.hold()  # the loop may be held up by who watches, while calls have their intents and wait for a place

    def _on_loss(self, problem: str) -> None:
        """Take note, in the thread of the heartbeat, that the lease is lost."""
        self._loss = problem
        self._loop.wake()

    def _heed(self) -> None:
        while self._requests:
            immediate = self._requests.popleft()
            self._events.append(CancelRequested(immediate))
            self._end("cancelled")
            if immediate:
                self._abandon("stopped at once")
        if self._loss:
            problem, self._loss = self._loss, ""
            self._halt(problem)
            self._abandon(problem)

    # --- the run ---

    def _begin(self) -> None:
        self._heed()
        for step, reason in self._rows.refusals():
            if self._board.is_open(step.step_id):
                self._fail(step, step.backend, reason, unresolved=False)
        for step in self._board.first():
            self._dispatch(step)

    def _work(self, observer: Callable[[Event], None]) -> None:
        """Turn the loop until the board is settled. Where the observer raises, what runs is finished first, as after a cancel."""
        try:
            while not self._board.is_settled:
                self._deliver(observer)
                self._turn()
            self._deliver(observer)
        except _ObserverError as error:
            if not self._cancellation.requested:
                self._cancellation.request()
            while not self._board.is_settled:
                self._turn()
            raise error.reason from None

    def _turn(self) -> None:
        self._loop.listen()
        self._heed()  # before anything is written: what has no intent yet gets none after a cancel
        self._loop.carry_on()
        self._heed()

    def _deliver(self, observer: Callable[[Event], None]) -> None:
        while self._events:
            event = self._events.popleft()
            try:
                observer(event)
            except BaseException as error:
                raise _ObserverError(error) from error

    # --- from the board to the loop ---

    def _dispatch(self, step: Step, index: int = 0, *, is_next: bool = False) -> None:
        """Let the step wait for room on its backend, before all others where it `is_next`, once that is prepared."""
        backend = self._rows.backend_of(step, index)
        preparation = step_id(Verb.PREPARE_BACKEND, address_of(Kind.BACKEND, backend or "")) if index > 0 else ""
        if index > 0 and self._board.is_open(preparation):
            self._unprepared.setdefault(preparation, []).append((step, index))
        else:
            waiting = self._waiting.setdefault(backend, deque())
            (waiting.appendleft if is_next else waiting.append)((step, index, is_next))
            self._start_waiting(backend)

    def _start_waiting(self, backend: str | None) -> None:
        """Start as many steps as have room: those that run, and some that are ready to; few at first, so that calls begin at once."""
        waiting = self._waiting.get(backend)
        if not waiting:
            return
        if backend is None:
            width = most = _OF_THE_STATE_AT_ONCE
        else:
            width = self._plan.backends[backend].lanes
            most = width + min(max(width, _PREPARED), width + 2 * self._settled[backend])
        while waiting and self._active[backend] < (width if waiting[0][0].verb in _ONLY_WITH_A_PLACE else most):
            step, index, is_next = waiting.popleft()
            if not self._board.is_open(step.step_id):
                continue
            attempt = Attempt(step, index, backend, self._steps, self._events.append, self._settle)
            attempt.goes_first = is_next or step.verb in _ONLY_WITH_A_PLACE
            self._active[backend] += 1
            self._attempts[step.step_id] = attempt
            self._loop.start(attempt)

    # --- and back ---

    def _settle(self, attempt: Attempt, ending: Ending) -> None:
        step, backend = attempt.step, attempt.backend
        self._leave(attempt)
        if ending.kind is EndingKind.DONE:
            self._done += 1
            event = StepFinished(
                step.step_id, step.address, step.verb, backend, ending.pool, ending.seconds, attempt.worker
            )
            self._events.append(event)
            self._go_on(step, self._board.settle(step))
        elif ending.kind is EndingKind.STATE_LOST:
            self._fail(step, backend, ending.error, unresolved=ending.unresolved, worker=attempt.worker)
            self._halt(ending.error)
        elif ending.kind is EndingKind.CANCELLED:
            self._skip(step, "", ending.error)
        elif ending.kind is EndingKind.REFUSED and self._has_other_candidate(attempt):
            candidate = step.candidates[attempt.index]
            self._events.append(
                CandidateFailed(step.step_id, step.address, candidate.backend, candidate.pool, ending.error)
            )
            self._dispatch(step, attempt.index + 1)
        else:
            self._fail(step, backend, ending.error, unresolved=ending.unresolved, worker=attempt.worker)
        self._start_waiting(backend)

    def _leave(self, attempt: Attempt) -> None:
        self._active[attempt.backend] -= 1
        self._settled[attempt.backend] += 1
        del self._attempts[attempt.step.step_id]

    def _has_other_candidate(self, attempt: Attempt) -> bool:
        if self._loop.ending:
            return False
        return attempt.step.verb is Verb.CREATE_SHARE and attempt.index + 1 < len(attempt.step.candidates)

    def _go_on(self, step: Step, ready: Iterable[Step]) -> None:
        """Dispatch what may run now that the step is settled, and the shares that had come to a backend before it was prepared."""
        for other in ready:  # what has begun is finished first, so that its row can be dropped
            self._dispatch(other, is_next=other.address == step.address)
        for other, index in self._unprepared.pop(step.step_id, ()):
            self._dispatch(other, index)
        self._rows.let_go(step)

    def _fail(
        self, step: Step, backend: str | None, error: str, *, unresolved: bool, worker: str | None = None
    ) -> None:
        failed = StepFailed(step.step_id, step.address, step.verb, backend, error, unresolved, worker)
        self._failures.append(failed)
        self._events.append(failed)
        doomed, ready = self._board.fail(step)
        for other in doomed:
            self._skip(other, step.address, error)
        self._go_on(step, ready)

    def _skip(self, step: Step, cause: Address, reason: str) -> None:
        self._board.discard(step)
        self._skipped += 1
        self._events.append(StepSkipped(step.step_id, step.address, step.verb, step.backend, cause, reason))
        self._rows.let_go(step)

    # --- the end before its time ---

    def _end(self, reason: str) -> None:
        """Let no further step begin; those that have are left to finish."""
        self._loop.end(reason)
        for step in self._board.unsettled:
            if step.step_id not in self._attempts:
                self._skip(step, "", reason)

    def _halt(self, problem: str) -> None:
        """End because the state cannot be written."""
        if not self._problem:
            self._problem = f"{problem}; {_RESOLVED_LATER}"
        self._end(_NOT_WRITTEN)

    def _abandon(self, error: str) -> None:
        """Stop waiting: nothing more is written, and the next run resolves what is in doubt."""
        attempts = tuple(self._attempts.values())
        self._loop.abandon(attempts)
        for attempt in attempts:
            self._leave(attempt)
            if attempt.is_withdrawn:  # all that is left is an intent of something that has not begun
                self._skip(attempt.step, "", self._loop.ending)
                continue
            message = f"{error}; {_RESOLVED_LATER}" if attempt.in_doubt else error
            self._fail(attempt.step, attempt.backend, message, unresolved=attempt.in_doubt, worker=attempt.worker)


class _ObserverError(Exception):
    """The observer has raised `reason`."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__()
        self.reason = reason
