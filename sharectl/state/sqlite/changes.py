"""The changes of a commit as statements on the tables, inside a transaction that somebody else opens and ends."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.kinds import Kind, address_of
from sharectl.model.records import (
    AddHistory,
    BeginOperation,
    EndOperation,
    PutResource,
    PutRules,
    PutRun,
    Record,
    RemoveResource,
    RenameBackend,
    RenameResource,
)
from sharectl.state.contract import DamagedRowError, StateRefusedError, VersionConflictError
from sharectl.state.rows import expect_operation, expect_records, expect_rules, parent_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, HistoryEntry, OperationRecord, RunRecord

    _Writer = Callable[[sqlite3.Connection, Sequence[Any]], None]

INSERT_RESOURCE: Final = (
    "INSERT INTO resource (address, kind, resource_id, backend, pool, version, spec_digest, access_digest, size_bytes,"
    " protect, spec, attributes, parent_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_RULE: Final = "INSERT INTO access_rule (share_address, access_type, access_to, access_level, status, reason) VALUES (?, ?, ?, ?, ?, ?)"
INSERT_OPERATION: Final = (
    "INSERT INTO operation (operation_id, run_id, address, verb, resource_id, backend, pool, started_at, payload)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_RUN: Final = (
    "INSERT INTO run (run_id, command, user, host, started_at, git_commit, ci_job_url) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
INSERT_HISTORY: Final = (
    "INSERT INTO history (sequence, run_id, at, address, verb, outcome, detail) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE_RESOURCE: Final = (
    "UPDATE resource SET kind = ?, resource_id = ?, backend = ?, pool = ?, version = version + 1, spec_digest = ?,"
    " access_digest = ?, size_bytes = ?,"
    " protect = ?, spec = ?, attributes = ?, parent_id = ? WHERE address = ? AND version = ?"
)
_RENAME: Final = "UPDATE resource SET address = ?, version = version + 1 WHERE address = ? AND version = ?"
_KIND: Final = Record._fields.index("kind")
_VERSION: Final = Record._fields.index("version")
_SERVERS: Final = address_of(Kind.SHARE_SERVER, "")


_TOGETHER: Final = 64
"""Rows in one statement. Around each statement the interpreter's lock changes hands, which costs more than a row if many threads want it."""


class _MixedError(Exception):
    """One of several changes does not fit; which one shows when they are made one at a time."""


