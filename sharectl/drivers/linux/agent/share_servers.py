"""Share servers: for each tenant's network a namespace with an address there, and a pair of servers in it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.holdings import checked_id
from sharectl.drivers.linux.agent.host import mounts
from sharectl.drivers.linux.agent.host.namespaces import Address, Segment, namespace_name
from sharectl.drivers.linux.agent.rows import ShareServerRow
from sharectl.drivers.linux.agent.tenant_checks import service_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sharectl.drivers.linux.agent.access import Access
    from sharectl.drivers.linux.agent.host.namespaces import TenantNetworks
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.servers import ServerRoom


class ListedServer(NamedTuple):
    """A share server as it is there, field for field an ObservedShareServer of the contract."""

    resource_id: str | None
    backend_id: str
    name: str
    ip_addresses: tuple[str, ...]
    healthy: bool
    problem: str


class ShareServers:
    """The share servers of one backend."""

    def __init__(self, records: Records, networks: TenantNetworks, room: ServerRoom, access: Access) -> None:
        """Touch nothing."""
        self._records = records
        self._networks = networks
        self._room = room
        self._access = access

    def list(self, resource_ids: Collection[str] | None) -> list[ListedServer]:
        """Return all share servers, or those with these ids, each with what is wrong with it. Changes nothing."""
        if not self._records.exists():
            return []
        wanted = None if resource_ids is None else set(resource_ids)
        return [
            self._listed(row) for row in self._records.share_servers() if wanted is None or row.resource_id in wanted
        ]

    def create(self, request: Mapping[str, Any]) -> ListedServer:
        """Make the server, or make an existing one whole again with all its shares exported. Idempotent.

        The record is first, so that whatever a crash leaves is found again by the id and mended or removed.
        """
        server_id = checked_id(request["resource_id"])
        refused = service_problem(request["security_services"])
        if refused is not None:
            raise Problem(ProblemKind.REFUSED, f"{refused.summary}; {refused.remedy}")
        row = ShareServerRow(
            server_id, request["name"], request["share_network"], tuple(request["allocations"]), is_made=False
        )
        known = self._records.share_server(server_id)
        if known is None or known.allocations != row.allocations:
            self._records.put_share_server(row)
            self._room.forget(server_id)
        if not self._networks.has_namespace(server_id):
            self._stop(server_id)  # what lives on in a namespace that lost its name cannot be reached any more
        self._networks.ensure(server_id, _segment(row), _addresses(row))
        self._start(server_id)
        self._records.put_share_server(
            ShareServerRow(row.resource_id, row.name, row.share_network, row.allocations, is_made=True)
        )
        return self._listed(row, is_made=True)

    def problem_of_network(self, server_id: str) -> str:
        """Return what is wrong with the network of a server; nothing of one that is being made or removed."""
        row = self._records.share_server(server_id)
        return self._problem_of_network(row) if row is not None and row.is_made else ""

    def restore_network(self, server_id: str) -> None:
        """Make the namespace of a server whole again where it is not, unless the server is being made or removed.

        Its processes are the caller's concern. Precondition: no change is at work on it.
        """
        row = self._records.share_server(server_id)
        if row is not None and self.problem_of_network(server_id):
            if not self._networks.has_namespace(server_id):
                self._stop(server_id)  # as above
            self._networks.ensure(server_id, _segment(row), _addresses(row))

    def delete(self, server_id: str) -> None:
        """Remove the server and whatever a cut-short creation left of it; raises IN_USE where shares are on it."""
        row = self._records.share_server(checked_id(server_id))
        if row is None:
            return
        shares = self._records.close_share_server(server_id)
        if shares:
            count = "1 share is" if len(shares) == 1 else f"{len(shares)} shares are"
            message = f"{count} on the share server {row.name!r}: {', '.join(repr(share.export_name) for share in shares[:3])}"
            raise Problem(ProblemKind.IN_USE, message)
        self._stop(server_id)
        self._networks.remove(server_id, _segment(row))
        _remove_folder(self._room.servers(server_id).instance.root)
        self._records.remove_share_server(server_id)
        self._room.forget(server_id)

    def _start(self, server_id: str) -> None:
        servers = self._room.servers(server_id)
        if servers.nfs is not None:
            servers.nfs.ensure_running(self._access.nfs.is_ready(servers))
        if servers.smb is not None:
            servers.smb.ensure_running(self._access.smb.is_ready(servers))

    def _stop(self, server_id: str) -> None:
        servers = self._room.servers(server_id)
        for server in (servers.nfs, servers.smb):
            if server is not None:
                server.stop()

    def _listed(self, row: ShareServerRow, *, is_made: bool | None = None) -> ListedServer:
        problem = "" if (row.is_made if is_made is None else is_made) else "its creation or removal was cut short"
        addresses = _addresses(row)
        problem = problem or self._problem_of_network(row) or self._problem_of_servers(row)
        return ListedServer(
            row.resource_id,
            namespace_name(row.resource_id),
            row.name,
            tuple(sorted(address.ip_address for address in addresses)),
            not problem,
            problem,
        )

    def _problem_of_network(self, row: ShareServerRow) -> str:
        return self._networks.problem(row.resource_id, _segment(row), _addresses(row))

    def _problem_of_servers(self, row: ShareServerRow) -> str:
        servers = self._room.servers(row.resource_id)
        checks: tuple[tuple[str, Callable[[], bool] | None], ...] = (
            ("NFS", None if servers.nfs is None else servers.nfs.is_running),
            ("SMB", None if servers.smb is None else servers.smb.is_running),
        )
        down = [name for name, is_running in checks if is_running is not None and not is_running()]
        if not down:
            return ""
        return (
            f"its {down[0]} server does not run" if len(down) == 1 else f"its {' and '.join(down)} servers do not run"
        )


def _remove_folder(path: str) -> None:
    """Remove the private folder of an instance; a volume that is still bound somewhere below is never entered."""
    held = [mount.point for mount in mounts.read_mounts() if mount.point.startswith(f"{path}/")]
    if held:
        message = f"{held[0]} is still mounted; unmount it, then apply again"
        raise Problem(ProblemKind.CONFLICT, message)
    if os.path.isdir(path):  # noqa: PTH112 - paths are text everywhere in the agent
        shutil.rmtree(path)


def _addresses(row: ShareServerRow) -> list[Address]:
    return [Address(a["ip_address"], a["cidr"], a.get("gateway")) for a in row.allocations]


def _segment(row: ShareServerRow) -> Segment:
    """Return the one network that all addresses are on; raises REFUSED where there are several, or none."""
    segments = {(a["network_type"], a.get("segmentation_id"), a["mtu"]) for a in row.allocations}
    if len(segments) != 1:
        message = f"a share server here is on one network; {row.name!r} was given {len(segments)}"
        raise Problem(ProblemKind.REFUSED, message)
    network_type, segmentation_id, mtu = segments.pop()
    macs = [a["mac_address"] for a in row.allocations if a.get("mac_address")]
    return Segment(network_type, segmentation_id, mtu, macs[0] if macs else None)
