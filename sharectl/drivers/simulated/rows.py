"""Rows of the state file as the values of the contract."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Any, Final

import orjson

from sharectl.drivers.base import ConflictError, NotFoundError
from sharectl.drivers.simulated.faults import Subject
from sharectl.model.access import AccessRule, protocols_in, rule_of
from sharectl.model.export_names import key, outer_keys
from sharectl.model.observed import ObservedShare, ObservedSnapshot

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from sharectl.model.requests import ShareRef

Row = tuple[str | None, str, str, str, int | None, str | None, str, str | None, str | None, str | None, str | None, int]

COLUMNS: Final = (
    "resource_id, backend_id, name, pool, size_bytes, protocol, access, trashed_at, share_server_id,"
    " CASE WHEN share_server_id IS NULL THEN NULL ELSE"
    " (SELECT allocations ->> '$[0].ip_address' FROM share_servers s WHERE s.resource_id = share_server_id) END,"
    " export_name, used_bytes"
)


def share_row(connection: sqlite3.Connection, resource_id: str) -> Row | None:
    """Return the row of a share, or None."""
    row: Row | None = connection.execute(
        f"SELECT {COLUMNS} FROM shares WHERE resource_id = ?",  # noqa: S608 - a constant
        (resource_id,),
    ).fetchone()
    return row


def live_row(connection: sqlite3.Connection, resource_id: str) -> Row:
    """Return the row of a share that is not in the trash; raises NotFoundError."""
    row = share_row(connection, resource_id)
    if row is None or row[7] is not None:
        raise not_found(resource_id)
    return row


def not_found(resource_id: str) -> NotFoundError:
    """Return the error for a share or snapshot that is not there."""
    return NotFoundError(f"the backend has nothing with the id {resource_id}")


def subject_of(call: str, share: ShareRef) -> Subject:
    """Return what a call about a share is about."""
    return Subject(call, share.resource_id, share.pool, share.name)


def observe_all(rows: Iterable[Sequence[Any]], *, measures: bool = False) -> list[ObservedShare]:
    """Return the shares of these rows; equal rules are read once, for most shares have the rules of many others."""
    known: dict[str, tuple[AccessRule, ...]] = {"[]": ()}
    found: list[ObservedShare] = []
    # fmt: off
    for (
        resource_id, backend_id, name, pool, size_bytes, protocol, access, trashed_at, server_id, host, named, used_bytes
    ) in rows:
        # fmt: on
        rules = known.get(access)
        if rules is None:
            rules = known[access] = tuple(map(rule_of, orjson.loads(access)))
        exports: tuple[str, ...] = ()
        if trashed_at is None and (server_id is None or host is not None):
            exports = export_locations(protocol, backend_id, host, named)
        share = ObservedShare(
            resource_id,
            backend_id,
            name,
            intern(pool),
            size_bytes,
            protocol and intern(protocol),
            rules,
            exports,
            trashed_at,
            server_id,
            export_name=named or export_name_of(backend_id),
            used_bytes=used_bytes if measures else None,
        )
        found.append(share if resource_id is not None or backend_id.isprintable() else _escaped(share))
    return found


def _escaped(share: ObservedShare) -> ObservedShare:
    """Return a share that sharectl did not make with names that can be written down."""
    backend_id, name = (
        "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        for text in (share.backend_id, share.name)
    )
    return share._replace(backend_id=backend_id, name=name, not_adoptable="its name has control characters")


def observe_snapshot(row: Sequence[Any]) -> ObservedSnapshot:
    """Return the snapshot of a row of `resource_id, name, share_backend_id, size_bytes`."""
    resource_id, name, share_backend_id, size_bytes = row
    return ObservedSnapshot(resource_id, f"{share_backend_id}@{resource_id}", name, share_backend_id, size_bytes)


def export_name_of(backend_id: str) -> str:
    """Return the name under which a share is exported that was not asked for with another."""
    return backend_id.replace("/", "-")


def export_locations(
    protocol: str | None, backend_id: str, host: str | None = None, export_name: str | None = None
) -> tuple[str, ...]:
    """Return where clients find the share; `host` is the address of its share server, None for the backend's own server."""
    host = host or "simulated.invalid"
    found = []
    for each in protocols_in(protocol):
        if each == "NFS":
            found.append(f"{f'[{host}]' if ':' in host else host}:/{export_name or backend_id}")
        elif each == "CIFS":
            found.append(f"\\\\{host}\\{export_name or export_name_of(backend_id)}")
    return tuple(found)


def require_free(connection: sqlite3.Connection, share_server_id: str | None, name: str, resource_id: str) -> None:
    """Raise ConflictError where another share of the server is exported under the name, or above or below it."""
    wanted = key(name)
    keys = [wanted, *outer_keys(name)]
    own = [f"{name[:place]}/{name[place + 1 :]}" for place, character in enumerate(name) if character == "-"]
    row = connection.execute(
        "SELECT backend_id FROM shares WHERE share_server_id IS ? AND resource_id IS NOT ? AND trashed_at IS NULL AND ("
        " export_key IN (SELECT value FROM json_each(?)) OR (export_key > ? || '/' AND export_key < ? || '0')"
        " OR (export_key IS NULL AND backend_id IN (SELECT value FROM json_each(?)))) LIMIT 1",
        (share_server_id, resource_id, orjson.dumps(keys).decode(), wanted, wanted, orjson.dumps(own).decode()),
    ).fetchone()
    if row is not None:
        message = f"{row[0]!r} is exported as {name!r}, or above or below it, already"
        raise ConflictError(message)
