"""What the agent keeps of the shares and snapshots it made: a small SQLite file in the backend's folder on the storage host."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.database import UNREAD, Database
from sharectl.drivers.linux.agent.rows import (
    LOST,
    NAMES,
    ShareRow,
    ShareServerRow,
    SnapshotRow,
    decoded,
    encoded,
    insertion,
    plain_of,
)
from sharectl.model.access import BOTH
from sharectl.model.fences import Fences

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping, Sequence

MAX_EXPORT_ID: Final = 32_767
_FIRST_EXPORT_ID: Final = 1
_NEXT_EXPORT_ID: Final = "next-export-id/"
_FENCE: Final = "fence/"
_BESIDE: Final = "fences-beside/"
_SHARES: Final = f"SELECT {', '.join(NAMES[ShareRow])} FROM share"  # noqa: S608 - names of columns, from the code
_SNAPSHOTS: Final = f"SELECT {', '.join(NAMES[SnapshotRow])} FROM snapshot"  # noqa: S608 - as above
_SHARE_SERVERS: Final = f"SELECT {', '.join(NAMES[ShareServerRow])} FROM share_server"  # noqa: S608 - as above


def _fences_of(rows: Iterable[Sequence[Any]], keys: tuple[str, str]) -> Fences:
    """Return the fences that two values of the backend hold."""
    values = {str(key): str(value) for key, value in rows}
    newest, note = (values.get(key) for key in keys)
    return Fences.of(int(newest or 0), json.loads(note or "[]"))


class Records(Database):
    """What is known of the backend's pools, shares, snapshots and share servers."""

    def value(self, key: str) -> str | None:
        """Return a value of the backend as a whole, None where it was never set."""
        row = self.query("SELECT value FROM meta WHERE key = ?", (key,))
        return None if not row else str(row[0][0])

    def set_once(self, key: str, value: str) -> str:
        """Set a value unless it is set; return the one that holds."""
        with self.transaction() as connection:
            connection.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", (key, value))
            return str(connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])

    def raise_fence(self, lineage: str, fence: int, beside: Collection[int] = ()) -> int | None:
        """Remember the fence of a run that may work beside those of `beside`; return the highest of its state where it may not."""
        keys = (_FENCE + lineage, _BESIDE + lineage)
        select = "SELECT key, value FROM meta WHERE key IN (?, ?)"
        found = _fences_of(self.query(select, keys), keys)
        if found.admit(fence) and found.raised(fence, beside) == found:
            return None
        with self.transaction() as connection:
            found = _fences_of(connection.execute(select, keys).fetchall(), keys)
            if not found.admit(fence):
                return found.newest
            raised = found.raised(fence, beside)
            values = (str(raised.newest), json.dumps(raised.note))
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                zip(keys, values, strict=True),
            )
        return None

    def pool_identities(self) -> dict[str, str]:
        """Return the identity that each prepared pool had."""
        return {str(name): str(identity) for name, identity in self.query("SELECT name, identity FROM pool")}

    def pin_pool(self, name: str, identity: str) -> str:
        """Remember the identity of a pool unless one is known; return the one that holds."""
        with self.transaction() as connection:
            connection.execute("INSERT INTO pool VALUES (?, ?) ON CONFLICT DO NOTHING", (name, identity))
            return str(connection.execute("SELECT identity FROM pool WHERE name = ?", (name,)).fetchone()[0])

    def shares(self, resource_ids: Collection[str] | None = None) -> list[ShareRow]:
        """Return all shares, or those with these ids."""
        return [decoded(ShareRow, row) for row in self._of_ids(_SHARES, resource_ids)]

    def share(self, resource_id: str) -> ShareRow | None:
        """Return the share with this id."""
        rows = self.query(f"{_SHARES} WHERE resource_id = ?", (resource_id,))
        return decoded(ShareRow, rows[0]) if rows else None

    def share_of_volume(self, pool: str, volume: str) -> ShareRow | None:
        """Return the share whose volume has, or had, this name."""
        rows = self.query(f"{_SHARES} WHERE pool = ? AND volume = ?", (pool, volume))
        return next((decoded(ShareRow, row) for row in rows), None)

    def shares_of_pool(self, pool: str) -> list[ShareRow]:
        """Return the shares of one pool."""
        return [decoded(ShareRow, row) for row in self.query(f"{_SHARES} WHERE pool = ?", (pool,))]

    def update_share(self, resource_id: str, *, is_durable: bool = True, **values: Any) -> bool:  # noqa: ANN401 - columns have several types
        """Change columns of a share; tell whether there is one."""
        return self._update("share", resource_id, values, is_durable=is_durable)

    def update_snapshot(self, resource_id: str, **values: Any) -> None:  # noqa: ANN401 - as above
        """Change columns of a snapshot."""
        self._update("snapshot", resource_id, values, is_durable=True)

    def _update(self, table: str, resource_id: str, values: Mapping[str, Any], *, is_durable: bool) -> bool:
        columns = ", ".join(f"{column} = :{column}" for column in values)
        with self.transaction(is_durable=is_durable) as connection:
            changed = connection.execute(
                f"UPDATE {table} SET {columns} WHERE resource_id = :resource_id",  # noqa: S608 - names of columns, from the code
                {**encoded(values), "resource_id": resource_id},
            )
            return changed.rowcount == 1

    def identify(self, pool: str, volumes: Mapping[str, str], snapshots: Mapping[str, str]) -> None:
        """Give the records of a pool that are older than identities those that its volumes have by name, and snapshots by id.

        One whose volume is not there is LOST: a volume that is made later under its name is another.
        """
        with self.transaction() as connection:
            for table, name, found in (("share", "volume", volumes), ("snapshot", "resource_id", snapshots)):
                unread = connection.execute(
                    f"SELECT resource_id, {name} FROM {table} WHERE pool = ? AND identity = ?",  # noqa: S608 - constants
                    (pool, UNREAD),
                ).fetchall()
                connection.executemany(
                    f"UPDATE {table} SET identity = ? WHERE resource_id = ?",  # noqa: S608 - as above
                    [(found.get(wanted, LOST), resource_id) for resource_id, wanted in unread],
                )

    def pools_of_protocol(self, protocol: str) -> list[str]:
        """Return the pools that have shares of this protocol, those in the trash left out."""
        statement = "SELECT DISTINCT pool FROM share WHERE protocol IN (?, ?) AND trashed_at IS NULL"
        return [str(pool) for (pool,) in self.query(statement, (protocol, BOTH))]

    def has_unread(self, pool: str) -> bool:
        """Tell whether the pool has records without identities, from an older version."""
        statement = (
            "SELECT 1 FROM share WHERE pool = ? AND identity = ?"
            " UNION ALL SELECT 1 FROM snapshot WHERE pool = ? AND identity = ? LIMIT 1"
        )
        return bool(self.query(statement, (pool, UNREAD) * 2))

    def reopen_share(self, row: ShareRow) -> ShareRow | None:
        """Count a share as not made, under another export id, since its volume will be another; None where the record has changed."""
        with self.transaction() as connection:
            if self.share(row.resource_id) != row:
                return None
            export_id = next_export_id(connection, row.instance)
            again = replace(
                row, is_made=False, is_removing=False, identity=None, next_identity=None, export_id=export_id
            )
            connection.execute("DELETE FROM share WHERE resource_id = ?", (row.resource_id,))
            insert_share(connection, again)
            return again

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
            str(pool): int(total) for pool, total in self.query("SELECT pool, SUM(size_bytes) FROM share GROUP BY pool")
        }

    def snapshots(self, resource_ids: Collection[str] | None = None) -> list[SnapshotRow]:
        """Return all snapshots, or those with these ids."""
        return [decoded(SnapshotRow, row) for row in self._of_ids(_SNAPSHOTS, resource_ids)]

    def snapshot(self, resource_id: str) -> SnapshotRow | None:
        """Return the snapshot with this id."""
        return next(iter(self.snapshots([resource_id])), None)

    def snapshots_of_share(self, share_id: str) -> list[SnapshotRow]:
        """Return the snapshots of one share."""
        return [decoded(SnapshotRow, row) for row in self.query(f"{_SNAPSHOTS} WHERE share_id = ?", (share_id,))]

    def put_snapshot(self, row: SnapshotRow) -> None:
        """Remember a snapshot."""
        with self.transaction() as connection:
            connection.execute(insertion("snapshot", row, "OR IGNORE"), encoded(plain_of(row)))

    def remove_snapshot(self, resource_id: str) -> None:
        """Forget a snapshot."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM snapshot WHERE resource_id = ?", (resource_id,))

    def share_servers(self) -> list[ShareServerRow]:
        """Return all share servers."""
        return [decoded(ShareServerRow, row) for row in self.query(_SHARE_SERVERS)]

    def share_server(self, resource_id: str) -> ShareServerRow | None:
        """Return the share server with this id."""
        return next((row for row in self.share_servers() if row.resource_id == resource_id), None)

    def put_share_server(self, row: ShareServerRow) -> None:
        """Remember a share server, or what changed of it."""
        with self.transaction() as connection:
            connection.execute(insertion("share_server", row, "OR REPLACE"), encoded(plain_of(row)))

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
        return [decoded(ShareRow, row) for row in self.query(f"{_SHARES} WHERE instance = ?", (instance,))]

    def _of_ids(self, statement: str, resource_ids: Collection[str] | None) -> list[Any]:
        if resource_ids is None:
            return self.query(statement)
        wanted = json.dumps(sorted(resource_ids))
        return self.query(statement + " WHERE resource_id IN (SELECT value FROM json_each(?))", (wanted,))  # noqa: S608 - constants


def insert_share(connection: sqlite3.Connection, row: ShareRow) -> None:
    """Add a share within a transaction."""
    connection.execute(insertion("share", row), encoded(plain_of(row)))


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


def holders_below(connection: sqlite3.Connection, instance: str, export_key: str) -> list[str]:
    """Return the ids of two shares at most that one server exports below this key, which is then a path."""
    rows = connection.execute(
        "SELECT resource_id FROM share WHERE instance = ? AND export_key > ? || '/' AND export_key < ? || '0' LIMIT 2",
        (instance, export_key, export_key),  # '0' comes right after '/'
    )
    return [str(resource_id) for (resource_id,) in rows]


def next_export_id(connection: sqlite3.Connection, instance: str) -> int:
    """Return an id that no export of the server has; raises REFUSED where all are taken, of which half are for snapshots.

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
    message = f"the server exports {MAX_EXPORT_ID} shares, and NFS-Ganesha has no more export ids for shares and their snapshots"
    raise Problem(ProblemKind.REFUSED, message)
