"""Changes of the state by hand that reach further than one row: a backend's other name, and intents that nobody can resolve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.engine.environment import utc_now
from sharectl.model.canonical import canonical_json
from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error
from sharectl.model.kinds import Kind, name_of
from sharectl.model.records import AddHistory, EndOperation, HistoryEntry, RenameBackend
from sharectl.model.verbs import Verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.records import Lease, OperationRecord, RunRecord
    from sharectl.state.contract import StateStore


def rename_backend(store: StateStore, lease: Lease, record: RunRecord, former: Address, address: Address) -> int:
    """Give a backend another name in the state, with all that is on it; return how many resources follow. Raises DiagnosticError."""
    old, new = name_of(former), name_of(address)
    with store.read() as reader:
        view = reader.view()
    following = [row.address for row in view.records.values() if row.backend == old and row.kind != Kind.BACKEND]
    pinned = view.records.get(former)
    if pinned is None and not following:
        remedy = "`sharectl state list` names what there is"
        raise DiagnosticError(error("state.unknown-address", f"the state has no {former}", remedy=remedy))
    taken = view.records.get(address)
    if taken is not None:
        same = pinned is not None and taken.resource_id == pinned.resource_id
        detail = "both are the same storage." if same else "they are different storages." if pinned is not None else ""
        remedy = f"`sharectl state rm {address}` first, which forgets only the name and its identity"
        raise DiagnosticError(
            error("state.taken", f"the state holds {address} already", detail=detail, remedy=remedy, address=address)
        )
    words = {"reason": "state mv", "changes": [["address", former, address]], "followed": len(following)}
    history = HistoryEntry(record.run_id, utc_now(), address, Verb.MOVE.value, "done", canonical_json(words))
    version = None if pinned is None else pinned.version
    store.commit(lease, [RenameBackend(old, new, version), AddHistory(history)])
    return len(following)


def open_operations(store: StateStore) -> tuple[OperationRecord, ...]:
    """Return the intents whose end is not recorded, oldest first."""
    with store.read() as reader:
        return reader.view(()).operations


def chosen_operations(operations: Sequence[OperationRecord], names: Sequence[str]) -> list[OperationRecord]:
    """Return the operations with these ids, or at these addresses. Raises DiagnosticError for what is none."""
    chosen: dict[str, OperationRecord] = {}
    problems = []
    for name in names:
        found = [operation for operation in operations if name in {operation.operation_id, operation.address}]
        chosen |= {operation.operation_id: operation for operation in found}
        if not found:
            near = did_you_mean(name, [operation.operation_id for operation in operations])
            remedy = near or "`sharectl state operations` lists those that are"
            problems.append(error("state.no-operation", f"no operation {name} is open", remedy=remedy))
    if problems:
        raise DiagnosticError(*problems)
    return list(chosen.values())


def drop_operations(store: StateStore, lease: Lease, record: RunRecord, dropped: Sequence[OperationRecord]) -> None:
    """Forget these intents, in one commit; nothing is asked of a backend, and no row changes."""
    store.commit(
        lease,
        [
            change
            for operation in dropped
            for change in (
                EndOperation(operation.operation_id),
                AddHistory(
                    HistoryEntry(
                        record.run_id,
                        utc_now(),
                        operation.address,
                        operation.verb,
                        "failed",
                        canonical_json({"error": "dropped by `sharectl state drop`; how it ended is not known"}),
                    )
                ),
            )
        ],
    )
