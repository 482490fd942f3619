"""Which client is meant, and what the access rules of a share let it do."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.access import AccessLevel, AccessType
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sharectl.model.access import AccessRule

_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?"
)
_REMEDY: Final = "name an address, a network such as 10.0.0.0/24, or a host whose name this machine can resolve"
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_MAPPED_BITS: Final = 96


class Span(NamedTuple):
    """The addresses from `first` to `last` of one IP version, which are a network with a prefix of `prefix_length` bits."""

    version: int
    first: int
    last: int
    prefix_length: int

    def covers(self, other: Span) -> bool:
        """Tell whether every address of `other` is in it."""
        return self.version == other.version and self.first <= other.first and other.last <= self.last


_LOOPBACK: Final = (Span(4, 127 << 24, (128 << 24) - 1, 8), Span(6, 1, 1, 128))


@dataclass(frozen=True, slots=True)
class Client:
    """Who is to mount: `text` as the user named it, and the addresses that it comes from."""

    text: str
    spans: tuple[Span, ...]

    @property
    def versions(self) -> frozenset[int]:
        """The IP versions that it speaks."""
        return frozenset(span.version for span in self.spans)


class Reach(NamedTuple):
    """What a client may do: `read_only`, and the rules that say so, of addresses the widest first."""

    read_only: bool
    rules: tuple[AccessRule, ...]


def parse_client(text: str, addresses_of_host: Callable[[str], Sequence[str]]) -> Client:
    """Return the client that an address, a network or a host name means. Raises DiagnosticError where it means nobody.

    An IPv4 address that is mapped into IPv6 (`::ffff:10.0.0.5`) is the IPv4 address: so servers see it. All addresses of a host
    count, since nobody knows which of them it will come from. `addresses_of_host` raises OSError where the name is unknown.
    """
    address = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    span = span_of(address)
    if span is not None:
        return Client(text, (span,))
    if _HOST_NAME.fullmatch(text) is None:
        raise DiagnosticError(
            error("usage.client", f"{text[:80]!r} is not an address, a network or a host name", remedy=_REMEDY)
        )
    try:
        found = addresses_of_host(text)
    except (OSError, UnicodeError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise DiagnosticError(
            error("mounts.unknown-host", f"the host {text} cannot be resolved here: {reason}", remedy=_REMEDY)
        ) from problem
    # The zone of a link-local address is this machine's, and says nothing of the address.
    spans = {span for address in found if (span := span_of(address.partition("%")[0])) is not None}
    return Client(text, tuple(sorted(spans)))


def addresses_of_host(name: str) -> list[str]:
    """Return all addresses that this machine resolves `name` to. Raises OSError, or UnicodeError where it cannot be a name."""
    import socket  # noqa: PLC0415 - most clients are asked for by their addresses

    return [str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


def is_this_machine_only(client: Client) -> bool:
    """Tell whether all addresses are loopback ones, as a host's own name often has: no server sees a client under them."""
    return all(any(loopback.covers(span) for loopback in _LOOPBACK) for span in client.spans)


@lru_cache(maxsize=65536)
def span_of(text: str) -> Span | None:
    """Return the addresses that an address or network (in any notation, host bits ignored) means, or None where it means none."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.scope_id is not None:
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        inner = int(network.network_address) & 0xFFFFFFFF
        network = ipaddress.IPv4Network((inner, network.prefixlen - _MAPPED_BITS))
    return Span(network.version, int(network.network_address), int(network.broadcast_address), network.prefixlen)


def reach_of(spans: Iterable[Span], rules: Sequence[AccessRule]) -> Reach | None:
    """Return what the address rules among `rules` let a client with these addresses do, or None where they let it do nothing.

    Of the rules that hold an address the one with the longest prefix decides, as servers do. A network may if every address in it
    may: one rule holds it whole, or several together. Where some of its addresses may write, it is no reader: whoever may not
    write is refused by the server.
    """
    granted = [
        (span, rule) for rule in rules if rule.access_type == AccessType.IP and (span := span_of(rule.access_to))
    ]
    reaches = [reach for span in spans if (reach := _reach(span, granted)) is not None]
    if not reaches:
        return None
    named = dict.fromkeys(rule for reach in reaches for rule in reach.rules)
    return Reach(all(reach.read_only for reach in reaches), tuple(named))


def _reach(client: Span, granted: Sequence[tuple[Span, AccessRule]]) -> Reach | None:
    around = [(span.prefix_length, rule) for span, rule in granted if span.covers(client)]
    inside = sorted((span, rule) for span, rule in granted if client.covers(span) and span != client)
    inside = [(span, rule) for span, rule in inside if not _decides_nothing(span, rule, inside)]
    is_filled = _fill([span for span, _ in inside], client)
    if not around and not is_filled:
        return None
    deciding = [max(around)[1]] if around else []
    rules = (*deciding, *(rule for _, rule in inside))
    # Where narrower rules hold every address, the wider one decides nothing.
    in_force = rules[len(deciding) :] if is_filled else rules
    if any(rule.access_level == AccessLevel.NONE for rule in in_force):
        return None
    return Reach(all(rule.access_level == AccessLevel.READ_ONLY for rule in in_force), rules)


def _decides_nothing(span: Span, rule: AccessRule, others: Sequence[tuple[Span, AccessRule]]) -> bool:
    """Tell whether narrower rules hold every address that a rule would shut out."""
    if rule.access_level != AccessLevel.NONE:
        return False
    return _fill([other for other, _ in others if span.covers(other) and other != span], span)


def _fill(spans: Sequence[Span], whole: Span) -> bool:
    """Tell whether `spans`, sorted, hold every address of `whole` together."""
    unseen = whole.first
    for span in spans:
        if span.first > unseen:
            return False
        unseen = max(unseen, span.last + 1)
    return unseen > whole.last
