"""Changes of the state by hand: rows forgotten or renamed, intents given up, a whole state brought back."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from sharectl.engine.environment import utc_now
from sharectl.model.canonical import canonical_json
from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error, listed
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import MANAGED_KINDS, Kind, kind_of, name_of
from sharectl.model.records import (
    AddHistory,
    EndOperation,
    HistoryEntry,
    PutResource,
    PutRun,
    RemoveResource,
    RenameBackend,
    RenameResource,
    RunRecord,
)
from sharectl.model.verbs import Verb
from sharectl.planner.records import backend_id_of, with_name
from sharectl.workspace.lookup import require_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, Lease, OperationRecord, Record, RuleRecord, RunRecord
    from sharectl.state.contract import StateStore


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the state by hand: the state, the lease that permits it, and the run that it is recorded under."""

    store: StateStore
    lease: Lease
    run: RunRecord

    def commit(self, *changes: Change) -> None:
        """Make the changes, all or none."""
        self.store.commit(self.lease, changes)

    def note(self, address: Address, verb: str, outcome: str = "done", **detail: object) -> AddHistory:
        """Return what the history is to say of a change."""
        return AddHistory(HistoryEntry(self.run.run_id, utc_now(), address, verb, outcome, canonical_json(detail)))


def rename_backend(edit: Edit, former: Address, address: Address) -> int:
    """Give a backend another name in the state, with all that is on it; return how many resources follow. Raises DiagnosticError."""
    old, new = name_of(former), name_of(address)
    with edit.store.read() as reader:
        following = [row for row in reader.find(backend=old).values() if row.kind != Kind.BACKEND]
        pinned, taken = reader.record(former), reader.record(address)
    if pinned is None and not following:
        remedy = "`sharectl state list` names what there is"
        raise DiagnosticError(error("state.unknown-address", f"the state has no {former}", remedy=remedy))
    if taken is not None:
        same = pinned is not None and taken.resource_id == pinned.resource_id
        detail = "both are the same storage." if same else "they are different storages." if pinned is not None else ""
        remedy = f"`sharectl state rm {address}` first, which forgets only the name and its identity"
        raise DiagnosticError(
            error("state.taken", f"the state holds {address} already", detail=detail, remedy=remedy, address=address)
        )
    moved = [["address", former, address]]
    history = edit.note(address, Verb.MOVE, reason="state mv", changes=moved, followed=len(following))
    edit.commit(RenameBackend(old, new, None if pinned is None else pinned.version), history)
    return len(following)


def open_operations(store: StateStore) -> tuple[OperationRecord, ...]:
    """Return the intents whose end is not recorded, oldest first."""
    with store.read() as reader:
        return reader.view(()).operations


def chosen_operations(operations: Sequence[OperationRecord], names: Sequence[str]) -> list[OperationRecord]:
    """Return the operations with these ids, at these addresses or on these resources. Raises DiagnosticError for what is none."""
    chosen: dict[str, OperationRecord] = {}
    problems = []
    for name in names:
        found = [each for each in operations if name in {each.operation_id, each.address, each.resource_id}]
        chosen |= {operation.operation_id: operation for operation in found}
        if not found:
            near = did_you_mean(name, [operation.operation_id for operation in operations])
            remedy = near or "`sharectl state operations` lists those that are"
            problems.append(error("state.no-operation", f"no operation {name} is open", remedy=remedy))
    if problems:
        raise DiagnosticError(*problems)
    return list(chosen.values())


def drop_operations(edit: Edit, dropped: Sequence[OperationRecord]) -> None:
    """Forget these intents, in one commit; nothing is asked of a backend, and no row changes."""
    why = "dropped by `sharectl state drop`; how it ended is not known"
    changes: list[Change] = []
    for operation in dropped:
        changes += [
            EndOperation(operation.operation_id),
            edit.note(operation.address, operation.verb, "failed", error=why),
        ]
    edit.commit(*changes)


def forget_resources(edit: Edit, addresses: Sequence[Address]) -> dict[Address, Record]:
    """Remove rows from the state, all or none, and return them; what they stand for stays on its backend. Raises DiagnosticError."""
    records = require_records(edit.store, addresses)
    _refuse_servers_in_use(edit.store, records)
    changes: list[Change] = []
    for address, record in records.items():
        changes += [RemoveResource(address, record.version), edit.note(address, Verb.FORGET, reason="state rm")]
    edit.commit(*changes)
    return records


def _refuse_servers_in_use(store: StateStore, records: Mapping[Address, Record]) -> None:
    """Refuse to forget share servers that shares of the state are on, unless those are forgotten too. Raises DiagnosticError."""
    with store.read() as reader:
        for server in records.values():
            used_by = reader.children(server) if server.kind == Kind.SHARE_SERVER else ()
            for address in used_by:
                if address not in records:
                    remedy = f"forget {address} too, or leave both"
                    summary = f"{address} is on {server.address}"
                    raise DiagnosticError(error("state.server-in-use", summary, remedy=remedy))


