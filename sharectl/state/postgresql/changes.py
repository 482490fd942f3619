"""The changes of a commit as statements on the tables, inside a transaction that the caller opens and ends: one statement for all of a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg import ClientCursor, IntegrityError

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
from sharectl.state.postgresql.reader import fetch, names_of
from sharectl.state.rows import parent_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, Record
    from sharectl.state.columns import Table
    from sharectl.state.document import Document
    from sharectl.state.postgresql.connections import Connection

    _Writer = Callable[["_Statements", str, Sequence[Any]], None]

_BYTES: Final = frozenset({"spec_digest", "access_digest", "spec", "attributes", "options", "payload", "detail"})
_NUMBERS: Final = frozenset({"version", "size_bytes", "sequence"})
_COLUMNS: Final = {RESOURCE.name: (*RESOURCE.columns, "parent_id"), HISTORY.name: tuple(HISTORY.columns)[1:]}
_SERVERS: Final = address_of(Kind.SHARE_SERVER, "")


class MixedError(Exception):
    """One of several changes does not fit; which one shows when they are made one at a time, in a transaction of their own."""


def apply_changes(connection: Connection, schema: str, changes: Sequence[Change], *, together: bool) -> None:
    """Make `changes` as if one after the other.

    With `together`, those of one kind go together and those of one address or operation keep their order; raises MixedError then,
    after which the transaction is to be undone and done again without. Raises VersionConflictError, StateRefusedError, also for what
    reading would call damaged, and psycopg's errors where they break a rule of the schema.
    """
    batches = batches_by_kind(changes) if together else ({type(change): [change]} for change in changes)
    statements = _Statements(connection)
    try:
        for batch in batches:
            for kind, alike in batch.items():
                _WRITERS[kind](statements, schema, alike)
            if not together:
                statements.make()
        statements.make()
    except DamagedRowError as error:
        raise StateRefusedError(error.location, f"it cannot be recorded: {error.fault}") from error
    except IntegrityError as error:
        if not together:
            raise
        raise MixedError from error  # a row that is not at its version, found before, is what has to be told


class _Statements:
    """Statements of a commit, which go to the server together: one round trip for all of them.

    They are one message of the simple protocol, with their values in it. A pipeline would cost less, but psycopg ends one with a
    message that stops the server's clock for idle transactions: what a vanished client has locked would stay so.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._texts: list[bytes] = []
        self._expected: list[Callable[[int], None]] = []

    def add(self, query: str, values: Sequence[object], expect: Callable[[int], None] = lambda _: None) -> None:
        """Have this made; `expect` is told then how many rows it has found, and raises where that does not fit."""
        binder = ClientCursor(self.connection)
        self._texts.append(binder.mogrify(query.encode(), values).encode())
        self._expected.append(expect)

    def make(self) -> None:
        """Make what has been added since. Raises what the expectations raise."""
        if not self._texts:
            return
        text, expected = b"; ".join(self._texts), self._expected
        self._texts, self._expected = [], []
        cursor = self.connection.execute(text)
        counts = [cursor.rowcount]
        while cursor.nextset():
            counts.append(cursor.rowcount)
        for expect, count in zip(expected, counts, strict=True):
            expect(count)


def replace_content(connection: Connection, schema: str, document: Document) -> None:
    """Make `document` the whole content; the lock stays as it is."""
    from sharectl.state.postgresql.usage import replace_notes  # noqa: PLC0415 - only two commands need it

    for table in (HISTORY, RUN, OPERATION, ACCESS_RULE, RESOURCE):
        connection.execute(f"DELETE FROM {schema}.{table.name}".encode())  # noqa: S608 - constants, and a checked name
    _copy(connection, schema, RESOURCE, map(_resource_row, document.records))
    _copy(connection, schema, ACCESS_RULE, rule_rows(document.rules))
    _copy(connection, schema, OPERATION, map(operation_row, document.operations))
    _copy(connection, schema, RUN, map(run_row, document.runs))
    _copy(connection, schema, HISTORY, (history_row(*line) for line in document.history), tuple(HISTORY.columns))
    replace_notes(connection, schema, document.notes)
    newest = fetch(connection, f"SELECT coalesce(max(sequence), 0) FROM {schema}.history")[0][0]  # noqa: S608 - a checked name
    raise_sequence(connection, f"{schema}.history", "sequence", newest)
    update = f"UPDATE {schema}.meta SET lineage = %s"  # noqa: S608 - a checked name
    connection.execute(update, (document.lineage,))


