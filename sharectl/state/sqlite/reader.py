"""Reading from one open transaction of the state file: records, rules, intents, runs, history."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.kinds import Kind, address_of, rule_address
from sharectl.model.records import ANY_ENTRY, HistoryEntry, OperationRecord, StateView
from sharectl.state.columns import (
    ACCESS_RULE,
    HISTORY,
    OPERATION,
    RESOURCE,
    RUN,
    Revision,
    batches_of,
    collection_paused,
    entries_of,
    expect_operations,
    first,
    is_storable,
    lines_of,
    records_of,
    rules_by_share,
    runs_of,
)
from sharectl.state.sqlite.errors import damaged, translated

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sharectl.model.kinds import Address
    from sharectl.model.records import HistoryFilter, HistoryLine, Record, RuleRecord, RunRecord
    from sharectl.state.columns import Table
    from sharectl.state.document import Document
    from sharectl.state.sqlite.snapshots import Snapshot

# The name in brackets is FLAG_CONVERTER's, which turns the column into a bool.
_EXPRESSIONS: Final = {"protect": 'protect AS "protect [sharectl_flag]"'}


def _columns_of(table: Table) -> str:
    return ", ".join(_EXPRESSIONS.get(name, f"{table.name}.{name}") for name in table.columns)


def _select(table: Table) -> str:
    return f"SELECT {_columns_of(table)} FROM {table.name}"  # noqa: S608 - constants


_SELECT_RESOURCES: Final = _select(RESOURCE)
_RULE_ORDER: Final = " ORDER BY share_address, access_type, access_to"
_SELECT_LINES: Final = (
    f"SELECT {_columns_of(HISTORY)}, {_columns_of(RUN)} FROM history LEFT JOIN run ON run.run_id = history.run_id"  # noqa: S608 - constants
)

# SQLite before 3.32 takes no more than 999 parameters.
_VALUES_PER_QUERY: Final = 900
_LIKE_ADDRESSES: Final = 60
_OF_USER: Final = """history.run_id IN (SELECT run_id FROM run
    WHERE lower(user) = lower(?) OR lower(actor) = lower(?) OR instr(lower(author), lower(?)) > 0)"""
_SINCE: Final = "history.sequence >= (SELECT min(sequence + 0) FROM history WHERE at >= ?)"
"""Entries come in the order of their times but for those of runs at once: the first of them ends the search, not the first that is older.

