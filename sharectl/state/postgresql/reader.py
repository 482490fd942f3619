"""Reading from one open transaction of a state in PostgreSQL: records, rules, intents, runs."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.kinds import Kind, address_of
from sharectl.model.records import HistoryEntry, OperationRecord, StateView
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
    records_of,
    rules_by_share,
    runs_of,
)
from sharectl.state.postgresql.errors import damaged, translated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from uuid import UUID

    from sharectl.model.kinds import Address
    from sharectl.model.records import Record, RuleRecord, RunRecord
    from sharectl.state.columns import Table
    from sharectl.state.document import Document
    from sharectl.state.postgresql.connections import Connection

_RULE_ORDER: Final = "ORDER BY share_address, access_type, access_to"
_LIKE_ADDRESSES: Final = 60
_NOT_DONE_SINCE: Final = """WHERE outcome = 'failed' AND NOT EXISTS (SELECT 1 FROM {schema}.history AS later
    WHERE later.address = history.address AND later.sequence > history.sequence AND later.verb = history.verb
    AND later.outcome <> 'failed')"""
_ROWS_PER_FETCH: Final = 2000


def names_of(*names: str) -> str:
    """Return names of columns as statements have them."""
    return ", ".join(f'"{name}"' for name in names)


def columns_of(table: Table) -> str:
    """Return the columns of a table as statements name them that are about several."""
    return ", ".join(f'{table.name}."{name}"' for name in table.columns)


def select_from(table: Table, schema: str, rest: str = "") -> str:
    """Return a question for the rows of a table."""
    return f"SELECT {columns_of(table)} FROM {schema}.{table.name} {rest}"  # noqa: S608 - constants, and a checked name


def can_be_stored(text: str) -> bool:
    """Tell whether PostgreSQL could hold the text at all."""
    return "\0" not in text and is_storable(text)


def fetch(connection: Connection, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Return all rows of an answer, which comes in binary form: that costs the least of all ways."""
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(query.encode(), values or None).fetchall()


def read_revision(connection: Connection, schema: str, location: str, beside: UUID | None = None) -> Revision:
    """Return the lineage and the serial; the commit `beside` does not count. The first question of a transaction: from here on it sees one moment."""
    select = (
        f"SELECT lineage, (SELECT coalesce(max(serial), 0) FROM {schema}.commit_log WHERE commit_id IS DISTINCT FROM %s)"  # noqa: S608 - a checked name
        f" FROM {schema}.meta"
    )
    rows = fetch(connection, select, (beside,))
    if len(rows) != 1:
        raise damaged(location, "it does not say which state it is")
    return Revision(*rows[0])


def is_used(connection: Connection, schema: str) -> bool:
    """Tell whether the state holds anything or has ever done anything."""
    select = f"SELECT EXISTS (SELECT 1 FROM {schema}.resource) OR EXISTS (SELECT 1 FROM {schema}.history)"  # noqa: S608 - a checked name
    return bool(fetch(connection, select)[0][0])


def read_operations(connection: Connection, schema: str, **wanted: str | None) -> tuple[OperationRecord, ...]:
    """Return the open intents with these values in their columns (None: with any), oldest first."""
    where, values = _conditions({f"{name} = %s": value for name, value in wanted.items()})
    rows = fetch(connection, select_from(OPERATION, schema, f"{where} ORDER BY sequence"), values)
    operations = tuple(OperationRecord(*row) for row in rows)
    expect_operations(operations)
    return operations


@contextmanager
def open_document(connection: Connection, schema: str, location: str, beside: UUID | None = None) -> Iterator[Document]:
    """Yield everything but the lock and the notes of use, as the open transaction sees it; rows are read as they are asked for, until the block ends."""
    from sharectl.state.document import Document  # noqa: PLC0415 - only two commands need it

    with translated(location), ExitStack() as cursors:

        def rows(table: Table, order: str) -> Iterator[tuple[Any, ...]]:
            cursor = cursors.enter_context(connection.cursor(f"sharectl_{table.name}", binary=True))
            cursor.itersize = _ROWS_PER_FETCH
            yield from cursor.execute(select_from(table, schema, order).encode())

        revision = read_revision(connection, schema, location, beside)
        yield Document(
            lineage=revision.lineage,
            serial=revision.serial,
            records=(
                record
                for batch in batches_of(rows(RESOURCE, "ORDER BY address"))
                for record in records_of(batch).values()
            ),
            rules=rules_by_share(rows(ACCESS_RULE, _RULE_ORDER)),
            operations=read_operations(connection, schema),
            runs=runs_of(rows(RUN, "ORDER BY sequence")),
            history=entries_of(rows(HISTORY, "ORDER BY sequence")),
        )


