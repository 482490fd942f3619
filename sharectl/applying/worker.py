"""One attempt at a step, in a thread of its lane: intent, driver call with retries, result."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

from sharectl.applying.calls import Result, intent_payload, perform, perform_on_state
from sharectl.applying.committer import CommitterClosedError
from sharectl.applying.moving import move
from sharectl.applying.retry import retry_delay_seconds
from sharectl.drivers.base import DriverError, ShareRef, SnapshotRef, SnapshotsShares, TransientError
from sharectl.events import StepRetried, StepStarted
from sharectl.model import SnapshotSpec, Verb, canonical_json
from sharectl.state.store import (
    AddHistory,
    BeginOperation,
    EndOperation,
    HistoryEntry,
    LeaseLostError,
    OperationRecord,
    StateError,
    VersionConflictError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.applying.calls import Task
    from sharectl.applying.cancel import Cancellation
    from sharectl.applying.committer import Committer
    from sharectl.applying.environment import Environment
    from sharectl.applying.ledger import Ledger
    from sharectl.drivers.base import Driver
    from sharectl.events import Event
    from sharectl.planning.types import Plan, Step
    from sharectl.state.store import Change, RunRecord

_MAKING = frozenset({Verb.CREATE_SHARE, Verb.CREATE_SNAPSHOT})


class EndingKind(Enum):
    """How an attempt ended."""

    DONE = auto()
    FAILED = auto()
    CANCELLED = auto()
    STATE_LOST = auto()


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended; `answered` says that the backend answered at all, `unresolved` that its intent stays open."""

    kind: EndingKind
    error: str = ""
    pool: str | None = None
    seconds: float = 0.0
    unresolved: bool = False
    answered: bool = True


@dataclass(slots=True)
class Attempt:
    """A step on its way through a lane. A call that outlives its deadline is given up, and what it answers later is not heard."""

    step: Step
    backend: str | None
    index: int = 0
    started: bool = False
    abandoned: bool = False
    _deadline: float | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def begin_call(self, deadline: float) -> None:
        """Start the clock of a driver call."""
        with self._mutex:
            self._deadline = deadline

    def end_call(self) -> None:
        """Stop the clock; raises _AbandonedError where nobody waits for the answer any more."""
        with self._mutex:
            self._deadline = None
            if self.abandoned:
                raise _AbandonedError

    def give_up_if_overdue(self, now: float) -> bool:
        """Give the call up if its deadline has passed; tell whether it was."""
        with self._mutex:
            if self.abandoned or self._deadline is None or now < self._deadline:
                return False
            self.abandoned = True
            return True

    def give_up(self) -> None:
        """Hear nothing of this attempt any more."""
        with self._mutex:
            self.abandoned = True


class _AbandonedError(Exception):
    """The engine has given this attempt up."""


class _CancelledError(Exception):
    """A cancel came while the attempt waited to be repeated."""


