"""The configuration of the standalone plugin: its JSON Schema, and what it says of subnets that do not say it themselves."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.address_ranges import AddressRange, parse_address_range
from sharectl.model.frozen import dataclass
from sharectl.network.base import NetworkError
from sharectl.network.schemas import choice, text, whole
from sharectl.network.wires import DEFAULT_MTU, IPV4, free_ranges, segmentation_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.model.canonical import JsonObject

_LAST_PREFIX_WITH_BROADCAST: Final = 30
_LAST_PREFIX_WITH_ANYCAST: Final = 126
_RANGES: Final[JsonObject] = {
    "type": "array",
    "maxItems": 1024,
    "items": {"type": "string", "minLength": 1, "maxLength": 96},
}

CONFIG_SCHEMA: Final[JsonObject] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Standalone network plugin",
    "description": "The network of subnets that name no `cidr` of their own, and defaults for those that do.",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "gateway": text("The router's address; with `mask` it says which network this is.", maxLength=64),
        "mask": {
            "type": ["string", "integer"],
            "minimum": 0,
            "maximum": 128,
            "maxLength": 64,
            "description": "The network's mask: `24` or `255.255.255.0`.",
        },
        "allowedIpRanges": {
            **_RANGES,
            "minItems": 1,
            "description": "The only addresses that share servers may get: `10.0.0.10`, `10.0.0.10-10.0.0.20` or `10.0.0.16/28`.",
        },
        "excluded": {**_RANGES, "description": "Addresses that share servers may not get."},
        "networkType": choice(
            ["flat", "vlan", "vxlan", "gre"], "How the tenant's traffic is kept apart, where the subnet does not say."
        ),
        "segmentationId": whole(
            1, 4_294_967_295, "The VLAN id, VNI or GRE key, where the subnet gives no `networkType`."
        ),
        "mtu": whole(576, 65_535, "The largest packet in bytes, where the subnet does not say.", default=DEFAULT_MTU),
        "physicalNetwork": text(
            "The wires that the backend is on. Backends on the same ones never get the same address in one segment; those on others may.",
            maxLength=64,
            pattern="^[A-Za-z0-9._-]+$",
            default="default",
        ),
    },
    "dependentRequired": {"gateway": ["mask"], "mask": ["gateway"]},
}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the plugin's configuration says of subnets that do not say it themselves; `cidr` is None where it names no network."""

    cidr: str | None = None
    gateway: str | None = None
    allocation_ranges: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    network_type: str = "flat"
    segmentation_id: int | None = None
    mtu: int = DEFAULT_MTU
    physical_network: str = "default"


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
        mtu=config.get("mtu", DEFAULT_MTU),
        physical_network=config.get("physicalNetwork", "default"),
    )
    problem = segmentation_problem(defaults.network_type, defaults.segmentation_id)
    if problem:
        message = f"the configuration of the standalone plugin cannot be used: {problem}"
        raise NetworkError(message)
    if cidr is not None:
        free_in(cidr, gateway, defaults.allocation_ranges, defaults.excluded)
    return defaults


def free_in(
    cidr: str, gateway: str | None, allowed: Iterable[str], excluded: Iterable[str]
) -> tuple[AddressRange, ...]:
    """Return the addresses of a network that share servers may get; raises NetworkError as `free_ranges` does."""
    router = () if gateway is None else (parse_address_range(gateway),)
    return free_ranges(cidr, f"the network {cidr}", allowed, excluded, (*router, *_never_a_host(cidr)))


def _never_a_host(cidr: str) -> list[AddressRange]:
    """Return the network's own address and, with IPv4, its broadcast address; nets of one or two addresses have neither."""
    network = ipaddress.ip_network(cidr)
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.version == IPV4:
        if network.prefixlen > _LAST_PREFIX_WITH_BROADCAST:
            return []
        return [AddressRange(4, first, first), AddressRange(4, last, last)]
    # RFC 4291, 2.6.1: the lowest address of an IPv6 subnet belongs to all of its routers.
    return [AddressRange(6, first, first)] if network.prefixlen <= _LAST_PREFIX_WITH_ANYCAST else []
