"""What the agent keeps of the shares and snapshots it made: a small SQLite file in the backend's folder on the storage host."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host.daemons import locked, sync_directory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

SCHEMA_VERSION: Final = 1
MAX_EXPORT_ID: Final = 65_535
_FIRST_EXPORT_ID: Final = 1
_NEXT_EXPORT_ID: Final = "next-export-id/"
_FENCE: Final = "fence/"
_BUSY_SECONDS: Final = 30.0
_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE pool (name TEXT PRIMARY KEY, identity TEXT NOT NULL) STRICT;
CREATE TABLE share (
    resource_id TEXT PRIMARY KEY,
    pool        TEXT NOT NULL,
    volume      TEXT NOT NULL,
    instance    TEXT NOT NULL,
    export_name TEXT NOT NULL,
    export_key  TEXT NOT NULL,
    export_id   INTEGER NOT NULL,
    protocol    TEXT,
    size_bytes  INTEGER NOT NULL,
    options     TEXT NOT NULL,
    is_made     INTEGER NOT NULL,
    trashed_at  TEXT,
    suspended   TEXT,
    UNIQUE (pool, volume),
    UNIQUE (instance, export_key),
    UNIQUE (instance, export_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshot (
    resource_id      TEXT PRIMARY KEY,
    pool             TEXT NOT NULL,
    name             TEXT NOT NULL,
    share_backend_id TEXT NOT NULL,
    size_bytes       INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE share_server (
    resource_id   TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    share_network TEXT NOT NULL,
    allocations   TEXT NOT NULL,
    is_made       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class ShareRow:
    """A share that the agent made or took over.

    `export_key` is what must be unique among the names that one server exports: the name without case, as Windows clients
    see it; a share in the trash has given its name up and holds its id instead. `options` are export options. `is_made` is
    false until the volume is whole. `suspended` holds what was in force before a revert withdrew it.
    """

    resource_id: str
    pool: str
    volume: str
    instance: str
    export_name: str
    export_key: str
    export_id: int
    protocol: str | None
    size_bytes: int
    options: Mapping[str, Any]
    is_made: bool = False
    trashed_at: str | None = None
    suspended: Mapping[str, Any] | None = None

    @property
    def backend_id(self) -> str:
        """`POOL/VOLUME`, by which an administrator finds the share on the host."""
        return f"{self.pool}/{self.volume}"


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A snapshot that the agent took."""

    resource_id: str
    pool: str
    name: str
    share_backend_id: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class ShareServerRow:
    """A share server. `allocations` are its addresses with what belongs to their network, as `networks.NetworkAllocation` has them."""

    resource_id: str
    name: str
    share_network: str
    allocations: tuple[Mapping[str, Any], ...]
    is_made: bool = False


_SHARE_COLUMNS: Final = (
    "resource_id, pool, volume, instance, export_name, export_key, export_id, protocol, size_bytes, options,"
    " is_made, trashed_at, suspended"
)
_SNAPSHOT_COLUMNS: Final = "resource_id, pool, name, share_backend_id, size_bytes"


