"""Renames: a resource whose manifest has another name keeps its row, and nothing on its backend is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model import Verb, address_of
from sharectl.planning.draft import step_id
from sharectl.planning.types import Action, FieldChange, Step

if TYPE_CHECKING:
    from sharectl.model import Address, Kind
    from sharectl.planning.draft import Draft
    from sharectl.planning.drift import Deviation


def plan_moves(draft: Draft) -> None:
    """Add a step for each `moved-from` annotation that still has something to do, and rename the draft's records."""
    deviations: dict[Address, Deviation] = {}
    for address, formers in sorted(draft.desired.moves.items()):
        present = [former for former in formers if former in draft.records]
        if not present or draft.options.destroy:
            continue
        former = present[0]
        if former in draft.desired.digests:
            draft.refuse(
                "move.still-there",
                address,
                f"{address} says that it was {former}, and {former} still has a manifest",
                remedy=f"remove the manifest of {former}, or the annotation sharectl/moved-from",
                path="metadata.annotations",
            )
        elif address in draft.records:
            draft.refuse(
                "move.taken",
                address,
                f"{address} says that it was {former}, and the state holds both",
                remedy="`sharectl state rm` the one that is not wanted, or remove the annotation sharectl/moved-from",
                path="metadata.annotations",
            )
        else:
            _add_move(draft, former, address)
            if former in draft.deviations:
                deviations[address] = draft.deviations[former]
    if deviations:
        draft.deviations = {**draft.deviations, **deviations}


def was_renamed(draft: Draft, kind: Kind, former: str | None, name: str) -> bool:
    """Tell whether the manifest of `name` says that this is what `former` was."""
    return former is not None and address_of(kind, former) in draft.desired.moves.get(address_of(kind, name), ())


def _add_move(draft: Draft, former: Address, address: Address) -> None:
    record = draft.records.pop(former)
    draft.records[address] = record._replace(address=address)
    draft.moved_from[address] = former
    spec = draft.desired.share(address) if record.kind == "share" else draft.desired.snapshot(address)
    draft.add(
        Step(
            step_id=step_id(Verb.MOVE, address),
            address=address,
            action=Action.MOVE,
            verb=Verb.MOVE,
            reason="renamed in the manifests; nothing changes on its backend",
            expected_version=record.version,
            spec=spec,
            changes=(FieldChange("address", former, address),),
            moved_from=former,
        )
    )
