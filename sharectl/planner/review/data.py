"""What a plan does to data, and where it puts what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.model.plans import CreateShare, DriftKind, RevertShare
from sharectl.model.verbs import Verb
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.review.nouns import Fate, Loss, Placing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.model.candidates import Candidate
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Drift, Step
    from sharectl.model.specs import SnapshotSpec

_FATES: Final[Mapping[Verb, Fate]] = {
    Verb.DELETE_SHARE: Fate.DESTROYED,
    Verb.DELETE_SNAPSHOT: Fate.DESTROYED,
    Verb.REVERT_SHARE: Fate.REVERTED,
    Verb.TRASH_SHARE: Fate.TRASHED,
    Verb.FORGET: Fate.LEFT,
}
_GONE: Final = "nothing of this plan took it: look for it on its backend and in backups, before a new, empty one takes its place or it is forgotten"
_FINAL: Final = "it cannot be undone"


def steps_by_address(steps: Iterable[Step]) -> dict[Address, list[Step]]:
    """Return the steps of each resource, sorted by address; those of a share that is pushed aside are under the name that it had."""
    found: dict[Address, list[Step]] = {}
    for step in steps:
        found.setdefault(step.address.partition(DEPOSED_MARK)[0], []).append(step)
    return dict(sorted(found.items()))


def losses(steps_at: Mapping[Address, Sequence[Step]], drift: Iterable[Drift]) -> tuple[Loss, ...]:
    """Return the data that goes, and what is gone from its backend already; the irreversible first."""
    taken = (step for steps in steps_at.values() for step in steps if step.verb is Verb.CREATE_SNAPSHOT)
    snapshotted = {address_of(Kind.SHARE, cast("SnapshotSpec", step.spec).share): step.address for step in taken}
    found = [loss for address, steps in steps_at.items() for loss in _losses(address, steps, snapshotted.get(address))]
    gone = {each.address for each in drift if each.kind is DriftKind.GONE and _holds_data(each.address)}
    found += [
        Loss(
            address,
            Fate.GONE,
            None,
            None,
            _GONE,
            any(isinstance(step.work, CreateShare) for step in steps_at.get(address, ())),
        )
        for address in sorted(gone)
    ]
    return tuple(sorted(found, key=lambda loss: not loss.fate.is_final))


def _losses(address: Address, steps: Sequence[Step], snapshot: Address | None) -> Iterator[Loss]:
    is_replaced = any(isinstance(step.work, CreateShare) for step in steps)
    for step in steps:
        fate = Fate.THINNED if _keeps_fewer(step) else _FATES.get(step.verb)
        if fate is None or not _holds_data(address):
            continue
        before = step.before
        if fate is Fate.LEFT and before is None:
            continue  # gone from its backend already
        size_bytes, used_bytes = (None, None) if before is None else (before.size_bytes, before.used_bytes)
        yield Loss(address, fate, used_bytes, size_bytes, _undo(step, fate, address, snapshot), is_replaced)


def _holds_data(address: Address) -> bool:
    return is_of(Kind.SHARE, address) or is_of(Kind.SNAPSHOT, address)


def _keeps_fewer(step: Step) -> bool:
    """Tell whether snapshots go because a policy keeps fewer of them; a policy that ends leaves them."""
    return step.verb is Verb.SCHEDULE_SNAPSHOTS and any(map(is_smaller_policy, step.changes))


def is_smaller_policy(changed: FieldChange) -> bool:
    """Tell whether it is a snapshot policy that keeps fewer snapshots of an interval than before."""
    if changed.field != "snapshot_policy" or not all(
        isinstance(each, dict) for each in (changed.before, changed.after)
    ):
        return False
    return any(
        _kept(changed.after.get(name)) < _kept(before)
        for name, before in changed.before.items()
        if name in changed.after
    )


def regaining(steps_at: Mapping[Address, Sequence[Step]]) -> list[Address]:
    """Return the shares whose policy gets an interval, and that have more scheduled snapshots than it keeps.

    They may be of this interval, from when the policy had it before: then the oldest go.
    """
    return [address for address, steps in steps_at.items() if any(map(_may_regain, steps))]


def _may_regain(step: Step) -> bool:
    number = None if step.before is None else step.before.scheduled_number
    if step.verb is not Verb.SCHEDULE_SNAPSHOTS or not number:
        return False
    added = [
        interval
        for change in step.changes
        if change.field == "snapshot_policy" and isinstance(change.after, dict)
        for name, interval in change.after.items()
        if isinstance(interval, dict) and name not in (change.before or {})
    ]
    return any(_kept(interval) < number for interval in added)


def _kept(interval: Any) -> int:  # noqa: ANN401 - a part of a plain policy, or its time zone
    return int(interval["keep"]) if isinstance(interval, dict) else 0


def _undo(step: Step, fate: Fate, address: Address, snapshot: Address | None) -> str:
    """Return how what a step does to data is undone."""
    if fate is Fate.REVERTED and isinstance(step.work, RevertShare):
        wanted = step.work.spec.revert_to
        if snapshot is not None and wanted is not None and address_of(Kind.SNAPSHOT, wanted.snapshot) != snapshot:
            return f"{snapshot}, which is taken first, holds what is there now"
        return _FINAL
    if fate in {Fate.DESTROYED, Fate.THINNED}:
        return _FINAL
    where = "from the trash" if fate is Fate.TRASHED else "under management"
    return f"`sharectl import {address} ID` brings it back {where}, until somebody removes it"


def placings(steps_at: Mapping[Address, Sequence[Step]]) -> tuple[Placing, ...]:
    """Return where new shares go, with all that go there for the same reason, in the order of the first of each."""
    found: dict[Placing, list[Address]] = {}
    for address, steps in steps_at.items():
        for step in steps:
            if isinstance(step.work, CreateShare) and step.work.candidates:
                found.setdefault(_placing(step, step.work), []).append(address)
    return tuple(placing._replace(addresses=tuple(addresses)) for placing, addresses in found.items())


def _placing(step: Step, work: CreateShare) -> Placing:
    best = work.candidates[0]
    return Placing((), best.backend, best.pool, len(work.candidates), _why(step, work))


def _why(step: Step, work: CreateShare) -> str:
    """Return why the first candidate is the first."""
    if work.spec.source_snapshot is not None:
        return f"{address_of(Kind.SNAPSHOT, work.spec.source_snapshot)} is there"
    if step.expected_version is not None and len(work.candidates) == 1 and not work.candidates[0].weight:
        return "it was there before"
    if len(work.candidates) == 1:
        return "no other pool can take it"
    first, second = _first_two(work.candidates)
    ahead = dict(first.weights)
    behind = dict(second.weights)
    gains = {name: ahead.get(name, 0.0) - behind.get(name, 0.0) for name in {*ahead, *behind}}
    decisive = max(sorted(gains), key=lambda name: gains[name], default="")
    if not decisive or gains[decisive] <= 0:
        return f"as good as {second.host}, and the first by name"
    return f"{decisive} prefers it to {second.host}"


def _first_two(candidates: Iterable[Candidate]) -> tuple[Candidate, Candidate]:
    each = iter(candidates)
    return next(each), next(each)