class Records:
    """The file; safe from several threads and processes. A change is durable when the call returns, unless it is asked for otherwise."""

    def __init__(self, path: str) -> None:
        """Open nothing yet; the file is made by `create`."""
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def exists(self) -> bool:
        """Tell whether `create` ever came to its end for this path."""
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
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
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
        with self._told(), self._lock:
            connection = self._checked()
            if not is_durable:
                connection.execute("PRAGMA synchronous = NORMAL")
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # of some errors (a full disk) SQLite rolls back by itself
                    connection.execute("ROLLBACK")
                raise
            finally:
                if not is_durable:
                    connection.execute("PRAGMA synchronous = FULL")

    def value(self, key: str) -> str | None:
        """Return a value of the backend as a whole, None where it was never set."""
        row = self._query("SELECT value FROM meta WHERE key = ?", (key,))
        return None if not row else str(row[0][0])

    def set_once(self, key: str, value: str) -> str:
        """Set a value unless it is set; return the one that holds."""
        with self.transaction() as connection:
            connection.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", (key, value))
            return str(connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])

    def raise_fence(self, lineage: str, fence: int) -> int:
        """Remember the highest fence of a state; return it."""
        found = self.value(_FENCE + lineage)
        if found is not None and int(found) >= fence:
            return int(found)
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key)"
                " DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))",
                (_FENCE + lineage, str(fence)),
            )
            return int(connection.execute("SELECT value FROM meta WHERE key = ?", (_FENCE + lineage,)).fetchone()[0])

    def pool_identities(self) -> dict[str, str]:
        """Return the identity that each prepared pool had."""
        return {str(name): str(identity) for name, identity in self._query("SELECT name, identity FROM pool", ())}

    def pin_pool(self, name: str, identity: str) -> str:
        """Remember the identity of a pool unless one is known; return the one that holds."""
        with self.transaction() as connection:
            connection.execute("INSERT INTO pool VALUES (?, ?) ON CONFLICT DO NOTHING", (name, identity))
            return str(connection.execute("SELECT identity FROM pool WHERE name = ?", (name,)).fetchone()[0])

    def shares(self, resource_ids: Collection[str] | None = None) -> list[ShareRow]:
        """Return all shares, or those with these ids."""
        if resource_ids is None:
            rows = self._query(f"SELECT {_SHARE_COLUMNS} FROM share", ())  # noqa: S608 - a constant
        else:
            rows = self._query(
                f"SELECT {_SHARE_COLUMNS} FROM share WHERE resource_id IN (SELECT value FROM json_each(?))",  # noqa: S608 - a constant
                (json.dumps(sorted(resource_ids)),),
            )
        return [_share(row) for row in rows]

    def share(self, resource_id: str) -> ShareRow | None:
        """Return the share with this id."""
        return next(iter(self.shares([resource_id])), None)

    def share_of_volume(self, pool: str, volume: str) -> ShareRow | None:
        """Return the share that has this volume."""
        statement = f"SELECT {_SHARE_COLUMNS} FROM share WHERE pool = ? AND volume = ?"  # noqa: S608 - a constant
        return next((_share(row) for row in self._query(statement, (pool, volume))), None)

    def update_share(self, resource_id: str, **values: Any) -> None:  # noqa: ANN401 - columns have several types
        """Change columns of a share."""
        columns = ", ".join(f"{column} = :{column}" for column in values)
        encoded = {key: _encoded(value) for key, value in values.items()}
        with self.transaction() as connection:
            connection.execute(
                f"UPDATE share SET {columns} WHERE resource_id = :resource_id",  # noqa: S608 - names of columns, from the code
                {**encoded, "resource_id": resource_id},
            )

    def reopen_share(self, row: ShareRow) -> ShareRow | None:
        """Count a share as not made, under another export id, since its volume is another from now on; None where it has changed."""
        with self.transaction() as connection:
            if self.share(row.resource_id) != row:
                return None
            export_id = next_export_id(connection, row.instance)
            connection.execute(
                "UPDATE share SET is_made = 0, export_id = ? WHERE resource_id = ?", (export_id, row.resource_id)
            )
            return replace(row, is_made=False, export_id=export_id)

    def remove_share(self, resource_id: str) -> None:
        """Forget a share."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM share WHERE resource_id = ?", (resource_id,))

    def remove_unchanged_share(self, row: ShareRow) -> bool:
        """Forget a share that still is as `row` says; tell whether it is forgotten."""
        with self.transaction() as connection:
            found = self.share(row.resource_id)
            if found == row:
                connection.execute("DELETE FROM share WHERE resource_id = ?", (row.resource_id,))
            return found is None or found == row

    def allocated_bytes(self) -> dict[str, int]:
        """Return the sum of the sizes of the shares in each pool."""
        return {
            str(pool): int(total)
            for pool, total in self._query("SELECT pool, SUM(size_bytes) FROM share GROUP BY pool", ())
        }

    def snapshots(self, resource_ids: Collection[str] | None = None) -> list[SnapshotRow]:
        """Return all snapshots, or those with these ids."""
        if resource_ids is None:
            rows = self._query(f"SELECT {_SNAPSHOT_COLUMNS} FROM snapshot", ())  # noqa: S608 - a constant
        else:
            rows = self._query(
                f"SELECT {_SNAPSHOT_COLUMNS} FROM snapshot WHERE resource_id IN (SELECT value FROM json_each(?))",  # noqa: S608 - a constant
                (json.dumps(sorted(resource_ids)),),
            )
        return [SnapshotRow(*row) for row in rows]

    def snapshot(self, resource_id: str) -> SnapshotRow | None:
        """Return the snapshot with this id."""
        return next(iter(self.snapshots([resource_id])), None)

    def put_snapshot(self, row: SnapshotRow) -> None:
        """Remember a snapshot."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO snapshot VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (row.resource_id, row.pool, row.name, row.share_backend_id, row.size_bytes),
            )

    def remove_snapshot(self, resource_id: str) -> None:
        """Forget a snapshot."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM snapshot WHERE resource_id = ?", (resource_id,))

    def share_servers(self) -> list[ShareServerRow]:
        """Return all share servers."""
        rows = self._query("SELECT resource_id, name, share_network, allocations, is_made FROM share_server", ())
        return [
            ShareServerRow(resource_id, name, share_network, tuple(json.loads(allocations)), bool(is_made))
            for resource_id, name, share_network, allocations, is_made in rows
        ]

    def share_server(self, resource_id: str) -> ShareServerRow | None:
        """Return the share server with this id."""
        return next((row for row in self.share_servers() if row.resource_id == resource_id), None)

    def put_share_server(self, row: ShareServerRow) -> None:
        """Remember a share server, or what changed of it."""
        allocations = json.dumps([dict(allocation) for allocation in row.allocations], sort_keys=True)
        values = (row.resource_id, row.name, row.share_network, allocations, int(row.is_made))
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO share_server VALUES (?, ?, ?, ?, ?)", values)

    def close_share_server(self, resource_id: str) -> list[ShareRow]:
        """Mark a share server as not whole, so that it takes no more shares, unless it has some: return those."""
        with self.transaction() as connection:
            shares = self.shares_of_instance(resource_id)
            if not shares:
                connection.execute("UPDATE share_server SET is_made = 0 WHERE resource_id = ?", (resource_id,))
            return shares

    def remove_share_server(self, resource_id: str) -> None:
        """Forget a share server."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM share_server WHERE resource_id = ?", (resource_id,))
            connection.execute("DELETE FROM meta WHERE key = ?", (f"{_NEXT_EXPORT_ID}{resource_id}",))

    def shares_of_instance(self, instance: str) -> list[ShareRow]:
        """Return the shares that one instance exports, those in the trash too."""
        rows = self._query(f"SELECT {_SHARE_COLUMNS} FROM share WHERE instance = ?", (instance,))  # noqa: S608 - a constant
        return [_share(row) for row in rows]

    def _query(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        with self._told(), self._lock:
            return self._checked().execute(statement, parameters).fetchall()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what keeps SQLite from reading or writing (a full disk, a damaged file, a lock that is held) into a Problem."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if type(error) not in {sqlite3.DatabaseError, sqlite3.OperationalError}:
                raise
            message = f"{self._path} on the storage host cannot be read or written: {error}"
            raise Problem(ProblemKind.UNAVAILABLE, message) from error

    def _checked(self) -> sqlite3.Connection:
        connection = self._open()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            message = f"{self._path} was written by a newer sharectl (format {version}, this one knows {SCHEMA_VERSION}); upgrade sharectl"
            raise Problem(ProblemKind.REFUSED, message)
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


def insert_share(connection: sqlite3.Connection, row: ShareRow) -> None:
    """Add a share within a transaction."""
    values = (
        row.resource_id,
        row.pool,
        row.volume,
        row.instance,
        row.export_name,
        row.export_key,
        row.export_id,
        row.protocol,
        row.size_bytes,
        _encoded(row.options),
        int(row.is_made),
        row.trashed_at,
        _encoded(row.suspended),
    )
    connection.execute(f"INSERT INTO share ({_SHARE_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608 - a constant


def holder_of_volume(connection: sqlite3.Connection, pool: str, volume: str) -> str | None:
    """Return the id of the share that has this volume."""
    row = connection.execute("SELECT resource_id FROM share WHERE pool = ? AND volume = ?", (pool, volume)).fetchone()
    return None if row is None else str(row[0])


def holder_of_export(connection: sqlite3.Connection, instance: str, export_key: str) -> str | None:
    """Return the id of the share that one server exports under this key."""
    row = connection.execute(
        "SELECT resource_id FROM share WHERE instance = ? AND export_key = ?", (instance, export_key)
    ).fetchone()
    return None if row is None else str(row[0])


def next_export_id(connection: sqlite3.Connection, instance: str) -> int:
    """Return an id that no export of the server has; raises REFUSED where all 65,535 are taken.

    An id is not given again before all others were, so that a client that still holds a handle of a removed export does not
    meet another share behind it.
    """
    key = f"{_NEXT_EXPORT_ID}{instance}"
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    start = _FIRST_EXPORT_ID if row is None else int(row[0])
    for offset in range(MAX_EXPORT_ID):
        export_id = (start - _FIRST_EXPORT_ID + offset) % MAX_EXPORT_ID + _FIRST_EXPORT_ID
        taken = connection.execute(
            "SELECT 1 FROM share WHERE instance = ? AND export_id = ?", (instance, export_id)
        ).fetchone()
        if taken is None:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(export_id + 1)))
            return export_id
    message = f"the server exports {MAX_EXPORT_ID} shares, and NFS-Ganesha knows no more export ids"
    raise Problem(ProblemKind.REFUSED, message)


def _encoded(value: Any) -> Any:  # noqa: ANN401 - columns have several types
    if isinstance(value, bool):
        return int(value)
    return json.dumps(dict(value), sort_keys=True) if isinstance(value, dict) else value


def _share(row: Sequence[Any]) -> ShareRow:
    values = list(row)
    options, is_made, trashed_at, suspended = values[-4:]
    withdrawn = None if suspended is None else json.loads(suspended)
    values[-4:] = [json.loads(options), bool(is_made), trashed_at, withdrawn]
    return ShareRow(*values)
