"""Ranges of IP addresses, as share networks and network plugins write them: parse, print and subtract."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class AddressRange(NamedTuple):
    """All addresses of one IP version (4 or 6) from `first` to `last`, both included, as numbers."""

    version: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many addresses the range has."""
        return self.last - self.first + 1

    def holds(self, other: AddressRange) -> bool:
        """Tell whether every address of `other` is in this range."""
        return self.version == other.version and self.first <= other.first and other.last <= self.last

    def __str__(self) -> str:
        """`10.20.0.10-10.20.0.20`, or the one address; `parse_address_range` reads it back."""
        first, last = address_text(self.version, self.first), address_text(self.version, self.last)
        return first if first == last else f"{first}-{last}"


def address_text(version: int, number: int) -> str:
    """Return the canonical text of an address."""
    return str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))  # noqa: PLR2004 - the two IP versions


def parse_address_range(text: str) -> AddressRange:
    """Return the range that `10.20.0.10`, `10.20.0.10-10.20.0.20` or `10.20.0.0/28` names; raises ValueError, worded for people, for anything else."""
    try:
        found = _parse(text)
    except ValueError as cause:
        message = f"{text[:80]!r} is not a range of addresses; write 10.20.0.10, 10.20.0.10-10.20.0.20 or 10.20.0.16/28"
        raise ValueError(message) from cause
    if found.last < found.first:
        message = f"the range {text[:80]!r} ends before it begins"
        raise ValueError(message)
    return found


def _parse(text: str) -> AddressRange:
    if "/" in text:
        network = ipaddress.ip_network(text)
        return AddressRange(network.version, int(network.network_address), int(network.broadcast_address))
    if "%" in text:
        message = "an address with a zone is good on one host alone"
        raise ValueError(message)
    first, separator, last = text.partition("-")
    low = ipaddress.ip_address(first.strip())
    high = ipaddress.ip_address(last.strip()) if separator else low
    if low.version != high.version:
        message = "one end is IPv4 and the other IPv6"
        raise ValueError(message)
    return AddressRange(low.version, int(low), int(high))


def joined(ranges: Iterable[AddressRange]) -> tuple[AddressRange, ...]:
    """Return the same addresses in ascending ranges that neither overlap nor touch."""
    result: list[AddressRange] = []
    for part in sorted(ranges):
        if result and result[-1].version == part.version and part.first <= result[-1].last + 1:
            result[-1] = result[-1]._replace(last=max(result[-1].last, part.last))
        else:
            result.append(part)
    return tuple(result)


def without(ranges: Iterable[AddressRange], taken: Iterable[AddressRange]) -> tuple[AddressRange, ...]:
    """Return the addresses of `ranges` that are in none of `taken`, as `joined` does."""
    result = list(joined(ranges))
    for hole in joined(taken):
        result = [part for whole in result for part in _cut(whole, hole)]
    return tuple(result)


def _cut(whole: AddressRange, hole: AddressRange) -> Iterable[AddressRange]:
    if whole.version != hole.version or hole.last < whole.first or whole.last < hole.first:
        yield whole
        return
    if whole.first < hole.first:
        yield whole._replace(last=hole.first - 1)
    if hole.last < whole.last:
        yield whole._replace(first=hole.last + 1)
