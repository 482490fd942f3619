"""Networks as keys, and what is known of those around one."""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

Value = TypeVar("Value")


class Prefix(NamedTuple):
    """A network: IP version, prefix length, and the bits of the prefix."""

    version: int
    length: int
    bits: int

    def around(self) -> Iterator[Prefix]:
        """Yield the network itself and all that hold it, the narrowest first."""
        for length in range(self.length, -1, -1):
            yield Prefix(self.version, length, self.bits >> (self.length - length))


class Prefixes(dict[Prefix, Value], Generic[Value]):
    """Values by network."""

    def add(self, prefix: Prefix, value: Value) -> None:
        """Remember the value, unless the network has one."""
        self.setdefault(prefix, value)

    def narrowest(self, prefix: Prefix) -> Value | None:
        """Return the value of the narrowest network that holds this one, or is it."""
        return next((self[around] for around in prefix.around() if around in self), None)


@functools.lru_cache(maxsize=65536)
def prefix_of(canonical: str) -> Prefix:
    """Return the network that the `access_to` of a rule of type `ip` names."""
    network = ipaddress.ip_network(canonical)
    length = network.prefixlen
    return Prefix(network.version, length, int(network.network_address) >> (network.max_prefixlen - length))
