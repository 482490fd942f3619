"""Notes of use in the state file: taken by whoever looked, read without the rest of the state."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from sharectl.model.usage import with_sample
from sharectl.state.columns import batches_of, collection_paused, is_storable
from sharectl.state.contract import StateBusyError
from sharectl.state.sqlite import files
from sharectl.state.sqlite.errors import translated
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
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sharectl.model.usage import BackendUse, PoolSample, ShareSample, ShareUse
    from sharectl.state.sqlite.snapshots import Snapshots
    from sharectl.state.usage import Update

    class _Transaction(Protocol):
        def __call__(self, *, patience_seconds: float) -> AbstractContextManager[sqlite3.Connection]: ...


TABLES: Final = ("share_use", "share_samples", "pool_use", "use_listing")
_VALUES_PER_QUERY: Final = 900
_BUSY_SECONDS: Final = 2.0
"""For so long a commit of somebody else is waited for; the next run notes what this one could not."""
_SELECT: Final = "SELECT u.resource_id, u.backend, u.used_bytes, u.seen_at, u.is_current, u.sampled_at"
_LISTED: Final = "coalesce((SELECT listed_at FROM use_listing l WHERE l.backend = u.backend), 0)"
_SAMPLES: Final = "coalesce((SELECT samples FROM share_samples s WHERE s.resource_id = u.resource_id), x'')"


class NotesInFile:
    """The UsageNotes of a state file."""

    def __init__(self, path: Path, snapshots: Snapshots, transaction: _Transaction, version: int) -> None:
        """Use the file at `path`, where it is of this version."""
        self._path = path
        self._snapshots = snapshots
        self._transaction = transaction
        self._version = version

    def take(self, seen: Sequence[BackendUse]) -> bool:
        """See UsageNotes. Whoever may not write the file, has an older one, or one that has moved, takes none."""
        if not files.can_be_written(self._path):
            return False
        with self._snapshots.open() as snapshot:
            if snapshot.version != self._version:
                return False
        try:
            with self._transaction(patience_seconds=_BUSY_SECONDS) as connection, collection_paused():
                if connection.execute("SELECT moved_to FROM meta").fetchone() != (None,):
                    return False
                take_notes(connection, seen)
        except StateBusyError:
            return False
        return True

    def usage(self, resource_ids: Collection[str] | None = None) -> dict[str, ShareUse]:
        """See UsageNotes."""
        with self._reading() as connection:
            rows = _chosen(connection, f"{_SELECT}, {_LISTED}", resource_ids)
            return {row[0]: use_of(UseRow(*row[:-1]), row[-1]) for row in rows}

    def largest(self, number: int) -> Collection[str]:
        """See UsageNotes."""
        least = "(SELECT used_bytes FROM share_use ORDER BY used_bytes DESC LIMIT 1 OFFSET ?)"
        select = f"SELECT resource_id FROM share_use WHERE used_bytes >= {least} ORDER BY resource_id LIMIT ?"  # noqa: S608 - constants
        most = number + MOST_ALIKE
        with self._reading() as connection:
            found = [row[0] for row in connection.execute(select, (number - 1, most + 1))]
        return found if len(found) <= most else ()

    def share_samples(self, resource_ids: Collection[str] | None = None) -> dict[str, tuple[ShareSample, ...]]:
        """See UsageNotes."""
        with self._reading() as connection:
            rows = _chosen(connection, f"{_SELECT}, {_SAMPLES}, {_LISTED}", resource_ids)
            return {row[0]: series_of(ShareNote(UseRow(*row[:-2]), unpack_shares(row[-2])), row[-1]) for row in rows}

    def pool_samples(self) -> dict[tuple[str, str], tuple[PoolSample, ...]]:
        """See UsageNotes."""
        with self._reading() as connection:
            return {(note.backend, note.pool): note.series for note in _pool_notes(connection)}

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._snapshots.open() as snapshot, translated(self._path), collection_paused():
            yield snapshot.connection
            snapshot.verify()


def take_notes(connection: sqlite3.Connection, seen: Sequence[BackendUse]) -> None:
    """Write down what has changed, inside a transaction that the caller opens and ends."""
    whole = _use_rows(connection, None) if any(each.is_whole for each in seen) else None
    for each in seen:
        listed_at = _listed_at(connection, each.backend)
        if each.shares or each.is_whole:
            update = update_for(each, _use_rows(connection, each.shares) if whole is None else whole, listed_at)
            _write_shares(connection, update)
            if is_later_listing(each, listed_at):
                connection.execute("INSERT OR REPLACE INTO use_listing VALUES (?, ?)", (each.backend, each.at))
        for pool, sample in each.pools.items():
            if not is_storable(pool):
                continue
            _write_pool(connection, each.backend, pool, sample)
    _forget_backends(connection)


def _listed_at(connection: sqlite3.Connection, backend: str) -> int:
    row = connection.execute("SELECT listed_at FROM use_listing WHERE backend = ?", (backend,)).fetchone()
    return 0 if row is None else row[0]


def _use_rows(connection: sqlite3.Connection, resource_ids: Collection[str] | None) -> dict[str, UseRow]:
    """Return what is kept of these shares (None: of all), by their ids."""
    new = tuple.__new__
    return {row[0]: new(UseRow, row) for row in _chosen(connection, _SELECT, resource_ids)}


def _chosen(
    connection: sqlite3.Connection, select: str, resource_ids: Collection[str] | None
) -> Iterable[tuple[Any, ...]]:
    """Return the rows of these shares (None: of all), by their ids."""
    if resource_ids is None:
        return connection.execute(f"{select} FROM share_use u ORDER BY u.resource_id")
    return (
        row
        for chunk in batches_of(sorted(filter(is_storable, set(resource_ids))), _VALUES_PER_QUERY)
        for row in connection.execute(
            f"{select} FROM share_use u WHERE u.resource_id IN ({','.join('?' * len(chunk))}) ORDER BY u.resource_id",
            chunk,
        )
    )


def _write_shares(connection: sqlite3.Connection, update: Update) -> None:
    connection.executemany("INSERT OR REPLACE INTO share_use VALUES (?, ?, ?, ?, ?, ?)", sorted(update.rows))
    for resource_id, sample in sorted(update.samples.items()):
        row = connection.execute("SELECT samples FROM share_samples WHERE resource_id = ?", (resource_id,)).fetchone()
        samples = with_sample(() if row is None else unpack_shares(row[0]), sample)
        packed = (resource_id, pack_shares(samples))
        connection.execute("INSERT OR REPLACE INTO share_samples VALUES (?, ?)", packed)
    for table in ("share_use", "share_samples"):
        ids = [(resource_id,) for resource_id in update.gone]
        connection.executemany(f"DELETE FROM {table} WHERE resource_id = ?", ids)  # noqa: S608 - the names are those above


def _write_pool(connection: sqlite3.Connection, backend: str, pool: str, sample: PoolSample) -> None:
    select = "SELECT last, samples FROM pool_use WHERE backend = ? AND pool = ?"
    row = connection.execute(select, (backend, pool)).fetchone()
    known = None if row is None else _pool_note((backend, pool, *row))
    note = PoolNote(backend, pool, sample) if known is None else known.after(sample)
    connection.execute("INSERT OR REPLACE INTO pool_use VALUES (?, ?, ?, ?)", _pool_row(note))


def _pool_row(note: PoolNote) -> tuple[str, str, bytes, bytes]:
    return note.backend, note.pool, pack_pools([note.last]), pack_pools(note.samples)


def _pool_note(row: Sequence[Any]) -> PoolNote | None:
    """Return the note in a row; None where it holds none."""
    backend, pool, last, samples = row
    found = unpack_pools(last)
    return PoolNote(backend, pool, found[0], unpack_pools(samples)) if found else None


def _forget_backends(connection: sqlite3.Connection) -> None:
    """Forget what was noted of backends on which the state has nothing any more."""
    known = connection.execute("SELECT backend FROM use_listing UNION SELECT backend FROM pool_use").fetchall()
    for (backend,) in known:
        if connection.execute("SELECT 1 FROM resource WHERE backend = ? LIMIT 1", (backend,)).fetchone() is None:
            connection.execute(
                "DELETE FROM share_samples WHERE resource_id IN (SELECT resource_id FROM share_use WHERE backend = ?)",
                (backend,),
            )
            for table in ("share_use", "pool_use", "use_listing"):
                connection.execute(f"DELETE FROM {table} WHERE backend = ?", (backend,))  # noqa: S608 - as above


def _pool_notes(connection: sqlite3.Connection) -> Iterator[PoolNote]:
    """Yield what is kept of pools, by backend and pool."""
    for row in connection.execute("SELECT backend, pool, last, samples FROM pool_use ORDER BY backend, pool"):
        note = _pool_note(row)
        if note is not None:
            yield note


def read_notes(connection: sqlite3.Connection) -> Notes:
    """Return all notes; shares are read as they are asked for."""
    shares = (
        ShareNote(UseRow(*row[:-1]), unpack_shares(row[-1]))
        for row in _chosen(connection, f"{_SELECT}, {_SAMPLES}", None)
    )
    listings = connection.execute("SELECT backend, listed_at FROM use_listing ORDER BY backend").fetchall()
    return Notes(shares, tuple(_pool_notes(connection)), dict(listings))


def replace_notes(connection: sqlite3.Connection, notes: Notes | None) -> None:
    """Make these all the notes; None: there are none."""
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - the names are those above
    if notes is None:
        return
    for batch in batches_of(notes.shares):
        connection.executemany("INSERT INTO share_use VALUES (?, ?, ?, ?, ?, ?)", [note.row for note in batch])
        samples = [(note.row.resource_id, pack_shares(note.samples)) for note in batch if note.samples]
        connection.executemany("INSERT INTO share_samples VALUES (?, ?)", samples)
    connection.executemany("INSERT INTO pool_use VALUES (?, ?, ?, ?)", map(_pool_row, notes.pools))
    connection.executemany("INSERT INTO use_listing VALUES (?, ?)", notes.listings.items())


def rename_backend(connection: sqlite3.Connection, old: str, new: str) -> None:
    """Let the notes of a backend be those of another name."""
    for table in ("share_use", "pool_use", "use_listing"):
        connection.execute(f"UPDATE OR REPLACE {table} SET backend = ? WHERE backend = ?", (new, old))  # noqa: S608 - the names are those above
