"""What a Nova network is for share servers: its facts, and which of its addresses to try next."""

from __future__ import annotations

import ipaddress
import threading
from typing import TYPE_CHECKING, Final

from sharectl.model.address_ranges import AddressRange, parse_address_range
from sharectl.model.frozen import dataclass
from sharectl.network.base import NetworkError
from sharectl.network.wires import DEFAULT_MTU, IPV4, Wire, free_ranges, segmentation_problem

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator
    from ipaddress import IPv4Network, IPv6Network

    from sharectl.model.canonical import JsonObject
    from sharectl.model.networks import IpVersion
    from sharectl.model.share_networks import ShareNetworkSubnet


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
class Place(Wire):
    """One IP version of a Nova network; `fixed_ip_cidr` is what Nova calls the network in its fixed IPs."""

    network_id: str
    fixed_ip_cidr: str

    @property
    def size(self) -> int:
        """How many addresses may be tried."""
        return sum(part.size for part in self.free)

    def downwards(self) -> Iterator[int]:
        """Give the addresses as numbers, the highest first."""
        for part in reversed(self.free):
            yield from range(part.last, part.first - 1, -1)


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
    gateway = network.get("gateway" if net.version == IPV4 else "gateway_v6")
    return Place(
        scope=f"nova/{network['id']}",
        cidr=str(net),
        ip_version=net.version,
        gateway=str(ipaddress.ip_address(gateway)) if gateway else None,
        network_type="flat" if vlan is None else "vlan",
        segmentation_id=vlan,
        mtu=network.get("mtu") or DEFAULT_MTU,
        free=_candidates(network, subnet, str(net)),
        network_id=network["id"],
        fixed_ip_cidr=str(network.get("cidr")),
    )


def _net_of(network: JsonObject, subnet: ShareNetworkSubnet, ip_version: IpVersion | None) -> IPv4Network | IPv6Network:
    nets = [ipaddress.ip_network(str(network[name]), strict=False) for name in ("cidr", "cidr_v6") if network.get(name)]
    wanted = None if subnet.cidr is None else ipaddress.ip_network(subnet.cidr)
    net = next((net for net in nets if wanted in (None, net) and ip_version in (None, net.version)), None)
    if net is None:
        message = (
            f"the Nova network {network['id']} has no {wanted or f'IPv{ip_version or IPV4}'}, "
            f"but {' and '.join(map(str, nets)) or 'no addresses'}; correct the share network's subnet"
        )
        raise NetworkError(message)
    if net.version != IPV4 and not subnet.allocation_ranges:
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
    where = f"the Nova network's {cidr}"
    return free_ranges(cidr, where, subnet.allocation_ranges, subnet.excluded, [*ends, *own])


class Search:
    """What is known of the addresses of one place; may be used by several threads at once.

    The highest come first: Nova gives its servers those that were longest unused, at first the lowest, so that both seldom want the same.
    What was seen with somebody else is passed over until nothing else is left; what another thread looks at just now is passed over as well.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._occupied: set[int] = set()
        self._tried: set[int] = set()

    def candidates(self, place: Place, taken: Collection[int], preferred: int | None) -> Generator[int, None, None]:
        """Give addresses to try, first `preferred`, then all but `taken`, then those that somebody else had when last seen.

        Each is held for who asked until the next is asked for, or the iterator is closed.
        """
        with self._lock:
            last = set(self._occupied)
        if preferred is not None:
            last.discard(preferred)
            yield from self._held(preferred, taken)
        for number in place.downwards():
            if number != preferred and number not in last:
                yield from self._held(number, taken)
        for number in sorted(last, reverse=True):
            yield from self._held(number, taken)

    def note(self, number: int, *, is_occupied: bool) -> None:
        """Remember whether somebody else has the address."""
        with self._lock:
            (self._occupied.add if is_occupied else self._occupied.discard)(number)

    def _held(self, number: int, taken: Collection[int]) -> Iterator[int]:
        if number in taken:
            return
        with self._lock:
            if number in self._tried:
                return
            self._tried.add(number)
        try:
            yield number
        finally:
            with self._lock:
                self._tried.discard(number)
