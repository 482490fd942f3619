"""What a run writes into the state besides rows: intents before the calls, their ends, and the history."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from sharectl.model.canonical import canonical_json
from sharectl.model.kinds import MANAGED_KINDS
from sharectl.model.records import AddHistory, EndOperation, HistoryEntry, OperationRecord
from sharectl.model.verbs import Effect, Verb, verbs_that
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.engine.verbs.base import Entry, Outcome, Task
    from sharectl.model.records import Change, RunRecord

_REMOVING: Final = verbs_that(Effect.REMOVES, managed=True)


class Journal:
    """Makes the entries of one run."""

    def __init__(self, run: RunRecord, now: Callable[[], str]) -> None:
        """Write in the name of `run`."""
        self._run = run
        self._now = now
        self._numbers = count(1)

    def intent(self, task: Task, entry: Entry) -> OperationRecord:
        """Return the intent of a task: what another process needs to find out how it ended, and to record that."""
        step = task.step
        return OperationRecord(
            operation_id=f"{self._run.run_id}-{next(self._numbers)}",
            run_id=self._run.run_id,
            address=step.address,
            verb=step.verb.value,
            resource_id=task.resource_id,
            backend=task.backend,
            pool=task.pool,
            started_at=self._now(),
            payload=canonical_json({"spec": task.plain, **entry.payload(task)}),
        )

    def done(self, task: Task, error: str = "", worker: str | None = None) -> AddHistory:
        """Return the history of a step that is done, by the `worker` of this id (None: this process), but for what the backend refused of it (`error`)."""
        step = task.step
        detail: dict[str, object] = {
            "changes": list(map(list, step.changes_to(task.plain))),
            "reason": step.reason,
        }
        if step.verb is Verb.TRASH_SHARE:
            detail["resource_id"] = task.resource_id
        if task.record is not None and step.verb in _REMOVING and task.record.kind in MANAGED_KINDS:
            # The row goes with it: nothing else tells how it was.
            rules = [rule.rule.as_plain() for rule in task.rules if rule.status == "active"]
            spec = spec_object_of(task.record)
            if "size_bytes" in spec and task.record.size_bytes is not None:
                spec = {**spec, "size_bytes": task.record.size_bytes}
            detail["removed"] = {"spec": spec, "access": rules}
        if error:
            detail["error"] = error
        return self._history(task, "failed" if error else "done", detail, worker)

    def failed(self, task: Task, error: str, worker: str | None = None) -> AddHistory:
        """Return the history of a step that has failed."""
        return self._history(task, "failed", {"error": error, "reason": task.step.reason}, worker)

    def recovered(self, operation: OperationRecord, outcome: Outcome) -> list[Change]:
        """Return what records the outcome of an intent of an earlier run."""
        detail = {"recovered": outcome.words, "run": operation.run_id}
        if operation.verb == Verb.TRASH_SHARE:
            detail["resource_id"] = operation.resource_id
        at = self._now()
        entry = HistoryEntry(
            self._run.run_id, at, operation.address, operation.verb, "recovered", canonical_json(detail)
        )
        return [*outcome.changes, EndOperation(operation.operation_id), AddHistory(entry)]

    def _history(self, task: Task, outcome: str, detail: dict[str, object], worker: str | None) -> AddHistory:
        step = task.step
        if worker is not None:
            detail["worker"] = worker
        return AddHistory(
            HistoryEntry(
                run_id=self._run.run_id,
                at=self._now(),
                address=step.address,
                verb=step.verb.value,
                outcome=outcome,
                detail=canonical_json(detail),
            )
        )
