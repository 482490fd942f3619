"""Names under which clients see shares: whether another share has the name, and what a new name changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.base import Capability
from sharectl.model.access import BOTH, may_become, protocol_words
from sharectl.model.export_names import key
from sharectl.model.field_changes import FieldChange
from sharectl.model.plans import Action
from sharectl.model.specs import DeletionPolicy, ShareSpec
from sharectl.planner.draft import lacks
from sharectl.planner.shares.export_names import Holder, exported_as, listed
from sharectl.state.rows import share_spec_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.candidates import Candidate
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record
    from sharectl.model.verbs import Verb
    from sharectl.planner.draft import Draft
    from sharectl.planner.shares.export_names import Server

_PATH = "spec.exportName"


def may_have_name(draft: Draft, address: Address, candidate: Candidate) -> bool:
    """Tell whether a new share can be exported under its name where it is placed; refuse it where another has the name."""
    spec = draft.desired.share(address)
    if spec.export_name is None and not draft.asks_for_export_names:
        return True
    server = candidate.backend, candidate.share_server
    holder = _replaced_holder(draft, address, server, spec) or draft.export_names.in_the_way(address, server, spec)
    if holder is not None:
        _refuse_taken(draft, address, spec, server, holder, None)
        return False
    draft.export_names.take(address, server, spec)
    return True


def _replaced_holder(draft: Draft, address: Address, server: Server, spec: ShareSpec) -> Holder | None:
    """Return the share that the new one replaces, if that still has the name when the new one is made."""
    order, old = draft.replaced.get(address), draft.state.records.get(address)
    if spec.export_name is None or order is None or old is None or draft.export_names.server_of(old) != server:
        return None
    before = share_spec_of(old)
    is_given_up = order is Action.DELETE_THEN_CREATE and before.deletion_policy != DeletionPolicy.RETAIN
    if is_given_up or key(exported_as(before)) != key(spec.export_name):
        return None
    return Holder(exported_as(before), None, "the share that it replaces", is_asked_for=True)


class ExportChanges(NamedTuple):
    """What clients of a share see change: the name of its export, its protocols; and the spec that can be recorded then."""

    changes: tuple[FieldChange, ...]
    spec: ShareSpec


def export_changes(draft: Draft, address: Address, record: Record, old: ShareSpec, new: ShareSpec) -> ExportChanges:
    """Return how the export of a share is to change; where it cannot, that is refused, and what it has stays recorded."""
    there = listed(draft.observed, record)
    changes: list[FieldChange] = []
    if (was := _protocol_there(old, new, there)) != new.protocol:
        if _can_have(draft, address, record, new, Capability.PROTOCOLS):
            changes.append(FieldChange("protocol", was, str(new.protocol)))
        else:
            new = replace(new, protocol=old.protocol)
    if old.export_name is None and new.export_name is None:
        return ExportChanges(tuple(changes), new)
    before = exported_as(old) if there is None or there.export_name is None else there.export_name
    if before == exported_as(new):
        return ExportChanges(tuple(changes), new)
    if _can_have(draft, address, record, new, Capability.EXPORT_NAME):
        server = draft.export_names.server_of(record)
        holder = draft.export_names.in_the_way(address, server, new)
        if holder is None:
            changes.append(FieldChange("export_name", before, exported_as(new)))
            return ExportChanges(tuple(changes), new)
        _refuse_taken(draft, address, new, server, holder, frozenset())
    return ExportChanges(tuple(changes), replace(new, export_name=old.export_name))


def _protocol_there(old: ShareSpec, new: ShareSpec, there: ObservedShare | None) -> str:
    """Return the protocols that a share has: as listed, where it can be changed to what is wanted, else as recorded."""
    listed_as = None if there is None else there.protocol
    return listed_as if listed_as is not None and may_become(listed_as, str(new.protocol)) else str(old.protocol)


_PLACES: Final = {Capability.PROTOCOLS: ("protocol", "spec.protocol"), Capability.EXPORT_NAME: ("export_name", _PATH)}
_LACKING: Final = {
    Capability.PROTOCOLS: ("its driver exports a share over one protocol alone", "write the protocol that it has"),
    Capability.EXPORT_NAME: ("its driver exports shares under their own names alone", "remove exportName"),
}


def _can_have(draft: Draft, address: Address, record: Record, new: ShareSpec, what: Capability) -> bool:
    field, path = _PLACES[what]
    if what is Capability.PROTOCOLS and new.protocol == BOTH:
        path = "spec.protocols"
    refusals = list(_problems(draft, record, new, what, field))
    wanted = f"as {exported_as(new)!r}" if what is Capability.EXPORT_NAME else f"over {protocol_words(new.protocol)}"
    for summary, remedy in refusals:
        draft.refuse(
            "share.unfit",
            address,
            f"{address} cannot be exported {wanted} on backend {record.backend}: {summary}",
            remedy=remedy,
            path=path,
            holds=frozenset(),
        )
    return not refusals


def _problems(draft: Draft, record: Record, new: ShareSpec, what: Capability, field: str) -> Iterator[tuple[str, str]]:
    backend = record.backend or ""
    if lacks(draft, backend, what):
        yield _LACKING[what]
    elif backend in draft.desired.backends:
        for problem in draft.checks.problems(backend, draft.checks.wanted(new, (), record.pool), new.share_type):
            if problem.path == (field,):
                yield problem.summary, problem.remedy


def _refuse_taken(  # noqa: PLR0913, PLR0917 - both sides of a clash, and what it holds
    draft: Draft, address: Address, spec: ShareSpec, server: Server, holder: Holder, holds: frozenset[Verb] | None
) -> None:
    where = f"backend {server[0]}" if server[1] is None else f"{server[1]} of backend {server[0]}"
    wanted = exported_as(spec)
    is_same = key(holder.name) == key(wanted)
    draft.refuse(
        "share.export-name-taken",
        address,
        f"{address} cannot be exported as {wanted!r} on {where}: {_named(draft, holder)} is exported as {holder.name!r} there",
        detail=(
            "clients see no difference between upper and lower case, nor between the ways to write one accent."
            if is_same and not (holder.name + wanted).isascii()
            else "clients see no difference between upper and lower case."
            if is_same
            else "no server exports a path below another export."
        ),
        remedy="write another exportName, or give the other share another one and apply that first",
        path=_PATH if spec.export_name is not None else "",
        holds=holds,
    )


def _named(draft: Draft, holder: Holder) -> str:
    """Return the holder with its place: where its manifest says so, or where it is on the backend."""
    if holder.address is None:
        return holder.backend_id
    if holder.address not in draft.desired.digests:
        return holder.address
    fields = ("spec", "exportName") if draft.desired.share(holder.address).export_name is not None else ()
    source = draft.desired.field_source(holder.address, *fields) if fields else draft.desired.source(holder.address)
    return f"{holder.address} ({source.path}:{source.line})" if source is not None else holder.address
