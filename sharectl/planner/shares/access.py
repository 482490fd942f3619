"""Steps for the access of shares that are there: the rules of their manifests, settings of their exports, the names that clients see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.access import protocols_in
from sharectl.model.field_changes import rule_changes
from sharectl.model.plans import UpdateAccess
from sharectl.model.verbs import Verb
from sharectl.planner.access import may_revoke, who_says, without_ignored
from sharectl.planner.draft import step_id
from sharectl.planner.exports import changed_with_protocols
from sharectl.planner.observed import before_of
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.shares.changes import possible_rules
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from sharectl.model.access import AccessRule
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.draft import Draft


def renames(draft: Draft, address: Address) -> bool:
    """Tell whether the plan gives the share's export another name or other protocols."""
    step = draft.steps.get(step_id(Verb.UPDATE_ACCESS, address))
    return step is not None and step.spec is not None


def plan_access(  # noqa: PLR0913, PLR0917 - what is there and what is wanted
    draft: Draft,
    address: Address,
    record: Record,
    observed: ObservedShare | None,
    reexported: tuple[FieldChange, ...] = (),
    new: ShareSpec | None = None,
) -> None:
    """Add the step that gives the share the access of its manifest, and, as `reexported` says, the name and the protocols in `new`."""
    exported = draft.export_changes.get(address)
    is_as_wanted = observed is None and exported is None and not reexported
    if is_as_wanted and record.has_access(draft.desired.digests[address]):
        return
    wanted, spec = draft.desired.access(address), draft.desired.share(address)
    recorded = draft.state.rules.get(draft.moved_from.get(address, address), ())
    active = {rule.rule for rule in recorded if rule.status == "active"}
    current = tuple(sorted(active)) if observed is None else observed.access
    wanted = possible_rules(
        draft, address, record, without_ignored(draft, address, record.backend, wanted, current), current
    )
    wanted_keys = {rule.key for rule in wanted}
    refused = [rule.rule for rule in recorded if rule.status != "active" and rule.rule.key not in wanted_keys]
    if set(current) == set(wanted) and not refused and not exported and not reexported:
        return
    drifted = observed is not None and active == set(wanted)
    reasons = [exported.reason] if exported else []
    recorded_spec = spec_object_of(record)
    for change in reexported:
        is_by_hand = new is not None and new.as_plain().get(change.field) == recorded_spec.get(change.field)
        reasons.append(_REASONS[change.field](change, is_by_hand))
    if set(current) == set(wanted):
        reasons += ["a rule that was refused is no longer wanted"] if refused else []
    elif not drifted:
        reasons.insert(0, who_says(draft, address, current, wanted))
    elif not exported or not (_serves_nobody(observed) or exported.explains(current, wanted)):
        reasons.insert(0, "its access was changed on the backend")
    if not may_revoke(draft, address, record, current, wanted):
        return
    draft.add(
        Verb.UPDATE_ACCESS,
        address,
        "; ".join(reasons),
        backend=record.backend,
        record=record,
        work=UpdateAccess(
            wanted,
            observed is not None and set(current) != active,
            draft.exports.settings(record.backend, spec, wanted),
            spec=new if reexported else None,
        ),
        changes=(
            *reexported,
            *rule_changes((*refused, *current), wanted),
            *_settings_changes(draft, address, record, observed, new if _has_other_protocols(reexported) else None),
        ),
        before=before_of(draft.observed, record, current),
    )


def _serves_nobody(observed: ObservedShare | None) -> bool:
    """Tell whether the export lets nobody in, as when its server runs with other settings."""
    return observed is None or observed.export_settings is None


def _settings_changes(
    draft: Draft,
    address: Address,
    record: Record,
    observed: ObservedShare | None,
    new: ShareSpec | None,
) -> tuple[FieldChange, ...]:
    """Return how the settings of the export change, also because of other protocols, which are those in `new`."""
    exported = draft.export_changes.get(address)
    found = () if new is None else changed_with_protocols(draft.exports, record, observed, new)
    own = {change.field for change in found}
    return (*found, *(change for change in (exported.changes if exported else ()) if change.field not in own))


def _has_other_protocols(reexported: tuple[FieldChange, ...]) -> bool:
    return any(change.field == "protocol" for change in reexported)


def _naming_reason(change: FieldChange, is_by_hand: bool) -> str:  # noqa: FBT001 - one of a table of reasons
    why = "its export was renamed on the backend; " if is_by_hand else ""
    return f"{why}clients have to mount it anew, as {change.after!r}: whoever has mounted {change.before!r} is cut off"


def _protocol_reason(change: FieldChange, is_by_hand: bool) -> str:  # noqa: FBT001 - as above
    before, after = (protocols_in(protocol) for protocol in (change.before, change.after))
    comes = [f"{protocol} comes" for protocol in after if protocol not in before]
    goes = [
        f"{protocol} goes: whoever has mounted the share over it is cut off"
        for protocol in before
        if protocol not in after
    ]
    why = "its protocols were changed on the backend; " if is_by_hand else ""
    return f"{why}{'; '.join((*comes, *goes))}"


_REASONS: Final = {"export_name": _naming_reason, "protocol": _protocol_reason}


def access_in_force(draft: Draft, address: Address, record: Record) -> tuple[AccessRule, ...]:
    """Return who has access to a recorded share, by key: as its backend lists it where that differs, else as recorded."""
    seen = draft.deviations.get(record.address)
    if seen is not None and seen.observed is not None:
        rules = list(seen.observed.access)
    else:
        origin = address if address in draft.state.records else address.partition(DEPOSED_MARK)[0]
        recorded = draft.state.rules.get(draft.moved_from.get(origin, origin), ())
        rules = [rule.rule for rule in recorded if rule.status == "active"]
    return tuple(sorted(rules, key=lambda rule: rule.key))
