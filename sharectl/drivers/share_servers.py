"""The part of a driver's contract that is about share servers: one server for each tenant's network, with its own addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sharectl.model.observed import ObservedShareServer
from sharectl.model.requests import ShareServerRef, ShareServerRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.model.checks import ShareServerProblem
    from sharectl.model.share_networks import ShareNetworkSubnet

__all__ = [
    "ChecksSubnets",
    "HandlesShareServers",
    "ObservedShareServer",
    "ShareServerRef",
    "ShareServerRequest",
    "UpdatesShareServers",
]


@runtime_checkable
class HandlesShareServers(Protocol):
    """Can make share servers, each on a tenant's network: Manila's `driver_handles_share_servers = True`.

    A driver of a Backend with `shareServers: true` makes every share on the server that the request names. Calls come from several
    threads at once, never twice at once for the same server, and a share is never asked for before its server is there.
    """

    def share_server_allocations(self) -> int:
        """Return how many addresses each new server needs, without asking the backend; Manila's `get_network_allocations_number`."""
        ...

    def list_share_servers(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShareServer]:
        """Return all share servers (unhealthy ones and those that sharectl did not make too), or just those with these ids; whole, as `list_shares`."""
        ...

    def create_share_server(self, request: ShareServerRequest) -> ObservedShareServer:
        """Make the server, or make the one that has this id healthy and as requested, with all shares that are on it exported again."""
        ...

    def delete_share_server(self, server: ShareServerRef) -> None:
        """Remove the server and whatever a cut-short creation left of it; a missing one is not an error.

        Raises ShareInUseError where shares are on it, in the trash or not. Nothing of them is touched.
        """
        ...


@runtime_checkable
class UpdatesShareServers(Protocol):
    """Can change the directory services and the number of addresses of a share server that is in use."""

    def update_share_server(self, request: ShareServerRequest) -> ObservedShareServer:
        """Make the server as requested without moving its shares; doing so again is not an error. Raises NotFoundError."""
        ...


@runtime_checkable
class ChecksSubnets(Protocol):
    """Can tell by a look at the backend whether a share server in a subnet could be made there now."""

    def subnet_problems(self, subnet: ShareNetworkSubnet) -> Sequence[ShareServerProblem]:
        """Return what would keep a share server from being made in the subnet, which is as its network service describes it. Nothing is changed."""
        ...
