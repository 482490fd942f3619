"""Steps for shares: make, change, repair, replace, remove and forget them."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

from sharectl.drivers.base import Capability
from sharectl.model.access import may_become
from sharectl.model.candidates import Candidate
from sharectl.model.diagnostics import listed
from sharectl.model.field_changes import RULE_FIELD, FieldChange, size_change, spec_changes
from sharectl.model.fields import Policy, fields_with, written_name
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import Action, CreateShare, Move, UpdateAccess, UpdateRecord
from sharectl.model.quantities import format_size
from sharectl.model.specs import DeletionPolicy, Replacement, ShareSpec
from sharectl.model.verbs import Verb
from sharectl.planner.access import count_revocations, without_ignored
from sharectl.planner.draft import (
    CONTENT,
    REMOVING,
    RESIZING,
    USING,
    lacks,
    may_remove,
    refuse_immutable,
    removal_reason,
)
from sharectl.planner.moves import was_renamed
from sharectl.planner.observed import before_of
from sharectl.planner.records import DEPOSED_MARK, as_asked, deposed_address, recorded_as, recorded_revert
from sharectl.planner.share_servers.places import server_of_lost_share
from sharectl.planner.shares.access import access_in_force, plan_access, renames
from sharectl.planner.shares.changes import holds_growth, may_be_cloned, plan_resize, plan_revert
from sharectl.planner.shares.metadata import STATE_ALONE
from sharectl.planner.shares.naming import export_changes, may_have_name
from sharectl.planner.shares.schedules import (
    end_schedule,
    plan_new_schedule,
    plan_schedule,
    scheduled_with,
    words_of_scheduled,
)
from sharectl.planner.snapshots import recorded_id
from sharectl.state.rows import attributes_of, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record
    from sharectl.model.specs import RevertRequest
    from sharectl.planner.draft import Draft

_REPLACED = "replaced by the new share"
_RECORDED = sorted(fields_with(ShareSpec, Policy.METADATA))
_FIELDS = ShareSpec.__dataclass_fields__
_IMMUTABLE = fields_with(ShareSpec, Policy.IMMUTABLE)
_immutable_values = attrgetter(*sorted(_IMMUTABLE))


def plan_new_share(draft: Draft, address: Address, candidates: Sequence[Candidate], reason: str) -> None:
    """Add the steps that make a share and open it; `candidates` are in the order in which they are tried, at least one."""
    first = candidates[0]
    if not may_have_name(draft, address, first):
        return
    spec, backend = draft.desired.share(address), first.backend
    rules = without_ignored(draft, address, backend, draft.access(address))
    action = draft.replaced.get(address, Action.CREATE)
    draft.add(
        Verb.CREATE_SHARE,
        address,
        reason,
        action=action,
        backend=backend,
        record=draft.records.get(address),
        work=CreateShare(spec, candidates, draft.holders_of(spec.name), recorded_id(draft, spec.source_snapshot)),
        changes=None,
    )
    if rules:
        settings = draft.exports.settings(backend, spec, rules)
        draft.add(
            Verb.UPDATE_ACCESS,
            address,
            "its access rules",
            action=action,
            backend=backend,
            work=UpdateAccess(rules, export_settings=settings),
            changes=None,
        )
    plan_new_schedule(draft, address, backend, action)


def plan_lost_share(draft: Draft, address: Address) -> None:
    """Add the steps for a share that the state has and its backend has not: made again, empty, in its own place."""
    if not may_be_cloned(draft, address):
        return
    record = draft.records[address]
    draft.recreations.append(address)
    server = server_of_lost_share(draft, draft.desired.share(address), record)
    place = Candidate(record.backend or "", record.pool or "", 0.0, share_server=server)
    is_clone = draft.desired.share(address).source_snapshot is not None
    content = "with the content of its snapshot" if is_clone else "empty"
    plan_new_share(draft, address, (place,), f"gone from its backend; made again in its place, {content}")


def plan_changed_share(draft: Draft, address: Address) -> None:
    """Add the steps that bring an existing share in line with its manifest; none if it is already."""
    record = draft.records[address]
    new = draft.desired.share(address)
    old = recorded_as(record, new.name)
    seen = draft.deviations.get(address)
    observed = seen.observed if seen else None
    if observed is not None and observed.trashed_at is not None:
        draft.refuse(
            "share.trashed",
            address,
            f"{address} has been in the trash of backend {record.backend} since {observed.trashed_at}",
            detail="somebody put it there by other means than sharectl.",
            remedy=(
                f"`sharectl state rm {address}`, then `sharectl import {address} {observed.backend_id} "
                f"--backend {record.backend}` brings it back, without access"
            ),
            holds=USING,
        )
        _plan_record(draft, address, record, old, _recordable(old, new), None)
        return
    blocking = changes_beyond_place(draft, record, old, new)
    if address in draft.options.replaces or (blocking and new.replacement != Replacement.REFUSE):
        reason = "a replacement was asked for"
        if blocking:
            reason = f"{written_name(_FIELDS[blocking[0].field])} cannot change in place"
        plan_replacement(draft, address, record, reason)
        return
    if blocking:
        # An old share that is set aside may be what is wanted: it stays until its successor is.
        holds = CONTENT | REMOVING if address in draft.set_aside else CONTENT
        for change in blocking:
            refuse_immutable(draft, address, change, holds)
        plan_beside_refusal(draft, address)
        return
    if not plan_revert(draft, address, record, old, new):
        new = replace(new, revert_to=_unless_refused(new.revert_to, old.revert_to))
    grown = holds_growth(draft, address, record, old, new, observed)
    resized = not grown and plan_resize(draft, address, record, old, new, observed)
    changes, new = export_changes(draft, address, record, old, new)
    plan_access(draft, address, record, observed, changes, new)
    if changes and not renames(draft, address):
        new = replace(new, export_name=old.export_name, protocol=old.protocol)
    new = plan_schedule(draft, address, record, new, observed)
    if not resized:
        new = new if new.size_bytes == old.size_bytes else replace(new, size_bytes=old.size_bytes)
        if observed is not None and observed.size_bytes not in {None, record.size_bytes}:
            observed = None
    _plan_record(draft, address, record, old, new, observed)


def plan_beside_refusal(draft: Draft, address: Address) -> None:
    """Add the steps for a share that may not become another one, or be replaced: the changes that the existing one can follow.

    That is who may use it, unless the rules were written for another protocol or network, and all that is only recorded.
    """
    record, new = draft.records[address], draft.desired.share(address)
    seen = draft.deviations.get(address)
    if record.is_applied(draft.desired.digests[address]) and seen is None:
        return
    old = recorded_as(record, new.name)
    refused = any(refusal.address == address_of(Kind.BACKEND, record.backend or "") for refusal in draft.refusals)
    reachable = record.backend in draft.desired.backends and not refused
    if reachable and (old.protocol, old.share_network) == (new.protocol, new.share_network):
        plan_access(draft, address, record, seen.observed if seen else None)
    _plan_record(draft, address, record, old, _recordable(old, new), None)


def _recordable(old: ShareSpec, new: ShareSpec) -> ShareSpec:
    """Return the spec of a share that stays as it is, with what the state alone has to know of its manifest."""
    fields = {name: getattr(new, name) for name in _RECORDED}
    return replace(old, **fields, revert_to=_unless_refused(new.revert_to, old.revert_to))


def spec_in_force(draft: Draft, address: Address) -> ShareSpec:
    """Return the spec of a share that is there once the steps that are planned for it are done: what is refused stays as it is."""
    record, new = draft.records[address], draft.desired.share(address)
    spec = _recordable(recorded_as(record, new.name), new)
    changed: set[str] = set()
    for is_planned, names in (
        (draft.has(address, *RESIZING), {"size_bytes"}),
        (renames(draft, address), {"export_name", "protocol"}),
        (draft.has(address, Verb.SCHEDULE_SNAPSHOTS), {"snapshot_policy"}),
        (draft.has(address, Verb.REVERT_SHARE), {"revert_to"}),
    ):
        changed |= names if is_planned else set()
    return replace(spec, **{name: getattr(new, name) for name in changed})


def _unless_refused(wanted: RevertRequest | None, answered: RevertRequest | None) -> RevertRequest | None:
    """Return the request to record where a revert may be refused: one that was answered keeps its snapshot."""
    same = wanted is not None and answered is not None and wanted.request == answered.request
    return answered if same else wanted


def plan_replacement(draft: Draft, address: Address, record: Record, reason: str) -> None:
    """Mark the share for replacement: the old one is pushed aside or removed, and the new one is placed with the other new shares."""
    draft.removals.append(address)
    if not may_remove(draft, address, record, reason):
        plan_beside_refusal(draft, address)
        return
    order = draft.desired.share(address).replacement
    delete_first = order == Replacement.DELETE_FIRST
    draft.replaced[address] = Action.DELETE_THEN_CREATE if delete_first else Action.CREATE_THEN_DELETE
    if delete_first:
        _add_removal(draft, address, record, f"{reason}; deleted first", Action.DELETE_THEN_CREATE)
    else:
        aside = deposed_address(record)
        draft.add(
            Verb.MOVE,
            aside,
            f"{reason}; the old share is kept until the new one is there",
            action=Action.CREATE_THEN_DELETE,
            record=record,
            work=Move(address),
        )
        _add_removal(draft, aside, record, _REPLACED, Action.CREATE_THEN_DELETE)
    del draft.records[address]


def plan_removed_share(draft: Draft, address: Address) -> None:
    """Add the step for a share whose manifest is gone: what its deletion policy says."""
    record = draft.records[address]
    reason = _REPLACED if DEPOSED_MARK in address else removal_reason(draft)
    seen = draft.deviations.get(address)
    draft.removals.append(address)
    if seen is not None and seen.observed is None:
        draft.add(Verb.FORGET, address, f"{reason}, and the share is gone from its backend", record=record)
    elif may_remove(draft, address, record, reason):
        if (
            seen is not None
            and seen.observed is not None
            and seen.observed.trashed_at is not None
            and _deletion_policy(record) == DeletionPolicy.TRASH
        ):
            draft.add(Verb.FORGET, address, f"{reason}, and the share lies in the trash already", record=record)
        else:
            _add_removal(draft, address, record, reason, Action.DELETE)


def _deletion_policy(record: Record) -> object:
    return spec_object_of(record).get("deletion_policy", DeletionPolicy.RETAIN)


def _add_removal(draft: Draft, address: Address, record: Record, reason: str, action: Action) -> None:
    policy = _deletion_policy(record)
    if policy == DeletionPolicy.RETAIN:
        plan_retained_share(draft, address, record, reason)
        return
    verb = Verb.DELETE_SHARE
    if policy == DeletionPolicy.TRASH:
        verb = Verb.TRASH_SHARE
        if lacks(draft, record.backend, Capability.TRASH):
            draft.refuse(
                "share.no-trash",
                address,
                f"{address} should go to the trash, and backend {record.backend} has none",
                remedy="set deletionPolicy to retain or delete while its manifest is still there, and apply that first",
                holds=REMOVING,
            )
            return
    changes = [FieldChange("size", format_size(record.size_bytes or 0), None)]
    words = ""
    if verb is Verb.DELETE_SHARE:
        words = words_of_scheduled(draft, record)
        if (scheduled := scheduled_with(draft, record)) is not None:
            changes.append(FieldChange("scheduled_snapshots", scheduled.number, None))
    draft.add(
        verb,
        address,
        f"{reason}; deletionPolicy {policy}{words}",
        action=action,
        backend=record.backend,
        record=record,
        changes=tuple(changes),
        before=before_of(draft.observed, record, access_in_force(draft, address, record)),
    )


def changes_beyond_place(draft: Draft, record: Record, old: ShareSpec, new: ShareSpec) -> list[FieldChange]:
    """Return the changes that the existing share cannot follow."""
    if _immutable_values(old) == _immutable_values(new):
        return []
    backend = draft.desired.backends.get(record.backend or "")
    harmless = set()
    if backend is not None and new.availability_zone in {None, backend.availability_zone}:
        harmless.add("availability_zone")
    if new.source_snapshot is None or was_renamed(draft, Kind.SNAPSHOT, old.source_snapshot, new.source_snapshot):
        harmless.add("source_snapshot")
    if may_become(str(old.protocol), str(new.protocol)):
        harmless.add("protocol")
    return [change for change in spec_changes(old, new) if change.field in _IMMUTABLE - harmless]


def _plan_record(  # noqa: PLR0913, PLR0917 - both specs and what is there
    draft: Draft, address: Address, record: Record, old: ShareSpec, new: ShareSpec, observed: ObservedShare | None
) -> None:
    """Add the step that brings the state alone up to date: fields that the backend never sees, and what it tells of itself."""
    kept = new
    if new.revert_to is not None or old.revert_to is not None:
        kept = replace(new, revert_to=recorded_revert(new.revert_to, old.revert_to))
    elsewhere = {"size_bytes"}
    if draft.has(address, Verb.SCHEDULE_SNAPSHOTS):
        elsewhere.add("snapshot_policy")
    if renames(draft, address):
        elsewhere |= {"export_name", "protocol", "export_locations"}
    changes = spec_changes(as_asked(old), as_asked(kept), skip=elsewhere)
    sizes: tuple[int | None, int | None] = (old.size_bytes, new.size_bytes)
    if observed is not None:
        changes += tuple(change for change in _observed_changes(record, observed) if change.field not in elsewhere)
        if observed.size_bytes not in {None, record.size_bytes}:
            sizes = record.size_bytes, observed.size_bytes
    if sizes[0] != sizes[1] and not draft.has(address, *RESIZING):  # else the size changes, and not the state alone
        changes += (size_change(*sizes),)
    is_seen = observed is not None and not changes
    if is_seen and not draft.has(address, Verb.UPDATE_ACCESS, Verb.SCHEDULE_SNAPSHOTS, *RESIZING):
        changes = (FieldChange("access", "as recorded", "as on the backend"),)
    if not changes:
        return
    draft.add(
        Verb.UPDATE_RECORD,
        address,
        STATE_ALONE,
        backend=record.backend if observed is not None else None,
        record=record,
        work=UpdateRecord(new),
        changes=changes,
    )


def _observed_changes(record: Record, observed: ObservedShare) -> tuple[FieldChange, ...]:
    known = attributes_of(record)
    pairs = (
        ("pool", record.pool, observed.pool),
        ("backend_id", known["backend_id"], observed.backend_id),
        ("name", known["name"], observed.name),
        ("export_locations", known["export_locations"], list(observed.export_locations)),
        (
            "snapshot_policy",
            known.get("snapshot_policy"),
            observed.snapshot_policy and observed.snapshot_policy.as_plain(),
        ),
    )
    return tuple(FieldChange(field, before, after) for field, before, after in pairs if before != after)


def plan_retained_share(draft: Draft, address: Address, record: Record, reason: str) -> None:
    """Add the step that forgets a share and leaves it on its backend; its access ends with it, unless the manifest said otherwise."""
    there = access_in_force(draft, address, record)
    named = listed([f"{rule.key} {rule.grant}" for rule in there])
    reason = f"{reason}; deletionPolicy retain leaves it on its backend"
    if not end_schedule(draft, address, record, reason):
        return
    if not there or spec_object_of(record).get("retain_access", False):
        kept = f", and with retainAccess {named} keep access" if there else ""
        draft.add(Verb.FORGET, address, reason + kept, record=record, before=before_of(draft.observed, record))
        return
    if record.backend not in draft.desired.backends:
        draft.refuse(
            "share.access-stays",
            address,
            f"{address} would be forgotten, and {named} would keep access: the manifest of backend {record.backend} is gone",
            detail="without it sharectl cannot reach the share to end its access.",
            remedy=f"restore that manifest and apply; or `sharectl state rm {address}` forgets the share and leaves its access as it is",
            holds=REMOVING,
        )
        return
    if DEPOSED_MARK not in address and address not in draft.replaced:
        count_revocations(draft, address, there)
    draft.add(
        Verb.FORGET,
        address,
        f"{reason}, without access",
        backend=record.backend,
        record=record,
        changes=tuple(FieldChange(f"{RULE_FIELD}{rule.key}", rule.grant, None) for rule in there),
        before=before_of(draft.observed, record, there),
    )
