"""The state file of a simulated backend: a SQLite file that anybody may look into while it is in use.

Its tables are a documented contract, see docs/reference/simulated-driver.md. It survives the death of the process (WAL); since it is
only a simulation, it need not survive a loss of power.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import BackendUnavailableError, fenced

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS backend(identity TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS shares(
    backend_id TEXT PRIMARY KEY,
    resource_id TEXT UNIQUE,
    name TEXT NOT NULL,
    pool TEXT NOT NULL,
    size_bytes INTEGER,
    protocol TEXT,
    access TEXT NOT NULL DEFAULT '[]',
    used_bytes INTEGER NOT NULL DEFAULT 0,
    content TEXT NOT NULL DEFAULT '',
    trashed_at TEXT,
    share_server_id TEXT,
    export_name TEXT,
    export_key TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS shares_by_pool ON shares(pool, size_bytes, used_bytes);
CREATE TABLE IF NOT EXISTS snapshots(
    resource_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    share_resource_id TEXT NOT NULL,
    share_backend_id TEXT NOT NULL,
    pool TEXT NOT NULL,
    size_bytes INTEGER,
    used_bytes INTEGER NOT NULL,
    content TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS share_servers(
    resource_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    share_network TEXT NOT NULL,
    allocations TEXT NOT NULL,
    security_services TEXT NOT NULL DEFAULT '[]',
    problem TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fences(lineage TEXT PRIMARY KEY, fence INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fences_beside(
    lineage TEXT NOT NULL, newest INTEGER NOT NULL, fence INTEGER NOT NULL, PRIMARY KEY(lineage, fence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fault_matches(fault INTEGER PRIMARY KEY, matches INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS calls(
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    call TEXT NOT NULL,
    resource_id TEXT,
    pool TEXT,
    process INTEGER NOT NULL,
    thread INTEGER NOT NULL,
    started_ns INTEGER NOT NULL,
    finished_ns INTEGER,
    outcome TEXT
);
"""
_ADDED_COLUMNS: Final = {"share_server_id": "TEXT", "export_name": "TEXT", "export_key": "TEXT"}
"""Columns of the table of shares that older files have not, and their types."""
_INDEX_OF_EXPORTS: Final = (
    "CREATE INDEX IF NOT EXISTS shares_by_export ON shares(export_key) WHERE export_key IS NOT NULL"
)
_BUSY_SECONDS: Final = 60.0
UNFENCED: Final = (
    "NOT EXISTS (SELECT 1 FROM fences AS f WHERE f.lineage = ? AND f.fence > ? AND NOT EXISTS"
    " (SELECT 1 FROM fences_beside AS b WHERE b.lineage = f.lineage AND b.newest = f.fence AND b.fence = ?))"
)
"""A condition for single statements, with `StateFile.fence` as its values: no later run has raised its fence, or it lets this one go on."""


