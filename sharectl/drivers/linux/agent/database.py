"""The agent's file of records as such: an SQLite file in the backend's folder on the storage host, its tables and transactions."""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import quote

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host.daemons import locked, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA_VERSION: Final = 3
UNREAD: Final = "?"
"""The identity of a volume or snapshot that was recorded before identities were: it is read when the pool is next used."""

_BUSY_SECONDS: Final = 30.0
_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE pool (name TEXT PRIMARY KEY, identity TEXT NOT NULL) STRICT;
CREATE TABLE share (
    resource_id   TEXT PRIMARY KEY,
    pool          TEXT NOT NULL,
    volume        TEXT NOT NULL,
    instance      TEXT NOT NULL,
    export_name   TEXT NOT NULL,
    export_key    TEXT NOT NULL,
    export_id     INTEGER NOT NULL,
    protocol      TEXT,
    size_bytes    INTEGER NOT NULL,
    options       TEXT NOT NULL,
    is_made       INTEGER NOT NULL,
    trashed_at    TEXT,
    suspended     TEXT,
    identity      TEXT,
    next_identity TEXT,
    is_removing   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (pool, volume),
    UNIQUE (instance, export_key),
    UNIQUE (instance, export_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshot (
    resource_id      TEXT PRIMARY KEY,
    pool             TEXT NOT NULL,
    name             TEXT NOT NULL,
    share_backend_id TEXT NOT NULL,
    size_bytes       INTEGER,
    share_id         TEXT,
    identity         TEXT,
    is_removing      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE share_server (
    resource_id   TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    share_network TEXT NOT NULL,
    allocations   TEXT NOT NULL,
    is_made       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
_SCHEDULES: Final = """
CREATE TABLE schedule (
    share_id   TEXT PRIMARY KEY,
    policy     TEXT NOT NULL,
    handled    TEXT NOT NULL,
    is_settled INTEGER NOT NULL DEFAULT 0,
    failure    TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE scheduled_snapshot (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    resource_id TEXT NOT NULL UNIQUE,
    share_id    TEXT NOT NULL,
    pool        TEXT NOT NULL,
    intervals   TEXT NOT NULL,
    taken_at    INTEGER NOT NULL,
    identity    TEXT
) STRICT;
CREATE INDEX scheduled_snapshot_of_share ON scheduled_snapshot (share_id);
"""
_TO_VERSION_2: Final = """
ALTER TABLE share ADD COLUMN identity TEXT;
ALTER TABLE share ADD COLUMN next_identity TEXT;
ALTER TABLE share ADD COLUMN is_removing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE snapshot ADD COLUMN share_id TEXT;
ALTER TABLE snapshot ADD COLUMN identity TEXT;
ALTER TABLE snapshot ADD COLUMN is_removing INTEGER NOT NULL DEFAULT 0;
UPDATE share SET identity = '?';
UPDATE snapshot SET identity = '?',
    share_id = (SELECT resource_id FROM share WHERE share.pool || '/' || volume = share_backend_id);
PRAGMA user_version = 2;
"""
_TO_VERSION_3: Final = f"{_SCHEDULES} PRAGMA user_version = 3;"
_AS_VERSION_2: Final = """
CREATE TEMP VIEW share AS SELECT *, '?' AS identity, NULL AS next_identity, 0 AS is_removing FROM main.share;
CREATE TEMP VIEW snapshot AS SELECT *, NULL AS share_id, '?' AS identity, 0 AS is_removing FROM main.snapshot;
"""
_AS_VERSION_3: Final = """
CREATE TEMP VIEW schedule AS
    SELECT '' AS share_id, '' AS policy, '' AS handled, 0 AS is_settled, NULL AS failure WHERE 0;
CREATE TEMP VIEW scheduled_snapshot AS
    SELECT 0 AS number, '' AS resource_id, '' AS share_id, '' AS pool, '' AS intervals, 0 AS taken_at, NULL AS identity WHERE 0;
"""
_VIEWS: Final = {1: _AS_VERSION_2 + _AS_VERSION_3, 2: _AS_VERSION_3}
"""What makes a file of an older version look as if it were of this one, by its version."""


class Database:
    """The file; safe from several threads and processes. A change is durable when the call returns, unless asked for otherwise.

    A file of an older version is read as it stands, and brought up to date with the first change.
    """

    def __init__(self, path: str) -> None:
        """Open nothing yet; the file is made by `create`."""
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._viewed: int | None = None  # the older version that the file looks newer than, by views of the connection

    def exists(self) -> bool:
        """Tell whether `create` ever finished for this path."""
        return os.path.exists(self._path)  # noqa: PTH110 - paths are text everywhere in the agent

    def create(self) -> None:
        """Make the file with its tables where it is missing; it is put in its place when it is whole."""
        if self.exists():
            return
        with self._told(), locked(f"{self._path}.lock"):
            if self.exists():
                return
            fresh = f"{self._path}.new"
            for leftover in (fresh, f"{fresh}-wal", f"{fresh}-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(leftover)  # noqa: PTH108 - as above
            # SQLite gives the files that it makes beside this one the same mode.
            os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(
                    f"BEGIN; {_SCHEMA} {_SCHEDULES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
            os.rename(fresh, self._path)  # noqa: PTH104 - as above
            sync_directory(os.path.dirname(self._path))  # noqa: PTH120 - as above

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def transaction(self, *, is_durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Give the connection inside one transaction, which nobody else writes in.

        One that is not durable outlives a killed process as any other, and a power failure from the next durable one on.
        """
        try:
            with self._lock:
                connection = self._checked()
                if not is_durable:
                    connection.execute("PRAGMA synchronous = NORMAL")
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    if self._viewed is not None:
                        _bring_up_to_date(connection, self._viewed)
                    yield connection
                    connection.execute("COMMIT")
                    self._viewed = None
                except BaseException:
                    if connection.in_transaction:  # of some errors (a full disk) SQLite rolls back by itself
                        connection.execute("ROLLBACK")
                    raise
                finally:
                    if not is_durable:
                        connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.DatabaseError as error:
            self._tell(error)

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return the rows that a SELECT finds."""
        try:
            with self._lock:
                return self._checked().execute(statement, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            self._tell(error)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            self._tell(error)

    def _tell(self, error: sqlite3.DatabaseError) -> NoReturn:
        """Raise what keeps SQLite from reading or writing (a full disk, a damaged file, a lock that is held) as a Problem."""
        if type(error) not in {sqlite3.DatabaseError, sqlite3.OperationalError}:
            raise error
        message = f"{self._path} on the storage host cannot be read or written: {error}"
        raise Problem(ProblemKind.UNAVAILABLE, message) from error

    def _checked(self) -> sqlite3.Connection:
        """Return the connection; an older file looks as if it were of this version."""
        connection = self._open()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            message = f"{self._path} was written by a newer sharectl (format {version}, this one knows {SCHEMA_VERSION}); upgrade sharectl"
            raise Problem(ProblemKind.REFUSED, message)
        viewed = version if version in _VIEWS else None
        if not connection.in_transaction and self._viewed != viewed:
            connection.executescript(_without_views(self._viewed) + _VIEWS.get(viewed or SCHEMA_VERSION, ""))
            self._viewed = viewed
        return connection

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                f"file:{quote(self._path)}?mode=rw",  # what is not there is not made: it would be empty
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
                uri=True,
            )
            connection.execute("PRAGMA synchronous = FULL")
            self._connection = connection
        return self._connection


def _without_views(version: int | None) -> str:
    """Return what takes away the views that show a file of this version as one of the present."""
    words = _VIEWS.get(version or SCHEMA_VERSION, "").split()
    names = [after for before, after in itertools.pairwise(words) if before == "VIEW"]
    return "".join(f"DROP VIEW temp.{name};" for name in names)


def _bring_up_to_date(connection: sqlite3.Connection, viewed: int) -> None:
    """Give a file of an older version what this one has, within a transaction, unless another process has done so by now."""
    statements = _without_views(viewed)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    statements += _TO_VERSION_2 if version < 2 else ""  # noqa: PLR2004 - the version that it leads to
    statements += _TO_VERSION_3 if version < SCHEMA_VERSION else ""
    for statement in statements.split(";"):
        connection.execute(statement)
