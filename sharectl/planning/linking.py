"""What each step waits for, and the order of all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from sharectl.graph import topological_order
from sharectl.model import ShareSpec, SnapshotSpec, Verb
from sharectl.planning.draft import step_id
from sharectl.planning.records import DEPOSED_MARK

if TYPE_CHECKING:
    from sharectl.model import Address
    from sharectl.planning.draft import Draft
    from sharectl.planning.types import Step

_REMOVALS = (Verb.DELETE_SHARE, Verb.TRASH_SHARE, Verb.FORGET)


def linked_steps(draft: Draft) -> tuple[Step, ...]:
    """Return the steps with what they wait for, each after all of that, otherwise by address."""
    snapshots_of = _removed_snapshots(draft)
    asides = {step.moved_from: step.address for step in draft.steps.values() if DEPOSED_MARK in step.address}
    waits: dict[str, tuple[str, ...]] = {}
    for name in sorted(draft.steps, key=lambda name: (draft.steps[name].address, name)):
        step = draft.steps[name]
        waits[name] = tuple(other for other in _waits_for(step, snapshots_of, asides) if other in draft.steps)
    return tuple(
        replace(draft.steps[name], waits_for=waits[name]) if waits[name] else draft.steps[name]
        for name in topological_order(waits)
    )


def _waits_for(
    step: Step, snapshots_of: dict[Address, list[Address]], asides: dict[Address | None, Address]
) -> tuple[str, ...]:
    address, verb = step.address, step.verb
    if verb is Verb.PREPARE_BACKEND or (verb is Verb.MOVE and DEPOSED_MARK not in address):
        return ()
    needed: list[str] = [step_id(Verb.MOVE, address)]
    if verb is Verb.CREATE_SHARE:
        needed = [step_id(Verb.PREPARE_BACKEND, f"backend/{step.backend}")]
        needed += [step_id(removal, address) for removal in _REMOVALS]
        if address in asides:
            needed.append(step_id(Verb.MOVE, asides[address]))
        if isinstance(step.spec, ShareSpec) and step.spec.source_snapshot is not None:
            needed.append(step_id(Verb.CREATE_SNAPSHOT, f"snapshot/{step.spec.source_snapshot}"))
    elif verb is Verb.UPDATE_ACCESS:
        needed.append(step_id(Verb.CREATE_SHARE, address))
    elif verb is Verb.CREATE_SNAPSHOT and isinstance(step.spec, SnapshotSpec):
        owner = f"share/{step.spec.share}"
        needed += [step_id(Verb.CREATE_SHARE, owner), step_id(Verb.MOVE, owner)]
    elif verb in _REMOVALS:
        needed += [step_id(Verb.DELETE_SNAPSHOT, snapshot) for snapshot in snapshots_of.get(address, ())]
        successor, mark, _ = address.partition(DEPOSED_MARK)
        if mark:
            needed += [step_id(Verb.CREATE_SHARE, successor), step_id(Verb.UPDATE_ACCESS, successor)]
    elif verb is Verb.MOVE:
        needed = []
    return tuple(needed)


def _removed_snapshots(draft: Draft) -> dict[Address, list[Address]]:
    owners: dict[Address, list[Address]] = {}
    for step in draft.steps.values():
        if step.verb is Verb.DELETE_SNAPSHOT:
            share = orjson.loads(draft.records[step.address].spec)["share"]
            owners.setdefault(f"share/{share}", []).append(step.address)
    return owners
