"""Doing one step at one place, as a procedure: the intent, the calls, the result; and what becomes of a failure."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from sharectl.engine.loop import Job, Procedure, Write
from sharectl.engine.verbs import entry_of
from sharectl.engine.verbs.backend import expect_storage
from sharectl.engine.verbs.base import Runner
from sharectl.executors.answers import TRANSIENT_KINDS, UNANSWERED_KINDS, CallFailedError, Done, Failure, FailureKind
from sharectl.executors.base import Operation
from sharectl.executors.failures import failure_of
from sharectl.model.events import StepRetried, StepStarted, StepTaken
from sharectl.model.frozen import dataclass
from sharectl.model.records import BeginOperation, EndOperation
from sharectl.model.verbs import Verb
from sharectl.state.contract import LeaseLostError, StateError, StateRefusedError, VersionConflictError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.engine.environment import Environment
    from sharectl.engine.journal import Journal
    from sharectl.engine.loop import Loop
    from sharectl.engine.rows import Rows
    from sharectl.engine.verbs.base import Entry, Result, Task
    from sharectl.model.events import Event
    from sharectl.model.plans import Plan, Step
    from sharectl.model.records import OperationRecord


class EndingKind(Enum):
    """How an attempt ended: if a share was REFUSED, another candidate may do what this one could not.

    CANCELLED is an attempt whose backend was not asked, because a cancel came first.
    """

    DONE = auto()
    REFUSED = auto()
    FAILED = auto()
    CANCELLED = auto()
    STATE_LOST = auto()


_ENDINGS: Final = {
    FailureKind.NOT_PERMITTED: EndingKind.STATE_LOST,
    FailureKind.WITHDRAWN: EndingKind.CANCELLED,
    # Another candidate does not help if the name is taken or a later run is at work, and is not safe if nobody knows how a call ended.
    **dict.fromkeys(
        (FailureKind.CONFLICT, FailureKind.FENCED, FailureKind.MISBEHAVED, *UNANSWERED_KINDS), EndingKind.FAILED
    ),
}
_REPEATED: Final = TRANSIENT_KINDS | {FailureKind.WORKER_LOST}
"""What is tried again under the same intent and the same id; a lost worker is not among them if its outcome has to be found out first."""
_IN_DOUBT: Final = UNANSWERED_KINDS | {FailureKind.MISBEHAVED}
"""Nobody knows how the call ended."""
_UNHEARD: Final = UNANSWERED_KINDS | {FailureKind.NOT_PERMITTED}
"""Nobody knows how the call ended, or nothing can be recorded any more."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended; `unresolved` says that its intent stays open."""

    kind: EndingKind
    error: str = ""
    pool: str | None = None
    seconds: float = 0.0
    unresolved: bool = False


class Attempt(Job):
    """A step on its way at one of its places; `in_doubt` holds while an intent of it may be open."""

    def __init__(  # noqa: PLR0913, PLR0917 - the step and its place, who does it, and who is told
        self,
        step: Step,
        index: int,
        backend: str | None,
        steps: Steps,
        emit: Callable[[Event], None],
        ended: Callable[[Attempt, Ending], None],
    ) -> None:
        """Do `step` on `backend`, at its candidate `index`."""
        attempts, timeout_seconds = steps.limits(backend)
        retries = TRANSIENT_KINDS if entry_of(step).stays_open else _REPEATED
        super().__init__(
            steps.perform(self), backend, attempts=attempts, timeout_seconds=timeout_seconds, retries=retries
        )
        self.step = step
        self.index = index
        self.pool: str | None = None
        self.in_doubt = False
        self.begun_at_seconds: float | None = None
        self._clock = steps.clock
        self._emit = emit
        self._ended = ended

    def began(self) -> None:
        """See Job. What is asked before there is an intent does not begin the step."""
        if self.in_doubt:
            self.starts()

    def starts(self) -> None:
        """Tell that the step itself begins now."""
        self.has_begun = True
        self.begun_at_seconds = self._clock()
        step = self.step
        self._emit(StepStarted(step.step_id, step.address, step.verb, self.backend, self.pool, self.worker))

    def taken(self, lost: str | None) -> None:
        """See Job."""
        step = self.step
        self._emit(StepTaken(step.step_id, step.address, self.backend, self.worker or "", lost))

    def retried(self, number: int, delay_seconds: float, error: str) -> None:
        """See Job."""
        step = self.step
        self._emit(StepRetried(step.step_id, step.address, self.backend, number, delay_seconds, error))

    def ended(self, value: Ending) -> None:
        """See Job."""
        self._ended(self, value)

    def broke(self, error: Exception) -> None:
        """See Job."""
        message = f"sharectl failed in a way that it should not: {type(error).__name__}: {error}"
        self._ended(self, Ending(EndingKind.FAILED, error=message, unresolved=self.in_doubt))


