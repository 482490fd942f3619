"""Reading from one open transaction of the state file: records, rules, intents, runs, history."""

from __future__ import annotations

import sys
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from sharectl.model.access import AccessRule
from sharectl.model.kinds import Kind, address_of, rule_address
from sharectl.model.records import HistoryEntry, HistoryLine, OperationRecord, Record, RuleRecord, RunRecord, StateView
from sharectl.state.collection import collection_paused
from sharectl.state.rows import expect_entry, expect_operation, expect_records, expect_rules, expect_run
from sharectl.state.sqlite.errors import damaged, translated

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sharectl.model.kinds import Address
    from sharectl.state.sqlite.snapshots import Snapshot

# The name in brackets is FLAG_CONVERTER's, which turns the column into a bool.
_SELECT_RESOURCES: Final = (
    "SELECT address, kind, resource_id, backend, pool, version, spec_digest, access_digest, size_bytes,"
    ' protect AS "protect [sharectl_flag]", spec, attributes FROM resource'
)
_SELECT_RULES: Final = "SELECT share_address, access_type, access_to, access_level, status, reason FROM access_rule"
_RULE_ORDER: Final = " ORDER BY share_address, access_type, access_to"
_SELECT_OPERATIONS: Final = (
    "SELECT operation_id, run_id, address, verb, resource_id, backend, pool, started_at, payload FROM operation"
)
_SELECT_RUNS: Final = (
    "SELECT run_id, command, user, host, started_at, git_commit, ci_job_url FROM run ORDER BY sequence"
)
_SELECT_HISTORY: Final = "SELECT sequence, run_id, at, address, verb, outcome, detail FROM history ORDER BY sequence"
_SELECT_LINES: Final = (
    "SELECT history.sequence, history.run_id, at, address, verb, outcome, detail,"
    " run.run_id, command, user, host, started_at, git_commit, ci_job_url"
    " FROM history LEFT JOIN run ON run.run_id = history.run_id"
)

# SQLite before 3.32 takes no more than 999 parameters.
_ADDRESSES_PER_QUERY: Final = 900
_LIKE_ADDRESSES: Final = 60
_ROWS_AT_ONCE: Final = 500
_HISTORY_ENTRY_START: Final = 1
_HISTORY_RUN_START: Final = 7

# The rows are tuples of the right length already: to name their fields, tuple.__new__ is the shortest way.
_record: Final[Callable[[tuple[object, ...]], Record]] = partial(tuple.__new__, Record)
_first = itemgetter(0)


_Read = TypeVar("_Read")


class Revision(NamedTuple):
    """Which state this is, and how many commits it has seen."""

    lineage: str
    serial: int


def read_revision(connection: sqlite3.Connection, location: Path) -> Revision:
    """Return the lineage and the serial."""
    row = connection.execute("SELECT lineage, serial FROM meta").fetchone()
    if row is None or [type(value) for value in row] != [str, int] or row[1] < 0 or (row[1] > 0 and not row[0]):
        raise damaged(location, "it does not say which state it is")
    return Revision(*row)


def read_operations(connection: sqlite3.Connection, **wanted: str | None) -> tuple[OperationRecord, ...]:
    """Return the open intents with these values in their columns (None: with any), oldest first."""
    where, values = _conditions({f"{name} = ?": value for name, value in wanted.items()})
    rows = connection.execute(f"{_SELECT_OPERATIONS}{where} ORDER BY sequence", values)
    return tuple(expect_operation(OperationRecord(*row)) for row in rows)


def _conditions(values: Mapping[str, str | None]) -> tuple[str, list[str]]:
    """Return a WHERE clause of the conditions that have a value, and those values."""
    chosen = {condition: value for condition, value in values.items() if value is not None}
    return f" WHERE {' AND '.join(chosen)}" if chosen else "", list(chosen.values())


def _range_of(prefix: str) -> dict[str, str]:
    """Return the conditions for an address to begin with `prefix`; the last of all characters stands for what may follow."""
    return {"address >= ?": prefix, "address < ?": prefix + chr(sys.maxunicode)}


def read_runs(connection: sqlite3.Connection) -> Iterator[RunRecord]:
    """Yield the runs, oldest first."""
    return (expect_run(RunRecord(*row)) for row in connection.execute(_SELECT_RUNS))


def read_history(connection: sqlite3.Connection) -> Iterator[tuple[int, HistoryEntry]]:
    """Yield the history with its numbers, oldest first."""
    for sequence, *row in connection.execute(_SELECT_HISTORY):
        entry = HistoryEntry(*row)
        expect_entry(sequence, entry)
        yield sequence, entry


