"""What becomes of an existing share: enlarged, shrunk, reverted to a snapshot; and what its backend would refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.drivers.base import Capability
from sharectl.model.diagnostics import SHARE_HELD, Diagnostic, Source, error, warning
from sharectl.model.field_changes import FieldChange, size_change
from sharectl.model.kinds import Kind, address_of, rule_address
from sharectl.model.plans import ResizeShare, RevertShare
from sharectl.model.quantities import GIB
from sharectl.model.verbs import Verb
from sharectl.planner.draft import MAKING, RESIZING, REVERTING, is_protected, lacks, own_place, refuse_left_out
from sharectl.planner.moves import was_renamed
from sharectl.planner.observed import before_of
from sharectl.planner.shares.checks import clone_problem
from sharectl.planner.shares.unfit import unfit_rules
from sharectl.planner.snapshots import recorded_id, share_resource_id
from sharectl.state.rows import share_spec_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.manifests.desired import Desired
    from sharectl.model.access import AccessRule
    from sharectl.model.checks import ShareProblem
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record
    from sharectl.model.specs import RevertRequest, ShareSpec
    from sharectl.planner.draft import Draft

_SNAPSHOT_FIELD = "spec.revertTo.snapshot"


def has_possible_size(draft: Draft, address: Address, record: Record, spec: ShareSpec) -> bool:
    """Tell whether the backend can give the share the size of its manifest; refuse the size where it cannot."""
    found = [problem for problem in _problems(draft, record, spec, ()) if problem.path == ("size",)]
    for problem in found:
        draft.refuse(
            "share.unfit",
            address,
            f"{address} cannot have this size on backend {record.backend}: {problem.summary}",
            remedy=problem.remedy,
            path="spec.size",
            holds=RESIZING,
        )
    return not found


def possible_rules(
    draft: Draft, address: Address, record: Record, wanted: tuple[AccessRule, ...], in_force: Collection[AccessRule]
) -> tuple[AccessRule, ...]:
    """Return the rules that the backend can put in force, and refuse the others, each by itself.

    One in force already stays among them: a check never takes access away.
    """
    problems = _problems(draft, record, draft.desired.share(address), wanted) if wanted else ()
    told = unfit_rules(draft.desired, address, problems)
    refused: set[str] = set()
    for problem in problems:
        if problem.path == ("access",):
            draft.refuse(
                "access.unfit",
                address,
                f"the access rules of {address} cannot be put in force on backend {record.backend}: {problem.summary}",
                remedy=problem.remedy,
                path="spec.access",
                holds=frozenset({Verb.UPDATE_ACCESS}),
            )
        elif problem.path[0] == "access":
            refused.add(problem.path[1])
            if (unfit := told.get(problem)) is not None:
                draft.refuse(
                    "access.unfit",
                    rule_address(address, problem.path[1]),
                    f"{unfit.words} cannot be put in force on backend {record.backend}: {problem.summary}",
                    remedy=problem.remedy,
                    source=unfit.source,
                )
    return tuple(rule for rule in wanted if rule.key not in refused or rule in in_force)


def may_be_cloned(draft: Draft, address: Address) -> bool:
    """Tell whether a share that is to be made from a snapshot is large enough for it; refuse it where it is not."""
    spec = draft.desired.share(address)
    problem = None if spec.source_snapshot is None else clone_problem(spec, _source_bytes(draft, spec.source_snapshot))
    if problem is None:
        return True
    draft.refuse(
        "share.smaller-than-snapshot",
        address,
        f"{address} cannot be made: {problem.summary}",
        remedy=problem.remedy,
        path="spec.size",
        holds=MAKING | {Verb.UPDATE_ACCESS},
    )
    return False


def _source_bytes(draft: Draft, snapshot: str) -> int | None:
    """Return the size of the share that the snapshot is of, as it was then or, of one that is yet to be taken, will be at least."""
    address = address_of(Kind.SNAPSHOT, snapshot)
    record = draft.records.get(address)
    seen = None if record is None else draft.observed.get(record.backend or "")
    if record is not None and seen is not None and seen.snapshots is not None:
        listed = seen.snapshots.get(record.resource_id)
        if listed is not None and listed.size_bytes is not None:
            return listed.size_bytes
    if record is not None and record.size_bytes is not None:
        return record.size_bytes
    if address not in draft.desired.digests:
        return None
    share = address_of(Kind.SHARE, draft.desired.snapshot(address).share)
    old = None if share in draft.replaced else draft.records.get(share)
    sizes = [draft.desired.share(share).size_bytes if share in draft.desired.digests else None]
    sizes.append(None if old is None else old.size_bytes)
    return min((size for size in sizes if size is not None), default=None)


def _problems(draft: Draft, record: Record, spec: ShareSpec, rules: tuple[AccessRule, ...]) -> tuple[ShareProblem, ...]:
    if record.backend is None or record.backend not in draft.desired.backends:
        return ()
    return draft.checks.problems(record.backend, draft.checks.wanted(spec, rules, record.pool), spec.share_type)


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
        if not new.allow_shrink:
            draft.refuse_found(would_shrink(draft.desired, address, change), address, path="spec.size", holds=RESIZING)
            return False
        allowed = _can_resize(draft, address, record, Capability.SHRINK, change)
    else:
        verb = Verb.EXTEND_SHARE
        allowed = _can_resize(draft, address, record, Capability.EXTEND, change) and _may_extend(
            draft, address, new, current
        )
    if not allowed:
        return False
    by_hand = drifted and new.size_bytes == old.size_bytes
    draft.add(
        verb,
        address,
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

    Somebody may have made room in an emergency; taking it away again at night, or stopping the whole plan for it, helps nobody.
    """
    if observed is None or observed.size_bytes is None or new.allow_shrink or new.size_bytes != old.size_bytes:
        return False
    if observed.size_bytes <= new.size_bytes or observed.size_bytes == record.size_bytes:
        return False
    change = size_change(observed.size_bytes, new.size_bytes)
    place = own_place(draft.desired, address, "size")
    draft.tell(
        warning,
        "share.grown",
        f"{address} was made larger on its backend: it has {change.before}, its manifest says {change.after}",
        detail="it stays as it is; sharectl takes room away only where that is asked for.",
        remedy=f"write size: {change.before}, or set allowShrink: true{place}, then the next apply makes it {change.after}",
        address=address,
        path="spec.size",
    )
    return True


