"""The contract of a network plugin: allocate addresses for share servers, give them back, and list them in bulk.

As Manila's network API (`manila/network/__init__.py`), with one difference: an allocation is asked for under an id that the
client makes, so that asking twice after a crash gives the same answer and nothing leaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.model import ShareNetworkSubnet


@dataclass(frozen=True, slots=True)
class NetworkAllocation:
    """One address for one share server. `cidr` and `gateway` are those of its subnet; `segmentation_id` is None on flat networks."""

    allocation_id: str
    share_server_id: str
    ip_address: str
    ip_version: int
    cidr: str
    gateway: str | None
    network_type: str
    segmentation_id: int | None
    mtu: int
    mac_address: str | None = None


class NetworkPlugin(Protocol):
    """What every network plugin meets; each call is idempotent by the allocation's id."""

    def allocate(self, allocation_id: str, share_server_id: str, subnet: ShareNetworkSubnet) -> NetworkAllocation:
        """Take an address of the subnet for the share server, or return the one taken under this id before."""
        ...

    def deallocate(self, allocation_id: str) -> None:
        """Give the address back; one that was given back already is no error."""
        ...

    def list_allocations(self, allocation_ids: Collection[str] | None = None) -> Sequence[NetworkAllocation]:
        """Return all allocations that sharectl made, or just these; whole, or an error."""
        ...
