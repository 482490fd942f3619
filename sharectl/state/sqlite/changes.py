"""The changes of the contract as statements on the tables, inside a transaction that somebody else opens and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

import orjson

from sharectl.model.kinds import Kind, address_of
from sharectl.model.records import (
    AddHistory,
    BeginOperation,
    EndOperation,
    PutResource,
    PutRules,
    PutRun,
    RemoveResource,
    RenameBackend,
    RenameResource,
)
from sharectl.state.contract import VersionConflictError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, HistoryEntry, OperationRecord, Record, RunRecord

INSERT_RESOURCE: Final = (
    "INSERT INTO resource (address, kind, resource_id, backend, pool, version, digest, size_bytes, protect, spec, attributes)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
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
    "UPDATE resource SET kind = ?, resource_id = ?, backend = ?, pool = ?, version = version + 1, digest = ?, size_bytes = ?,"
    " protect = ?, spec = ?, attributes = ? WHERE address = ? AND version = ?"
)


_SERVERS: Final = address_of(Kind.SHARE_SERVER, "")


def _extracted(count: int) -> str:
    """Return the columns of `json_each` over a list of rows of `count` values, the last of which is a blob."""
    columns = [f"json_extract(value, '$[{number}]')" for number in range(count)]
    return ", ".join([*columns[:-1], f"CAST({columns[-1]} AS BLOB)"])


_SEVERAL_OPERATIONS: Final = (
    "INSERT INTO operation (operation_id, run_id, address, verb, resource_id, backend, pool, started_at, payload)"  # noqa: S608 - constants
    f" SELECT {_extracted(9)} FROM json_each(?)"
)
_SEVERAL_ENDS: Final = "DELETE FROM operation WHERE operation_id IN (SELECT value FROM json_each(?))"
_SEVERAL_HISTORY: Final = (
    f"INSERT INTO history (run_id, at, address, verb, outcome, detail) SELECT {_extracted(6)} FROM json_each(?)"  # noqa: S608 - constants
)


def apply_changes(connection: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """Carry out `changes` in their order; raises VersionConflictError, and sqlite3.IntegrityError where they break a rule.

    Intents and history, of which a commit for many steps has many, go last, each kind in one statement: around every statement
    the interpreter's lock changes hands, which costs more than the statement where many threads want it.
    """
    several = {BeginOperation: _SEVERAL_OPERATIONS, EndOperation: _SEVERAL_ENDS, AddHistory: _SEVERAL_HISTORY}
    gathered: dict[type, list[Change]] = {kind: [] for kind in several}
    for change in changes:
        if type(change) in gathered:
            gathered[type(change)].append(change)
        else:
            _apply(connection, change)
    for kind, statement in several.items():
        found = gathered[kind]
        text = _as_rows(found) if len(found) > 1 else None
        if text is not None:
            connection.execute(statement, (text,))
            continue
        for change in found:
            _apply(connection, change)


def _as_rows(changes: Iterable[Change]) -> bytes | None:
    """Return the values of intents, ends or history as a JSON list of rows; None where one of them is no text."""
    rows: list[object] = []
    try:
        for change in changes:
            match change:
                case BeginOperation(operation):
                    rows.append([*operation_row(operation)[:-1], operation.payload.decode()])
                case AddHistory(entry):
                    rows.append([*history_row(entry)[:-1], entry.detail.decode()])
                case EndOperation(operation_id):
                    rows.append(operation_id)
        return orjson.dumps(rows)
    except (AttributeError, TypeError, ValueError):
        return None  # one by one, each says for itself what is wrong with it


def _apply(connection: sqlite3.Connection, change: Change) -> None:
    match change:
        case PutResource(record, expected_version):
            _put_resource(connection, record, expected_version)
        case RemoveResource(address, expected_version):
            _expect_changed(
                connection,
                connection.execute(
                    "DELETE FROM resource WHERE address = ? AND version = ?", (address, expected_version)
                ),
                address,
                expected_version,
            )
        case RenameResource():
            _rename_resource(connection, change)
        case RenameBackend():
            _rename_backend(connection, change)
        case PutRules(share_address, rules):
            connection.execute("DELETE FROM access_rule WHERE share_address = ?", (share_address,))
            connection.executemany(
                INSERT_RULE, [(share_address, *rule, status, reason) for rule, status, reason in rules]
            )
        case BeginOperation(operation):
            connection.execute(INSERT_OPERATION, operation_row(operation))
        case EndOperation(operation_id):
            connection.execute("DELETE FROM operation WHERE operation_id = ?", (operation_id,))
        case AddHistory(entry):
            connection.execute(INSERT_HISTORY, (None, *history_row(entry)))
        case PutRun(run):
            connection.execute(f"{INSERT_RUN} ON CONFLICT (run_id) DO NOTHING", run_row(run))
        case _:
            assert_never(change)


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


def _put_resource(connection: sqlite3.Connection, record: Record, expected_version: int | None) -> None:
    if expected_version is None:
        _expect_free(connection, record.address)
        connection.execute(INSERT_RESOURCE, record._replace(version=1))
        return
    address, kind, resource_id, backend, pool, _, digest, size_bytes, protect, spec, attributes = record
    values = (
        kind,
        resource_id,
        backend,
        pool,
        digest,
        size_bytes,
        protect,
        spec,
        attributes,
        address,
        expected_version,
    )
    _expect_changed(connection, connection.execute(_UPDATE_RESOURCE, values), address, expected_version)


def _rename_resource(connection: sqlite3.Connection, change: RenameResource) -> None:
    _expect_free(connection, change.new_address)
    cursor = connection.execute(
        "UPDATE resource SET address = ?, version = version + 1 WHERE address = ? AND version = ?",
        (change.new_address, change.address, change.expected_version),
    )
    _expect_changed(connection, cursor, change.address, change.expected_version)


def _rename_backend(connection: sqlite3.Connection, change: RenameBackend) -> None:
    old, new = change.backend, change.new_backend
    former, address = address_of(Kind.BACKEND, old), address_of(Kind.BACKEND, new)
    _expect_free(connection, address)
    if change.expected_version is not None:
        _rename_resource(connection, RenameResource(former, address, change.expected_version))
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


def _expect_free(connection: sqlite3.Connection, address: Address) -> None:
    found = _version_of(connection, address)
    if found is not None:
        raise VersionConflictError(address, None, found)


def _expect_changed(
    connection: sqlite3.Connection, cursor: sqlite3.Cursor, address: Address, expected_version: int
) -> None:
    if cursor.rowcount != 1:
        raise VersionConflictError(address, expected_version, _version_of(connection, address))


def _version_of(connection: sqlite3.Connection, address: Address) -> int | None:
    row = connection.execute("SELECT version FROM resource WHERE address = ?", (address,)).fetchone()
    return None if row is None else row[0]
