"""What a Nova network is for share servers: its facts, and the addresses that may be tried on it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from sharectl.model.address_ranges import AddressRange, parse_address_range, without
from sharectl.model.frozen import dataclass, field
from sharectl.network.base import NetworkAllocation, NetworkError
from sharectl.network.segments import segmentation_problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Network, IPv6Network

    from sharectl.model.canonical import JsonObject
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import AllocationRequest, IpVersion

_IPV4: Final = 4
_DEFAULT_MTU: Final = 1500
_OWN_ADDRESSES: Final = (
    "gateway",
    "gateway_v6",
    "dhcp_server",
    "broadcast",
    "vpn_private_address",
    "vpn_public_address",
    "dns1",
    "dns2",
)
"""The fields of a network whose addresses are never given out, as in Manila's plugin."""


@dataclass(frozen=True, slots=True)
class Place:
    """One IP version of a Nova network.

    `scope` is where an address must be unique, `fixed_ip_cidr` what Nova calls the network in its fixed IPs; `candidates` are the
    addresses that may be tried, ascending.
    """

    network_id: str
    fixed_ip_cidr: str
    cidr: str
    ip_version: int
    gateway: str | None
    network_type: str
    segmentation_id: int | None
    mtu: int
    candidates: tuple[AddressRange, ...] = field(repr=False)

    @property
    def scope(self) -> str:
        """Where an address must be unique."""
        return f"nova/{self.network_id}"

    @property
    def size(self) -> int:
        """How many addresses may be tried."""
        return sum(part.size for part in self.candidates)

    def holds(self, address: str) -> bool:
        """Tell whether the address may be tried."""
        return any(part.holds(parse_address_range(address)) for part in self.candidates)

    def downwards(self) -> Iterator[int]:
        """Give the addresses as numbers, the highest first."""
        for part in reversed(self.candidates):
            yield from range(part.last, part.first - 1, -1)

    def allocation(self, request: AllocationRequest, address: str) -> NetworkAllocation:
        """Return the allocation that the address is for the request."""
        return NetworkAllocation(
            allocation_id=request.allocation_id,
            share_server_id=request.share_server_id,
            ip_address=address,
            ip_version=self.ip_version,
            cidr=self.cidr,
            gateway=self.gateway,
            network_type=self.network_type,
            segmentation_id=self.segmentation_id,
            mtu=self.mtu,
        )


def place_of(network: JsonObject, subnet: ShareNetworkSubnet, ip_version: IpVersion | None) -> Place:
    """Return where on a Nova network a subnet of a share network is; raises NetworkError where that cannot be used.

    As in Manila's plugin a network with a VLAN is of the type `vlan`, one without is `flat`. IPv4 comes first, unless the request or the
    subnet's `cidr` means IPv6. The subnet's `allocation_ranges` and `excluded` narrow down what is tried.
    """
    net = _net_of(network, subnet, ip_version)
    vlan = _vlan_of(network)
    if network.get("multi_host") and not (subnet.excluded or subnet.allocation_ranges):
        message = (
            f"the Nova network {network['id']} has several network hosts (multi_host), and Nova does not show their addresses in it; "
            "write the subnet's cidr, and those addresses under excluded, or others under allocationRanges"
        )
        raise NetworkError(message)
    gateway = network.get("gateway" if net.version == _IPV4 else "gateway_v6")
    return Place(
        network_id=network["id"],
        fixed_ip_cidr=str(network.get("cidr")),
        cidr=str(net),
        ip_version=net.version,
        gateway=str(ipaddress.ip_address(gateway)) if gateway else None,
        network_type="flat" if vlan is None else "vlan",
        segmentation_id=vlan,
        mtu=network.get("mtu") or _DEFAULT_MTU,
        candidates=_candidates(network, subnet, str(net)),
    )


def _net_of(network: JsonObject, subnet: ShareNetworkSubnet, ip_version: IpVersion | None) -> IPv4Network | IPv6Network:
    nets = [ipaddress.ip_network(str(network[name]), strict=False) for name in ("cidr", "cidr_v6") if network.get(name)]
    wanted = None if subnet.cidr is None else ipaddress.ip_network(subnet.cidr)
    net = next((net for net in nets if wanted in (None, net) and ip_version in (None, net.version)), None)
    if net is None:
        message = (
            f"the Nova network {network['id']} has no {wanted or f'IPv{ip_version or _IPV4}'}, "
            f"but {' and '.join(map(str, nets)) or 'no addresses'}; correct the share network's subnet"
        )
        raise NetworkError(message)
    if net.version != _IPV4 and not subnet.allocation_ranges:
        message = (
            f"Nova derives IPv6 addresses in {net} from MAC addresses, and keeps no fixed IPs there by itself; use the network's IPv4, "
            "or write the subnet's cidr, and as allocationRanges the IPv6 fixed IPs that were put into Nova's database"
        )
        raise NetworkError(message)
    return net


def _vlan_of(network: JsonObject) -> int | None:
    if "vlan" not in network:
        message = f"Nova does not show which VLAN the network {network['id']} is; give the account a role that is Nova's admin"
        raise NetworkError(message)
    vlan: int | None = network["vlan"] or None
    problem = "" if vlan is None else segmentation_problem("vlan", vlan)
    if problem:
        message = f"the Nova network {network['id']} cannot be used: {problem}"
        raise NetworkError(message)
    return vlan


def _candidates(network: JsonObject, subnet: ShareNetworkSubnet, cidr: str) -> tuple[AddressRange, ...]:
    whole = parse_address_range(cidr)
    ends = [whole._replace(last=whole.first), whole._replace(first=whole.last)]
    own = [parse_address_range(str(network[name])) for name in _OWN_ADDRESSES if network.get(name)]
    try:
        chosen = [parse_address_range(text) for text in subnet.allocation_ranges]
        excluded = [parse_address_range(text) for text in subnet.excluded]
    except ValueError as cause:
        raise NetworkError(str(cause)) from cause
    outside = next((part for part in chosen if not whole.holds(part)), None)
    if outside is not None:
        message = f"the range {outside} is not within the Nova network's {cidr}; name addresses of that network"
        raise NetworkError(message)
    return without(chosen or [whole], [*ends, *own, *excluded])
