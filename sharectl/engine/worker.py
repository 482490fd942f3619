"""Doing one attempt at a step, in a thread of its lane: intent, driver call with retries, result."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, TypeVar, cast

from sharectl.drivers.base import ConflictError, DriverError, FencedError, SnapshotsShares, TransientError
from sharectl.engine.answers import misbehaviour, report_of
from sharectl.engine.attempt import AbandonedError, Ending, EndingKind
from sharectl.engine.calls import intent_payload, perform, perform_on_state
from sharectl.engine.committer import CommitterClosedError
from sharectl.engine.identity import expect_identity
from sharectl.engine.moving import move
from sharectl.engine.retry import retry_delay_seconds
from sharectl.engine.server_calls import SERVER_VERBS, perform_on_server, remove_server
from sharectl.engine.tenure import Permitted
from sharectl.model.canonical import canonical_json
from sharectl.model.events import StepRetried, StepStarted
from sharectl.model.records import AddHistory, BeginOperation, EndOperation, HistoryEntry, OperationRecord
from sharectl.model.requests import ShareRef, SnapshotRef
from sharectl.model.share_networks import ShareServerSpec
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.model.verbs import Verb
from sharectl.state.contract import LeaseLostError, StateError, VersionConflictError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.drivers.base import Driver
    from sharectl.engine.attempt import Attempt
    from sharectl.engine.calls import Result, Task
    from sharectl.engine.cancel import Cancellation
    from sharectl.engine.committer import Committer
    from sharectl.engine.environment import Environment
    from sharectl.engine.ledger import Ledger
    from sharectl.engine.tenure import Permit
    from sharectl.model.events import Event
    from sharectl.model.plans import Plan
    from sharectl.model.records import Change, RunRecord

T = TypeVar("T")
_MAKING = frozenset({Verb.CREATE_SHARE, Verb.CREATE_SNAPSHOT, Verb.CREATE_SHARE_SERVER})
_LEFT_OPEN = frozenset({Verb.ADOPT, Verb.RESTORE_SHARE, Verb.REVERT_SHARE})


class _NotAskedError(Exception):
    """While the call waited for its turn, it became idle to make it; `kind` is how the attempt ends."""

    def __init__(self, kind: EndingKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class _CancelledError(Exception):
    """A cancel came while a call waited to be repeated; `str()` is the transient error."""


class _MisbehavedError(Exception):
    """A driver has raised what its contract does not know, before anything was begun."""


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
        emit: Callable[[Attempt, Event], None],
        is_silent: Callable[[str], bool],
        permit: Permit,
    ) -> None:
        """Work for one run.

        `is_silent` tells of a backend whether it has left so many calls unanswered that it is asked no more; `permit` returns
        where a call may begin now, and raises as Tenure.require where the run has lost its right to it.
        """
        self._plan = plan
        self._run = run
        self._environment = environment
        self._commit = committer.commit
        self._ledger = ledger
        self._cancellation = cancellation
        self._emit = emit
        self._is_silent = is_silent
        self._permit = permit
        self._slots = {name: threading.Semaphore(spec.lanes) for name, spec in plan.backends.items()}
        self._drivers: dict[str, Driver] = {}
        self._operations = count(1)

    def run(self, attempt: Attempt) -> Ending:
        """Do one attempt to its end; whatever happens, that is an Ending. Raises AbandonedError where nobody waits for it."""
        kind = EndingKind.FAILED
        try:
            return self._run_attempt(attempt)
        except CommitterClosedError:
            error = "stopped at once"
        except (StateError, LeaseLostError) as problem:
            kind, error = EndingKind.STATE_LOST, str(problem)
        except VersionConflictError as problem:
            error = f"the state was changed by somebody else: {problem}"
        except FencedError as problem:
            error = str(problem)
        except DriverError as problem:
            kind, error = EndingKind.REFUSED, str(problem)
        except _CancelledError as problem:
            error = _cancelled(problem)
        except _MisbehavedError as problem:
            error = str(problem)
        except AbandonedError:
            raise
        except BaseException as problem:  # noqa: BLE001 - a thread that died silently would leave the run waiting for ever
            error = f"sharectl failed in a way that it should not: {type(problem).__name__}: {problem}"
        return Ending(kind, error=error, unresolved=attempt.in_doubt)

    def _run_attempt(self, attempt: Attempt) -> Ending:
        step = attempt.step
        started = self._environment.monotonic()
        task = self._ledger.task(step, attempt.backend, attempt.index, self._environment.new_id)
        pool = task.candidate.pool if task.candidate else None if task.record is None else task.record.pool
        if attempt.backend is None:
            self._emit(attempt, StepStarted(step.step_id, step.address, step.verb, None))
            result = move(task) if step.verb is Verb.MOVE else perform_on_state(task)
            self._record(attempt, task, result, None)
        else:
            ending = self._run_on_backend(attempt, task, attempt.backend, pool)
            if ending is not None:
                return ending
        return Ending(EndingKind.DONE, pool=pool, seconds=self._environment.monotonic() - started)

    def _run_on_backend(self, attempt: Attempt, task: Task, backend: str, pool: str | None) -> Ending | None:
        """Make the call and record its result; return how it failed, or None."""
        try:
            driver = self._driver(attempt, backend)
            if task.step.verb in SERVER_VERBS:  # where its network service cannot be opened, nothing is begun
                self._call(attempt, backend, lambda: self._environment.network(backend))
        except (AbandonedError, LeaseLostError, StateError, DriverError, _CancelledError):
            raise
        except BaseException as error:  # a driver may be anybody's
            raise _MisbehavedError(misbehaviour(error)) from error
        operation = self._begin(attempt, task, backend, pool)
        started = StepStarted(task.step.step_id, task.step.address, task.step.verb, backend, pool)
        try:
            result = self._call(attempt, backend, lambda: self._perform(driver, task, backend), started)
        except _NotAskedError as error:
            attempt.answered = False
            return self._close(attempt, task, operation, str(error), error.kind)
        except FencedError as error:  # another candidate, or sweeping, would be as late
            return self._close(attempt, task, operation, str(error), EndingKind.FAILED)
        except _CancelledError as error:
            uncertain = _may_be_done(task.step.verb, error)
            return self._close_failed(attempt, task, driver, operation, _cancelled(error), uncertain=uncertain)
        except DriverError as error:
            uncertain = _may_be_done(task.step.verb, error)
            ending = self._close_failed(attempt, task, driver, operation, str(error), uncertain=uncertain)
            # Where the name is taken, a share in another place would be an empty one beside what is there.
            return replace(ending, kind=EndingKind.FAILED) if isinstance(error, ConflictError) else ending
        except (AbandonedError, LeaseLostError, StateError):
            raise
        except BaseException as error:  # noqa: BLE001 - a driver may be anybody's
            return self._leave_open(task, misbehaviour(error))
        self._record(attempt, task, result, operation)
        return Ending(EndingKind.FAILED, error=result.refused) if result.refused else None

    def _perform(self, driver: Driver, task: Task, backend: str) -> Result:
        if task.step.verb in SERVER_VERBS:
            return perform_on_server(driver, self._environment.network(backend), task, self._permit)
        return perform(cast("Driver", Permitted(driver, self._permit)), task)

    def _driver(self, attempt: Attempt, backend: str) -> Driver:
        """Open the backend's driver, and make sure once that behind it is the storage that the state knows."""
        known = self._drivers.get(backend)
        if known is not None:
            return known
        if attempt.step.verb is Verb.PREPARE_BACKEND:
            return self._call(attempt, backend, lambda: self._environment.driver(backend))

        def look() -> tuple[Driver, str | None]:
            driver = self._environment.driver(backend)
            return driver, report_of(driver).identity

        driver, found = self._call(attempt, backend, look)
        expect_identity(backend, self._ledger.identity_of(backend), found)
        self._drivers[backend] = driver
        return driver

    def _begin(self, attempt: Attempt, task: Task, backend: str, pool: str | None) -> OperationRecord:
        """Make the intent durable."""
        operation = OperationRecord(
            operation_id=f"{self._run.run_id}-{next(self._operations)}",
            run_id=self._run.run_id,
            address=task.step.address,
            verb=task.step.verb.value,
            resource_id=task.resource_id,
            backend=backend,
            pool=pool,
            started_at=self._environment.now(),
            payload=intent_payload(task),
        )
        attempt.in_doubt = True  # before it is written: whoever gives this attempt up meanwhile must not call it closed
        try:
            self._commit([BeginOperation(operation)])
        except BaseException:
            attempt.in_doubt = False
            raise
        return operation

    def _call(self, attempt: Attempt, backend: str, work: Callable[[], T], started: StepStarted | None = None) -> T:
        """Make one driver call, and make it again after transient errors, each time against a deadline of its own.

        Raises DriverError, what a bad driver raises, _CancelledError where a cancel came before the next try, and _NotAskedError
        where a cancel came, or the backend fell silent, while the first try waited for its turn. What the permit raises comes
        through: the call was not made then.
        """
        spec = self._plan.backends[backend]
        for number in count(1):
            attempt.begin_call(self._slots[backend], spec.step_timeout_seconds, self._environment.monotonic)
            try:
                if number == 1 and started is not None:
                    self._expect_sense(backend)
                    self._emit(attempt, started)
                self._permit()
                attempt.expect_wanted()
                return work()
            except TransientError as error:
                reverts = started is not None and attempt.step.verb is Verb.REVERT_SHARE
                if number >= spec.attempts or (reverts and _may_be_done(attempt.step.verb, error)):
                    raise
                transient = error
            finally:
                attempt.end_call()
            delay_seconds = retry_delay_seconds(number, transient.retry_after_seconds, self._environment.random)
            step = attempt.step
            self._emit(attempt, StepRetried(step.step_id, step.address, backend, number, delay_seconds, str(transient)))
            if self._cancellation.wait(delay_seconds):
                break
        raise _CancelledError(str(transient))

    def _expect_sense(self, backend: str) -> None:
        """Raise _NotAskedError where a step that waited for its turn had better not start any more."""
        if self._cancellation.requested:
            raise _NotAskedError(EndingKind.CANCELLED, "cancelled")
        if self._is_silent(backend):
            raise _NotAskedError(EndingKind.FAILED, f"backend {backend} does not answer; it was not asked")

    def _record(self, attempt: Attempt, task: Task, result: Result, operation: OperationRecord | None) -> None:
        """Make the result durable: the row, the end of the intent and the history, in one commit."""
        changes: list[Change] = [*result.changes]
        if operation is not None:
            changes.append(EndOperation(operation.operation_id))
        detail: dict[str, object] = {
            "changes": [list(change) for change in task.step.changes],
            "reason": task.step.reason,
        }
        if result.refused:
            detail["error"] = result.refused
        changes.append(self._history(task, "failed" if result.refused else "done", detail))
        self._commit(changes)
        attempt.in_doubt = False
        self._ledger.take(task, result)

    def _close_failed(  # noqa: PLR0913 - the attempt, what it worked on, and how it failed
        self, attempt: Attempt, task: Task, driver: Driver, operation: OperationRecord, error: str, *, uncertain: bool
    ) -> Ending:
        """Record that the call failed. What it may have left half made is removed; where that fails too, the intent stays open."""
        verb = task.step.verb
        if verb in _MAKING and task.record is None:
            try:
                self._call(attempt, operation.backend or "", lambda: self._remove_leftovers(driver, task, operation))
            except (AbandonedError, LeaseLostError, StateError):
                raise
            except BaseException as leftover:  # noqa: BLE001 - a driver may be anybody's
                error = f"{error}; and what it may have left could not be removed: {leftover}"
                return replace(self._leave_open(task, error), kind=EndingKind.REFUSED)
        elif verb in _LEFT_OPEN and uncertain:
            return self._leave_open(task, error)  # it may be ours, or turned back, now, and no row of the state says so
        return self._close(attempt, task, operation, error, EndingKind.REFUSED)

    def _remove_leftovers(self, driver: Driver, task: Task, operation: OperationRecord) -> None:
        """Remove what a failed creation may have left under its id; deleting what is not there succeeds."""
        if isinstance(task.step.spec, ShareServerSpec):
            plugin = self._environment.network(operation.backend or "")
            remove_server(driver, plugin, task.resource_id, task.step.spec, permit=self._permit)
        else:
            _remove_leftovers(driver, task, operation)

    def _close(self, attempt: Attempt, task: Task, operation: OperationRecord, error: str, kind: EndingKind) -> Ending:
        """Record that the step failed and left nothing behind."""
        changes = [self._history(task, "failed", {"error": error, "reason": task.step.reason})]
        self._commit([*changes, EndOperation(operation.operation_id)])
        attempt.in_doubt = False
        return Ending(kind, error=error)

    def _leave_open(self, task: Task, error: str) -> Ending:
        """Record that how the call ended is unknown; the next run asks the backend."""
        self._commit([self._history(task, "failed", {"error": error, "reason": task.step.reason})])
        return Ending(EndingKind.FAILED, error=error, unresolved=True)

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


def _cancelled(error: _CancelledError) -> str:
    return f"cancelled while it was being repeated: {error}"


def _may_be_done(verb: Verb, error: DriverError | _CancelledError) -> bool:
    """Tell whether a call that failed may have been done all the same.

    A revert that was done is not repeated, since that would destroy what has been written after it. What is repeated, because the
    backend says when to come again, has certainly not begun.
    """
    if verb is Verb.REVERT_SHARE:
        return isinstance(error, TransientError) and error.retry_after_seconds is None
    return isinstance(error, TransientError | _CancelledError)


def _remove_leftovers(driver: Driver, task: Task, operation: OperationRecord) -> None:
    spec = task.step.spec
    if isinstance(spec, SnapshotSpec):
        share = task.related
        snapshot = SnapshotRef(task.resource_id, "", spec.name, "" if share is None else share.resource_id, "")
        cast("SnapshotsShares", driver).delete_snapshot(snapshot)
    elif isinstance(spec, ShareSpec):
        reference = ShareRef(
            task.resource_id,
            "",
            spec.name,
            operation.pool or "",
            str(spec.protocol),
            spec.size_bytes,
            task.share_server_id,
        )
        driver.delete_share(reference)
