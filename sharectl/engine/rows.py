"""The rows of the state that the steps of a run touch, as they are now."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

from sharectl.engine.verbs.base import Task
from sharectl.model.candidates import backend_at, share_servers_in
from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of, is_of
from sharectl.model.plans import Adopt, CreateShare, Move, ReleaseAllocation
from sharectl.model.table import prerequisites_of
from sharectl.model.verbs import Effect, Verb, verbs_that
from sharectl.planner.saved.checks import CurrentRows, row_of
from sharectl.planner.saved.surroundings import TAKING_ALONG
from sharectl.planner.strays import import_address
from sharectl.state.rows import expect_whole_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.engine.verbs.base import Result
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan, Step
    from sharectl.model.records import OperationRecord, Record, RuleRecord
    from sharectl.model.specs import ShareSpec
    from sharectl.state.contract import StateStore

_OF_THE_STATE_ALONE = frozenset({Verb.FORGET, Verb.MOVE, Verb.UPDATE_RECORD})
_RESIZING = frozenset({Verb.EXTEND_SHARE, Verb.SHRINK_SHARE})
_SHARES = frozenset({Kind.SHARE})
_MAKING = verbs_that(Effect.MAKES, Effect.TAKES_OVER)
_WITH_RULES = frozenset({Verb.UPDATE_ACCESS, Verb.UPDATE_RECORD, Verb.FORGET, Verb.DELETE_SHARE, Verb.TRASH_SHARE})
"""What needs the recorded access rules: they tell what sharectl gave from what others did, and the history how a share was."""


class Rows:
    """Read once when a run begins, kept current by its results, and dropped with the last step that needs them."""

    def __init__(self, plan: Plan, store: StateStore) -> None:
        """Read what the steps of `plan` touch."""
        self._plan = plan
        self._origins = {step.address: step.former for step in plan.steps if step.former is not None}
        accessed = [step for step in plan.steps if step.verb in _WITH_RULES]
        self._uses = Counter(address for step in plan.steps for address in _touched_by(step))
        with store.read() as reader:
            view = reader.view({*self._uses, *(address_of(Kind.BACKEND, backend) for backend in plan.backends)})
            rules = reader.rules({self._origin(step) for step in accessed}) if accessed else {}
        expect_whole_rows(view.records.values())
        self._lineage = view.lineage
        self._records: dict[Address, Record] = dict(view.records)
        self._rules: dict[Address, tuple[RuleRecord, ...]] = dict(rules)
        self._open: dict[Address, OperationRecord] = {operation.address: operation for operation in view.operations}
        self._made = {step.address for step in plan.steps if step.verb in _MAKING}
        self._resized = {step.address for step in plan.steps if step.verb in _RESIZING}
        self._renamed = {
            step.address for step in plan.steps if step.verb is Verb.UPDATE_ACCESS and step.spec is not None
        }

    def refusals(self) -> list[tuple[Step, str]]:
        """Return the steps that must not run, with why: the state has changed since the plan, or is unresolved there.

        Call it before anything is changed. All steps that begin with the same row are refused together, also those of a row
        that the plan gives another address.
        """
        expected: dict[Address, int | None] = {}
        for step in self._plan.steps:  # the first step at a row says which version the whole plan has seen there
            expected.setdefault(self._origin(step), step.expected_version)
        found = []
        for step in self._plan.steps:
            row = self._origin(step)
            reason = self._refusal(step, row, expected[row])
            if reason:
                found.append((step, reason))
        return found

    def _refusal(self, step: Step, row: Address, expected: int | None) -> str:
        if self._plan.lineage and self._lineage and self._plan.lineage != self._lineage:
            return "the plan was made from another state"
        operation = self._open.get(row) or self._open.get(step.address)
        if operation is not None:
            began = f"{operation.verb} of {operation.address} is unresolved (started {operation.started_at})"
            return f"an earlier {began}; see to its backend, or give it up with `sharectl state drop {operation.operation_id}`"
        record = self._records.get(row)
        found = None if record is None else record.version
        if found != expected:
            return f"stale: {row} has changed since the plan was made (version {expected or 'none'} then, {found or 'none'} now)"
        backend = self.backend_of(step, 0)
        if backend is None or backend in self._plan.backends:
            return ""
        is_of_this_plan = (_share_of(step) or step.address) in self._made  # whose row is of what stands aside by then
        return "" if is_of_this_plan else f"the state has {row} on backend {backend}, which is not in this plan"

    def _origin(self, step: Step) -> Address:
        """Return the address that the row had when the plan was made."""
        return row_of(step, self._origins)

    def identity_of(self, backend: str) -> str | None:
        """Return the identity that the state has pinned for a backend; None where it was never prepared."""
        record = self._records.get(address_of(Kind.BACKEND, backend))
        return None if record is None else record.resource_id

    def backend_of(self, step: Step, index: int) -> str | None:
        """Return the backend that the step runs on now; None for a step of the state alone."""
        if step.verb is Verb.CREATE_SHARE:
            return backend_at(step.candidates, index)
        if step.verb in _OF_THE_STATE_ALONE and step.backend is None:
            return None
        share = _share_of(step)
        if share is not None:
            owner = self._records.get(share)
            return step.backend if owner is None else owner.backend
        record = self._records.get(step.address)
        return step.backend if record is None else record.backend

    def task(self, step: Step, backend: str | None, index: int, new_id: Callable[[], str]) -> Task:
        """Return the task of one attempt at the step."""
        record = self._records.get(step.former or step.address)
        work, own, spec = step.work, step.spec, _share_spec_of(step)
        related = None
        extra_specs = None
        if isinstance(work, Adopt):
            related = self._records.get(import_address(step.address))
        elif spec is not None:
            snapshot = _snapshot_of(step, spec)
            related = None if snapshot is None else self._records.get(address_of(Kind.SNAPSHOT, snapshot))
            extra_specs = self._plan.extra_specs.get(spec.share_type or "")
        known_id = None if record is None else record.resource_id
        if isinstance(work, ReleaseAllocation):
            known_id = work.allocation_id
        elif record is None and isinstance(work, Adopt):
            known_id = work.resource_id
        candidate = step.candidates[index] if step.candidates else None
        server = self._records.get(candidate.share_server or "") if candidate is not None else None
        return Task(
            step=step,
            resource_id=known_id or new_id(),
            record=record,
            related=related,
            rows=self._records,
            rules=self._rules.get(step.address, ()),
            candidate=candidate,
            share_server_id=None if server is None else server.resource_id,
            backend=backend,
            driver_name=self._plan.backends[backend].driver if backend is not None else "",
            extra_specs=extra_specs,
            plain=None if own is None else own.as_plain(),
            resized=step.address in self._resized,
            renamed=step.address in self._renamed,
        )

    def take(self, task: Task, result: Result) -> None:
        """Keep what has become of the task's row."""
        former = task.step.former
        if former is not None:
            self._records.pop(former, None)
            self._rules[task.step.address] = self._rules.pop(former, ())
        if result.record is None:
            self._records.pop(task.step.address, None)
            self._rules.pop(task.step.address, None)
        else:
            self._records[task.step.address] = result.record
            if result.rules is not None:
                self._rules[task.step.address] = result.rules

    def let_go(self, step: Step) -> None:
        """Forget the rows that no other step needs, now that this one is settled; those of backends stay."""
        for address in _touched_by(step):
            self._uses[address] -= 1
            if not self._uses[address] and not address.startswith(Kind.BACKEND.prefix):
                del self._uses[address]
                self._records.pop(address, None)
                self._rules.pop(address, None)