def would_shrink(desired: Desired, address: Address, change: FieldChange, source: Source | None = None) -> Diagnostic:
    """Return the error about a share that its manifest makes smaller without allowing that."""
    return error(
        "share.shrink",
        f"{address} would shrink from {change.before} to {change.after}",
        detail="a smaller share may not hold what is in it, and whoever uses it may count on the room.",
        remedy=f"write size: {change.before}, or set allowShrink: true{own_place(desired, address, 'size')}",
        address=address,
        source=source,
    )


def _may_extend(draft: Draft, address: Address, new: ShareSpec, current_bytes: int) -> bool:
    share_type = draft.desired.share_types.get(new.share_type or "")
    if share_type is None:
        return True
    from sharectl.scheduler.request import (  # noqa: PLC0415 - rarely needed
        Operation,
        request_from_share,
        size_limit_diagnostics,
    )

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


def _can_resize(draft: Draft, address: Address, record: Record, capability: Capability, change: FieldChange) -> bool:
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


def plan_revert(draft: Draft, address: Address, record: Record, old: ShareSpec, new: ShareSpec) -> bool:
    """Add the step that reverts the share, if its manifest newly asks for that; return False if it is refused.

    What is asked for is told by `request` alone. A new share has nothing to revert, so its first request is only recorded. What was written since the snapshot is lost, and therefore a revert counts as a removal.
    """
    wanted, answered = new.revert_to, old.revert_to
    if wanted is None:
        return True
    if answered is not None and answered.request == wanted.request:
        return _is_answered(draft, address, wanted, answered)
    if is_awaited(draft, address_of(Kind.SNAPSHOT, wanted.snapshot)):
        draft.tell(
            warning,
            "share.lost-snapshot",
            f"{address} cannot be turned back to {address_of(Kind.SNAPSHOT, wanted.snapshot)}, which is gone from its backend",
            detail="the snapshot is not taken again meanwhile, since it would hold what is in the share now.",
            remedy="name another snapshot, or remove revertTo",
            address=address,
            path=_SNAPSHOT_FIELD,
        )
        return True
    if not (_has_snapshot(draft, address, record, wanted) and _can_revert(draft, address, record, wanted)):
        return False
    draft.removals.append(address)
    reason = f"request {wanted.request} asks for {address_of(Kind.SNAPSHOT, wanted.snapshot)}"
    if answered is not None and answered.cut_short:
        reason += f"; {answered.request} was cut short"
    draft.add(
        Verb.REVERT_SHARE,
        address,
        reason,
        backend=record.backend,
        record=record,
        work=RevertShare(new, recorded_id(draft, wanted.snapshot)),
        changes=(FieldChange("revert_to", old.as_plain().get("revert_to"), new.as_plain().get("revert_to")),),
        before=before_of(draft.observed, record),
    )
    return True


