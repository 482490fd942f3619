"""Steps that make an existing share larger or smaller."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.drivers.base import Capability
from sharectl.model.diagnostics import Diagnostic, Source, error, warning
from sharectl.model.field_changes import size_change
from sharectl.model.plans import Action, ResizeShare
from sharectl.model.quantities import GIB
from sharectl.model.verbs import Verb
from sharectl.planner.refusals import lacks
from sharectl.planner.scopes import RESIZING
from sharectl.planner.shares.placed_checks import has_possible_size

if TYPE_CHECKING:
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.draft import Draft


def plan_resize(  # noqa: PLR0913, PLR0917 - both specs and what is there
    draft: Draft, address: Address, record: Record, old: ShareSpec, new: ShareSpec, observed: ObservedShare | None
) -> bool:
    """Add the step that gives the share the size of its manifest; return False where that is refused.

    A backend that rounds sizes has recorded another one than the manifest's: only a changed manifest, or a share that was
    resized on its backend, asks for a step.
    """
    drifted = observed is not None and observed.size_bytes is not None and observed.size_bytes != record.size_bytes
    current = record.size_bytes or old.size_bytes
    if observed is not None and observed.size_bytes is not None:
        current = observed.size_bytes
    wanted = drifted or new.size_bytes != old.size_bytes
    if not wanted or new.size_bytes == current:
        return True
    if not has_possible_size(draft, address, record, new):
        return False
    change = size_change(current, new.size_bytes)
    if new.size_bytes < current:
        verb = Verb.SHRINK_SHARE
        allowed = _may_shrink(draft, address, record, new, change)
    else:
        verb = Verb.EXTEND_SHARE
        allowed = _may_extend(draft, address, record, new, current)
    if not allowed:
        return False
    by_hand = drifted and new.size_bytes == old.size_bytes
    draft.add(
        verb,
        address,
        Action.UPDATE,
        "its size was changed on the backend" if by_hand else "its manifest says so",
        backend=record.backend,
        record=record,
        work=ResizeShare(new),
        changes=(change,),
    )
    return True


def holds_growth(  # noqa: PLR0913, PLR0917 - both specs and what is there
    draft: Draft, address: Address, record: Record, old: ShareSpec, new: ShareSpec, observed: ObservedShare | None
) -> bool:
    """Tell whether the share was made larger on its backend, and say that it stays so without leave to shrink it.

    Somebody may have made room in an emergency; to take it away again by night, or to stop the whole plan for it, helps nobody.
    """
    if observed is None or observed.size_bytes is None or new.allow_shrink or new.size_bytes != old.size_bytes:
        return False
    if observed.size_bytes <= new.size_bytes or observed.size_bytes == record.size_bytes:
        return False
    change = size_change(observed.size_bytes, new.size_bytes)
    draft.diagnostics.append(
        warning(
            "share.grown",
            f"{address} was made larger on its backend: it has {change.before}, its manifest says {change.after}",
            detail="it stays as it is; taking the room away again is for somebody to decide.",
            remedy=f"write size: {change.before}, or set allowShrink: true, then the next apply makes it {change.after}",
            address=address,
            source=draft.desired.field_source(address, "spec", "size"),
        )
    )
    return True


def would_shrink(address: Address, change: FieldChange, source: Source | None = None) -> Diagnostic:
    """Return the error about a share that its manifest makes smaller without allowing that."""
    return error(
        "share.shrink",
        f"{address} would shrink from {change.before} to {change.after}",
        detail="a smaller share may not hold what is in it, and whoever uses it may count on the room.",
        remedy=f"write size: {change.before}, or set allowShrink: true",
        address=address,
        source=source,
    )


def _may_shrink(draft: Draft, address: Address, record: Record, new: ShareSpec, change: FieldChange) -> bool:
    if not new.allow_shrink:
        draft.refuse_found(would_shrink(address, change), address, path="spec.size", holds=RESIZING)
        return False
    return _is_able(draft, address, record, Capability.SHRINK, change)


def _may_extend(draft: Draft, address: Address, record: Record, new: ShareSpec, current_bytes: int) -> bool:
    change = size_change(current_bytes, new.size_bytes)
    if not _is_able(draft, address, record, Capability.EXTEND, change):
        return False
    share_type = draft.desired.share_types.get(new.share_type or "")
    if share_type is None:
        return True
    from sharectl.scheduler import Operation, request_from_share, size_limit_diagnostics  # noqa: PLC0415 - rarely needed

    request = replace(
        request_from_share(new, share_type),
        operation=Operation.EXTEND,
        size_gib=current_bytes / GIB,
        new_size_gib=new.size_bytes / GIB,
    )
    found = size_limit_diagnostics(request)
    for diagnostic in found:
        draft.refuse_found(diagnostic, address, path="spec.size", holds=RESIZING)
    return not found


def _is_able(draft: Draft, address: Address, record: Record, capability: Capability, change: FieldChange) -> bool:
    if not lacks(draft, record.backend, capability):
        return True
    doing = "grow" if capability is Capability.EXTEND else "shrink"
    draft.refuse(
        "share.no-resize",
        address,
        f"{address} cannot {doing}: the driver of backend {record.backend} cannot do that",
        remedy=f"write size: {change.before}",
        path="spec.size",
        holds=RESIZING,
    )
    return False
