"""Snapshot policies of shares: the steps that give a share its policy, or end it where the share is let go of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.model.diagnostics import counted, warning
from sharectl.model.field_changes import FieldChange
from sharectl.model.plans import Action, ScheduleSnapshots
from sharectl.model.verbs import Verb
from sharectl.planner.draft import REMOVING, lacks
from sharectl.planner.records import RECORDED_POLICY, host_of, policy_in, wanted_policy
from sharectl.planner.shares.export_names import listed
from sharectl.state.rows import share_spec_of

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare, ScheduledSnapshots
    from sharectl.model.records import Record
    from sharectl.model.specs import ShareSpec, SnapshotPolicy
    from sharectl.planner.draft import Draft

_PATH: Final = "spec.snapshotPolicy"
_SCHEDULING: Final = frozenset({Verb.SCHEDULE_SNAPSHOTS})


def plan_new_schedule(draft: Draft, address: Address, backend: str, action: Action) -> None:
    """Add the step that gives a new share its policy."""
    spec = draft.desired.share(address)
    wanted = wanted_policy(draft.desired, spec)
    if wanted is None:
        return
    if draft.has(address, Verb.FORGET):
        draft.refuse(
            "share.schedule-replaced",
            address,
            f"{address} cannot get a snapshot policy while the share that it replaces first is left behind",
            detail="ending the policy of the old share and giving one to the new would be one step.",
            remedy="write replacement: createFirst, or add the snapshot policy once the new share is there",
            path="spec.replacement",
        )
        return
    changes = () if spec.snapshot_policy is not None else _changes(None, wanted)  # its own is shown with the share
    draft.add(
        Verb.SCHEDULE_SNAPSHOTS,
        address,
        "its snapshot policy",
        action=action,
        backend=backend,
        work=ScheduleSnapshots(spec, wanted),
        changes=changes,
    )
    _tell_unwatched(draft, address, backend)


def plan_schedule(
    draft: Draft, address: Address, record: Record, spec: ShareSpec, observed: ObservedShare | None
) -> ShareSpec:
    """Add the step that gives a share that is there the policy that it is to have, none where it has it; return the spec to be recorded.

    Where the policy is refused, that is with the one that it has.
    """
    wanted, recorded = wanted_policy(draft.desired, spec), policy_in(record)
    current = recorded if observed is None else observed.snapshot_policy
    if wanted == current:
        return spec
    why = None if wanted is None else _why_not(draft, record)
    if why is not None:
        draft.refuse(
            "share.no-snapshot-policy",
            address,
            f"{address} cannot have a snapshot policy: {why}",
            remedy="remove snapshotPolicy; of its share type: write `snapshotPolicy: {}` in the share",
            path=_PATH,
            holds=_SCHEDULING,
        )
        return replace(spec, snapshot_policy=share_spec_of(record).snapshot_policy)
    by_hand = wanted == recorded
    own = "its manifest" if spec.snapshot_policy is not None or spec.share_type is None else "its share type"
    reason = "its snapshot policy was changed on the backend" if by_hand else f"{own} says so"
    draft.add(
        Verb.SCHEDULE_SNAPSHOTS,
        address,
        reason,
        backend=record.backend,
        record=record,
        work=ScheduleSnapshots(spec, wanted),
        changes=_changes(current, wanted),
    )
    if wanted is not None:
        _tell_unwatched(draft, address, record.backend)
    return spec


def _why_not(draft: Draft, record: Record) -> str | None:
    """Return why no snapshots are taken of a share by a policy, None where they are, or nobody has asked."""
    if lacks(draft, record.backend, Capability.SNAPSHOT_POLICY):
        return f"the driver of backend {record.backend} takes no snapshots by itself"
    return f"{host_of(record)}, which holds it, takes no snapshots" if host_of(record) in draft.unsnapshotted else None


def end_schedule(draft: Draft, address: Address, record: Record, reason: str) -> bool:
    """Add the step after which nothing is taken or let go of by a policy of a share that stays behind; return False where it is refused."""
    current = policy_in(record) if (observed := listed(draft.observed, record)) is None else observed.snapshot_policy
    if current is None:
        return True
    if record.backend not in draft.desired.backends:
        draft.refuse(
            "share.schedule-stays",
            address,
            f"{address} would be forgotten, and its snapshot policy would stay in force: the manifest of backend {record.backend} is gone",
            detail="without it sharectl cannot reach the share to end the policy.",
            remedy=f"restore that manifest and apply; or `sharectl state rm {address}` forgets the share and leaves its policy as it is",
            holds=REMOVING,
        )
        return False
    draft.add(
        Verb.SCHEDULE_SNAPSHOTS,
        address,
        f"{reason}; the snapshots that were taken stay",
        action=Action.FORGET,
        backend=record.backend,
        record=record,
        work=ScheduleSnapshots(),
        changes=_changes(current, None),
    )
    return True


def scheduled_with(draft: Draft, record: Record) -> ScheduledSnapshots | None:
    """Return the scheduled snapshots that go with a share, as its backend lists them; None where there are none, or it was not asked."""
    observed = listed(draft.observed, record)
    found = None if observed is None else observed.scheduled_snapshots
    return None if found is None or not found.number else found


def words_of_scheduled(draft: Draft, record: Record) -> str:
    """Return what to say of the scheduled snapshots that are destroyed with a share; nothing where there are none."""
    found = scheduled_with(draft, record)
    if found is not None:
        return f", with its {counted(found.number, 'scheduled snapshot')}"
    was_asked = listed(draft.observed, record) is not None
    return "" if was_asked or RECORDED_POLICY not in record.attributes else ", with the snapshots that its policy took"


def _tell_unwatched(draft: Draft, address: Address, backend: str | None) -> None:
    """Warn where nobody will be there who takes the snapshots."""
    seen = draft.observed.get(backend or "")
    if (
        seen is not None
        and seen.report is not None
        and seen.report.capabilities.get("snapshot_policy_support") is False
    ):
        draft.tell(
            warning,
            "share.unscheduled",
            f"nobody will take the snapshots of {address}: backend {backend} has `supervisor: none`",
            remedy="let its servers be watched over (`supervisor: auto`), or remove snapshotPolicy",
            address=address,
            path=_PATH,
        )


def _changes(before: SnapshotPolicy | None, after: SnapshotPolicy | None) -> tuple[FieldChange, ...]:
    plain = [None if policy is None else policy.as_plain() for policy in (before, after)]
    return (FieldChange("snapshot_policy", *plain),)
