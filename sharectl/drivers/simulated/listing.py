"""Rows of the state file in bulk.

From one row to the next, SQLite gives the interpreter's lock away and takes it back. Where many backends are listed side by side, their threads
then spend more on handing it round than on the rows; so SQLite makes one text of many rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator

_MOST_AT_ONCE: Final = 1_000
_THESE: Final = "WHERE resource_id IN (SELECT value FROM json_each(?))"


def rows_of(
    connection: sqlite3.Connection, table: str, key: str, columns: str, resource_ids: Collection[str] | None
) -> Iterator[list[list[Any]]]:
    """Yield the rows of a table in parts, all by `key`, its primary key, or those with these resource ids."""
    select = f"SELECT {key} AS key, json_array({columns}) AS row FROM {table}"  # noqa: S608 - constants
    if resource_ids is None:
        rows, last = _part(connection, f"{select} ORDER BY {key} LIMIT {_MOST_AT_ONCE}")
        while rows:
            yield rows
            rows, last = _part(connection, f"{select} WHERE {key} > ? ORDER BY {key} LIMIT {_MOST_AT_ONCE}", last)
    else:
        wanted = list(resource_ids)
        for first in range(0, len(wanted), _MOST_AT_ONCE):
            ids = orjson.dumps(wanted[first : first + _MOST_AT_ONCE]).decode()
            yield _part(connection, f"{select} {_THESE}", ids)[0]


def _part(connection: sqlite3.Connection, select: str, *values: str) -> tuple[list[list[Any]], str]:
    """Return the rows that are selected, and the last key among them."""
    text, last = connection.execute(f"SELECT group_concat(row), max(key) FROM ({select})", values).fetchone()  # noqa: S608 - constants
    return orjson.loads(f"[{text or ''}]"), last