def addresses_of(plan: Plan) -> set[Address]:
    """Return the addresses of all rows that the steps read or write, except those of their backends."""
    return {address for step in plan.steps for address in _touched_by(step)}


def rows_of(plan: Plan, store: StateStore) -> CurrentRows:
    """Return what the state holds now of the addresses in the plan."""
    addresses = addresses_of(plan)
    accessed = {step.address for step in plan.steps if step.verb is Verb.UPDATE_ACCESS}
    origins = {step.address: step.former for step in plan.steps if step.former is not None}
    removed = {row_of(step, origins) for step in plan.steps if step.verb in TAKING_ALONG}
    with store.read() as reader:
        view = reader.view(addresses | {address_of(Kind.BACKEND, backend) for backend in plan.backends})
        rules = reader.rules(accessed)
        inside = {a: reader.children(record) for a in removed if (record := view.records.get(a)) is not None}
    return CurrentRows(view.lineage, view.records, rules, inside)


def _snapshot_of(step: Step, spec: ShareSpec) -> str | None:
    """Return the name of the snapshot that a share is made from, or reverted to."""
    if step.verb is Verb.REVERT_SHARE:
        return None if spec.revert_to is None else spec.revert_to.snapshot
    return spec.source_snapshot


def _share_of(step: Step) -> Address | None:
    """Return the share that the result of a step belongs to; None for a share itself."""
    spec = step.spec
    if spec is None:
        return None
    return next((address_of(*each) for each in prerequisites_of(spec, _SHARES)), None)


def _share_spec_of(step: Step) -> ShareSpec | None:
    spec = step.spec
    return cast("ShareSpec", spec) if spec is not None and is_of(Kind.SHARE, step.address) else None


def _touched_by(step: Step) -> list[Address]:
    """Return the addresses of the rows that a step reads or writes, except that of its backend."""
    touched, work, spec = [step.address], step.work, step.spec
    if isinstance(work, CreateShare):
        touched += share_servers_in(work.candidates)
    elif isinstance(work, Move):
        touched.append(work.former)
    elif isinstance(work, Adopt):
        touched.append(import_address(step.address))
    if spec is None:
        return touched
    touched += [address_of(*needed) for needed in prerequisites_of(spec, MANAGED_KINDS)]
    share = _share_spec_of(step)
    if share is not None and (snapshot := _snapshot_of(step, share)) is not None:
        touched.append(address_of(Kind.SNAPSHOT, snapshot))
    return touched
