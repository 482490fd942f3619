"""Addresses of share servers, as requested and as allocated, with everything about their network."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Literal

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.share_networks import ShareNetworkSubnet


IpVersion = Literal[4, 6]


@dataclass(frozen=True, slots=True)
class AllocationRequest:
    """One address that a share server needs.

    `allocation_id` and `share_server_id` are made by the client, unique for ever, at most 200 printable ASCII characters each.
    `share_network` is the name of the network that `subnet` belongs to, for messages. `ip_version` matters where the subnet
    has addresses of both (Nova networks); None takes IPv4 first. `preferred_address` is the one that the share server had before, if
    any: it gets that again if it is free, so that its clients find it after a repair, and another if not.
    """

    allocation_id: str
    share_server_id: str
    share_network: str
    subnet: ShareNetworkSubnet
    ip_version: IpVersion | None = None
    preferred_address: str | None = None


@dataclass(frozen=True, slots=True)
class NetworkAllocation:
    """One address for one share server, as Manila's network allocation.

    `cidr` and `gateway` are those of its subnet, `network_type` is `flat`, `vlan`, `vxlan`, `gre` or another name that the network service
    uses, `segmentation_id` is the VLAN id, VNI or GRE key (None where the network has none), `mtu` is in bytes.
    `mac_address` and `port_id` are those of a Neutron port. Addresses are canonical, as `ipaddress` prints them.
    """

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
    port_id: str | None = None

    def as_plain(self) -> dict[str, Any]:
        """Return the JSON object from which `from_plain` makes an equal value; what is None is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> NetworkAllocation:
        """Return the allocation that `as_plain` wrote."""
        return cls(**{field.name: plain.get(field.name) for field in fields(cls)})  # type: ignore[arg-type]
