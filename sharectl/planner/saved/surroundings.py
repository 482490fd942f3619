"""What a saved plan relies on besides the rows that it changes: what a removal would take along, and what a share is made from and on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import REPLACING, CreateShare, DriftKind, RevertShare
from sharectl.model.verbs import Verb
from sharectl.planner.draft import MAKING, REMOVING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from sharectl.model.candidates import Candidate
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan, Step
    from sharectl.model.records import Record

    Rows = Mapping[str, Address]
    """By the id of a step, the address that its row had when the plan was made."""

TAKING_ALONG: Final = frozenset({Verb.DELETE_SHARE, Verb.TRASH_SHARE, Verb.DELETE_SHARE_SERVER})
"""What is removed with all that is in it or on it, as far as its backend goes."""
_SEEN_TO: Final = REMOVING | MAKING
_SETTING_UP: Final = frozenset({Verb.PREPARE_BACKEND, Verb.CREATE_SHARE_SERVER})


def changed_surroundings(
    plan: Plan, records: Mapping[Address, Record], inside: Mapping[Address, Mapping[Address, Record]], rows: Rows
) -> Iterator[tuple[Address, str]]:
    """Yield the row of each step whose surroundings are not those that were reviewed, and why.

    `records` are the rows of the state now, and `inside` the snapshots of a share, or the shares on a share server, by its row's address.
    """
    seen_to = {rows[step.step_id] for step in plan.steps if step.verb in _SEEN_TO}
    seen_to |= {drift.address for drift in plan.drift if drift.kind is DriftKind.GONE}
    there = records.keys() | {step.address for step in plan.steps if step.verb in _SETTING_UP}
    formers = {step.address: step.former for step in plan.steps if step.former is not None}
    for step in plan.steps:
        if step.verb in TAKING_ALONG:
            found = min(inside.get(rows[step.step_id], {}).keys() - seen_to, default=None)
            if found is not None:
                yield rows[step.step_id], f"{found} has come since the plan was made, and would go with it"
        elif (source := _source(step)) is not None:
            address, resource_id = source
            record = records.get(address) or records.get(formers.get(address, address))
            if record is None or record.resource_id != resource_id:
                state = "gone" if record is None else "another one"
                yield rows[step.step_id], f"{address}, which it is about, is {state} since the plan was made"
        if step.action in REPLACING and step.candidates:
            lacking = [_gone(place, there) for place in step.candidates]
            if all(lacking):
                yield (
                    rows[step.step_id],
                    f"{lacking[0]}, which the new share was to be on, is gone since the plan was made",
                )


def _gone(place: Candidate, there: Container[Address]) -> Address:
    """Return what a new share needs at its place and will not be there; nothing where all is."""
    backend = address_of(Kind.BACKEND, place.backend)
    if backend not in there:
        return backend
    return "" if place.share_server is None or place.share_server in there else place.share_server


def _source(step: Step) -> tuple[Address, str] | None:
    """Return the snapshot that a share is made from or reverted to, with its resource id, where it was there already."""
    work, name = step.work, None
    if isinstance(work, CreateShare):
        name = work.spec.source_snapshot
    elif isinstance(work, RevertShare) and work.spec.revert_to is not None:
        name = work.spec.revert_to.snapshot
    if name is None or not isinstance(work, CreateShare | RevertShare) or work.source_id is None:
        return None
    return address_of(Kind.SNAPSHOT, name), work.source_id