def records_in_order(connection: sqlite3.Connection) -> Iterator[Record]:
    """Yield all records by address."""
    cursor = connection.execute(f"{_SELECT_RESOURCES} ORDER BY address")
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        yield from _records_of(rows).values()


def rules_in_order(connection: sqlite3.Connection) -> Iterator[tuple[Address, tuple[RuleRecord, ...]]]:
    """Yield the rules of each share by its address."""
    for _, rows in groupby(connection.execute(_SELECT_RULES + _RULE_ORDER), _first):
        yield from _rules_by_share(rows).items()


def history_lines(
    connection: sqlite3.Connection, address: Address | None, limit: int | None, location: Path
) -> Iterator[HistoryLine]:
    """Yield history, newest first; `address` also matches what stands under it."""
    parameters: list[str | int] = []
    where = ""
    if address is not None:
        # Everything that begins with the prefix lies between it and the same text with its last character one higher.
        prefix = rule_address(address, "")
        where = " WHERE (address = ? OR address >= ? AND address < ?)"
        parameters += [address, prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)]
    parameters.append(-1 if limit is None else limit)
    for row in connection.execute(f"{_SELECT_LINES}{where} ORDER BY history.sequence DESC LIMIT ?", parameters):
        if row[_HISTORY_RUN_START] is None:
            raise damaged(location, f"the run of history line {row[0]} is not in it")
        entry, run = HistoryEntry(*row[_HISTORY_ENTRY_START:_HISTORY_RUN_START]), RunRecord(*row[_HISTORY_RUN_START:])
        expect_entry(row[0], entry)
        expect_run(run)
        yield HistoryLine(row[0], entry, run)


def read_view(
    connection: sqlite3.Connection, location: Path, addresses: Collection[Address] | None = None
) -> StateView:
    """Return what `StateReader.view` does."""
    with collection_paused():
        revision = read_revision(connection, location)
        return StateView(
            lineage=revision.lineage,
            serial=revision.serial,
            records=_records_of(_select(connection, _SELECT_RESOURCES, "address", "", addresses)),
            operations=read_operations(connection),
        )


def read_found(
    connection: sqlite3.Connection,
    *,
    kind: Kind | None = None,
    backend: str | None = None,
    after: Address = "",
    limit: int | None = None,
) -> dict[Address, Record]:
    """Return what `StateReader.find` does."""
    kinds = {} if kind is None else _range_of(address_of(kind, ""))
    where, values = _conditions({**kinds, "backend = ?": backend, "address > ?": after or None})
    order = f"{where} ORDER BY address LIMIT ?"
    return _records_of(connection.execute(_SELECT_RESOURCES + order, [*values, -1 if limit is None else limit]))


def read_addresses(connection: sqlite3.Connection, prefix: str, limit: int | None) -> list[Address]:
    """Return what `StateReader.addresses` does."""
    where, values = _conditions(_range_of(prefix) if prefix else {})
    rows = connection.execute(
        f"SELECT address FROM resource{where} ORDER BY address LIMIT ?",  # noqa: S608 - constants
        [*values, -1 if limit is None else limit],
    )
    return list(map(_first, rows))


