"""The wire that a subnet is: its facts for a share server, the addresses that may be given out on it, where these must be unique."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.address_ranges import AddressRange, parse_address_range, without
from sharectl.model.frozen import dataclass, field
from sharectl.network.base import NetworkError
from sharectl.network.segments import segmentation_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.model.share_networks import ShareNetworkSubnet

_DEFAULT_MTU: Final = 1500
_LAST_PREFIX_WITH_BROADCAST: Final = 30
_LAST_PREFIX_WITH_ANYCAST: Final = 126
_IPV4: Final = 4


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the plugin's configuration says of subnets that do not say it themselves; `cidr` is None where it names no network."""

    cidr: str | None = None
    gateway: str | None = None
    allocation_ranges: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    network_type: str = "flat"
    segmentation_id: int | None = None
    mtu: int = _DEFAULT_MTU
    physical_network: str = "default"


@dataclass(frozen=True, slots=True)
class Wire:
    """A subnet with everything known of it.

    `scope` is where an address must be unique: one segment of one physical network, whatever subnets and share networks are on it.
    `free` are the addresses that may be given out, ascending.
    """

    scope: str
    cidr: str
    ip_version: int
    gateway: str | None
    network_type: str
    segmentation_id: int | None
    mtu: int
    free: tuple[AddressRange, ...] = field(repr=False)


def read_defaults(config: Mapping[str, Any]) -> Defaults:
    """Return the defaults that a configuration (valid by its schema) describes; raises NetworkError where they cannot be."""
    cidr = gateway = None
    if "gateway" in config:
        try:
            gateway = str(ipaddress.ip_address(config["gateway"]))
            cidr = str(ipaddress.ip_network(f"{gateway}/{config['mask']}", strict=False))
        except ValueError as cause:
            message = (
                f"the network of the standalone plugin cannot be {config['gateway']!r} with the mask {config['mask']!r}: {cause}; "
                "write the router's address, and a mask such as 24 or 255.255.255.0"
            )
            raise NetworkError(message) from cause
    defaults = Defaults(
        cidr=cidr,
        gateway=gateway,
        allocation_ranges=tuple(config.get("allowedIpRanges", ())),
        excluded=tuple(config.get("excluded", ())),
        network_type=config.get("networkType", "flat"),
        segmentation_id=config.get("segmentationId"),
        mtu=config.get("mtu", _DEFAULT_MTU),
        physical_network=config.get("physicalNetwork", "default"),
    )
    problem = segmentation_problem(defaults.network_type, defaults.segmentation_id)
    if problem:
        message = f"the configuration of the standalone plugin cannot be used: {problem}"
        raise NetworkError(message)
    if cidr is not None:
        _free(cidr, gateway, defaults.allocation_ranges, defaults.excluded)
    return defaults


def wire_of(subnet: ShareNetworkSubnet, defaults: Defaults) -> Wire:
    """Return the wire that the subnet is; raises NetworkError where neither it nor the defaults describe one.

    A subnet with a `cidr` describes its addresses alone, one without gets those of the configuration, as in Manila's plugin. A subnet
    with a `network_type` describes its segment alone. Addresses are unique within a segment of a physical network, where Manila has
    them unique in all of its database: two tenants on two segments may have the same.
    """
    own = subnet.cidr is not None
    cidr = subnet.cidr or defaults.cidr
    if cidr is None:
        message = "the subnet has no cidr, and the standalone plugin no gateway and mask; write one of the two"
        raise NetworkError(message)
    gateway = subnet.gateway if own else defaults.gateway
    network_type, segmentation_id = defaults.network_type, defaults.segmentation_id
    if subnet.network_type is not None:
        network_type, segmentation_id = subnet.network_type, subnet.segmentation_id
    elif subnet.segmentation_id is not None:
        segmentation_id = subnet.segmentation_id
    problem = segmentation_problem(network_type, segmentation_id)
    if problem:
        message = f"the subnet {cidr} cannot be used: {problem}; correct its networkType or segmentationId"
        raise NetworkError(message)
    segment = network_type if segmentation_id is None else f"{network_type}:{segmentation_id}"
    return Wire(
        scope=f"standalone/{defaults.physical_network}/{segment}",
        cidr=cidr,
        ip_version=ipaddress.ip_network(cidr).version,
        gateway=gateway,
        network_type=network_type,
        segmentation_id=segmentation_id,
        mtu=subnet.mtu or defaults.mtu,
        free=_free(
            cidr,
            gateway,
            subnet.allocation_ranges if own else defaults.allocation_ranges,
            subnet.excluded if own else defaults.excluded,
        ),
    )


def _free(cidr: str, gateway: str | None, allowed: Iterable[str], excluded: Iterable[str]) -> tuple[AddressRange, ...]:
    try:
        whole = parse_address_range(cidr)
        chosen = [parse_address_range(text) for text in allowed]
        taken = [parse_address_range(text) for text in excluded]
    except ValueError as cause:
        raise NetworkError(str(cause)) from cause
    outside = next((part for part in chosen if not whole.holds(part)), None)
    if outside is not None:
        message = f"the range {outside} is not within the network {cidr}; name addresses of that network"
        raise NetworkError(message)
    if gateway is not None:
        taken.append(parse_address_range(gateway))
    return without(chosen or [whole], [*taken, *_never_a_host(cidr)])


def _never_a_host(cidr: str) -> list[AddressRange]:
    """Return the network's own address and, with IPv4, its broadcast address; nets of one or two addresses have neither."""
    network = ipaddress.ip_network(cidr)
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.version == _IPV4:
        if network.prefixlen > _LAST_PREFIX_WITH_BROADCAST:
            return []
        return [AddressRange(4, first, first), AddressRange(4, last, last)]
    # RFC 4291, 2.6.1: the lowest address of an IPv6 subnet belongs to all of its routers.
    return [AddressRange(6, first, first)] if network.prefixlen <= _LAST_PREFIX_WITH_ANYCAST else []
