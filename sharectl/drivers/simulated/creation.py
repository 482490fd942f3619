"""New shares of a simulated backend: what is in their way, and their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError, DriverError, PoolError, TransientError
from sharectl.drivers.share_checks import smaller_than_snapshot, taken_since
from sharectl.drivers.simulated import checks
from sharectl.drivers.simulated.rows import (
    export_locations,
    export_name_of,
    not_found,
    require_free,
)
from sharectl.drivers.simulated.store import UNFENCED, StateFile
from sharectl.model.export_names import key
from sharectl.model.observed import ObservedShare

if TYPE_CHECKING:
    import sqlite3

    from sharectl.drivers.simulated.settings import SimulatedSettings
    from sharectl.model.requests import ShareRequest

_NEW: Final = (
    "INSERT INTO shares(backend_id, resource_id, name, pool, size_bytes, protocol) SELECT ?, ?, ?, ?, ?, ? WHERE"
)
_ROOM: Final = "(SELECT coalesce(sum(size_bytes), 0) FROM shares WHERE pool = ?) <= ?"
_INSERT: Final = f"{_NEW} {UNFENCED} ON CONFLICT DO NOTHING"
_INSERT_WITH_ROOM: Final = f"{_NEW} {_ROOM} AND {UNFENCED} ON CONFLICT DO NOTHING"


class Creation:
    """Makes the rows of shares."""

    def __init__(self, settings: SimulatedSettings, state: StateFile) -> None:
        """Make them as `settings` says, in that file."""
        self._settings = settings
        self._state = state

    def at_once(self, request: ShareRequest) -> bool:
        """Insert a share that nothing stands in the way of, in one statement; tell whether it was."""
        pool = self._settings.pools.get(request.pool)
        known = self._problem(request) is None
        if pool is None or not known or request.snapshot is not None or self._settings.share_servers:
            return False
        if request.export_name is not None:
            return False
        place = (f"{request.pool}/{request.name}", request.resource_id, request.name, request.pool)
        values = (*place, request.size_bytes, request.protocol)
        if not isinstance(pool.total_bytes, int) or pool.thin_provisioning:
            return self._state.changed(_INSERT, (*values, *self._state.fence))
        room = (pool.name, pool.total_bytes - request.size_bytes)
        return self._state.changed(_INSERT_WITH_ROOM, (*values, *room, *self._state.fence))

    def _problem(self, request: ShareRequest) -> str | None:
        return (
            checks.name_problem(request.name)
            or checks.protocol_problem(self._settings, request.protocol)
            or checks.export_name_problem(request.export_name, request.protocol)
            or checks.size_problem(self._settings, request.size_bytes)
        )

    def insert(self, connection: sqlite3.Connection, request: ShareRequest) -> None:
        """Insert a share; raises what its driver says to what is in the way."""
        problem = self._problem(request)
        if problem is not None:
            raise DriverError(problem)
        self._check_server(connection, request)
        self._check_room(connection, request)
        used_bytes, content = 0, ""
        if request.snapshot is not None:
            row = connection.execute(
                "SELECT used_bytes, content, size_bytes FROM snapshots WHERE resource_id = ?",
                (request.snapshot.resource_id,),
            ).fetchone()
            if row is None:
                raise not_found(request.snapshot.resource_id)
            used_bytes, content, size_bytes = row
            if size_bytes is not None and request.size_bytes < size_bytes:
                raise DriverError(smaller_than_snapshot(request.snapshot.name, size_bytes, request.size_bytes))
        named = request.export_name
        if named is not None:
            require_free(connection, request.share_server_id, named, request.resource_id)
        connection.execute(
            "INSERT INTO shares(backend_id, resource_id, name, pool, size_bytes, protocol, used_bytes, content,"
            " share_server_id, export_name, export_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                _free_backend_id(connection, request),
                request.resource_id,
                request.name,
                request.pool,
                request.size_bytes,
                request.protocol,
                used_bytes,
                content,
                request.share_server_id,
                named,
                None if named is None else key(named),
            ),
        )

    def _check_server(self, connection: sqlite3.Connection, request: ShareRequest) -> None:
        """Refuse a share without a share server where the backend has them, and one on a server that does not answer."""
        if not self._settings.share_servers:
            return
        if request.share_server_id is None:
            message = "the backend makes shares on share servers, and this one is to be on none"
            raise DriverError(message)
        row = connection.execute(
            "SELECT problem FROM share_servers WHERE resource_id = ?", (request.share_server_id,)
        ).fetchone()
        if row is None:
            raise not_found(request.share_server_id)
        if row[0]:
            message = f"the share server does not answer: {row[0]}"
            raise TransientError(message)

    def _check_room(self, connection: sqlite3.Connection, request: ShareRequest) -> None:
        pool = self._settings.pools.get(request.pool)
        if pool is None:
            message = f"the backend has no pool {request.pool!r}"
            raise PoolError(message)
        if pool.thin_provisioning or not isinstance(pool.total_bytes, int):
            return
        (allocated,) = connection.execute(
            "SELECT coalesce(sum(size_bytes), 0) FROM shares WHERE pool = ?", (pool.name,)
        ).fetchone()
        if allocated + request.size_bytes > pool.total_bytes:
            message = f"the pool {pool.name!r} is full"
            raise PoolError(message)


def pretended(request: ShareRequest) -> ObservedShare:
    """Return a new share as it was asked for, whether it was made or not."""
    backend_id = f"{request.pool}/{request.name}"
    named = request.export_name
    exports = export_locations(request.protocol, backend_id, export_name=named)
    name, pool, size_bytes, protocol = request.name, request.pool, request.size_bytes, request.protocol
    known = (request.resource_id, backend_id, name, pool, size_bytes, protocol)
    return ObservedShare(
        *known,
        export_locations=exports,
        share_server_id=request.share_server_id,
        export_name=named or export_name_of(backend_id),
    )


def _free_backend_id(connection: sqlite3.Connection, request: ShareRequest) -> str:
    backend_id = f"{request.pool}/{request.name}"
    row = connection.execute(
        "SELECT resource_id, trashed_at FROM shares WHERE backend_id = ?", (backend_id,)
    ).fetchone()
    if row is None:
        return backend_id
    if row[0] is None:
        message = f"{backend_id!r} is there already, and sharectl did not make it"
        raise ConflictError(message)
    if row[1] is None and request.is_in_the_way(row[0]):
        raise ConflictError(taken_since(request.name))
    return f"{backend_id}-{request.resource_id}"
