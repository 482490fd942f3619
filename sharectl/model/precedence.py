"""Networks by which clients are known: which of several decides for a client, and what is left of one without others."""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_Granted = TypeVar("_Granted")
_BITS: Final = {4: 32, 6: 128}
RANKS: Final[dict[str, int]] = {"none": 0, "ro": 1, "rw": 2}
"""How much a level grants, the more the higher."""


class Network(NamedTuple):
    """A network as numbers: IP version, prefix length, and the bits of the prefix."""

    version: int
    length: int
    bits: int

    def shortened(self, length: int) -> Network:
        """Return the network of this prefix length around it."""
        return Network(self.version, length, self.bits >> (self.length - length))

    def is_within(self, other: Network) -> bool:
        """Tell whether all its addresses are in the other."""
        narrower = self.length - other.length
        return self.version == other.version and narrower >= 0 and self.bits >> narrower == other.bits

    @property
    def halves(self) -> tuple[Network, Network]:
        """The two networks that it consists of; a single address has none."""
        return (
            Network(self.version, self.length + 1, self.bits << 1),
            Network(self.version, self.length + 1, self.bits << 1 | 1),
        )

    def __str__(self) -> str:
        """Return it as an access rule writes it: a single address without its prefix."""
        bits = _BITS[self.version]
        address = self.bits << (bits - self.length)
        if self.version == 4:  # noqa: PLR2004 - IPv4
            written = f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"
        else:
            written = str(ipaddress.IPv6Address(address))
        return written if self.length == bits else f"{written}/{self.length}"


_BYTE: Final = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4: Final = rf"{_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}(?:/(3[0-2]|[12]?\d))?"
"""An IPv4 network as nearly all rules have it. The library reads the others, and takes ten times as long."""


@functools.lru_cache(maxsize=65536)
def network_of(access_to: str) -> Network | None:
    """Return the network that an access rule names (an address is a network of one), or None where it names none."""
    usual = re.fullmatch(_IPV4, access_to, re.ASCII)
    if usual is not None:
        first, second, third, fourth, prefix = usual.groups("32")
        address, length = int(first) << 24 | int(second) << 16 | int(third) << 8 | int(fourth), int(prefix)
        bits = address >> (32 - length)
        return Network(4, length, bits) if bits << (32 - length) == address else None
    if "%" in access_to:  # an interface of one machine
        return None
    try:
        parsed = ipaddress.ip_network(access_to)
    except ValueError:
        return None
    return Network(
        parsed.version, parsed.prefixlen, int(parsed.network_address) >> (parsed.max_prefixlen - parsed.prefixlen)
    )


def deciding(network: Network, granted: Mapping[Network, _Granted]) -> _Granted | None:
    """Return what the narrowest of the networks grants that covers this one, None where none does."""
    for length in range(network.length, -1, -1):
        found = granted.get(network.shortened(length))
        if found is not None:
            return found
    return None


def without(network: Network, holes: Iterable[Network]) -> list[Network]:
    """Return the fewest networks that hold all addresses of `network` but those of the holes, in their order."""
    inside = [hole for hole in holes if hole.is_within(network)]
    if not inside:
        return [network]
    if network in inside:
        return []
    return [part for half in network.halves for part in without(half, inside)]
