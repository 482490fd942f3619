"""The changes of a commit as statements on the tables, inside a transaction that the caller opens and ends."""

from __future__ import annotations

import sqlite3
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

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
    batches_by_kind,
)
from sharectl.state.columns import (
    ACCESS_RULE,
    HISTORY,
    OPERATION,
    RESOURCE,
    RUN,
    expect_operations,
    expect_records,
    expect_rows,
    history_row,
    operation_row,
    rule_rows,
    run_row,
)
from sharectl.state.contract import DamagedRowError, StateRefusedError, VersionConflictError
from sharectl.state.rows import parent_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, Record
    from sharectl.state.columns import Table
    from sharectl.state.document import Document

    _Writer = Callable[[sqlite3.Connection, Sequence[Any]], None]

_COLUMNS: Final = {RESOURCE.name: (*RESOURCE.columns, "parent_id")}
_UPDATE: Final = (
    f"UPDATE resource SET ({', '.join(_COLUMNS[RESOURCE.name][1:])}) = ({', '.join('?' * len(RESOURCE.columns))})"  # noqa: S608 - constants
    " WHERE address = ? AND version = ?"
)
_RENAME: Final = "UPDATE resource SET address = ?, version = version + 1 WHERE address = ? AND version = ?"
_SERVERS: Final = address_of(Kind.SHARE_SERVER, "")
_TOGETHER: Final = 64
"""Rows in one statement. Around each statement the interpreter's lock changes hands, which costs more than a row if many threads want it."""


class MixedError(Exception):
    """One of several changes does not fit; which one shows when they are made one at a time."""


def apply_changes(connection: sqlite3.Connection, changes: Sequence[Change], *, together: bool) -> None:
    """Make `changes` as if one after the other.

    `together`, changes of one kind are made at once, and those of one address or operation keep their order: raises MixedError where one
    does not fit, after which the transaction has to be rolled back. Raises VersionConflictError, StateRefusedError, also for what
    reading would call damaged, and sqlite3.IntegrityError where they break a rule of the schema.
    """
    try:
        if not together:
            for change in changes:
                _WRITERS[type(change)](connection, [change])
            return
        for batch in batches_by_kind(changes):
            for kind, alike in batch.items():
                _WRITERS[kind](connection, alike)
    except DamagedRowError as error:
        raise StateRefusedError(error.location, f"it cannot be recorded: {error.fault}") from error


def insert_rows(connection: sqlite3.Connection, table: Table, rows: Iterable[Sequence[Any]], ending: str = "") -> None:
    """Add rows to a table, many with each statement."""
    columns = _COLUMNS.get(table.name) or tuple(table.columns)
    marks = f"({', '.join('?' * len(columns))})"
    remaining = iter(rows)
    while part := list(islice(remaining, _TOGETHER)):
        connection.execute(
            f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join([marks] * len(part))} {ending}",  # noqa: S608 - constants
            [value for row in part for value in row],
        )


