"""Steps that turn an existing share back to one of its snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.base import Capability
from sharectl.model.diagnostics import warning
from sharectl.model.field_changes import FieldChange
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import Action, RevertShare
from sharectl.model.verbs import Verb
from sharectl.planner.moves import was_renamed
from sharectl.planner.refusals import is_protected, lacks, refuse_left_out
from sharectl.planner.scopes import REVERTING
from sharectl.planner.snapshots.owners import share_resource_id
from sharectl.state.rows import share_spec_of

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.model.specs import RevertRequest, ShareSpec
    from sharectl.planner.draft import Draft

_SNAPSHOT_FIELD = "spec.revertTo.snapshot"


def plan_revert(draft: Draft, address: Address, record: Record, old: ShareSpec, new: ShareSpec) -> bool:
    """Add the step that turns the share back, where its manifest asks for that anew; return False where it is refused.

    What is asked for is told by `request` alone. A share that is new has nothing to be turned back from, so that its first request is
    only recorded. What was written since the snapshot is lost, and therefore a revert counts as a removal.
    """
    wanted, answered = new.revert_to, old.revert_to
    if wanted is None:
        return True
    if answered is not None and answered.request == wanted.request:
        return _is_answered(draft, address, wanted, answered)
    if is_awaited(draft, address_of(Kind.SNAPSHOT, wanted.snapshot)):
        _hold(draft, address, wanted)
        return True
    if not (_has_snapshot(draft, address, record, wanted) and _is_able(draft, address, record, wanted)):
        return False
    draft.removals.append(address)
    reason = f"request {wanted.request} asks for {address_of(Kind.SNAPSHOT, wanted.snapshot)}"
    if answered is not None and answered.cut_short:
        reason += f"; {answered.request} was cut short"
    draft.add(
        Verb.REVERT_SHARE,
        address,
        Action.REVERT,
        reason,
        backend=record.backend,
        record=record,
        work=RevertShare(new),
        changes=(FieldChange("revert_to", _plain(old), _plain(new)),),
    )
    return True


def is_awaited(draft: Draft, snapshot: Address) -> bool:
    """Tell whether the snapshot is gone from its backend while a share is still to be turned back to it.

    Taken again it would hold what is in the share now, and the revert after that would be to the wrong thing.
    """
    if snapshot not in draft.deviations or snapshot not in draft.desired.digests:
        return False
    share = address_of(Kind.SHARE, draft.desired.snapshot(snapshot).share)
    record, deviation = draft.records.get(share), draft.deviations.get(share)
    if record is None or (deviation is not None and deviation.observed is None):
        return False  # the share will be a new one, which is not turned back
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
    draft.diagnostics.append(
        warning(
            "share.held",
            f"{clone} waits: {snapshot} is gone from its backend, and is not taken again while a share is to be turned back to it",
            remedy="name another snapshot in that share's revertTo, or remove revertTo",
            address=clone,
            source=draft.desired.source(clone),
        )
    )
    return True


def _hold(draft: Draft, address: Address, wanted: RevertRequest) -> None:
    """Say that the share is not turned back, since its snapshot is gone; that stops nothing else."""
    draft.diagnostics.append(
        warning(
            "share.lost-snapshot",
            f"{address} cannot be turned back to {address_of(Kind.SNAPSHOT, wanted.snapshot)}, which is gone from its backend",
            detail="the snapshot is not taken again meanwhile, since it would hold what is in the share now.",
            remedy="name another snapshot, or remove revertTo",
            address=address,
            source=draft.desired.field_source(address, "spec", "revertTo", "snapshot"),
        )
    )


def _plain(spec: ShareSpec) -> object:
    return spec.as_plain().get("revert_to")


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
        draft.diagnostics.append(
            warning(
                "share.revert-cut-short",
                f"nobody knows whether {address} was turned back to {address_of(Kind.SNAPSHOT, wanted.snapshot)}: request {wanted.request} was cut short",
                detail="it is not repeated by itself, which could destroy what was written since.",
                remedy="look into the share; write a new request to turn it back (again), or remove revertTo to leave it as it is",
                address=address,
                source=draft.desired.field_source(address, "spec", "revertTo", "request"),
            )
        )
    return True


def _has_snapshot(draft: Draft, address: Address, record: Record, wanted: RevertRequest) -> bool:
    """Tell whether the snapshot is there, or will be, and is one of this very share; refuse where not."""
    snapshot = address_of(Kind.SNAPSHOT, wanted.snapshot)
    known = draft.records.get(snapshot)
    if snapshot not in draft.desired.digests:
        end = "it is removed as its manifest is gone" if known is not None else "there is none"
        _refuse(draft, "share.no-snapshot", address, snapshot, end, "name a snapshot that has a manifest")
    elif known is not None and share_resource_id(known) != record.resource_id:
        end = "it was taken of another share, or of the one that this share has replaced"
        _refuse(draft, "share.other-snapshot", address, snapshot, end, "name a snapshot of this share")
    elif known is None and snapshot not in draft.new:
        refuse_left_out(draft, address, snapshot, REVERTING)
    else:
        return True
    return False


def _is_able(draft: Draft, address: Address, record: Record, wanted: RevertRequest) -> bool:
    """Tell whether the backend can do it, and nothing protects the share; refuse where not."""
    snapshot = address_of(Kind.SNAPSHOT, wanted.snapshot)
    if lacks(draft, record.backend, Capability.REVERT):
        end = f"the driver of backend {record.backend} cannot do that"
        remedy = "remove revertTo; a new share with sourceSnapshot holds what the snapshot holds"
        _refuse(draft, "share.no-revert", address, snapshot, end, remedy)
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


def _refuse(draft: Draft, code: str, address: Address, snapshot: Address, why: str, remedy: str) -> None:  # noqa: PLR0913, PLR0917 - the words of one refusal
    draft.refuse(
        code,
        address,
        f"{address} cannot be turned back to {snapshot}: {why}",
        remedy=remedy,
        path=_SNAPSHOT_FIELD,
        holds=REVERTING,
    )
