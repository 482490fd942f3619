"""What people are told beside the steps: drift, and how much of what is done."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted, listed
from sharectl.model.field_changes import RULE_FIELD, FieldChange, size_change
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import STRENGTH, Action, Drift, DriftKind, Summary, UpdateAccess
from sharectl.model.verbs import Verb
from sharectl.planner.access import ignore_list
from sharectl.planner.draft import RESIZING
from sharectl.planner.observed import identity_problem
from sharectl.planner.records import DEPOSED_MARK, export_locations_of, policy_in
from sharectl.planner.strays import importable_shares

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from sharectl.model.ignoring import IgnoreList
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.plans import Step
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft
    from sharectl.planner.observed import BackendObservation

_MOST_NAMED = 3
_OF_EXPORTS: Final = frozenset({"export_name", "protocol"})
_MENDED: Final[Mapping[Verb, str]] = {
    **dict.fromkeys(RESIZING, "size"),
    Verb.SCHEDULE_SNAPSHOTS: "snapshot_policy",
}
"""The one field that a step of these verbs changes."""


def drift_report(draft: Draft) -> tuple[Drift, ...]:
    """Return how what the backends report differs from the state, and the step that mends each difference, by address.

    Backends about which nothing is known come first, what the state does not know of last.
    """
    repairs: dict[Address, list[Step]] = {}
    for step in draft.steps.values() if draft.deviations else ():
        if step.verb is not Verb.MOVE:
            repairs.setdefault(step.address, []).append(step)
    renamed = {former: address for address, former in draft.moved_from.items()}
    drift = _unknown(draft)
    for address, deviation in sorted(draft.deviations.items()):
        record = draft.state.records.get(address)
        if record is None:
            continue  # the same deviation under the new address of a moved share
        changes = () if deviation.observed is None else _share_changes(draft, record, deviation.observed)
        if deviation.problem:
            summary = deviation.problem
        elif deviation.observed is None:
            summary = f"is gone from backend {record.backend}"
        elif deviation.observed.trashed_at is not None:
            summary = f"is in the trash of backend {record.backend}"
        else:
            summary = f"was changed on backend {record.backend}"
        repaired_by = _repair(repairs.get(renamed.get(address, address), ()), changes)
        drift.append(Drift(address, deviation.kind, summary, changes, repaired_by))
    drift += _unmanaged(draft)
    return tuple(drift)


def _repair(steps: Iterable[Step], changes: Iterable[FieldChange]) -> str | None:
    """Return the id of the step that mends these changes, or removes or makes the resource; None where none does."""
    fields = {change.field.partition("/")[0] for change in changes}
    return next((step.step_id for step in steps if _may_mend(step, fields)), None)


def _may_mend(step: Step, fields: Container[str]) -> bool:
    """Tell whether a step can be what mends a difference in these fields: one of another kind has a reason of its own."""
    if step.verb is Verb.UPDATE_ACCESS:
        reexports = any(change.field in _OF_EXPORTS for change in step.changes)
        return "access" in fields or (reexports and "export_locations" in fields)
    if step.verb is Verb.REVERT_SHARE:
        return False
    return _MENDED.get(step.verb) is None or _MENDED[step.verb] in fields


def _unknown(draft: Draft) -> list[Drift]:
    held = draft.held_by_backend
    return [
        Drift(
            address_of(Kind.BACKEND, name),
            DriftKind.UNKNOWN,
            f"could not be read in full; {counted(held.get(name, 0), 'resource is', 'resources are')} on it",
        )
        for name, seen in sorted(draft.observed.items())
        if seen.error is not None or identity_problem(draft.state, seen) is not None
    ]


def _unmanaged(draft: Draft) -> list[Drift]:
    found = []
    for backend, seen in sorted(draft.observed.items()):
        if draft.options.targets:
            break  # the state was read in part: what is not in it is not unmanaged
        if seen.servers is not None:
            servers = [one for key, one in (seen.servers.servers or {}).items() if key not in draft.known_ids]
            if servers := [*servers, *seen.servers.unmanaged]:
                found.append(_unknown_to_state(backend, "share server", sorted(one.backend_id for one in servers)))
        listed_some = seen.shares or seen.unmanaged  # of what nobody was asked for, nobody needs the ids
        unknown = [s for s in importable_shares(draft.known_ids if listed_some else (), seen) if s.trashed_at is None]
        ignored = ignore_list(draft, backend)
        strays = [share for share in unknown if not ignored.covers_share(share.backend_id)]
        found += _ignored(draft, seen, ignored, len(unknown) - len(strays))
        if strays:
            found.append(_unknown_to_state(backend, "share", [share.backend_id for share in strays]))
    return found


def _ignored(draft: Draft, seen: BackendObservation, ignored: IgnoreList, shares: int) -> list[Drift]:
    """Say how much is left alone on a backend, as its manifest asks."""
    backend, shown = seen.backend, (seen.shares or {}) if ignored.access else {}
    rules = sum(len(share.ignored_access) for share in shown.values())
    for address, recorded in draft.state.rules.items() if rules else ():
        record = draft.state.records.get(address)
        share = None if record is None or record.backend != backend else shown.get(record.resource_id)
        if share is not None:
            rules -= sum(1 for known in recorded if known.status == "active" and known.rule in share.ignored_access)
    counts = [(shares, "share"), (rules, "access rule")]
    words = " and ".join(counted(count, noun) for count, noun in counts if count)
    return (
        [Drift(address_of(Kind.BACKEND, backend), DriftKind.IGNORED, f"holds {words} that its manifest ignores")]
        if words
        else []
    )


def _unknown_to_state(backend: str, noun: str, names: Sequence[str]) -> Drift:
    summary = f"holds {counted(len(names), noun)} that the state does not know: {listed(names, _MOST_NAMED)}"
    return Drift(address_of(Kind.BACKEND, backend), DriftKind.UNMANAGED, summary)


def _share_changes(draft: Draft, record: Record, share: ObservedShare) -> tuple[FieldChange, ...]:
    changes: list[FieldChange] = []
    if share.size_bytes is not None and share.size_bytes != record.size_bytes:
        changes.append(size_change(record.size_bytes, share.size_bytes))
    if share.pool != record.pool:
        changes.append(FieldChange("pool", record.pool, share.pool))
    locations = export_locations_of(record)
    if share.export_locations != locations:
        changes.append(FieldChange("export_locations", list(locations), list(share.export_locations)))
    policies = [policy and policy.as_plain() for policy in (policy_in(record), share.snapshot_policy)]
    if policies[0] != policies[1]:
        changes.append(FieldChange("snapshot_policy", *policies))
    known = {r.rule.key: r.rule.grant for r in draft.state.rules.get(record.address, ()) if r.status == "active"}
    there = {rule.key: rule.grant for rule in share.access}
    changes += (
        FieldChange(f"{RULE_FIELD}{key}", known.get(key), there.get(key))
        for key in sorted(known.keys() | there.keys())
        if known.get(key) != there.get(key)
    )
    return tuple(changes)


def summarize(steps: Iterable[Step], unchanged: int) -> Summary:
    """Count resources by the strongest action on each, and access rules by what becomes of them."""
    actions: dict[Address, Action] = {}
    rules: Counter[Action] = Counter()
    for step in steps:
        if DEPOSED_MARK in step.address and step.action is Action.CREATE_THEN_DELETE:
            continue  # the other half of a replacement, counted there
        known = actions.setdefault(step.address, step.action)
        if STRENGTH[step.action] > STRENGTH[known]:
            actions[step.address] = step.action
        if step.stated_changes is None and isinstance(step.work, UpdateAccess) and step.work.rules:
            rules[Action.CREATE] += len(step.work.rules)  # all are new where the changes follow from them
        elif step.verb is Verb.UPDATE_ACCESS or step.verb is Verb.FORGET:
            rules.update(_rule_action(change) for change in step.changes if change.field.startswith(RULE_FIELD))
    by_action, rules_by_action = (
        dict(sorted((action.word, count) for action, count in counts.items()))
        for counts in (Counter(actions.values()), rules)
    )
    return Summary(by_action, rules_by_action, unchanged)


def _rule_action(change: FieldChange) -> Action:
    if change.before is None:
        return Action.CREATE
    return Action.DELETE if change.after is None else Action.UPDATE