class StateFile:
    """One connection, used by one thread at a time; other processes have theirs."""

    def __init__(self, path: str) -> None:
        """Remember the path; the file is opened by the first transaction, and made only by one that may `create` it."""
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self.fence: tuple[str, int, int] = ("", 0, 0)
        self._beside: Collection[int] = ()

    def raise_fence(self, lineage: str, fence: int, beside: Collection[int]) -> None:
        """Write only under this fence from now on. Raises FencedError."""
        self.fence = (lineage, fence, fence)
        self._beside = beside
        with self._lock, _as_unavailable(self._path):
            connection = self._opened(create=False)
        if connection is not None:
            with self.writing():
                pass

    def expect_fence(self, connection: sqlite3.Connection) -> None:
        """Raise FencedError where a later run has raised its fence; make this one known where the file does not know it."""
        lineage, fence, _ = self.fence
        if not lineage:
            return
        from sharectl.model.fences import Fences  # noqa: PLC0415 - only where something changes

        row = connection.execute("SELECT fence FROM fences WHERE lineage = ?", (lineage,)).fetchone()
        newest = 0 if row is None else row[0]
        select = "SELECT fence FROM fences_beside WHERE lineage = ? AND newest = ?"
        found = Fences(newest, frozenset(other for (other,) in connection.execute(select, (lineage, newest))))
        if not found.admit(fence):
            raise fenced(fence, newest)
        raised = found.raised(fence, self._beside)
        if raised != found:
            connection.execute("INSERT OR REPLACE INTO fences VALUES (?, ?)", (lineage, raised.newest))
            connection.execute("DELETE FROM fences_beside WHERE lineage = ?", (lineage,))
            rows = [(lineage, raised.newest, other) for other in raised.beside]
            connection.executemany("INSERT INTO fences_beside VALUES (?, ?, ?)", rows)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """Give the connection within a consistent view of the file, or None where there is no file yet."""
        with self._lock, _as_unavailable(self._path):
            connection = self._opened(create=False)
            if connection is None:
                yield None
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def single(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for single statements, each of which is a transaction."""
        with self._lock, _as_unavailable(self._path):
            yield self._present()

    def changed(self, statement: str, values: Sequence[str | int | None]) -> bool:
        """Tell whether a statement, which says UNFENCED, has changed one row; as a transaction of its own it has a third of the cost of `writing`."""
        try:
            with self._lock:
                return self._present().execute(statement, values).rowcount == 1
        except (sqlite3.Error, OSError) as cause:
            raise _unavailable(self._path, cause) from cause

    @contextmanager
    def writing(self, *, create: bool = False, notes: bool = False) -> Iterator[sqlite3.Connection]:
        """Give the connection within a transaction that is committed at the end, or rolled back by an exception.

        Raises FencedError where a later run has raised its fence, unless only `notes` are written: what the simulation needs for itself.
        """
        with self._lock, _as_unavailable(self._path):
            connection = self._present(create=create)
            connection.execute("BEGIN IMMEDIATE")
            try:
                if not notes:
                    self.expect_fence(connection)
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _present(self, *, create: bool = False) -> sqlite3.Connection:
        connection = self._opened(create=create)
        if connection is None:
            message = f"the simulated backend {self._path!r} is not there; it is made when the backend is prepared"
            raise BackendUnavailableError(message)
        return connection

    def _opened(self, *, create: bool) -> sqlite3.Connection | None:
        exists = os.path.exists(self._path)  # noqa: PTH110 - on the path of every call, and pathlib costs more than SQLite here
        if self._connection is not None and exists:
            return self._connection
        if self._connection is not None:  # somebody removed the file: what the connection still sees is nobody's state
            self._connection.close()
            self._connection = None
        if not exists:
            if not create:
                return None
            os.makedirs(os.path.dirname(self._path), exist_ok=True)  # noqa: PTH103, PTH120 - text, as above
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            connection.execute(
                "PRAGMA page_size=1024"
            )  # of a new file: a call writes whole pages, and changes little in each
            _make_wal(connection)
            connection.execute("PRAGMA synchronous=OFF")
            known = {column[1] for column in connection.execute("PRAGMA table_info(shares)")}
            select = "SELECT 1 FROM sqlite_master WHERE name = 'fences_beside'"
            if (
                not _ADDED_COLUMNS.keys() <= known or connection.execute(select).fetchone() is None
            ):  # a new file, or one of an older version
                connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
                _add_columns(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection


def _add_columns(connection: sqlite3.Connection) -> None:
    """Give the table of shares the columns that a file of an older version has not, and the index of one of them."""
    known = {column[1] for column in connection.execute("PRAGMA table_info(shares)")}
    for name in _ADDED_COLUMNS.keys() - known:
        with suppress(sqlite3.OperationalError):  # another process has just done it
            connection.execute(f"ALTER TABLE shares ADD COLUMN {name} {_ADDED_COLUMNS[name]}")
    connection.execute(_INDEX_OF_EXPORTS)


def _make_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; SQLite does not wait for another process that does the same at this moment, so this does."""
    give_up_at = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as cause:
            if "locked" not in str(cause) or time.monotonic() > give_up_at:
                raise
        else:
            return


@contextmanager
def _as_unavailable(path: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as cause:
        raise _unavailable(path, cause) from cause


def _unavailable(path: str, cause: Exception) -> BackendUnavailableError:
    return BackendUnavailableError(f"the simulated backend {path!r} cannot be used: {cause}")
