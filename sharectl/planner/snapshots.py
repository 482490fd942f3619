"""Snapshots: the steps for them, and which of them go with which share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.model.field_changes import FieldChange, plain_changes, spec_changes
from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.model.observed import Before
from sharectl.model.plans import SetUp, UpdateRecord
from sharectl.model.specs import DeletionPolicy
from sharectl.model.verbs import Verb
from sharectl.planner.draft import (
    SHARE_REMOVALS,
    lacks,
    may_remove,
    refuse_immutable,
    refuse_left_out,
    removal_reason,
    step_id,
)
from sharectl.planner.records import DEPOSED_MARK, backend_id_of, host_of
from sharectl.state.rows import attributes_of, snapshot_spec_of, spec_object_of

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Step
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft


TAKING_DATA: Final = frozenset({Verb.DELETE_SHARE, Verb.TRASH_SHARE})
"""Verbs that take a share from its backend."""


def snapshots_of_removed_shares(draft: Draft) -> dict[str, list[Address]]:
    """Return the recorded snapshots of each share that the plan removes, sorted, by the id of the step that removes it."""
    removals = {
        removed_record(draft, step.address).resource_id: step.step_id
        for step in draft.steps.values()
        if step.verb in SHARE_REMOVALS and is_of(Kind.SHARE, step.address)
    }
    found: dict[str, list[Address]] = {}
    if removals:
        for address, record in sorted(draft.records.items()):
            if record.kind == Kind.SNAPSHOT:
                removal = removals.get(share_resource_id(record))
                if removal is not None:
                    found.setdefault(removal, []).append(address)
    return found


def clones_of_removed_snapshots(draft: Draft) -> dict[Address, list[str]]:
    """Return the ids of the steps that delete clones, sorted, by the address of the snapshot that is deleted too."""
    deleted = {step.address for step in draft.steps.values() if step.verb is Verb.DELETE_SNAPSHOT}
    found: dict[Address, list[str]] = {}
    for name in sorted(draft.steps) if deleted else ():
        step = draft.steps[name]
        if step.verb is Verb.DELETE_SHARE:
            source = spec_object_of(removed_record(draft, step.address)).get("source_snapshot")
            if source is not None and (snapshot := address_of(Kind.SNAPSHOT, source)) in deleted:
                found.setdefault(snapshot, []).append(name)
    return found


def unknown_snapshots_of_removed_shares(draft: Draft) -> dict[Address, list[str]]:
    """Return the backend's ids of the snapshots that the state does not know, by the address of the share that they would go with."""
    removed: dict[str, list[Step]] = {}
    for step in draft.steps.values():
        if removes_data(step):
            removed.setdefault(step.backend or "", []).append(step)
    found: dict[Address, list[str]] = {}
    for backend, steps in removed.items():
        for step in (
            steps if backend in draft.observed else ()
        ):  # what could not be looked at is refused, see unseen_removals
            strays = draft.stray_snapshots_of(backend, backend_id_of(removed_record(draft, step.address)))
            if strays:
                found[step.address.partition(DEPOSED_MARK)[0]] = sorted(snapshot.backend_id for snapshot in strays)
    return found


def unseen_removals(draft: Draft) -> list[Address]:
    """Return the shares that the plan removes without having seen all snapshots of their backend, which may go with them."""
    found = set()
    for step in draft.steps.values():
        seen = draft.observed.get(step.backend or "")
        if not removes_data(step) or seen is None or Capability.SNAPSHOT not in seen.capabilities:
            continue
        if seen.snapshots is None or (seen.asked_ids is not None and not seen.all_snapshots):
            found.add(step.address.partition(DEPOSED_MARK)[0])
    return sorted(found)


def recorded_id(draft: Draft, snapshot: str | None) -> str | None:
    """Return the resource id of a snapshot that the state has."""
    record = None if snapshot is None else draft.records.get(address_of(Kind.SNAPSHOT, snapshot))
    return None if record is None else record.resource_id


def share_resource_id(snapshot: Record) -> str:
    """Return the resource id of the share that the recorded snapshot is of."""
    return str(attributes_of(snapshot)["share_resource_id"])


def removes_data(step: Step) -> bool:
    """Tell whether the step takes a share from its backend."""
    return step.verb in TAKING_DATA


def removed_record(draft: Draft, address: Address) -> Record:
    """Return the row of a share that is removed, which a replacement has taken from the draft's records."""
    record = draft.records.get(address)
    if record is None:
        address = address.partition(DEPOSED_MARK)[0]
        record = draft.state.records[draft.moved_from.get(address, address)]
    return record


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
    share = draft.records.get(share_address)
    if share is not None and host_of(share) in draft.unsnapshotted and not draft.has(share_address, Verb.CREATE_SHARE):
        draft.refuse(
            "snapshot.unsupported",
            address,
            f"{address} cannot be taken: {host_of(share)}, which holds {share_address}, takes no snapshots",
            remedy="remove the manifest of the snapshot, or move the share to a pool that takes snapshots",
        )
        return
    record = draft.records.get(address)
    lost = record is not None
    if lost:
        draft.recreations.append(address)
    draft.add(
        Verb.CREATE_SNAPSHOT,
        address,
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
    share = draft.records.get(address_of(Kind.SHARE, new.share))
    is_same = share is not None and share.resource_id == share_resource_id(record)
    if new.share != old.share and not is_same:
        refuse_immutable(draft, address, FieldChange("share", old.share, new.share), frozenset())
        new = replace(new, share=old.share)
    changes = spec_changes(old, new)
    if changes:
        draft.add(
            Verb.UPDATE_RECORD,
            address,
            "the state alone; the backend is not asked for anything",
            record=record,
            work=UpdateRecord(new),
            changes=changes,
        )


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
        f"{removal_reason(draft)}; {why}",
        backend=None if forget else record.backend,
        record=record,
        before=None if forget else Before(size_bytes=record.size_bytes),
    )
