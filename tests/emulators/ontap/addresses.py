"""Addresses, masks and names as the array checks them."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def address_of(text: str) -> Address | None:
    """Return the address that a text is, or None where it is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def family_of(address: Address) -> str:
    """Return the family as records name it."""
    return "ipv4" if address.version == 4 else "ipv6"


def prefix_length(address: Address, mask: str) -> int | None:
    """Return the length of a mask that is given as a length or as an address, or None where it is neither."""
    try:
        return ipaddress.ip_network((type(address)(0), mask)).prefixlen
    except ValueError:
        return None


def network_of(address: Address, length: int) -> Network:
    """Return the network that an address lies in."""
    return ipaddress.ip_network((address, length), strict=False)


def names_the_network(address: Address, length: int) -> bool:
    """Tell whether an address is the one of its network, which no host may have."""
    network = network_of(address, length)
    return address == network.network_address and length < network.max_prefixlen - 1