The sum keeps SQLite from looking for the smallest number from the beginning of the history on.
"""

_NOT_DONE_SINCE: Final = """WHERE outcome = 'failed' AND NOT EXISTS (SELECT 1 FROM history AS later WHERE later.address = history.address
    AND later.sequence > history.sequence AND later.verb = history.verb AND later.outcome <> 'failed')"""


def read_revision(connection: sqlite3.Connection, location: Path) -> Revision:
    """Return the lineage and the serial."""
    row = connection.execute("SELECT lineage, serial FROM meta").fetchone()
    if row is None or [type(value) for value in row] != [str, int] or row[1] < 0 or (row[1] > 0 and not row[0]):
        raise damaged(location, "it does not say which state it is")
    return Revision(*row)


def is_used(connection: sqlite3.Connection) -> bool:
    """Tell whether the state holds anything or has ever done anything."""
    select = "SELECT EXISTS (SELECT 1 FROM resource) OR EXISTS (SELECT 1 FROM history)"
    return bool(connection.execute(select).fetchone()[0])


def read_operations(connection: sqlite3.Connection, **wanted: str | None) -> tuple[OperationRecord, ...]:
    """Return the open intents with these values in their columns (None: with any), oldest first."""
    where, values = _conditions({f"{name} = ?": value for name, value in wanted.items()})
    rows = connection.execute(f"{_select(OPERATION)}{where} ORDER BY sequence", values)
    operations = tuple(OperationRecord(*row) for row in rows)
    expect_operations(operations)
    return operations


def _conditions(values: Mapping[str, str | None]) -> tuple[str, list[str]]:
    """Return a WHERE clause of the conditions that have a value, and those values."""
    chosen = {condition: value for condition, value in values.items() if value is not None}
    return f" WHERE {' AND '.join(chosen)}" if chosen else "", list(chosen.values())


def _range_of(prefix: str) -> dict[str, str]:
    """Return the conditions for an address to begin with `prefix`; the last of all characters stands for what may follow."""
    return {"address >= ?": prefix, "address < ?": prefix + chr(sys.maxunicode)}


def read_runs(connection: sqlite3.Connection) -> Iterator[RunRecord]:
    """Yield the runs, oldest first."""
    return runs_of(connection.execute(f"{_select(RUN)} ORDER BY sequence"))


def read_history(connection: sqlite3.Connection) -> Iterator[tuple[int, HistoryEntry]]:
    """Yield the history with its numbers, oldest first."""
    return entries_of(connection.execute(f"{_select(HISTORY)} ORDER BY sequence"))


def read_records(connection: sqlite3.Connection) -> Iterator[Record]:
    """Yield all records by address."""
    for rows in batches_of(connection.execute(f"{_SELECT_RESOURCES} ORDER BY address")):
        yield from records_of(rows).values()


def read_rules(connection: sqlite3.Connection) -> Iterator[tuple[Address, tuple[RuleRecord, ...]]]:
    """Yield the rules of each share by its address."""
    return rules_by_share(connection.execute(_select(ACCESS_RULE) + _RULE_ORDER))


def read_document(connection: sqlite3.Connection, location: Path) -> Document:
    """Return everything but the lock, as the open transaction sees it; rows are read as they are asked for."""
    from sharectl.state.document import Document  # noqa: PLC0415 - only two commands need it
    from sharectl.state.sqlite.usage import read_notes  # noqa: PLC0415 - as above

    revision = read_revision(connection, location)
    return Document(
        lineage=revision.lineage,
        serial=revision.serial,
        records=read_records(connection),
        rules=read_rules(connection),
        operations=read_operations(connection),
        runs=read_runs(connection),
        history=read_history(connection),
        notes=read_notes(connection),
    )


def history_lines(
    connection: sqlite3.Connection, address: Address | None, limit: int | None, among: HistoryFilter = ANY_ENTRY
) -> Iterator[HistoryLine]:
    """Yield history, newest first; `address` also matches what stands under it."""
    conditions: list[str] = []
    values: list[str | int] = []
    if address is not None:
        under = _range_of(rule_address(address, ""))
        conditions.append(f"(address = ? OR {' AND '.join(under)})")
        values += [address, *under.values()]
    if among.run_id is not None:
        conditions.append("run_id = ?")
        values.append(among.run_id)
    if among.user is not None:
        conditions.append(_OF_USER)
        values += [among.user] * 3
    if among.since is not None:
        conditions.append("at >= ?")
        values.append(among.since)
        if not among.recovered:  # of which there are few, in an index of their own
            conditions.append(_SINCE)
            values.append(among.since)
    if among.failed:
        conditions.append("outcome = 'failed'")
    if among.recovered:
        conditions.append("outcome = 'recovered'")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    values.append(-1 if limit is None else limit)
    # The numbers are chosen first: of a user's hundred thousand entries only those are read that are asked for.
    chosen = f"SELECT sequence FROM history{where} ORDER BY sequence DESC LIMIT ?"  # noqa: S608 - constants
    select = f"{_SELECT_LINES} WHERE history.sequence IN ({chosen}) ORDER BY history.sequence DESC"
    return lines_of(connection.execute(select, values))


class SqliteReader:
    """A StateReader on an open snapshot."""

    def __init__(self, snapshot: Snapshot, location: Path) -> None:
        """Read from `snapshot`, which the caller opens and closes."""
        self._snapshot = snapshot
        self._location = location

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with translated(self._location), collection_paused():
            yield self._snapshot.connection
            self._snapshot.verify()

    def _records(self, rest: str = "", values: Sequence[object] = ()) -> dict[Address, Record]:
        with self._reading() as connection:
            return records_of(connection.execute(_SELECT_RESOURCES + rest, values))

    def view(self, addresses: Collection[Address] | None = None) -> StateView:
        """See StateReader."""
        with self._reading() as connection:
            revision = read_revision(connection, self._location)
            return StateView(
                lineage=revision.lineage,
                serial=revision.serial,
                records=records_of(_selected(connection, _SELECT_RESOURCES, "address", addresses)),
                operations=read_operations(connection),
            )

    def record(self, address: Address) -> Record | None:
        """See StateReader."""
        return self._records(" WHERE address = ?", (address,)).get(address) if is_storable(address) else None

    def find(
        self, *, kind: Kind | None = None, backend: str | None = None, after: Address = "", limit: int | None = None
    ) -> Mapping[Address, Record]:
        """See StateReader."""
        kinds = {} if kind is None else _range_of(address_of(kind, ""))
        where, values = _conditions({**kinds, "backend = ?": backend, "address > ?": after or None})
        return self._records(f"{where} ORDER BY address LIMIT ?", [*values, -1 if limit is None else limit])

    def with_ids(self, resource_ids: Collection[str]) -> Mapping[Address, Record]:
        """See StateReader; for each few hundred a scan of the table, which takes 20 ms of 100,000 rows."""
        with self._reading() as connection:
            return records_of(_selected(connection, _SELECT_RESOURCES, "resource_id", resource_ids))

    def children(self, record: Record) -> Mapping[Address, Record]:
        """See StateReader."""
        return self._records(" WHERE parent_id = ? ORDER BY address", (record.resource_id,))

    def addresses(self, prefix: str = "", *, limit: int | None = None) -> Sequence[Address]:
        """See StateReader."""
        where, values = _conditions(_range_of(prefix) if prefix else {})
        rest = f"{where} ORDER BY address LIMIT ?"
        return self._addresses((rest, (*values, -1 if limit is None else limit))) if is_storable(prefix) else ()

    def addresses_like(self, address: Address) -> Sequence[Address]:
        """See StateReader: its neighbours, and those that end as it does; a slip in one place leaves the beginning alone, or the end."""
        kind, _, name = address.partition("/")
        ending = name[-max(3, len(name) // 3) :]
        rests: list[tuple[str, tuple[object, ...]]] = [
            (" WHERE address > ? ORDER BY address LIMIT ?", (address, _LIKE_ADDRESSES)),
            (" WHERE address < ? ORDER BY address DESC LIMIT ?", (address, _LIKE_ADDRESSES)),
        ]
        if name:
            alike = (f"{kind}/", -len(ending), ending, _LIKE_ADDRESSES)
            rests.append((" WHERE address > ? AND substr(address, ?) = ? LIMIT ?", alike))
        return self._addresses(*rests) if is_storable(address) else ()

    def _addresses(self, *rests: tuple[str, tuple[object, ...]]) -> list[Address]:
        selects = [(f"SELECT address FROM resource{rest}", values) for rest, values in rests]  # noqa: S608 - constants
        with self._reading() as connection:
            rows = [row for select, values in selects for row in connection.execute(select, values)]
        return list(dict.fromkeys(map(first, rows)))

    def operations(
        self, *, address: Address | None = None, backend: str | None = None, resource_id: str | None = None
    ) -> tuple[OperationRecord, ...]:
        """See StateReader."""
        with self._reading() as connection:
            return read_operations(connection, address=address, backend=backend, resource_id=resource_id)

    def rules(self, share_addresses: Collection[Address] | None = None) -> Mapping[Address, tuple[RuleRecord, ...]]:
        """See StateReader."""
        with self._reading() as connection:
            select = _select(ACCESS_RULE)
            return dict(rules_by_share(_selected(connection, select, "share_address", share_addresses, _RULE_ORDER)))

    def count_rules(self) -> int:
        """See StateReader."""
        with self._reading() as connection:
            return int(connection.execute("SELECT count(*) FROM access_rule").fetchone()[0])

    def shares_of_clients(
        self, access_type: str, names: Collection[str] = (), beginnings: Collection[str] = ()
    ) -> Sequence[Address]:
        """See StateReader."""
        select = "SELECT share_address FROM access_rule WHERE access_type = ? AND lower(access_to)"
        wanted = sorted({name for name in names if is_storable(name)})
        queries: list[tuple[str, list[str]]] = [
            (f"{select} IN ({','.join(f'lower({mark})' for mark in '?' * len(chunk))})", chunk)
            for chunk in batches_of(wanted, _VALUES_PER_QUERY)
        ]
        between = f"{select} >= lower(?) AND lower(access_to) < lower(?) || char(0x10ffff)"
        queries += [(between, [start, start]) for start in filter(is_storable, beginnings)]
        with self._reading() as connection:
            rows = [row for query, values in queries for row in connection.execute(query, (access_type, *values))]
        return sorted(set(map(first, rows)))

    def share_addresses(
        self,
        *,
        holding: Collection[bytes] = (),
        backends: Collection[str] = (),
        refused_or_named: str | None = None,
        largest_first: bool = False,
        limit: int | None = None,
    ) -> Sequence[Address]:
        """See StateReader."""
        conditions: list[str] = list(_range_of(Kind.SHARE.prefix))
        values: list[object] = list(_range_of(Kind.SHARE.prefix).values())
        # Every spec is looked at: by the index of addresses each would be found on its own.
        table = " NOT INDEXED" if holding and not backends else ""
        conditions += ["instr(spec, ?) > 0"] * len(holding)
        values += holding
        if backends:
            names = list(filter(is_storable, backends))
            conditions.append(f"backend IN ({','.join('?' * len(names))})")
            values += names
        if refused_or_named is not None:
            conditions.append("(spec_digest IS NULL OR instr(address, ?) > 0)")
            values.append(refused_or_named)
        order = "size_bytes DESC, address" if largest_first else "address"
        values.append(-1 if limit is None else limit)
        return self._addresses((f"{table} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?", tuple(values)))

    def share_sizes(self) -> Sequence[tuple[Address, str, int | None]]:
        """See StateReader."""
        where, values = _conditions(_range_of(Kind.SHARE.prefix))
        select = f"SELECT address, resource_id, size_bytes FROM resource{where} ORDER BY address"  # noqa: S608 - constants
        with self._reading() as connection:
            return connection.execute(select, values).fetchall()

    def client_names(self, access_type: str) -> Sequence[str]:
        """See StateReader."""
        select = "SELECT DISTINCT access_to FROM access_rule WHERE access_type = ? ORDER BY access_to"
        with self._reading() as connection:
            return [row[0] for row in connection.execute(select, (access_type,))]

    def runs(self, prefix: str = "", *, limit: int | None = None) -> Sequence[RunRecord]:
        """See StateReader."""
        where, values = _conditions(
            {"run_id >= ?": prefix, "run_id < ?": prefix + chr(sys.maxunicode)} if prefix else {}
        )
        if not is_storable(prefix):
            return ()
        rest = f"{where} ORDER BY sequence DESC LIMIT ?"
        with self._reading() as connection:
            rows = connection.execute(f"{_select(RUN)}{rest}", (*values, -1 if limit is None else limit))
            return list(runs_of(rows))

    def failures(self, *, limit: int) -> Mapping[Address, HistoryEntry]:
        """See StateReader."""
        rest = f"{_NOT_DONE_SINCE} ORDER BY sequence DESC LIMIT ?"
        found: dict[Address, HistoryEntry] = {}
        with self._reading() as connection:
            for _, entry in entries_of(connection.execute(f"{_select(HISTORY)} {rest}", (limit,))):
                found.setdefault(entry.address, entry)
        return found


def _selected(
    connection: sqlite3.Connection, select: str, column: str, values: Collection[str] | None, order: str = ""
) -> Iterable[tuple[Any, ...]]:
    """Return the rows with these addresses, or ids, in a column; None: all."""
    if values is None:
        return connection.execute(select + order)
    return (
        row
        for chunk in batches_of(sorted(filter(is_storable, set(values))), _VALUES_PER_QUERY)
        for row in connection.execute(f"{select} WHERE {column} IN ({','.join('?' * len(chunk))}){order}", chunk)
    )
