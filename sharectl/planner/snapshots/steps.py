"""Steps for snapshots: take them, and remove them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.drivers.base import Capability
from sharectl.model.field_changes import FieldChange, plain_changes, spec_changes
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import Action, SetUp, UpdateRecord
from sharectl.model.specs import DeletionPolicy
from sharectl.model.verbs import Verb
from sharectl.planner.draft import step_id
from sharectl.planner.refusals import lacks, may_remove, refuse_immutable, refuse_left_out, removal_reason
from sharectl.planner.snapshots.owners import share_resource_id
from sharectl.state.rows import snapshot_spec_of, spec_object_of

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft


def plan_new_snapshot(draft: Draft, address: Address) -> None:
    """Add the step that takes the snapshot, on the backend of its share."""
    spec = draft.desired.snapshot(address)
    share_address = address_of(Kind.SHARE, spec.share)
    backend = backend_of_share(draft, share_address)
    if backend is None:
        if not (share_address in draft.new or share_address in draft.options.imports):
            refuse_left_out(draft, address, share_address)
        draft.awaited[address] = share_address  # it cannot be made, which is said there
        return
    if draft.options.backends and backend not in draft.options.backends:
        return
    if lacks(draft, backend, Capability.SNAPSHOT):
        draft.refuse(
            "snapshot.unsupported",
            address,
            f"{address} cannot be taken: the driver of backend {backend}, which holds {share_address}, takes no snapshots",
            remedy="remove the manifest of the snapshot, or place the share on a backend that takes snapshots",
        )
        return
    record = draft.records.get(address)
    lost = record is not None
    if lost:
        draft.recreations.append(address)
    draft.add(
        Verb.CREATE_SNAPSHOT,
        address,
        Action.CREATE,
        "gone from its backend; taken again, of the share as it is now" if lost else "not there yet",
        backend=backend,
        record=record,
        work=SetUp(spec),
        changes=plain_changes({}, spec.as_plain()),
    )


def backend_of_share(draft: Draft, share_address: Address) -> str | None:
    """Return the backend that holds the share, or that it will be made on; None where it has none."""
    for verb in (Verb.CREATE_SHARE, Verb.ADOPT, Verb.RESTORE_SHARE):
        step = draft.steps.get(step_id(verb, share_address))
        if step is not None:
            return step.backend
    record = draft.records.get(share_address)
    return None if record is None else record.backend


def plan_changed_snapshot(draft: Draft, address: Address) -> None:
    """Add the step for a snapshot whose manifest has changed; a snapshot of another share is refused."""
    record = draft.records[address]
    new = draft.desired.snapshot(address)
    old = replace(snapshot_spec_of(record), name=new.name)
    if new.share != old.share and not _is_of(draft, record, address_of(Kind.SHARE, new.share)):
        refuse_immutable(draft, address, FieldChange("share", old.share, new.share), frozenset())
        new = replace(new, share=old.share)
    changes = spec_changes(old, new)
    if changes:
        draft.add(
            Verb.UPDATE_RECORD,
            address,
            Action.UPDATE,
            "the state alone; the backend is not asked for anything",
            record=record,
            work=UpdateRecord(new),
            changes=changes,
        )


def _is_of(draft: Draft, snapshot: Record, share_address: Address) -> bool:
    """Tell whether the recorded snapshot is of the share that has this address now."""
    share = draft.records.get(share_address)
    return share is not None and share.resource_id == share_resource_id(snapshot)


def plan_removed_snapshot(draft: Draft, address: Address) -> None:
    """Add the step for a snapshot whose manifest is gone: what its deletion policy says."""
    record = draft.records[address]
    gone = address in draft.deviations
    policy = spec_object_of(record).get("deletion_policy", DeletionPolicy.RETAIN)
    draft.removals.append(address)
    if not gone and not may_remove(draft, address, record):
        return
    forget = gone or policy == DeletionPolicy.RETAIN
    verb = Verb.FORGET if forget else Verb.DELETE_SNAPSHOT
    why = "and so is the snapshot" if gone else f"deletionPolicy {policy}"
    draft.add(
        verb,
        address,
        Action.FORGET if forget else Action.DELETE,
        f"{removal_reason(draft)}; {why}",
        backend=None if forget else record.backend,
        record=record,
    )