def raise_sequence(connection: Connection, table: str, column: str, least: int) -> None:
    """Let the next numbers of a column be above `least`; they are above all that were given out before, too."""
    sequence = "pg_get_serial_sequence(%s, %s)"
    query = f"SELECT setval({sequence}, greatest(nextval({sequence}), %s))"
    connection.execute(query.encode(), (table, column, table, column, least))


def _copy(
    connection: Connection, schema: str, table: Table, rows: Iterable[Sequence[Any]], columns: tuple[str, ...] = ()
) -> None:
    columns = columns or _columns_of(table)
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {schema}.{table.name} ({names_of(*columns)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)


def _columns_of(table: Table) -> tuple[str, ...]:
    return _COLUMNS.get(table.name) or tuple(table.columns)


def _type_of(column: str) -> str:
    if column == "protect":
        return "boolean"
    return "bytea" if column in _BYTES else "bigint" if column in _NUMBERS else "text"


def _arrays(columns: Iterable[str]) -> str:
    """Return rows as an expression whose values are one array for each column."""
    return f"unnest({', '.join(f'%s::{_type_of(column)}[]' for column in columns)})"


def _turned(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return the values of rows by column."""
    return list(map(list, zip(*rows, strict=True)))


def _insert(  # noqa: PLR0913, PLR0917 - what is added where, and what it comes to
    statements: _Statements,
    schema: str,
    table: Table,
    rows: Sequence[Sequence[Any]],
    ending: str = "",
    expect: Callable[[int], None] = lambda _: None,
) -> None:
    """Add rows to a table, in their order; see `_Statements.add`."""
    if not rows:
        return
    columns = _columns_of(table)
    query = (
        f"INSERT INTO {schema}.{table.name} ({names_of(*columns)}) SELECT {names_of(*columns)}"  # noqa: S608 - constants, and a checked name
        f" FROM {_arrays(columns)} WITH ORDINALITY AS new ({names_of(*columns)}, place) ORDER BY place {ending}"
    )
    statements.add(query, _turned(rows), expect)


def _resource_row(record: Record) -> tuple[Any, ...]:
    return (*record, parent_id_of(record))


def _put_runs(statements: _Statements, schema: str, changes: Sequence[PutRun]) -> None:
    _insert(statements, schema, RUN, [run_row(change.run) for change in changes], "ON CONFLICT (run_id) DO NOTHING")


def _remove(statements: _Statements, schema: str, changes: Sequence[RemoveResource]) -> None:
    rows = [(change.address, change.expected_version) for change in changes]
    delete = (
        f"DELETE FROM {schema}.resource USING {_arrays(('address', 'version'))} AS old (address, version)"  # noqa: S608 - constants, and a checked name
        " WHERE resource.address = old.address AND resource.version = old.version"
    )
    statements.add(delete, _turned(rows), _changing(statements, schema, rows))


def _put(statements: _Statements, schema: str, changes: Sequence[PutResource]) -> None:
    new: list[Record] = []
    known: list[Record] = []
    for record, expected_version in ((change.record, change.expected_version) for change in changes):
        (new if expected_version is None else known).append(record._replace(version=(expected_version or 0) + 1))
    expect_records([*new, *known])

    def expect_added(count: int) -> None:
        if count < len(new):
            if len(changes) > 1:
                raise MixedError
            _expect_free(statements.connection, schema, new[0].address)

    rows = list(map(_resource_row, new))
    _insert(statements, schema, RESOURCE, rows, "ON CONFLICT (address) DO NOTHING", expect_added)
    if not known:
        return
    columns = _columns_of(RESOURCE)
    update = (
        f"UPDATE {schema}.resource SET ({names_of(*columns[1:])}) = ROW ({', '.join(f'new.{name}' for name in columns[1:])})"  # noqa: S608 - constants, and a checked name
        f" FROM {_arrays(columns)} AS new ({names_of(*columns)})"
        " WHERE resource.address = new.address AND resource.version = new.version - 1"
    )
    places = [(record.address, record.version - 1) for record in known]
    statements.add(update, _turned(list(map(_resource_row, known))), _changing(statements, schema, places))


def _put_rules(statements: _Statements, schema: str, changes: Sequence[PutRules]) -> None:
    rows = list(rule_rows((change.share_address, change.rules) for change in changes))
    expect_rows(ACCESS_RULE, rows)
    delete = f"DELETE FROM {schema}.access_rule WHERE share_address = ANY(%s)"  # noqa: S608 - a checked name
    statements.add(delete, ([change.share_address for change in changes],))
    _insert(statements, schema, ACCESS_RULE, rows)


def _begin(statements: _Statements, schema: str, changes: Sequence[BeginOperation]) -> None:
    operations = [change.operation for change in changes]
    expect_operations(operations)
    _insert(statements, schema, OPERATION, list(map(operation_row, operations)))


def _end(statements: _Statements, schema: str, changes: Sequence[EndOperation]) -> None:
    delete = f"DELETE FROM {schema}.operation WHERE operation_id = ANY(%s)"  # noqa: S608 - a checked name
    statements.add(delete, ([change.operation_id for change in changes],))


def _add_history(statements: _Statements, schema: str, changes: Sequence[AddHistory]) -> None:
    _insert(statements, schema, HISTORY, [history_row(None, change.entry)[1:] for change in changes])


def _rename(statements: _Statements, schema: str, changes: Sequence[RenameResource]) -> None:
    update = f"UPDATE {schema}.resource SET address = %s, version = version + 1 WHERE address = %s AND version = %s"  # noqa: S608 - a checked name
    for change in changes:
        statements.make()  # what comes before may make the address free
        _expect_free(statements.connection, schema, change.new_address)
        row = (change.address, change.expected_version)
        statements.add(update, (change.new_address, *row), _changing(statements, schema, [row]))
        statements.make()


def _rename_backends(statements: _Statements, schema: str, changes: Sequence[RenameBackend]) -> None:
    for change in changes:
        _rename_backend(statements, schema, change)


def _rename_backend(statements: _Statements, schema: str, change: RenameBackend) -> None:
    from sharectl.state.postgresql.usage import rename_backend as rename_noted_backend  # noqa: PLC0415 - only `state mv` needs it

    old, new = change.backend, change.new_backend
    former, address = address_of(Kind.BACKEND, old), address_of(Kind.BACKEND, new)
    statements.make()
    _expect_free(statements.connection, schema, address)
    if change.expected_version is not None:
        _rename(statements, schema, [RenameResource(former, address, change.expected_version)])
        update = f"UPDATE {schema}.resource SET backend = %s WHERE address = %s"  # noqa: S608 - a checked name
        statements.add(update, (new, address))
    elif (found := _version_of(statements.connection, schema, former)) is not None:
        raise VersionConflictError(former, None, found)
    for table, grows in (("resource", ", version = version + 1"), ("operation", "")):
        statements.add(
            f"UPDATE {schema}.{table} SET backend = %s{grows} WHERE backend = %s",  # noqa: S608 - the names are those above
            (new, old),
        )
        statements.add(
            f"UPDATE {schema}.{table} SET address = left(address, -length(%s)) || %s"  # noqa: S608 - as above
            " WHERE backend = %s AND starts_with(address, %s) AND right(address, length(%s)) = %s",
            (f"@{old}", f"@{new}", new, _SERVERS, f"@{old}", f"@{old}"),
        )
    update = f"UPDATE {schema}.operation SET address = %s WHERE address = %s"  # noqa: S608 - a checked name
    statements.add(update, (address, former))
    statements.make()
    rename_noted_backend(statements.connection, schema, old, new)


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


def _expect_free(connection: Connection, schema: str, address: Address) -> None:
    found = _version_of(connection, schema, address)
    if found is not None:
        raise VersionConflictError(address, None, found)


def _changing(statements: _Statements, schema: str, rows: Sequence[tuple[Address, int]]) -> Callable[[int], None]:
    """Return what raises an error unless a statement has found each of these addresses at the expected version."""

    def expect(count: int) -> None:
        if count == len(rows):
            return
        if len(rows) > 1:
            raise MixedError
        address, expected_version = rows[0]
        raise VersionConflictError(address, expected_version, _version_of(statements.connection, schema, address))

    return expect


def _version_of(connection: Connection, schema: str, address: Address) -> int | None:
    rows = fetch(connection, f"SELECT version FROM {schema}.resource WHERE address = %s", (address,))  # noqa: S608 - a checked name
    return rows[0][0] if rows else None
