"""The ledger of a run: the rows of the state that its steps touch, as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.applying.calls import Task
from sharectl.model import ShareSpec, SnapshotSpec, Verb
from sharectl.planning.draft import step_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.applying.calls import Result
    from sharectl.model import Address
    from sharectl.planning.types import Plan, Step
    from sharectl.state.store import OperationRecord, Record, RuleRecord, StateStore

_OF_THE_STATE_ALONE = frozenset({Verb.FORGET, Verb.MOVE, Verb.UPDATE_RECORD})


class Ledger:
    """Read once when a run begins, and kept by its results.

    Two threads never work at one address, so that its entries need no lock of their own.
    """

    def __init__(self, plan: Plan, store: StateStore) -> None:
        """Read what the steps of `plan` touch."""
        self._plan = plan
        self._step_ids = frozenset(step.step_id for step in plan.steps)
        addresses = set(_touched(plan))
        accessed = [step.address for step in plan.steps if step.verb is Verb.UPDATE_ACCESS]
        with store.read() as reader:
            view = reader.view(addresses)
            rules = reader.rules(accessed) if accessed else {}
        self._lineage = view.lineage
        self.records: dict[Address, Record] = dict(view.records)
        self.rules: dict[Address, tuple[RuleRecord, ...]] = dict(rules)
        self._open: dict[Address, OperationRecord] = {operation.address: operation for operation in view.operations}
        self._first: dict[Address, str] = {}
        for step in plan.steps:
            self._first.setdefault(step.moved_from or step.address, step.step_id)

    def refusal(self, step: Step) -> str:
        """Return why the step must not run, or an empty string: the state has changed since the plan, or is unresolved there."""
        if self._plan.lineage and self._lineage and self._plan.lineage != self._lineage:
            return "the plan was made from another state"
        row = step.moved_from or step.address
        operation = self._open.get(row)
        if operation is not None:
            return f"an earlier {operation.verb} of {row} is unresolved (started {operation.started_at}); see to its backend"
        if self._first[row] != step.step_id:
            return ""
        record = self.records.get(row)
        found = None if record is None else record.version
        if found == step.expected_version:
            return ""
        return f"stale: {row} has changed since the plan was made (version {step.expected_version or 'none'} then, {found or 'none'} now)"

    def identity_of(self, backend: str) -> str | None:
        """Return the identity that the state has pinned for a backend; None where it was never prepared."""
        record = self.records.get(f"backend/{backend}")
        return None if record is None else record.resource_id

    def backend_of(self, step: Step, index: int) -> str | None:
        """Return the backend that the step runs on now; None for a step of the state alone."""
        if step.verb is Verb.CREATE_SHARE:
            return step.candidates[index].backend
        if step.verb in _OF_THE_STATE_ALONE and step.backend is None:
            return None
        if isinstance(step.spec, SnapshotSpec):
            owner = self.records.get(f"share/{step.spec.share}")
            return step.backend if owner is None else owner.backend
        record = self.records.get(step.address)
        return step.backend if record is None else record.backend

    def task(self, step: Step, backend: str | None, index: int, new_id: str) -> Task:
        """Return the task of one attempt at the step."""
        record = self.records.get(step.moved_from or step.address)
        related = None
        extra_specs = None
        if isinstance(step.spec, SnapshotSpec):
            related = self.records.get(f"share/{step.spec.share}")
        elif isinstance(step.spec, ShareSpec):
            related = self.records.get(f"snapshot/{step.spec.source_snapshot}")
            extra_specs = self._plan.extra_specs.get(step.spec.share_type or "")
        known_id = step.import_resource_id if record is None else record.resource_id
        return Task(
            step=step,
            resource_id=known_id or new_id,
            record=record,
            related=related,
            rules=self.rules.get(step.address, ()),
            candidate=step.candidates[index] if step.candidates else None,
            backend=backend,
            driver_name=self._plan.backends[backend].driver if backend is not None else "",
            extra_specs=extra_specs,
            resized=not self._step_ids.isdisjoint(
                {step_id(Verb.EXTEND_SHARE, step.address), step_id(Verb.SHRINK_SHARE, step.address)}
            ),
        )

    def take(self, task: Task, result: Result) -> None:
        """Keep what has become of the task's row."""
        if task.step.moved_from is not None:
            self.records.pop(task.step.moved_from, None)
            self.rules[task.step.address] = self.rules.pop(task.step.moved_from, ())
        if result.record is None:
            self.records.pop(task.step.address, None)
            self.rules.pop(task.step.address, None)
        else:
            self.records[task.step.address] = result.record
            if result.rules is not None:
                self.rules[task.step.address] = result.rules


def _touched(plan: Plan) -> Iterator[Address]:
    for step in plan.steps:
        yield step.address
        if step.moved_from is not None:
            yield step.moved_from
        if isinstance(step.spec, SnapshotSpec):
            yield f"share/{step.spec.share}"
        elif isinstance(step.spec, ShareSpec) and step.spec.source_snapshot is not None:
            yield f"snapshot/{step.spec.source_snapshot}"
    for backend in plan.backends:
        yield f"backend/{backend}"
