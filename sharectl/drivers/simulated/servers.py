"""Share servers of the simulated driver: rows with addresses, on which shares are found."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import orjson

from sharectl.drivers.base import ConflictError, DriverError, ShareInUseError
from sharectl.drivers.simulated.driver import SimulatedDriver
from sharectl.drivers.simulated.faults import Subject
from sharectl.drivers.simulated.rows import not_found
from sharectl.model.observed import ObservedShareServer

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

    from sharectl.model.requests import ShareServerRef, ShareServerRequest

_COLUMNS: Final = "resource_id, name, allocations, problem"
_WRITE: Final = (
    "INSERT INTO share_servers(resource_id, name, share_network, allocations, security_services, problem)"
    " VALUES (?, ?, ?, ?, ?, '') ON CONFLICT (resource_id) DO UPDATE SET name = excluded.name,"
    " allocations = excluded.allocations, security_services = excluded.security_services, problem = ''"
)


class HandlesServers(SimulatedDriver):
    """Makes share servers: each a row, with the shares that name it."""

    def share_server_allocations(self) -> int:
        """As in the contract: `shareServers.addresses` of the configuration."""
        return self.settings.share_server_addresses

    def list_share_servers(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShareServer]:
        """As in the contract."""

        def work() -> Sequence[ObservedShareServer]:
            with self.state.reading() as connection:
                if connection is None:
                    return []
                rows = connection.execute(f"SELECT {_COLUMNS} FROM share_servers").fetchall()  # noqa: S608 - a constant
            wanted = None if resource_ids is None else set(resource_ids)
            return [_observe(*row) for row in rows if wanted is None or row[0] in wanted]

        return self.call(Subject("list_share_servers"), work, list)

    def create_share_server(self, request: ShareServerRequest) -> ObservedShareServer:
        """As in the contract; an address that another server on the same segment answers on is refused."""
        allocations = _allocations(request)

        def work() -> ObservedShareServer:
            with self.state.writing() as connection:
                self._check_new(connection, request)
                connection.execute(_WRITE, _row(request))
            return _observe(request.resource_id, request.name, allocations, "")

        subject = Subject("create_share_server", request.resource_id, None, request.name)
        return self.call(subject, work, lambda: _observe(request.resource_id, request.name, allocations, ""))

    def delete_share_server(self, server: ShareServerRef) -> None:
        """As in the contract."""

        def work() -> None:
            with self.state.writing() as connection:
                (shares,) = connection.execute(
                    "SELECT count(*) FROM shares WHERE share_server_id = ?", (server.resource_id,)
                ).fetchone()
                if shares:
                    message = f"{shares} shares are on the share server {server.name}"
                    raise ShareInUseError(message)
                connection.execute("DELETE FROM share_servers WHERE resource_id = ?", (server.resource_id,))

        self.call(Subject("delete_share_server", server.resource_id, None, server.name), work, lambda: None)

    def _check_new(self, connection: sqlite3.Connection, request: ShareServerRequest) -> None:
        others = connection.execute(
            "SELECT name, allocations FROM share_servers WHERE resource_id <> ?", (request.resource_id,)
        ).fetchall()
        most = self.settings.max_share_servers
        if most is not None and len(others) >= most:
            message = f"the backend has {len(others)} share servers, and {most} is the most that it can have"
            raise DriverError(message)
        mine = {_end_point(asdict(allocation)) for allocation in request.allocations}
        for name, text in others:
            if not mine.isdisjoint(map(_end_point, orjson.loads(text))):
                message = f"the share server {name} answers on the same address already"
                raise ConflictError(message)


class UpdatesServers(SimulatedDriver):
    """Changes directory services and addresses of share servers in place."""

    def update_share_server(self, request: ShareServerRequest) -> ObservedShareServer:
        """As in the contract."""

        def work() -> ObservedShareServer:
            with self.state.writing() as connection:
                row = connection.execute(
                    "SELECT 1 FROM share_servers WHERE resource_id = ?", (request.resource_id,)
                ).fetchone()
                if row is None:
                    raise not_found(request.resource_id)
                connection.execute(_WRITE, _row(request))
            return _observe(request.resource_id, request.name, _allocations(request), "")

        subject = Subject("update_share_server", request.resource_id, None, request.name)
        return self.call(subject, work, lambda: _observe(request.resource_id, request.name, _allocations(request), ""))


def _row(request: ShareServerRequest) -> tuple[str, ...]:
    services = orjson.dumps([service.name for service in request.security_services]).decode()
    return request.resource_id, request.name, request.share_network, _allocations(request), services


def _allocations(request: ShareServerRequest) -> str:
    return orjson.dumps([allocation.as_plain() for allocation in request.allocations]).decode()


def _end_point(allocation: dict[str, object]) -> tuple[object, ...]:
    """Return what must differ between two servers: addresses may be equal on different segments."""
    return allocation["ip_address"], allocation["network_type"], allocation.get("segmentation_id")


def _observe(resource_id: str, name: str, allocations: str, problem: str) -> ObservedShareServer:
    addresses = tuple(sorted(allocation["ip_address"] for allocation in orjson.loads(allocations)))
    backend_id = f"server-{resource_id}"
    return ObservedShareServer(resource_id, backend_id, name, addresses, healthy=not problem, problem=problem)