def is_awaited(draft: Draft, snapshot: Address) -> bool:
    """Tell whether the snapshot is gone from its backend while a revert of a share to it is due.

    Taken again, it would hold what is in the share now, and the revert would restore the wrong content.
    """
    if snapshot not in draft.deviations or snapshot not in draft.desired.digests:
        return False
    share = address_of(Kind.SHARE, draft.desired.snapshot(snapshot).share)
    record, deviation = draft.records.get(share), draft.deviations.get(share)
    if record is None or (deviation is not None and deviation.observed is None):
        return False  # the share will be a new one, which is not reverted
    wanted = draft.desired.share(share).revert_to
    answered = share_spec_of(record).revert_to
    return (
        wanted is not None
        and address_of(Kind.SNAPSHOT, wanted.snapshot) == snapshot
        and (answered is None or answered.request != wanted.request)
    )


def hold_for_snapshot(draft: Draft, clone: Address, snapshot: Address) -> bool:
    """Say of a clone that it waits, and return True, where its snapshot is gone and not taken again since a revert to it is due."""
    deviation = draft.deviations.get(snapshot)
    if deviation is None or deviation.observed is not None or not is_awaited(draft, snapshot):
        return False
    draft.tell(
        warning,
        SHARE_HELD,
        f"{clone} waits: {snapshot} is gone from its backend, and is not taken again while a share is to be turned back to it",
        remedy="name another snapshot in that share's revertTo, or remove revertTo",
        address=clone,
        path="",
    )
    return True


def _is_answered(draft: Draft, address: Address, wanted: RevertRequest, answered: RevertRequest) -> bool:
    """Tell whether a request that was begun before may stand as it is; say so where nobody knows how it ended."""
    if wanted.snapshot != answered.snapshot and not was_renamed(
        draft, Kind.SNAPSHOT, answered.snapshot, wanted.snapshot
    ):
        draft.refuse(
            "share.request-used",
            address,
            f"{address}: request {wanted.request} was about {address_of(Kind.SNAPSHOT, answered.snapshot)}, and now names {address_of(Kind.SNAPSHOT, wanted.snapshot)}",
            detail="a request is answered once; one for another snapshot is another request.",
            remedy="write a new request, or take the change of the snapshot back",
            path=_SNAPSHOT_FIELD,
            holds=REVERTING,
        )
        return False
    if answered.cut_short:
        draft.tell(
            warning,
            "share.revert-cut-short",
            f"nobody knows whether {address} was turned back to {address_of(Kind.SNAPSHOT, wanted.snapshot)}: request {wanted.request} was cut short",
            detail="it is not repeated by itself, which could destroy what was written since.",
            remedy="look into the share; write a new request to turn it back (again), or remove revertTo to leave it as it is",
            address=address,
            path="spec.revertTo.request",
        )
    return True


def _has_snapshot(draft: Draft, address: Address, record: Record, wanted: RevertRequest) -> bool:
    """Tell whether the snapshot is there, or will be, and is one of this share; refuse where not."""
    snapshot = address_of(Kind.SNAPSHOT, wanted.snapshot)
    known = draft.records.get(snapshot)
    if snapshot not in draft.desired.digests:
        end = "it is removed as its manifest is gone" if known is not None else "there is none"
        _refuse_revert(draft, "share.no-snapshot", address, snapshot, end, "name a snapshot that has a manifest")
    elif known is not None and share_resource_id(known) != record.resource_id:
        end = "it was taken of another share, or of the one that this share has replaced"
        _refuse_revert(draft, "share.other-snapshot", address, snapshot, end, "name a snapshot of this share")
    elif known is None and snapshot not in draft.new:
        refuse_left_out(draft, address, snapshot, REVERTING)
    else:
        return True
    return False


def _can_revert(draft: Draft, address: Address, record: Record, wanted: RevertRequest) -> bool:
    """Tell whether the backend can do it, and nothing protects the share; refuse where not."""
    snapshot = address_of(Kind.SNAPSHOT, wanted.snapshot)
    if lacks(draft, record.backend, Capability.REVERT):
        end = f"the driver of backend {record.backend} cannot do that"
        remedy = "remove revertTo; a new share with sourceSnapshot holds what the snapshot holds"
        _refuse_revert(draft, "share.no-revert", address, snapshot, end, remedy)
        return False
    if is_protected(draft, address, record):
        draft.refuse(
            "safety.protected",
            address,
            f"{address} is protected and would be turned back to {snapshot}",
            detail="what was written since the snapshot would be lost, as by a removal.",
            remedy=f"apply protect: false first, or pass --override-protection {address}",
            path=_SNAPSHOT_FIELD,
            holds=REVERTING,
        )
        return False
    return True


def _refuse_revert(draft: Draft, code: str, address: Address, snapshot: Address, why: str, remedy: str) -> None:  # noqa: PLR0913, PLR0917 - the words of one refusal
    draft.refuse(
        code,
        address,
        f"{address} cannot be turned back to {snapshot}: {why}",
        remedy=remedy,
        path=_SNAPSHOT_FIELD,
        holds=REVERTING,
    )
