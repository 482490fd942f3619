"""Addresses in access rules that no client can have, and that a server would take for something else."""

from __future__ import annotations

import functools
import ipaddress
from typing import Final, NamedTuple

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED: Final = ipaddress.ip_network("::ffff:0:0/96")
_COMPATIBLE: Final = ipaddress.ip_network("::/96")
_LOOPBACK: Final = ipaddress.ip_network("::1/128")
# No client ever sends from one of these (RFC 6890, 1112, 4291). NFS-Ganesha takes 0.0.0.0 for everybody.
_NOBODYS: Final = tuple(
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "is an unspecified address"),
        ("224.0.0.0/4", "is a multicast address"),
        ("255.255.255.255/32", "is the broadcast address"),
        ("240.0.0.0/4", "is of a reserved range"),
        ("::/128", "is the unspecified address"),
        ("ff00::/8", "is a multicast address"),
    )
)
_ZERO_IS_ALL: Final = {4: "write 0.0.0.0/0 for every IPv4 address", 6: "write ::/0 for every IPv6 address"}


class Nobody(NamedTuple):
    """Why no client has an address, in words that follow it, and what to write instead."""

    why: str
    remedy: str


@functools.lru_cache(maxsize=65536)
def nobody_at(access_to: str) -> Nobody | None:
    """Return why no client can have any address of `access_to`, an address or network; None where one can, and for other text.

    `0.0.0.0/0` and `::/0` mean every client. Loopback and link-local addresses are real ones: those of the storage host itself and of
    machines on its wire. IPv4 in IPv6 notation is not: servers see such clients under their IPv4 addresses.
    """
    if "%" in access_to:
        return None
    try:
        network = ipaddress.ip_network(access_to, strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network):
        ipv4 = _ipv4_within(network)
        if ipv4 is not None:
            return nobody_at(ipv4) or Nobody(
                "is an IPv4 address in IPv6 notation, which no server sees", f"write {ipv4}"
            )
    for range_, what in _NOBODYS:
        if is_within(network, range_):
            remedy = _ZERO_IS_ALL[network.version] if int(network.network_address) == 0 else "write a client's address"
            return Nobody(f"{what}, which no client has", remedy)
    return None


def without_ipv6_notation(access_to: str) -> str:
    """Return `access_to` in IPv4 notation where it is IPv4 written as IPv6; any other text unchanged."""
    if ":" not in access_to or "%" in access_to:
        return access_to
    try:
        network = ipaddress.IPv6Network(access_to, strict=False)
    except ValueError:
        return access_to
    ipv4 = _ipv4_within(network)
    return access_to if ipv4 is None else ipv4


def _ipv4_within(network: ipaddress.IPv6Network) -> str | None:
    """Return the IPv4 addresses that an IPv6 network stands for, whether mapped (`::ffff:10.0.0.1`) or compatible (`::10.0.0.1`)."""
    is_compatible = is_within(network, _COMPATIBLE) and network != _LOOPBACK and int(network.network_address) != 0
    if not is_compatible and not is_within(network, _MAPPED):
        return None
    length = network.prefixlen - _MAPPED.prefixlen
    ipv4 = ipaddress.IPv4Network((int(network.network_address) & 0xFFFFFFFF, length))
    return str(ipv4.network_address if length == ipv4.max_prefixlen else ipv4)


def is_within(network: _Network, other: _Network) -> bool:
    """Tell whether all addresses of `network` are in `other`."""
    if network.version != other.version or network.prefixlen < other.prefixlen:
        return False
    shift = network.max_prefixlen - other.prefixlen
    return int(network.network_address) >> shift == int(other.network_address) >> shift