class Worker:
    """Runs attempts; called by many threads at once."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a run consists of
        self,
        plan: Plan,
        run: RunRecord,
        environment: Environment,
        committer: Committer,
        ledger: Ledger,
        cancellation: Cancellation,
        emit: Callable[[Event], None],
    ) -> None:
        """Work for one run."""
        self._plan = plan
        self._run = run
        self._environment = environment
        self._commit = committer.commit
        self._ledger = ledger
        self._cancellation = cancellation
        self._emit = emit
        self._checked: set[str] = set()

    def run(self, attempt: Attempt) -> Ending:
        """Do one attempt to its end; never raises."""
        try:
            return self._run_attempt(attempt)
        except _AbandonedError:
            return Ending(EndingKind.FAILED, answered=False)
        except CommitterClosedError:
            return Ending(EndingKind.CANCELLED, unresolved=True)
        except VersionConflictError as error:
            return Ending(EndingKind.FAILED, error=f"the state was changed by somebody else: {error}", unresolved=True)
        except (StateError, LeaseLostError) as error:
            return Ending(EndingKind.STATE_LOST, error=str(error), unresolved=True)

    def _run_attempt(self, attempt: Attempt) -> Ending:
        step = attempt.step
        started = self._environment.monotonic()
        task = self._ledger.task(step, attempt.backend, attempt.index, self._environment.new_id())
        attempt.started = True
        pool = task.candidate.pool if task.candidate else None if task.record is None else task.record.pool
        if attempt.backend is None:
            self._emit(StepStarted(step.step_id, step.address, step.verb, None))
            result = move(task) if step.verb is Verb.MOVE else perform_on_state(task)
            self._record(task, result, None)
        else:
            ending = self._run_on_backend(attempt, task, attempt.backend, pool)
            if ending is not None:
                return ending
        return Ending(EndingKind.DONE, pool=pool, seconds=self._environment.monotonic() - started)

    def _run_on_backend(self, attempt: Attempt, task: Task, backend: str, pool: str | None) -> Ending | None:
        """Make the call and record its result; return how it failed, or None."""
        try:
            driver = self._driver(attempt, backend)
        except DriverError as error:
            return Ending(EndingKind.FAILED, error=str(error))
        operation = self._begin(task, backend, pool)
        self._emit(StepStarted(task.step.step_id, task.step.address, task.step.verb, backend, pool))
        try:
            result = self._call_with_retries(attempt, task, driver, backend)
        except _CancelledError as error:
            return self._close_failed(
                attempt, task, driver, operation, f"cancelled while it was being repeated: {error}"
            )
        except DriverError as error:
            return self._close_failed(attempt, task, driver, operation, str(error))
        except Exception as error:
            if isinstance(error, _AbandonedError):
                raise
            reason = f"the driver failed in a way that it should not: {type(error).__name__}: {error}"
            self._record_failure(task, reason, None)
            return Ending(EndingKind.FAILED, error=reason, unresolved=True)
        self._record(task, result, operation)
        if result.refused:
            return Ending(EndingKind.FAILED, error=result.refused)
        return None

    def _driver(self, attempt: Attempt, backend: str) -> Driver:
        """Open the backend's driver, and make sure once that behind it is the storage that the state knows."""
        driver = self._environment.driver(backend)
        if attempt.step.verb is Verb.PREPARE_BACKEND or backend in self._checked:
            return driver
        pinned = self._ledger.identity_of(backend)
        if pinned is None:
            message = f"backend {backend} has never been prepared"
            raise DriverError(message)
        attempt.begin_call(self._deadline(backend))
        try:
            identity = driver.report().identity
        finally:
            attempt.end_call()
        if identity != pinned:
            found = f"is {identity}" if identity else "was never prepared (is its file system mounted?)"
            message = f"backend {backend} is not the storage that the state knows: it {found}, pinned is {pinned}"
            raise DriverError(message)
        self._checked.add(backend)
        return driver

    def _deadline(self, backend: str) -> float:
        return self._environment.monotonic() + self._plan.backends[backend].step_timeout_seconds

    def _begin(self, task: Task, backend: str, pool: str | None) -> OperationRecord:
        operation = OperationRecord(
            operation_id=self._environment.new_id(),
            run_id=self._run.run_id,
            address=task.step.address,
            verb=task.step.verb.value,
            resource_id=task.resource_id,
            backend=backend,
            pool=pool,
            started_at=self._environment.now(),
            payload=intent_payload(task),
        )
        self._commit([BeginOperation(operation)])
        return operation

    def _call_with_retries(self, attempt: Attempt, task: Task, driver: Driver, backend: str) -> Result:
        attempts = self._plan.backends[backend].attempts
        for number in range(1, attempts + 1):
            attempt.begin_call(self._deadline(backend))
            try:
                return perform(driver, task)
            except TransientError as error:
                if number == attempts:
                    raise
                delay_seconds = retry_delay_seconds(number, error.retry_after_seconds, self._environment.random)
                step = task.step
                self._emit(StepRetried(step.step_id, step.address, backend, number, delay_seconds, str(error)))
                transient = error
            finally:
                attempt.end_call()
            if self._cancellation.requested.wait(delay_seconds):
                raise _CancelledError(str(transient))
        message = "no attempt is allowed"  # the schema asks for at least one
        raise DriverError(message)

    def _record(self, task: Task, result: Result, operation: OperationRecord | None) -> None:
        """Make the result durable: the row, the end of the intent and the history, in one commit."""
        changes: list[Change] = [*result.changes]
        if operation is not None:
            changes.append(EndOperation(operation.operation_id))
        outcome = "failed" if result.refused else "done"
        detail: dict[str, object] = {
            "changes": [list(change) for change in task.step.changes],
            "reason": task.step.reason,
        }
        if result.refused:
            detail["error"] = result.refused
        changes.append(self._history(task, outcome, detail))
        self._commit(changes)
        self._ledger.take(task, result)

    def _close_failed(
        self, attempt: Attempt, task: Task, driver: Driver, operation: OperationRecord, error: str
    ) -> Ending:
        """Record that the call failed. What it may have left half made is removed; where that fails too, the intent stays open."""
        if task.step.verb in _MAKING and task.record is None:
            attempt.begin_call(self._deadline(operation.backend or ""))
            try:
                _remove_leftovers(driver, task, operation)
            except DriverError as leftover:
                error = f"{error}; and what it may have left could not be removed: {leftover}"
                self._record_failure(task, error, None)
                return Ending(EndingKind.FAILED, error=error, unresolved=True)
            finally:
                attempt.end_call()
        self._record_failure(task, error, operation)
        return Ending(EndingKind.FAILED, error=error)

    def _record_failure(self, task: Task, error: str, operation: OperationRecord | None) -> None:
        changes: list[Change] = [self._history(task, "failed", {"error": error, "reason": task.step.reason})]
        if operation is not None:
            changes.append(EndOperation(operation.operation_id))
        self._commit(changes)

    def _history(self, task: Task, outcome: str, detail: dict[str, object]) -> AddHistory:
        return AddHistory(
            HistoryEntry(
                run_id=self._run.run_id,
                at=self._environment.now(),
                address=task.step.address,
                verb=task.step.verb.value,
                outcome=outcome,
                detail=canonical_json(detail),
            )
        )


def _remove_leftovers(driver: Driver, task: Task, operation: OperationRecord) -> None:
    """Remove what a failed creation may have left under its id; deleting what is not there succeeds."""
    spec = task.step.spec
    if isinstance(spec, SnapshotSpec):
        share = task.related
        snapshot = SnapshotRef(task.resource_id, "", spec.name, "" if share is None else share.resource_id, "")
        cast("SnapshotsShares", driver).delete_snapshot(snapshot)
    elif spec is not None:
        reference = ShareRef(task.resource_id, "", spec.name, operation.pool or "", str(spec.protocol), spec.size_bytes)
        driver.delete_share(reference)