def rename_resource(edit: Edit, former: Address, address: Address) -> None:
    """Give a row another address; nothing changes on its backend. Raises DiagnosticError."""
    held = require_records(edit.store, [former])[former]
    with edit.store.read() as reader:
        is_taken = reader.record(address) is not None
    if kind_of(former) in {Kind.SHARE_SERVER, Kind.NETWORK_ALLOCATION}:
        remedy = "its address says which network and backend it is on; leave it"
        raise DiagnosticError(error("state.derived", f"{former} cannot have another address", remedy=remedy))
    if kind_of(former) is not kind_of(address):
        raise DiagnosticError(error("state.kind", f"{former} cannot become {address}: their kinds differ"))
    if is_taken:
        remedy = (
            f"to swap the two, give that one a third name first: `sharectl state mv {address} {address}-2`; "
            f"if it is not wanted, `sharectl state rm {address}` forgets it, and leaves it on its backend"
        )
        if former == address:
            remedy = "it has that address, and nothing is to be done"
        raise DiagnosticError(error("state.taken", f"the state holds {address} already", remedy=remedy))
    history = edit.note(address, Verb.MOVE, reason="state mv", changes=[["address", former, address]])
    changes: list[Change] = [RenameResource(former, address, held.version)]
    if held.kind in MANAGED_KINDS:  # what has a manifest: it is of the new name from now on
        moved = held._replace(address=address, version=held.version + 1)
        changes.append(PutResource(with_name(moved, name_of(address)), moved.version))
    edit.commit(*changes, history)


def expect_document(content: bytes, name: str) -> None:
    """Refuse anything but the document of a state, before a state is made for it. Raises DiagnosticError."""
    from sharectl.state.document import DocumentError, parse_whole  # noqa: PLC0415 - only where a state is brought back

    try:
        parse_whole(content)
    except DocumentError as problem:
        remedy = "push a document that `sharectl state pull` wrote"
        raise DiagnosticError(error("state.refused", f"{name} is not taken: {problem}", remedy=remedy)) from problem


def bring_back_document(edit: Edit, document: bytes, *, force: bool) -> None:
    """Replace everything in the state by a document, and record the run that did. Raises StateRefusedError where something would be lost."""
    edit.store.import_document(edit.lease, document, force=force)
    edit.commit(PutRun(edit.run))


def read_document(path: Path) -> bytes:
    """Return the content of a file that the user named. Raises DiagnosticError."""
    try:
        return path.read_bytes()
    except OSError as problem:
        raise DiagnosticError(error("usage.unreadable", f"{path} could not be read: {problem.strerror}")) from problem


def require_name(address: Address) -> None:
    """Refuse an address whose name no manifest could have. Raises DiagnosticError."""
    from sharectl.manifests.names import is_name  # noqa: PLC0415 - only where a name is given by hand

    if not is_name(name_of(address)):
        remedy = (
            "a name has small letters, digits, dots, dashes and underscores, 63 at most, a letter or digit at both ends"
        )
        raise DiagnosticError(
            error("usage.name", f"{name_of(address)!r} cannot be the name of a resource", remedy=remedy)
        )


def forgotten_note(record: Record, rules: Iterable[RuleRecord] = ()) -> str:
    """Return what follows from a row's removal, for the user who removed it; `rules` are those recorded of a share."""
    if record.kind == Kind.BACKEND:
        return (
            f"Forgotten: {record.address}. The next apply takes whatever storage answers under that name as the right one "
            "and pins its identity; shares that are not on it count as gone."
        )
    if record.kind == Kind.SHARE_SERVER:
        return (
            f"Forgotten: {record.address}. It stays on backend {record.backend} with its addresses, and nothing removes it any more; "
            "the next share on its network gets another."
        )
    if record.kind == Kind.NETWORK_ALLOCATION:
        return f"Forgotten: {record.address}. Another share server may get this address now."
    if record.kind != Kind.SHARE:
        return f"Forgotten: {record.address}. It stays on backend {record.backend}; while it has a manifest, the next apply makes a new one."
    return (
        f"Forgotten: {record.address}. It stays on backend {record.backend}; while it has a manifest, plans refuse to make "
        f"an empty share beside it. `sharectl import {record.address} {shlex.quote(backend_id_of(record))}` takes it over again.{_who_stays_in(rules)}"
    )


def _who_stays_in(rules: Iterable[RuleRecord]) -> str:
    """Return the sentence that names who has access to a share which is forgotten as it is."""
    kept = [f"{rule.rule.key} {rule.rule.grant}" for rule in rules if rule.status == "active"]
    if not kept:
        return ""
    return f" Its access stays: {listed(kept)}."
