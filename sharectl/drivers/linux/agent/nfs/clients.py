"""The order of an export's clients in which a server that takes the first match takes the longest prefix."""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import NOBODY, Client
from sharectl.drivers.linux.agent.nfs.treatment import Treatment, differences

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

EVERYBODY: Final = "*"
"""What the servers' grammars call every address, of IPv4 and of IPv6."""

# Ganesha 4.3 has no words for a prefix of 0 (it takes `0.0.0.0/0` for the path of a file), and nfs-utils shift a mask of 32
# bits by 32 for it, which C leaves undefined. Two halves say the same. They stand the higher one first, which two rules of
# a half each never do, so that the reader can tell the one from the other.
_HALVES: Final = {"0.0.0.0/0": ("128.0.0.0/1", "0.0.0.0/1"), "::/0": ("8000::/1", "::/1")}
_WHOLES: Final = {halves: whole for whole, halves in _HALVES.items()}


class Line(NamedTuple):
    """A line of a live export; no treatment where it leaves something open that only the export itself knows."""

    network: str
    level: str
    treatment: Treatment | None


class Prefix(NamedTuple):
    """A network as numbers: IP version, address, prefix length in bits, and the bits of an address."""

    version: int
    address: int
    length: int
    bits: int

    def shortened(self, length: int) -> tuple[int, int, int]:
        """Return the network of this length that this one lies in, as something to look up."""
        return self.version, length, self.address >> (self.bits - length)


@functools.lru_cache(maxsize=65536)
def prefix_of(network: str) -> Prefix | None:
    """Return the network that the text names (an address is a network of one), or None where it names none."""
    if "%" in network:  # an interface of one machine
        return None
    try:
        parsed = ipaddress.ip_network(network)
    except ValueError:
        return None
    return Prefix(parsed.version, int(parsed.network_address), parsed.prefixlen, parsed.max_prefixlen)


@functools.lru_cache(maxsize=65536)
def canonical_network(network: str) -> str:
    """Return the network as the model writes it: one address without a prefix; what is not a network stays as it is."""
    if prefix_of(network) is None:
        return network
    parsed = ipaddress.ip_network(network)
    return str(parsed.network_address if parsed.prefixlen == parsed.max_prefixlen else parsed)


def ordered(clients: Collection[Client]) -> tuple[Client, ...]:
    """Return the lines of an export whose first match is the longest prefix; each names a network that every server can read.

    Precondition: every network is one, and no two clients have the same.
    """
    lines: list[Client] = []
    for client in sorted(clients, key=_by_length):
        lines.extend(client._replace(network=part) for part in _HALVES.get(client.network, (client.network,)))
    return tuple(lines)


def in_force(lines: Sequence[Client]) -> frozenset[Client]:
    """Return the clients that lines in this order put in force: the inverse of `ordered`.

    A line that an earlier one covers is never reached, and left out: a list in another order is another set of clients.
    """
    reached: set[Client] = set()
    covered: set[tuple[int, int, int]] = set()
    lengths: dict[int, set[int]] = {4: set(), 6: set()}
    for client in _joined(lines):
        if client.network == EVERYBODY:
            return frozenset({*reached, client})
        prefix = prefix_of(client.network)
        if prefix is not None:
            shorter = [length for length in lengths[prefix.version] if length <= prefix.length]
            if any(prefix.shortened(length) in covered for length in shorter):
                continue
            covered.add(prefix.shortened(prefix.length))
            lengths[prefix.version].add(prefix.length)
        reached.add(client)
    return frozenset(reached)


def plain_lines(lines: Sequence[Line], own: Treatment | None) -> list[Client]:
    """Return the lines as clients of an export whose treatment is `own`, with options where they are treated otherwise.

    What no option can say stands in the level, so that such an export differs from any that was asked for.
    """
    return [_plain_line(line, own) for line in lines]


def _plain_line(line: Line, own: Treatment | None) -> Client:
    network, level, treatment = line
    if level == "none" and own is not None and treatment is not None:
        return Client(network, level)
    if own is None or treatment is None or treatment.squash is None:
        return Client(network, level if own is not None and treatment == own else _spelled_out(level, treatment))
    return Client(network, level, differences(own, treatment))


def _spelled_out(level: str, treatment: Treatment | None) -> str:
    if treatment is None:
        return f"{level} with the options of the export"
    uid, gid = treatment.anonymous
    nobody = "" if treatment.anonymous == (NOBODY, NOBODY) else f", nobody as {uid}:{gid}"
    ports = ", from any port" if treatment.insecure else ""
    return (
        f"{level} with squash {treatment.squash or 'other'} and security {','.join(treatment.security)}{nobody}{ports}"
    )


def _by_length(client: Client) -> tuple[int, int, int]:
    prefix = prefix_of(client.network)
    if prefix is None:
        message = f"{client.network!r} is not a network"
        raise ValueError(message)
    return prefix.version, -prefix.length, prefix.address


def _joined(lines: Sequence[Client]) -> list[Client]:
    """Put the two halves of a whole together again."""
    joined: list[Client] = []
    for line in lines:
        client = line._replace(network=canonical_network(line.network))
        is_alike = bool(joined) and joined[-1][1:] == client[1:]
        whole = _WHOLES.get((joined[-1].network, client.network)) if is_alike else None
        if whole is None:
            joined.append(client)
        else:
            joined[-1] = client._replace(network=whole)
    return joined
