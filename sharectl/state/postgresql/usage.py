"""Notes of use in PostgreSQL: taken by whoever looked, read without the rest of the state."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from psycopg import errors

from sharectl.model.usage import with_sample
from sharectl.state.columns import collection_paused
from sharectl.state.contract import StateBusyError, StateUnavailableError
from sharectl.state.postgresql.reader import can_be_stored, fetch
from sharectl.state.postgresql.schema import MIGRATIONS, read_meta
from sharectl.state.usage import (
    MOST_ALIKE,
    Notes,
    PoolNote,
    ShareNote,
    UseRow,
    is_later_listing,
    pack_pools,
    pack_shares,
    series_of,
    unpack_pools,
    unpack_shares,
    update_for,
    use_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from sharectl.model.usage import BackendUse, PoolSample, ShareSample, ShareUse
    from sharectl.state.postgresql.connections import Connection, Connections
    from sharectl.state.usage import Update

_TABLES: Final = ("share_use", "share_samples", "pool_use", "use_listing")
_COLUMNS: Final = "u.resource_id, u.backend, u.used_bytes, u.seen_at, u.is_current, u.sampled_at"
_TURN: Final = "hashtextextended(%s, 0)"


class NotesInTables:
    """The UsageNotes of a state in PostgreSQL."""

    def __init__(self, connections: Connections, schema: str, location: str, *, has_notes: bool) -> None:
        """Use the tables in `schema`, where they are of a version that has notes."""
        self._connections = connections
        self._schema = schema
        self._location = location
        self._has_notes = has_notes

    def take(self, seen: Sequence[BackendUse]) -> bool:
        """See UsageNotes. Whose role may not write, has older tables, or a state that has moved, takes none."""
        if not self._has_notes:
            return False
        try:
            with self._connections.writing() as connection, collection_paused():
                meta = read_meta(connection, self._schema, self._location, len(MIGRATIONS))
                return meta.moved_to is None and take_notes(connection, self._schema, seen)
        except StateBusyError:
            return False
        except StateUnavailableError as problem:
            if isinstance(problem.__cause__, errors.InsufficientPrivilege):
                return False
            raise

    def usage(self, resource_ids: Collection[str] | None = None) -> dict[str, ShareUse]:
        """See UsageNotes."""
        with self._reading() as connection:
            if connection is None:
                return {}
            listings = _listings(connection, self._schema)
            rows = _use_rows(connection, self._schema, resource_ids)
            return {key: use_of(row, listings.get(row.backend, 0)) for key, row in rows.items()}

    def largest(self, number: int) -> Collection[str]:
        """See UsageNotes."""
        least = f"(SELECT used_bytes FROM {self._schema}.share_use ORDER BY used_bytes DESC LIMIT 1 OFFSET %s)"  # noqa: S608 - a checked name
        select = f"SELECT resource_id FROM {self._schema}.share_use WHERE used_bytes >= {least} ORDER BY resource_id LIMIT %s"  # noqa: S608 - a checked name
        most = number + MOST_ALIKE
        with self._reading() as connection:
            found = [] if connection is None else [row[0] for row in fetch(connection, select, (number - 1, most + 1))]
        return found if len(found) <= most else ()

    def share_samples(self, resource_ids: Collection[str] | None = None) -> dict[str, tuple[ShareSample, ...]]:
        """See UsageNotes."""
        with self._reading() as connection:
            if connection is None:
                return {}
            listings = _listings(connection, self._schema)
            return {
                note.row.resource_id: series_of(note, listings.get(note.row.backend, 0))
                for note in _share_notes(connection, self._schema, resource_ids)
            }

    def pool_samples(self) -> dict[tuple[str, str], tuple[PoolSample, ...]]:
        """See UsageNotes."""
        with self._reading() as connection:
            notes = () if connection is None else _pool_notes(connection, self._schema)
            return {(note.backend, note.pool): note.series for note in notes}

    @contextmanager
    def _reading(self) -> Iterator[Connection | None]:
        """Yield a connection; None where there can be no notes."""
        if not self._has_notes:
            yield None
            return
        with self._connections.reading() as connection, collection_paused():
            yield connection


def take_notes(connection: Connection, schema: str, seen: Sequence[BackendUse]) -> bool:
    """Write down what has changed, inside a transaction that the caller opens and ends; False where somebody else does so just now."""
    if not fetch(connection, f"SELECT pg_try_advisory_xact_lock({_TURN})", (_turn_of(schema),))[0][0]:
        return False
    whole = _use_rows(connection, schema, None) if any(each.is_whole for each in seen) else None
    listings = _listings(connection, schema)
    for each in seen:
        listed_at = listings.get(each.backend, 0)
        if each.shares or each.is_whole:
            rows = _use_rows(connection, schema, each.shares) if whole is None else whole
            _write_shares(connection, schema, update_for(each, rows, listed_at))
            if is_later_listing(each, listed_at):
                _write_listing(connection, schema, each.backend, each.at)
        for pool, sample in each.pools.items():
            if not can_be_stored(pool):
                continue
            _write_pool(connection, schema, each.backend, pool, sample)
    _forget_backends(connection, schema)
    return True


def _turn_of(schema: str) -> str:
    return f"sharectl notes of {schema}"


def _listings(connection: Connection, schema: str) -> dict[str, int]:
    return dict(fetch(connection, f"SELECT backend, listed_at FROM {schema}.use_listing ORDER BY backend"))  # noqa: S608 - a checked name


def _write_listing(connection: Connection, schema: str, backend: str, at: int) -> None:
    connection.execute(
        f"INSERT INTO {schema}.use_listing VALUES (%s, %s)"  # noqa: S608 - a checked name
        " ON CONFLICT (backend) DO UPDATE SET listed_at = excluded.listed_at".encode(),
        (backend, at),
    )


def _use_rows(connection: Connection, schema: str, resource_ids: Collection[str] | None) -> dict[str, UseRow]:
    """Return what is kept of these shares (None: of all), by their ids."""
    return {row[0]: UseRow(*row) for row in _chosen(connection, schema, resource_ids)}


def _chosen(
    connection: Connection,
    schema: str,
    resource_ids: Collection[str] | None,
    columns: str = "",
    joined: str = "",
) -> list[tuple[Any, ...]]:
    """Return the rows of these shares (None: of all), by their ids."""
    select = f"SELECT {_COLUMNS}{columns} FROM {schema}.share_use u {joined}"  # noqa: S608 - constants, and a checked name
    if resource_ids is None:
        return fetch(connection, f"{select} ORDER BY u.resource_id")
    wanted = sorted(filter(can_be_stored, set(resource_ids)))
    return fetch(connection, f"{select} WHERE u.resource_id = ANY(%s) ORDER BY u.resource_id", (wanted,))


def _write_shares(connection: Connection, schema: str, update: Update) -> None:
    if update.rows:
        columns = [list(values) for values in zip(*sorted(update.rows), strict=True)]
        connection.execute(
            f"INSERT INTO {schema}.share_use SELECT * FROM"  # noqa: S608 - a checked name
            " unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::boolean[], %s::bigint[])"
            " ON CONFLICT (resource_id) DO UPDATE SET (backend, used_bytes, seen_at, is_current, sampled_at) ="
            " (excluded.backend, excluded.used_bytes, excluded.seen_at, excluded.is_current, excluded.sampled_at)".encode(),
            columns,
        )
    if update.samples:
        select = f"SELECT resource_id, samples FROM {schema}.share_samples WHERE resource_id = ANY(%s)"  # noqa: S608 - a checked name
        known = {key: unpack_shares(packed) for key, packed in fetch(connection, select, (list(update.samples),))}
        packed = {key: pack_shares(with_sample(known.get(key, ()), each)) for key, each in update.samples.items()}
        connection.execute(
            f"INSERT INTO {schema}.share_samples SELECT * FROM unnest(%s::text[], %s::bytea[])"  # noqa: S608 - a checked name
            " ON CONFLICT (resource_id) DO UPDATE SET samples = excluded.samples".encode(),
            (sorted(packed), [packed[key] for key in sorted(packed)]),
        )
    if update.gone:
        for table in ("share_use", "share_samples"):
            delete = f"DELETE FROM {schema}.{table} WHERE resource_id = ANY(%s)"  # noqa: S608 - a checked name
            connection.execute(delete.encode(), (list(update.gone),))


def _write_pool(connection: Connection, schema: str, backend: str, pool: str, sample: PoolSample) -> None:
    select = f"SELECT backend, pool, last, samples FROM {schema}.pool_use WHERE backend = %s AND pool = %s"  # noqa: S608 - a checked name
    known = next((_pool_note(row) for row in fetch(connection, select, (backend, pool))), None)
    note = PoolNote(backend, pool, sample) if known is None else known.after(sample)
    connection.execute(
        f"INSERT INTO {schema}.pool_use VALUES (%s, %s, %s, %s)"  # noqa: S608 - a checked name
        " ON CONFLICT (backend, pool) DO UPDATE SET (last, samples) = (excluded.last, excluded.samples)".encode(),
        _pool_row(note),
    )


def _pool_row(note: PoolNote) -> tuple[str, str, bytes, bytes]:
    return note.backend, note.pool, pack_pools([note.last]), pack_pools(note.samples)


def _pool_note(row: Sequence[Any]) -> PoolNote | None:
    """Return the note in a row; None where it holds none."""
    backend, pool, last, samples = row
    found = unpack_pools(last)
    return PoolNote(backend, pool, found[0], unpack_pools(samples)) if found else None


def _forget_backends(connection: Connection, schema: str) -> None:
    """Forget what was noted of backends on which the state has nothing any more."""
    known = (
        f"SELECT backend FROM (SELECT backend FROM {schema}.use_listing UNION SELECT backend FROM {schema}.pool_use) AS noted"  # noqa: S608 - a checked name
        f" WHERE NOT EXISTS (SELECT 1 FROM {schema}.resource WHERE resource.backend = noted.backend)"
    )
    for (backend,) in fetch(connection, known):
        connection.execute(
            f"DELETE FROM {schema}.share_samples s USING {schema}.share_use u"  # noqa: S608 - a checked name
            " WHERE s.resource_id = u.resource_id AND u.backend = %s".encode(),
            (backend,),
        )
        for table in ("share_use", "pool_use", "use_listing"):
            connection.execute(f"DELETE FROM {schema}.{table} WHERE backend = %s".encode(), (backend,))  # noqa: S608 - as above


def _share_notes(connection: Connection, schema: str, resource_ids: Collection[str] | None) -> Iterator[ShareNote]:
    joined = f"LEFT JOIN {schema}.share_samples s ON s.resource_id = u.resource_id"
    for *row, samples in _chosen(connection, schema, resource_ids, ", s.samples", joined):
        yield ShareNote(UseRow(*row), unpack_shares(samples or b""))


def _pool_notes(connection: Connection, schema: str) -> Iterable[PoolNote]:
    """Return what is kept of pools, by backend and pool."""
    rows = fetch(connection, f"SELECT backend, pool, last, samples FROM {schema}.pool_use ORDER BY backend, pool")  # noqa: S608 - a checked name
    return [note for note in map(_pool_note, rows) if note is not None]


def read_notes(connection: Connection, schema: str) -> Notes:
    """Return all notes; those of shares are asked for when they are needed."""
    pools = tuple(_pool_notes(connection, schema))
    return Notes(_share_notes(connection, schema, None), pools, _listings(connection, schema))


def replace_notes(connection: Connection, schema: str, notes: Notes | None) -> None:
    """Make these all the notes; None: there are none."""
    connection.execute(f"SELECT pg_advisory_xact_lock({_TURN})".encode(), (_turn_of(schema),))
    for table in _TABLES:
        connection.execute(f"DELETE FROM {schema}.{table}".encode())  # noqa: S608 - constants, and a checked name
    if notes is None:
        return
    shares = list(notes.shares)
    sampled = [(note.row.resource_id, pack_shares(note.samples)) for note in shares if note.samples]
    rows: dict[str, Iterable[Sequence[Any]]] = {
        "share_use": [note.row for note in shares],
        "share_samples": sampled,
        "pool_use": map(_pool_row, notes.pools),
        "use_listing": notes.listings.items(),
    }
    for table, each in rows.items():
        with connection.cursor() as cursor, cursor.copy(f"COPY {schema}.{table} FROM STDIN") as copy:
            for row in each:
                copy.write_row(row)


def rename_backend(connection: Connection, schema: str, old: str, new: str) -> None:
    """Let the notes of a backend be those of another name."""
    connection.execute(f"SELECT pg_advisory_xact_lock({_TURN})".encode(), (_turn_of(schema),))
    for table in ("pool_use", "use_listing"):
        connection.execute(f"DELETE FROM {schema}.{table} WHERE backend = %s".encode(), (new,))  # noqa: S608 - the names are those above
    for table in ("share_use", "pool_use", "use_listing"):
        connection.execute(f"UPDATE {schema}.{table} SET backend = %s WHERE backend = %s".encode(), (new, old))  # noqa: S608 - as above