def apply_changes(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Make `changes` as if one after the other.

    Changes of one kind go together in one `executemany`; those of one address or operation keep their order. Raises
    VersionConflictError, StateRefusedError, and sqlite3.IntegrityError where they break a rule of the schema.
    """
    connection.execute("SAVEPOINT changes")
    try:
        for batch in _batches(changes):
            for kind, write in _WRITERS.items():
                if kind in batch:
                    write(connection, batch[kind])
    except _MixedError:
        connection.execute("ROLLBACK TO changes")
        for change in changes:
            _WRITERS[type(change)](connection, [change])


def _batches(changes: Sequence[Change]) -> Iterator[dict[type, list[Change]]]:
    """Yield the changes by kind, as many at a time as may be made in the order of `_WRITERS` instead of their own."""
    batch: dict[type, list[Change]] = {}
    latest: dict[str, int] = {}
    for change in changes:
        kind = type(change)
        order, names = _ORDER[kind], _names_in(change)
        if RenameBackend in batch or any(latest.get(name, -1) >= order for name in names):
            yield batch
            batch, latest = {}, {}
        batch.setdefault(kind, []).append(change)
        for name in names:
            latest[name] = order
    yield batch


def _names_in(change: Change) -> tuple[str, ...]:
    """Return what a change has in common with others before which it must not be made: addresses, or the id of its operation."""
    match change:
        case PutResource(record):
            return (record.address,)
        case PutRules(address) | RemoveResource(address):
            return (address,)
        case BeginOperation(operation):
            return (operation.operation_id,)
        case EndOperation(operation_id):
            return (operation_id,)
        case RenameResource(address, new_address):
            return (address, new_address)
    return ()


def resource_row(record: Record) -> tuple[object, ...]:
    """Return the values for INSERT_RESOURCE."""
    return (*record, parent_id_of(record))


def operation_row(operation: OperationRecord) -> tuple[str | bytes | None, ...]:
    """Return the values for INSERT_OPERATION."""
    return (
        operation.operation_id,
        operation.run_id,
        operation.address,
        str(operation.verb),
        operation.resource_id,
        operation.backend,
        operation.pool,
        operation.started_at,
        operation.payload,
    )


def run_row(run: RunRecord) -> tuple[str | None, ...]:
    """Return the values for INSERT_RUN."""
    return (run.run_id, run.command, run.user, run.host, run.started_at, run.git_commit, run.ci_job_url)


def history_row(entry: HistoryEntry) -> tuple[str | bytes, ...]:
    """Return the values for INSERT_HISTORY after the sequence."""
    return (entry.run_id, entry.at, entry.address, str(entry.verb), str(entry.outcome), entry.detail)


def _put_runs(connection: sqlite3.Connection, changes: Sequence[PutRun]) -> None:
    rows = [run_row(change.run) for change in changes]
    connection.executemany(f"{INSERT_RUN} ON CONFLICT (run_id) DO NOTHING", rows)


def _remove(connection: sqlite3.Connection, changes: Sequence[RemoveResource]) -> None:
    rows = [(change.address, change.expected_version) for change in changes]
    cursor = connection.executemany("DELETE FROM resource WHERE address = ? AND version = ?", rows)
    _expect_changed(connection, cursor, rows)


def _put(connection: sqlite3.Connection, changes: Sequence[PutResource]) -> None:
    records = [change.record._replace(version=change.expected_version or 1) for change in changes]
    with _refusing_damage():
        expect_records({record.address: record for record in records})
    new = [record for record, change in zip(records, changes, strict=True) if change.expected_version is None]
    try:
        _insert(connection, INSERT_RESOURCE, [resource_row(record) for record in new])
    except sqlite3.IntegrityError:
        if len(changes) > 1:
            raise _MixedError from None
        _expect_free(connection, new[0].address)
        raise
    known = [record for record, change in zip(records, changes, strict=True) if change.expected_version is not None]
    rows = [
        (*record[_KIND:_VERSION], *resource_row(record)[_VERSION + 1 :], record.address, record.version)
        for record in known
    ]
    cursor = connection.executemany(_UPDATE_RESOURCE, rows)
    _expect_changed(connection, cursor, [(record.address, record.version) for record in known])


def _put_rules(connection: sqlite3.Connection, changes: Sequence[PutRules]) -> None:
    with _refusing_damage():
        expect_rules({change.share_address: change.rules for change in changes})
    _delete(connection, "access_rule", "share_address", [change.share_address for change in changes])
    rows = [
        (change.share_address, *rule, status, reason) for change in changes for rule, status, reason in change.rules
    ]
    _insert(connection, INSERT_RULE, rows)


def _begin(connection: sqlite3.Connection, changes: Sequence[BeginOperation]) -> None:
    with _refusing_damage():
        rows = [operation_row(expect_operation(change.operation)) for change in changes]
    _insert(connection, INSERT_OPERATION, rows)


def _end(connection: sqlite3.Connection, changes: Sequence[EndOperation]) -> None:
    _delete(connection, "operation", "operation_id", [change.operation_id for change in changes])


def _add_history(connection: sqlite3.Connection, changes: Sequence[AddHistory]) -> None:
    _insert(connection, INSERT_HISTORY, [(None, *history_row(change.entry)) for change in changes])


def _insert(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[object]]) -> None:
    """Execute an INSERT for all rows, with many of them in each statement."""
    head, separator, marks = statement.partition(" VALUES ")
    for start in range(0, len(rows), _TOGETHER):
        part = rows[start : start + _TOGETHER]
        values = [value for row in part for value in row]
        connection.execute(f"{head}{separator}{', '.join([marks] * len(part))}", values)


def _delete(connection: sqlite3.Connection, table: str, column: str, values: Sequence[str]) -> None:
    """Delete the rows with these values in a column, many with each statement."""
    for start in range(0, len(values), _TOGETHER):
        part = values[start : start + _TOGETHER]
        marks = ", ".join("?" * len(part))
        connection.execute(f"DELETE FROM {table} WHERE {column} IN ({marks})", part)  # noqa: S608 - the names are those above


def _rename(connection: sqlite3.Connection, changes: Sequence[RenameResource]) -> None:
    for change in changes:
        _expect_free(connection, change.new_address)
        row = (change.address, change.expected_version)
        _expect_changed(connection, connection.execute(_RENAME, (change.new_address, *row)), [row])


def _rename_backends(connection: sqlite3.Connection, changes: Sequence[RenameBackend]) -> None:
    for change in changes:
        _rename_backend(connection, change)


def _rename_backend(connection: sqlite3.Connection, change: RenameBackend) -> None:
    old, new = change.backend, change.new_backend
    former, address = address_of(Kind.BACKEND, old), address_of(Kind.BACKEND, new)
    _expect_free(connection, address)
    if change.expected_version is not None:
        _rename(connection, [RenameResource(former, address, change.expected_version)])
        connection.execute("UPDATE resource SET backend = ? WHERE address = ?", (new, address))
    elif (found := _version_of(connection, former)) is not None:
        raise VersionConflictError(former, None, found)
    for table, grows in (("resource", ", version = version + 1"), ("operation", "")):
        connection.execute(f"UPDATE {table} SET backend = ?{grows} WHERE backend = ?", (new, old))  # noqa: S608 - the names are those above
        connection.execute(
            f"UPDATE {table} SET address = substr(address, 1, length(address) - length(?)) || ?"  # noqa: S608 - as above
            " WHERE backend = ? AND substr(address, 1, length(?)) = ? AND substr(address, -length(?)) = ?",
            (f"@{old}", f"@{new}", new, _SERVERS, _SERVERS, f"@{old}", f"@{old}"),
        )
    connection.execute("UPDATE operation SET address = ? WHERE address = ?", (address, former))


_WRITERS: Final[Mapping[type, _Writer]] = {
    PutRun: _put_runs,
    RemoveResource: _remove,
    RenameResource: _rename,
    PutResource: _put,
    PutRules: _put_rules,
    EndOperation: _end,
    BeginOperation: _begin,
    AddHistory: _add_history,
    RenameBackend: _rename_backends,
}
_ORDER: Final = {kind: number for number, kind in enumerate(_WRITERS)}


@contextmanager
def _refusing_damage() -> Iterator[None]:
    """Refuse to write what reading would call damaged."""
    try:
        yield
    except DamagedRowError as error:
        raise StateRefusedError(error.location, f"it cannot be recorded: {error.fault}") from error


def _expect_free(connection: sqlite3.Connection, address: Address) -> None:
    found = _version_of(connection, address)
    if found is not None:
        raise VersionConflictError(address, None, found)


def _expect_changed(
    connection: sqlite3.Connection, cursor: sqlite3.Cursor, rows: Sequence[tuple[Address, int]]
) -> None:
    """Raise an error unless a statement found each of these addresses at the expected version."""
    if not rows or cursor.rowcount == len(rows):
        return
    if len(rows) > 1:
        raise _MixedError
    address, expected_version = rows[0]
    raise VersionConflictError(address, expected_version, _version_of(connection, address))


def _version_of(connection: sqlite3.Connection, address: Address) -> int | None:
    row = connection.execute("SELECT version FROM resource WHERE address = ?", (address,)).fetchone()
    return None if row is None else row[0]