def _conditions(values: Mapping[str, str | None]) -> tuple[str, list[str]]:
    """Return a WHERE clause of the conditions that have a value, and those values."""
    chosen = {condition: value for condition, value in values.items() if value is not None}
    return f"WHERE {' AND '.join(chosen)}" if chosen else "", list(chosen.values())


def range_of(prefix: str) -> dict[str, str]:
    """Return the conditions for an address to begin with `prefix`; the last of all characters stands for what may follow."""
    return {"address >= %s": prefix, "address < %s": prefix + chr(sys.maxunicode)}


class PostgresqlReader:
    """A StateReader on a connection with an open transaction."""

    def __init__(self, connection: Connection, schema: str, location: str) -> None:
        """Read from `connection`, whose transaction the caller opens and ends."""
        self._connection = connection
        self._schema = schema
        self._location = location
        with self._reading():
            self._revision = read_revision(connection, schema, location)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(self._location), collection_paused():
            yield self._connection

    def _records(self, rest: str = "", values: Sequence[object] = ()) -> dict[Address, Record]:
        with self._reading() as connection:
            return records_of(fetch(connection, select_from(RESOURCE, self._schema, rest), values))

    def view(self, addresses: Collection[Address] | None = None) -> StateView:
        """See StateReader."""
        records = self._records() if addresses is None else self._with("address", addresses)
        with self._reading() as connection:
            operations = read_operations(connection, self._schema)
        return StateView(self._revision.lineage, self._revision.serial, records, operations)

    def _with(self, column: str, values: Collection[str]) -> dict[Address, Record]:
        """Return the rows with one of these values in a column."""
        wanted = sorted(filter(can_be_stored, set(values)))
        return self._records(f"WHERE {column} = ANY(%s)", (wanted,)) if wanted else {}

    def record(self, address: Address) -> Record | None:
        """See StateReader."""
        return self._with("address", (address,)).get(address)

    def find(
        self, *, kind: Kind | None = None, backend: str | None = None, after: Address = "", limit: int | None = None
    ) -> Mapping[Address, Record]:
        """See StateReader."""
        kinds = {} if kind is None else range_of(address_of(kind, ""))
        where, values = _conditions({**kinds, "backend = %s": backend, "address > %s": after or None})
        return self._records(f"{where} ORDER BY address LIMIT %s", (*values, limit))

    def with_ids(self, resource_ids: Collection[str]) -> Mapping[Address, Record]:
        """See StateReader."""
        return self._with("resource_id", resource_ids)

    def children(self, record: Record) -> Mapping[Address, Record]:
        """See StateReader."""
        return self._records("WHERE parent_id = %s ORDER BY address", (record.resource_id,))

    def addresses(self, prefix: str = "", *, limit: int | None = None) -> Sequence[Address]:
        """See StateReader."""
        where, values = _conditions(range_of(prefix) if prefix else {})
        rest = f"{where} ORDER BY address LIMIT %s"
        return self._addresses((rest, (*values, limit))) if can_be_stored(prefix) else ()

    def addresses_like(self, address: Address) -> Sequence[Address]:
        """See StateReader: its neighbours, and those that end as it does; a slip in one place leaves the beginning alone, or the end."""
        kind, _, name = address.partition("/")
        ending = name[-max(3, len(name) // 3) :]
        rests: list[tuple[str, tuple[object, ...]]] = [
            ("WHERE address > %s ORDER BY address LIMIT %s", (address, _LIKE_ADDRESSES)),
            ("WHERE address < %s ORDER BY address DESC LIMIT %s", (address, _LIKE_ADDRESSES)),
        ]
        if name:
            alike = (f"{kind}/", len(ending), ending, _LIKE_ADDRESSES)
            rests.append(("WHERE address > %s AND right(address, %s) = %s LIMIT %s", alike))
        return self._addresses(*rests) if can_be_stored(address) else ()

    def _addresses(self, *rests: tuple[str, tuple[object, ...]]) -> list[Address]:
        select = f"SELECT address FROM {self._schema}.resource"  # noqa: S608 - a checked name
        with self._reading() as connection:
            rows = [row for rest, values in rests for row in fetch(connection, f"{select} {rest}", values)]
        return list(dict.fromkeys(map(first, rows)))

    def operations(
        self, *, address: Address | None = None, backend: str | None = None, resource_id: str | None = None
    ) -> tuple[OperationRecord, ...]:
        """See StateReader."""
        with self._reading() as connection:
            return read_operations(connection, self._schema, address=address, backend=backend, resource_id=resource_id)

    def rules(self, share_addresses: Collection[Address] | None = None) -> Mapping[Address, tuple[RuleRecord, ...]]:
        """See StateReader."""
        where, values = "", tuple[list[str], ...]()
        if share_addresses is not None:
            where, values = "WHERE share_address = ANY(%s)", (sorted(filter(can_be_stored, set(share_addresses))),)
        with self._reading() as connection:
            select = select_from(ACCESS_RULE, self._schema, f"{where} {_RULE_ORDER}")
            return dict(rules_by_share(fetch(connection, select, values)))

    def count_rules(self) -> int:
        """See StateReader."""
        with self._reading() as connection:
            return int(fetch(connection, f"SELECT count(*) FROM {self._schema}.access_rule")[0][0])  # noqa: S608 - a checked name

    def shares_of_clients(
        self, access_type: str, names: Collection[str] = (), beginnings: Collection[str] = ()
    ) -> Sequence[Address]:
        """See StateReader."""
        select = f"SELECT share_address FROM {self._schema}.access_rule WHERE access_type = %s AND lower(access_to)"  # noqa: S608 - a checked name
        wanted = [name for name in set(names) if can_be_stored(name)]
        lowered = '(SELECT lower(name COLLATE "C") FROM unnest(%s::text[]) AS name)'
        queries: list[tuple[str, tuple[object, ...]]] = [(f"{select} IN {lowered}", (wanted,))] if wanted else []
        between = f'{select} >= lower(%s COLLATE "C") AND lower(access_to) < lower(%s COLLATE "C") || chr(1114111)'
        queries += [(between, (start, start)) for start in filter(can_be_stored, beginnings)]
        with self._reading() as connection:
            rows = [row for query, values in queries for row in fetch(connection, query, (access_type, *values))]
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
        conditions: list[str] = list(range_of(Kind.SHARE.prefix))
        values: list[object] = list(range_of(Kind.SHARE.prefix).values())
        conditions += ["position(%s::bytea IN spec) > 0"] * len(holding)
        values += holding
        if backends:
            conditions.append("backend = ANY(%s)")
            values.append([name for name in backends if can_be_stored(name)])
        if refused_or_named is not None:
            conditions.append("(spec_digest IS NULL OR position(%s IN address) > 0)")
            values.append(refused_or_named)
        order = "size_bytes DESC NULLS LAST, address" if largest_first else "address"
        return self._addresses((f"WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT %s", (*values, limit)))

    def share_sizes(self) -> Sequence[tuple[Address, str, int | None]]:
        """See StateReader."""
        where, values = _conditions(range_of(Kind.SHARE.prefix))
        select = f"SELECT address, resource_id, size_bytes FROM {self._schema}.resource {where} ORDER BY address"  # noqa: S608 - a checked name
        with self._reading() as connection:
            return [(address, own_id, size) for address, own_id, size in fetch(connection, select, values)]

    def client_names(self, access_type: str) -> Sequence[str]:
        """See StateReader."""
        select = f"SELECT DISTINCT access_to FROM {self._schema}.access_rule WHERE access_type = %s ORDER BY access_to"  # noqa: S608 - a checked name
        with self._reading() as connection:
            return [row[0] for row in fetch(connection, select, (access_type,))]

    def runs(self, prefix: str = "", *, limit: int | None = None) -> Sequence[RunRecord]:
        """See StateReader."""
        if not can_be_stored(prefix):
            return ()
        where, values = _conditions({"starts_with(run_id, %s)": prefix or None})
        with self._reading() as connection:
            rows = fetch(
                connection, select_from(RUN, self._schema, f"{where} ORDER BY sequence DESC LIMIT %s"), (*values, limit)
            )
            return list(runs_of(rows))

    def failures(self, *, limit: int) -> Mapping[Address, HistoryEntry]:
        """See StateReader."""
        rest = f"{_NOT_DONE_SINCE.format(schema=self._schema)} ORDER BY sequence DESC LIMIT %s"
        found: dict[Address, HistoryEntry] = {}
        with self._reading() as connection:
            for _, entry in entries_of(fetch(connection, select_from(HISTORY, self._schema, rest), (limit,))):
                found.setdefault(entry.address, entry)
        return found
