"""Renames: those that a manifest declares, by which a resource keeps its row, and those that look as if nobody had declared them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.access import access_digest
from sharectl.model.diagnostics import did_you_mean, error, listed, warning
from sharectl.model.field_changes import FieldChange
from sharectl.model.kinds import Kind, address_of, is_of, kind_of, name_of
from sharectl.model.plans import Move
from sharectl.model.verbs import Verb
from sharectl.planner.draft import SHARE_REMOVALS
from sharectl.planner.records import DEPOSED_MARK, RENAMED_ALONE
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft

_MOST_NAMED: Final = 3
_MOST_UNDECLARED: Final = 20
Likeness = tuple[object, ...]
"""What two shares have in common that are one: size, protocol, type, network, and who may reach them."""


def plan_moves(draft: Draft) -> None:
    """Add a step for each `moved-from` annotation that still has something to do, and rename the draft's records."""
    leaving: dict[Kind, list[Address]] = {}
    for address, formers in sorted(draft.desired.moves.items()):
        if draft.options.destroy:
            _tell_former_target(draft, address, formers)
            continue
        present = [former for former in formers if former in draft.records]
        if not present:
            kind = kind_of(address)
            if kind not in leaving:
                leaving[kind] = _leaving(draft, kind)
            _nothing_moved(draft, address, formers, leaving[kind])
            continue
        former = present[0]
        if former in draft.desired.digests or draft.options.described_elsewhere(former):
            draft.refuse(
                "move.still-there",
                address,
                f"{address} says that it was {former}, and {former} still has a manifest",
                remedy=f"remove the manifest of {former}, or the annotation sharectl/moved-from",
                path="metadata.annotations",
                former=former,
            )
        elif address in draft.records:
            draft.refuse(
                "move.taken",
                address,
                f"{address} says that it was {former}, and the state holds both",
                remedy="`sharectl state rm` the one that is not wanted, or remove the annotation sharectl/moved-from",
                path="metadata.annotations",
                former=former,
            )
        else:
            add_move(draft, former, address, f"renamed in the manifests{RENAMED_ALONE}")
    take_deviations_along(draft)


def take_deviations_along(draft: Draft) -> None:
    """Carry the deviations of what has moved over to its new address."""
    moved = {new: draft.deviations[old] for new, old in draft.moved_from.items() if old in draft.deviations}
    if moved:
        draft.deviations = {**draft.deviations, **moved}


def _tell_former_target(draft: Draft, address: Address, formers: Sequence[Address]) -> None:
    """Say if something is to be destroyed under a name that only the manifests have: otherwise nothing would happen, silently."""
    targets = draft.options.targets
    former = next((former for former in formers if former in draft.records), None)
    if address not in targets or address in draft.records or former is None or former in targets:
        return
    draft.tell(
        error,
        "move.not-applied",
        f"{address} is still {former} in the state, and cannot be destroyed under its new name",
        remedy=f"name it as the state does, --target {former}; or apply the rename first",
        address=address,
        path="metadata.annotations.sharectl/moved-from",
    )


def _nothing_moved(draft: Draft, address: Address, formers: Sequence[Address], leaving: Sequence[Address]) -> None:
    """Say that a former name is unknown where something of its kind is `leaving`, which may have been meant.

    An error if a new resource would be made, empty, beside one with a similar name that would go. An annotation that has done its work
    is not mentioned.
    """
    if not leaving:
        return
    near = next(filter(None, (did_you_mean(former, leaving) for former in formers)), "")
    is_new = address not in draft.records
    if not (near or is_new):
        return
    remedy = "correct the annotation sharectl/moved-from, or remove it"
    draft.tell(
        error if near and is_new else warning,
        "move.unknown",
        f"{address} says that it was {', '.join(formers)}, which the state does not know",
        detail=f"It {'would be made new and empty' if is_new else 'stays as it is'}, while this goes: {listed(leaving, _MOST_NAMED)}.",
        remedy=f"{near} {remedy}".lstrip(),
        address=address,
        path="metadata.annotations.sharectl/moved-from",
    )


def _leaving(draft: Draft, kind: Kind) -> list[Address]:
    """Return the recorded resources of a kind that neither a manifest nor an annotation names, and that the plan may remove."""
    known = draft.desired.digests.keys() | {former for names in draft.desired.moves.values() for former in names}
    targets = draft.options.targets
    return sorted(
        address
        for address in draft.records.keys() - known
        if draft.records[address].kind == kind
        and (not targets or address in targets)
        and not draft.options.described_elsewhere(address)
    )


def was_renamed(draft: Draft, kind: Kind, former: str | None, name: str) -> bool:
    """Tell whether the manifest of `name` says that this is what `former` was."""
    return former is not None and address_of(kind, former) in draft.desired.moves.get(address_of(kind, name), ())


def add_move(draft: Draft, former: Address, address: Address, reason: str) -> None:
    """Add the step that gives a recorded resource another address, under which the draft has it from here on."""
    record = draft.records.pop(former)
    draft.records[address] = record._replace(address=address)
    draft.moved_from[address] = former
    draft.compared = None
    spec = draft.desired.spec(address)
    draft.add(
        Verb.MOVE,
        address,
        reason,
        record=record,
        work=Move(former, spec),
        changes=(FieldChange("address", former, address),),
    )
    if former in draft.export_changes:
        draft.export_changes[address] = draft.export_changes.pop(former)


def tell_undeclared_renames(draft: Draft) -> None:
    """Warn of each new share that is like one whose manifest is gone: as it stands, the data stays behind."""
    gone: dict[Likeness, list[Address]] = {}
    removed = {
        step.address
        for step in draft.steps.values()
        if step.verb in SHARE_REMOVALS and DEPOSED_MARK not in step.address
    }
    for address in sorted(removed, reverse=True):
        if is_of(Kind.SHARE, address) and address in draft.records and address not in draft.desired.digests:
            gone.setdefault(_recorded_likeness(draft, address), []).append(address)
    named = 0
    for address in sorted(draft.new if gone else ()):
        if named == _MOST_UNDECLARED or not draft.has(address, Verb.CREATE_SHARE) or address in draft.records:
            continue
        alike = gone.get(_wanted_likeness(draft, address))
        if alike:
            named += 1
            _tell_undeclared(draft, address, alike.pop())


def _recorded_likeness(draft: Draft, address: Address) -> Likeness:
    record = draft.records[address]
    spec = spec_object_of(record)
    fields = (spec.get(name) for name in ("protocol", "share_type", "share_network"))
    return (record.size_bytes, *fields, record.access_digest)


def _wanted_likeness(draft: Draft, address: Address) -> Likeness:
    spec = draft.desired.share(address)
    rules = access_digest(draft.desired.access(address))
    return (spec.size_bytes, str(spec.protocol), spec.share_type, spec.share_network, rules)


def _tell_undeclared(draft: Draft, address: Address, former: Address) -> None:
    forgets = draft.has(former, Verb.FORGET)
    fate = "is forgotten and stays on its backend, with its data" if forgets else "is removed, with its data"
    draft.tell(
        warning,
        "share.undeclared-rename",
        f"{address} is like {former}, whose manifest is gone: same size, protocol, type and access",
        detail=f"as it stands, {former} {fate}, and {address} is made empty.",
        remedy=f"if it is the same share, say so: `metadata: {{annotations: {{sharectl/moved-from: {name_of(former)}}}}}`; then it keeps its data",
        address=address,
        path="",
    )