def read_addresses_like(connection: sqlite3.Connection, address: Address) -> list[Address]:
    """Return the neighbours of `address`, and those that end as it does: a slip in one place leaves the beginning alone, or the end."""
    kind, _, name = address.partition("/")
    ending = name[-max(3, len(name) // 3) :]
    selects = (
        ("SELECT address FROM resource WHERE address > ? ORDER BY address LIMIT ?", (address,)),
        ("SELECT address FROM resource WHERE address < ? ORDER BY address DESC LIMIT ?", (address,)),
        (
            "SELECT address FROM resource WHERE address > ? AND substr(address, ?) = ? LIMIT ?",
            (f"{kind}/", -len(ending), ending),
        ),
    )
    found: dict[Address, None] = {}
    for select, values in selects if name else selects[:2]:
        found |= dict.fromkeys(map(_first, connection.execute(select, (*values, _LIKE_ADDRESSES))))
    return list(found)


def _records_of(rows: Iterable[tuple[object, ...]]) -> dict[Address, Record]:
    found = list(map(_record, rows))
    records: dict[Address, Record] = dict(zip(map(_first, found), found, strict=True))
    expect_records(records)
    return records


def read_rules(
    connection: sqlite3.Connection, share_addresses: Collection[Address] | None = None
) -> dict[Address, tuple[RuleRecord, ...]]:
    """Return what `StateReader.rules` does."""
    with collection_paused():
        return _rules_by_share(_select(connection, _SELECT_RULES, "share_address", _RULE_ORDER, share_addresses))


class SqliteReader:
    """A StateReader on an open snapshot."""

    def __init__(self, snapshot: Snapshot, location: Path) -> None:
        """Read from `snapshot`, which somebody else opens and closes."""
        self._snapshot = snapshot
        self._location = location

    def _read(self, read: Callable[[sqlite3.Connection], _Read]) -> _Read:
        with translated(self._location):
            found = read(self._snapshot.connection)
            self._snapshot.verify()
        return found

    def view(self, addresses: Collection[Address] | None = None) -> StateView:
        """See StateReader."""
        return self._read(lambda connection: read_view(connection, self._location, addresses))

    def record(self, address: Address) -> Record | None:
        """See StateReader."""
        chosen = (address,)
        found = self._read(
            lambda connection: _records_of(_select(connection, _SELECT_RESOURCES, "address", "", chosen))
        )
        return found.get(address)

    def find(
        self, *, kind: Kind | None = None, backend: str | None = None, after: Address = "", limit: int | None = None
    ) -> Mapping[Address, Record]:
        """See StateReader."""
        return self._read(
            lambda connection: read_found(connection, kind=kind, backend=backend, after=after, limit=limit)
        )

    def with_id(self, resource_id: str) -> Mapping[Address, Record]:
        """See StateReader; a scan of the table, which takes 20 ms of 100,000 rows."""
        select = f"{_SELECT_RESOURCES} WHERE resource_id = ?"
        return self._read(lambda connection: _records_of(connection.execute(select, (resource_id,))))

    def children(self, record: Record) -> Mapping[Address, Record]:
        """See StateReader."""
        select = f"{_SELECT_RESOURCES} WHERE parent_id = ? ORDER BY address"
        return self._read(lambda connection: _records_of(connection.execute(select, (record.resource_id,))))

    def addresses(self, prefix: str = "", *, limit: int | None = None) -> Sequence[Address]:
        """See StateReader."""
        if not is_storable(prefix):
            return ()
        return self._read(lambda connection: read_addresses(connection, prefix, limit))

    def addresses_like(self, address: Address) -> Sequence[Address]:
        """See StateReader."""
        if not is_storable(address):
            return ()
        return self._read(lambda connection: read_addresses_like(connection, address))

    def operations(
        self, *, address: Address | None = None, backend: str | None = None, resource_id: str | None = None
    ) -> tuple[OperationRecord, ...]:
        """See StateReader."""
        return self._read(
            lambda connection: read_operations(connection, address=address, backend=backend, resource_id=resource_id)
        )

    def rules(self, share_addresses: Collection[Address] | None = None) -> Mapping[Address, tuple[RuleRecord, ...]]:
        """See StateReader."""
        return self._read(lambda connection: read_rules(connection, share_addresses))

    def count_rules(self) -> int:
        """See StateReader."""
        return int(self._read(lambda connection: connection.execute("SELECT count(*) FROM access_rule").fetchone()[0]))


def _select(
    connection: sqlite3.Connection, select: str, column: str, order: str, addresses: Collection[Address] | None
) -> Iterable[tuple[object, ...]]:
    if addresses is None:
        return connection.execute(select + order)
    return _select_some(connection, select, column, order, sorted(filter(is_storable, set(addresses))))


def _select_some(
    connection: sqlite3.Connection, select: str, column: str, order: str, addresses: list[Address]
) -> Iterator[tuple[object, ...]]:
    for start in range(0, len(addresses), _ADDRESSES_PER_QUERY):
        chunk = addresses[start : start + _ADDRESSES_PER_QUERY]
        marks = ",".join("?" * len(chunk))
        yield from connection.execute(f"{select} WHERE {column} IN ({marks}){order}", chunk)


def is_storable(address: Address) -> bool:
    """Tell whether the text can be in the store at all: a lone surrogate, which the shell can pass in, cannot."""
    try:
        address.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rules_by_share(rows: Iterable[tuple[object, ...]]) -> dict[Address, tuple[RuleRecord, ...]]:
    new = tuple.__new__
    rules = {
        share_address: tuple(
            [
                new(RuleRecord, (new(AccessRule, (access_type, access_to, access_level)), status, reason))
                for _, access_type, access_to, access_level, status, reason in group
            ]
        )
        for share_address, group in groupby(rows, _first)
    }
    expect_rules(rules)
    return rules
