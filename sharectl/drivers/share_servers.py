"""The part of a driver's contract that is about share servers: one server for each tenant's network, with its own addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.share_networks import SecurityServiceSpec


class ObservedShareServer(NamedTuple):
    """A share server that is really there, or what is left of one.

    `resource_id` is the id under which sharectl asked for it, None for one that sharectl did not make. `ip_addresses` are those on
    which it answers, canonical and sorted. One that is not whole or does not answer is not `healthy`, and `problem` says why in a
    few words; `create_share_server` mends it.
    """

    resource_id: str | None
    backend_id: str
    name: str
    ip_addresses: tuple[str, ...]
    healthy: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ShareServerRequest:
    """A share server as it is to be. `name` is `NETWORK-SUBNET`, safe in a path; another backend may have one of the same name.

    `allocations` are the addresses that it answers on, as many as `share_server_allocations` said, with all that belongs to its network.
    """

    resource_id: str
    name: str
    share_network: str
    allocations: tuple[NetworkAllocation, ...]
    security_services: tuple[SecurityServiceSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class ShareServerRef:
    """A share server that exists, as the state knows it; `backend_id` is empty and `allocations` may be where it was never finished."""

    resource_id: str
    backend_id: str
    name: str
    allocations: tuple[NetworkAllocation, ...] = ()


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
        """Remove the server and whatever a cut-short creation left of it; one that is gone already is no error.

        Raises ShareInUseError where shares are on it, in the trash or not. Nothing of them is touched.
        """
        ...


@runtime_checkable
class UpdatesShareServers(Protocol):
    """Can change the directory services and the number of addresses of a share server that is in use."""

    def update_share_server(self, request: ShareServerRequest) -> ObservedShareServer:
        """Make the server as requested without moving its shares; one that is so already is no error. Raises NotFoundError."""
        ...
