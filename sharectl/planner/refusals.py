"""Reasons, common to shares and snapshots, why a step may not be: protection, a missing capability, a dependency left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.fields import rule_of, written_name
from sharectl.model.kinds import KINDS, Kind, address_of, kind_of
from sharectl.model.plans import CreateShare
from sharectl.model.table import SPECS
from sharectl.model.verbs import Verb
from sharectl.planner.draft import REMOVING, step_id
from sharectl.planner.records import DEPOSED_MARK

if TYPE_CHECKING:
    from sharectl.drivers.base import Capability
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Step
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft


def lacks(draft: Draft, backend: str | None, capability: Capability) -> bool:
    """Tell whether the backend's driver is known to be without the capability; of a backend without manifest nothing is known."""
    return backend in draft.desired.backends and not draft.can(backend, capability)


def removal_reason(draft: Draft) -> str:
    """Return why a resource is removed, for people."""
    return "destroy was asked for" if draft.options.destroy else "its manifest is gone"


def may_remove(draft: Draft, address: Address, record: Record, reason: str = "") -> bool:
    """Tell whether the resource may go; refuse, with the reason, where it is protected.

    A share that a replacement has set aside goes by the name that it had.
    """
    if not is_protected(draft, address, record):
        return True
    draft.refuse(
        "safety.protected",
        address,
        f"{address} is protected and would be removed ({reason or removal_reason(draft)})",
        detail="protection is kept in the state and holds after the manifest is gone.",
        remedy=f"restore its manifest, or apply it with protect: false first, or pass --override-protection {address}",
        holds=REMOVING,
    )
    return False


def refuse_immutable(draft: Draft, address: Address, change: FieldChange, holds: frozenset[Verb]) -> None:
    """Refuse the change of a field that cannot change in place, with the reason and the way out that the table of kinds has."""
    kind = kind_of(address)
    entry, field = KINDS[kind], SPECS[kind].__dataclass_fields__[change.field]
    rule, written = rule_of(field), written_name(field)
    draft.refuse(
        f"{kind}.immutable",
        address,
        f"{address}: {written} cannot change in place, from {change.before} to {change.after}",
        detail=(rule.because or entry.because).format(address=address),
        remedy=(rule.way_out or entry.way_out).format(address=address),
        path=f"spec.{written}",
        holds=holds,
    )


def is_protected(draft: Draft, address: Address, record: Record) -> bool:
    """Tell whether the resource is protected, and the user has not lifted that."""
    overridden = draft.options.override_protection
    return record.protect and address not in overridden and address.partition(DEPOSED_MARK)[0] not in overridden


def refuse_lost_sources(draft: Draft) -> None:
    """Refuse snapshots of shares, and clones of snapshots, that are gone or will be elsewhere when they are needed."""
    for step in tuple(draft.steps.values()):
        if step.verb is Verb.CREATE_SNAPSHOT:
            share = address_of(Kind.SHARE, draft.desired.snapshot(step.address).share)
            _refuse_lost_source(draft, step, share, Verb.CREATE_SHARE)
        elif isinstance(step.work, CreateShare) and step.work.spec.source_snapshot:
            source = address_of(Kind.SNAPSHOT, step.work.spec.source_snapshot)
            _refuse_lost_source(draft, step, source, Verb.CREATE_SNAPSHOT)
            taken = draft.steps.get(step_id(Verb.CREATE_SNAPSHOT, source))
            holder = draft.records[source].backend if taken is None else taken.backend
            if holder != step.backend:
                draft.refuse(
                    "share.source-elsewhere",
                    step.address,
                    f"{step.address} would be made on backend {step.backend}, and {source} will be on {holder}",
                    detail="a clone is made where its snapshot is.",
                    remedy=f"apply the changes of {source} and its share first",
                    path="spec.sourceSnapshot",
                )


def _refuse_lost_source(draft: Draft, step: Step, needed: Address, maker: Verb) -> None:
    deviation = draft.deviations.get(needed)
    if deviation is not None and deviation.observed is None and not draft.has(needed, maker):
        refuse_left_out(draft, step.address, needed)


def refuse_left_out(draft: Draft, address: Address, needed: Address, holds: frozenset[Verb] | None = None) -> None:
    """Refuse a resource that cannot be made, or what `holds` names, without another one, which is not part of this plan."""
    draft.refuse(
        "plan.left-out",
        address,
        f"{address} needs {needed}, which is not there yet and which this plan leaves out",
        detail="the targets, labels or exclusions of this plan do not cover it.",
        remedy=f"plan {needed} too, or first",
        holds=holds,
    )
