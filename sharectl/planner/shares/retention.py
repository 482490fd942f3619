"""Shares that stay on their backend when they are forgotten: who loses access then, and who keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.field_changes import FieldChange
from sharectl.model.plans import Action
from sharectl.model.verbs import Verb
from sharectl.planner.access.revocations import count_revocations
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.scopes import REMOVING
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from sharectl.model.access import AccessRule
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft

_NAMED_AT_MOST = 5


def plan_retained_share(draft: Draft, address: Address, record: Record, reason: str) -> None:
    """Add the step that forgets a share and leaves it on its backend; its access ends with it, unless the manifest said otherwise."""
    there = access_in_force(draft, address, record)
    if not there:
        add_forget(draft, address, record, f"{reason}; deletionPolicy retain leaves it on its backend")
        return
    if spec_object_of(record).get("retain_access", False):
        kept = _named(there)
        why = f"{reason}; deletionPolicy retain leaves it on its backend, and with retainAccess {kept} keep access"
        add_forget(draft, address, record, why)
        return
    if record.backend not in draft.desired.backends:
        _refuse_out_of_reach(draft, address, record, there)
        return
    if DEPOSED_MARK not in address and address not in draft.replaced:
        count_revocations(draft, address, there)
    draft.add(
        Verb.FORGET,
        address,
        Action.FORGET,
        f"{reason}; deletionPolicy retain leaves it on its backend, without access",
        backend=record.backend,
        record=record,
        changes=tuple(FieldChange(f"access/{rule.key}", rule.access_level, None) for rule in there),
    )


def add_forget(draft: Draft, address: Address, record: Record, reason: str) -> None:
    """Add the step that takes a share or a backend out of the state alone."""
    draft.add(Verb.FORGET, address, Action.FORGET, reason, record=record)


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


def _refuse_out_of_reach(draft: Draft, address: Address, record: Record, there: tuple[AccessRule, ...]) -> None:
    draft.refuse(
        "share.access-stays",
        address,
        f"{address} would be forgotten, and {_named(there)} would keep access: the manifest of backend {record.backend} is gone",
        detail="without it sharectl cannot reach the share to end its access.",
        remedy=f"restore that manifest and apply; or `sharectl state rm {address}` forgets the share and leaves its access as it is",
        holds=REMOVING,
    )


def _named(rules: tuple[AccessRule, ...]) -> str:
    named = ", ".join(f"{rule.key} {rule.access_level}" for rule in rules[:_NAMED_AT_MOST])
    return f"{named} and {len(rules) - _NAMED_AT_MOST} more" if len(rules) > _NAMED_AT_MOST else named