class Steps:
    """Does the steps of one plan."""

    def __init__(self, plan: Plan, rows: Rows, journal: Journal, environment: Environment, loop: Loop) -> None:
        """Work on `rows`, and write into `journal`."""
        self._plan = plan
        self._rows = rows
        self._journal = journal
        self._environment = environment
        self._loop = loop
        self.clock = environment.monotonic
        self._identified: set[str] = set()

    def limits(self, backend: str | None) -> tuple[int, float]:
        """Return how often a call is made on the backend, and how long it may take."""
        if backend is None:
            return 1, 0.0
        spec = self._plan.backends[backend]
        return spec.attempts, spec.step_timeout_seconds

    def perform(self, attempt: Attempt) -> Procedure[Ending]:
        """Do the step to its end; return the Ending."""
        started = self.clock()
        try:
            ending = yield from self._perform(attempt)
        except CallFailedError as failed:
            # Before there was an intent: nothing is in doubt that kept a share from its next place.
            ending = _ending(failed.failure)
            return replace(ending, kind=EndingKind.REFUSED) if failed.failure.kind in _IN_DOUBT else ending
        except VersionConflictError as problem:
            error = f"the state was changed by somebody else: {problem}"
            return Ending(EndingKind.FAILED, error, unresolved=attempt.in_doubt)
        except StateRefusedError as problem:  # it is about a value of this step, and no other is affected
            return Ending(EndingKind.FAILED, str(problem), unresolved=attempt.in_doubt)
        except (StateError, LeaseLostError) as problem:
            return Ending(EndingKind.STATE_LOST, str(problem), unresolved=attempt.in_doubt)
        if ending.kind is EndingKind.DONE:
            begun = attempt.begun_at_seconds  # before, it waits for a lane
            seconds = self.clock() - (started if begun is None else begun)
            return Ending(EndingKind.DONE, pool=attempt.pool, seconds=seconds)
        return ending

    def _perform(self, attempt: Attempt) -> Procedure[Ending]:
        step, backend = attempt.step, attempt.backend
        if self._loop.ending or self._loop.is_silent(backend):
            return self._unasked(attempt)
        task = self._rows.task(step, backend, attempt.index, self._environment.new_id)
        attempt.pool = task.pool
        entry = entry_of(step)
        if backend is None:
            attempt.starts()
            return (yield from self._record(attempt, task, entry.changes(task, Done()), None))
        yield from self._expect_storage(backend, entry, step.verb)
        if self._loop.ending:
            return self._unasked(attempt)
        operation = yield from self._begin(attempt, task, entry)
        try:
            answer = yield from entry.calls(task)
            result = entry.changes(task, answer)
        except CallFailedError as error:
            return (yield from self._failed(attempt, task, entry, operation, error.failure))
        except Exception as error:  # noqa: BLE001 - of our own where something is missing, or an answer is not what it seemed
            return (yield from self._failed(attempt, task, entry, operation, failure_of(error)))
        ending = yield from self._record(attempt, task, result, operation)
        if step.verb is Verb.PREPARE_BACKEND:  # it has said who it is
            self._identified.add(backend)
        return ending

    def _unasked(self, attempt: Attempt) -> Ending:
        """Return how an attempt ends that will not begin."""
        if self._loop.ending:
            return Ending(EndingKind.CANCELLED, error=self._loop.ending)
        return Ending(EndingKind.REFUSED, error=f"backend {attempt.backend} does not answer; it was not asked")

    def _expect_storage(self, backend: str, entry: Entry, verb: Verb) -> Procedure[None]:
        """Check which storage is behind the backend, and whether its network service can be opened, if that is needed.

        Attempts that begin before the first answer is there each ask.
        """
        network = entry.runner is Runner.NETWORK
        known = f"{backend} with its network" if network else backend
        if known not in self._identified and verb is not Verb.PREPARE_BACKEND:
            yield from expect_storage(backend, self._rows.identity_of(backend), network=network)
            self._identified.add(known)

    def _begin(self, attempt: Attempt, task: Task, entry: Entry) -> Procedure[OperationRecord]:
        """Make the intent durable."""
        operation = self._journal.intent(task, entry)
        attempt.operation = Operation(operation.operation_id, operation.address)
        attempt.in_doubt = True  # before it is written: an attempt that is abandoned meanwhile may have it open
        try:
            yield Write([BeginOperation(operation)], is_intent=True)
        except Exception:
            attempt.in_doubt = False
            raise
        return operation

    def _record(
        self, attempt: Attempt, task: Task, result: Result, operation: OperationRecord | None
    ) -> Procedure[Ending]:
        """Make the result durable: the row, the end of the intent and the history."""
        ends = [] if operation is None else [EndOperation(operation.operation_id)]
        yield Write([*result.changes, *ends, self._journal.done(task, result.refused, attempt.worker)])
        attempt.in_doubt = False
        self._rows.take(task, result)
        if result.refused:
            return Ending(EndingKind.FAILED, error=result.refused)
        return Ending(EndingKind.DONE)

    def _failed(
        self, attempt: Attempt, task: Task, entry: Entry, operation: OperationRecord, failure: Failure
    ) -> Procedure[Ending]:
        """Record that a call has failed. What it may have left half made is removed; where that fails too, the intent stays open."""
        kind, error = failure.kind, failure.message
        if kind in _UNHEARD:
            return _ending(failure, unresolved=True)
        if kind is FailureKind.WITHDRAWN:
            with suppress(StateError, LeaseLostError):  # it was not begun, whether or not that can be written
                yield Write([EndOperation(operation.operation_id)])
            attempt.in_doubt = False
            return _ending(failure)
        is_uncertain = _may_be_done(failure, is_repeatable=attempt.call is None or attempt.call.repeatable)
        if kind is FailureKind.MISBEHAVED or (entry.stays_open and is_uncertain):
            return (yield from self._leave_open(attempt, task, EndingKind.FAILED, error))
        if entry.leftovers is not None and attempt.has_begun and kind is not FailureKind.FENCED:
            try:
                yield from entry.leftovers(task)
            except CallFailedError as leftover:
                if leftover.failure.kind in _UNHEARD:
                    return _ending(leftover.failure, unresolved=True)
                error = f"{error}; and what it may have left could not be removed: {leftover}"
                return (yield from self._leave_open(attempt, task, _ending(failure).kind, error))
        yield Write([self._journal.failed(task, error, attempt.worker), EndOperation(operation.operation_id)])
        attempt.in_doubt = False
        return _ending(failure)

    def _leave_open(self, attempt: Attempt, task: Task, kind: EndingKind, error: str) -> Procedure[Ending]:
        """Record that how the call ended is unknown; the next run asks the backend."""
        yield Write([self._journal.failed(task, error, attempt.worker)])
        return Ending(kind, error, unresolved=True)


def _ending(failure: Failure, *, unresolved: bool = False) -> Ending:
    """Return how an attempt ends with this failure."""
    error = failure.message
    if unresolved and failure.kind in UNANSWERED_KINDS:
        error = f"{error}; how it ended is unknown"
    return Ending(_ENDINGS.get(failure.kind, EndingKind.REFUSED), error, unresolved=unresolved)


def _may_be_done(failure: Failure, *, is_repeatable: bool) -> bool:
    """Tell whether a call that failed may have taken effect nevertheless.

    A backend that says when to ask again has not begun.
    """
    if not is_repeatable:
        return failure.kind in TRANSIENT_KINDS and failure.retry_after_seconds is None
    return failure.kind in TRANSIENT_KINDS or failure.kind is FailureKind.CUT_SHORT
