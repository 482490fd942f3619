"""Snapshot policies of shares: the steps that give a share its policy, or end it when the share is forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.model.diagnostics import counted, warning
from sharectl.model.field_changes import FieldChange
from sharectl.model.observed import Before
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
_REMOVE: Final = "remove snapshotPolicy; of its share type: write `snapshotPolicy: {}` in the share"
ZONE_CAPABILITY: Final = "snapshot_policy_time_zone"
"""Under this name the report of a backend says by the clock of which time zone it takes snapshots, where it cannot by another."""
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
    if (problem := _zone_problem(draft, backend, wanted)) is not None:
        _refuse(draft, address, problem)
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

    If the policy is refused, that spec keeps the present one.
    """
    wanted, recorded = wanted_policy(draft.desired, spec), policy_in(record)
    current = recorded if observed is None else observed.snapshot_policy
    if wanted == current:
        return spec
    problem = None if wanted is None else _problem(draft, record, spec, wanted)
    if problem is not None:
        _refuse(draft, address, problem)
        return replace(spec, snapshot_policy=share_spec_of(record).snapshot_policy)
    by_hand = wanted == recorded
    own = "its manifest" if spec.snapshot_policy is not None or spec.share_type is None else "its share type"
    there = scheduled_with(draft, record)
    reason = "its snapshot policy was changed on the backend" if by_hand else f"{own} says so"
    draft.add(
        Verb.SCHEDULE_SNAPSHOTS,
        address,
        reason,
        backend=record.backend,
        record=record,
        work=ScheduleSnapshots(spec, wanted),
        changes=_changes(current, wanted),
        before=None if there is None else Before(scheduled_number=there.number),
    )
    if wanted is not None:
        _tell_unwatched(draft, address, record.backend)
    return spec


def _refuse(draft: Draft, address: Address, problem: tuple[str, str]) -> None:
    draft.refuse(
        "share.no-snapshot-policy",
        address,
        f"{address} cannot have a snapshot policy: {problem[0]}",
        remedy=problem[1],
        path=_PATH,
        holds=_SCHEDULING,
    )


def _problem(draft: Draft, record: Record, spec: ShareSpec, wanted: SnapshotPolicy) -> tuple[str, str] | None:
    """Return why no snapshots are taken of a share by its policy, and the way out; None where they are, or nobody has asked."""
    if lacks(draft, record.backend, Capability.SNAPSHOT_POLICY):
        return f"the driver of backend {record.backend} takes no snapshots by itself", _REMOVE
    if host_of(record) in draft.unsnapshotted:
        return f"{host_of(record)}, which holds it, takes no snapshots", _REMOVE
    backend = record.backend or ""
    if backend in draft.desired.backends:
        for found in draft.checks.problems(backend, draft.checks.wanted(spec, (), record.pool), spec.share_type):
            if found.path == ("snapshot_policy",):
                return found.summary, found.remedy
    return _zone_problem(draft, backend, wanted)


def _zone_problem(draft: Draft, backend: str, wanted: SnapshotPolicy) -> tuple[str, str] | None:
    """Return why the clock of a backend, where it has said whose that is, is not the one that the policy is for."""
    seen = draft.observed.get(backend)
    clock = None if seen is None or seen.report is None else seen.report.capabilities.get(ZONE_CAPABILITY)
    if clock is None:
        return None
    from sharectl.model.time_zones import zone_problem  # noqa: PLC0415 - few backends tell their clocks

    problem = zone_problem(wanted, str(clock))
    return None if problem is None else (f"backend {backend}: {problem[0]}", problem[1])


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
    """Warn if nobody will take the snapshots."""
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