def insert_records(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    """Add resources, which have been checked."""
    insert_rows(connection, RESOURCE, ((*record, parent_id_of(record)) for record in records))


def replace_content(connection: sqlite3.Connection, document: Document) -> None:
    """Make `document` the whole content; the lock stays as it is."""
    from sharectl.state.sqlite.usage import replace_notes  # noqa: PLC0415 - only two commands need it

    for table in (HISTORY, RUN, OPERATION, ACCESS_RULE, RESOURCE):
        connection.execute(f"DELETE FROM {table.name}")  # noqa: S608 - constants
    insert_records(connection, document.records)
    insert_rows(connection, ACCESS_RULE, rule_rows(document.rules))
    insert_rows(connection, OPERATION, map(operation_row, document.operations))
    insert_rows(connection, RUN, map(run_row, document.runs))
    insert_rows(connection, HISTORY, (history_row(*line) for line in document.history))
    replace_notes(connection, document.notes)
    connection.execute("UPDATE meta SET lineage = ?, serial = ?", (document.lineage, document.serial))


def _put_runs(connection: sqlite3.Connection, changes: Sequence[PutRun]) -> None:
    insert_rows(connection, RUN, [run_row(change.run) for change in changes], "ON CONFLICT (run_id) DO NOTHING")


def _remove(connection: sqlite3.Connection, changes: Sequence[RemoveResource]) -> None:
    rows = [(change.address, change.expected_version) for change in changes]
    cursor = connection.executemany("DELETE FROM resource WHERE address = ? AND version = ?", rows)
    _expect_changed(connection, cursor, rows)


def _put(connection: sqlite3.Connection, changes: Sequence[PutResource]) -> None:
    new: list[Record] = []
    known: list[Record] = []
    for record, expected_version in ((change.record, change.expected_version) for change in changes):
        (new if expected_version is None else known).append(record.at_version((expected_version or 0) + 1))
    expect_records([*new, *known])
    try:
        insert_records(connection, new)
    except sqlite3.IntegrityError:
        if len(changes) > 1:
            raise MixedError from None
        _expect_free(connection, new[0].address)
        raise
    places = [(record.address, record.version - 1) for record in known]
    rows = [(*record[1:], parent_id_of(record), *place) for record, place in zip(known, places, strict=True)]
    _expect_changed(connection, connection.executemany(_UPDATE, rows), places)


def _put_rules(connection: sqlite3.Connection, changes: Sequence[PutRules]) -> None:
    rows = list(rule_rows((change.share_address, change.rules) for change in changes))
    expect_rows(ACCESS_RULE, rows)
    _delete(connection, "access_rule", "share_address", [change.share_address for change in changes])
    insert_rows(connection, ACCESS_RULE, rows)


def _begin(connection: sqlite3.Connection, changes: Sequence[BeginOperation]) -> None:
    operations = [change.operation for change in changes]
    expect_operations(operations)
    insert_rows(connection, OPERATION, map(operation_row, operations))


def _end(connection: sqlite3.Connection, changes: Sequence[EndOperation]) -> None:
    _delete(connection, "operation", "operation_id", [change.operation_id for change in changes])


def _add_history(connection: sqlite3.Connection, changes: Sequence[AddHistory]) -> None:
    insert_rows(connection, HISTORY, [history_row(None, change.entry) for change in changes])


def _delete(connection: sqlite3.Connection, table: str, column: str, values: Sequence[str]) -> None:
    """Delete the rows with these values in a column, many with each statement."""
    for start in range(0, len(values), _TOGETHER):
        part = values[start : start + _TOGETHER]
        marks = ", ".join("?" * len(part))
        connection.execute(f"DELETE FROM {table} WHERE {column} IN ({marks})", part)  # noqa: S608 - the names are those above


def _rename(connection: sqlite3.Connection, changes: Sequence[RenameResource]) -> None:
    places = [(change.address, change.expected_version) for change in changes]
    rows = [(change.new_address, *place) for change, place in zip(changes, places, strict=True)]
    try:
        _expect_changed(connection, connection.executemany(_RENAME, rows), places)
    except sqlite3.IntegrityError:
        if len(changes) > 1:
            raise MixedError from None
        _expect_free(connection, changes[0].new_address)
        raise


def _rename_backends(connection: sqlite3.Connection, changes: Sequence[RenameBackend]) -> None:
    for change in changes:
        _rename_backend(connection, change)


def _rename_backend(connection: sqlite3.Connection, change: RenameBackend) -> None:
    from sharectl.state.sqlite.usage import rename_backend as rename_noted_backend  # noqa: PLC0415 - only `state mv` needs it

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
    rename_noted_backend(connection, old, new)


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
"""What makes the changes of a kind."""


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
        raise MixedError
    address, expected_version = rows[0]
    raise VersionConflictError(address, expected_version, _version_of(connection, address))


def _version_of(connection: sqlite3.Connection, address: Address) -> int | None:
    row = connection.execute("SELECT version FROM resource WHERE address = ?", (address,)).fetchone()
    return None if row is None else row[0]
