"""The client matches of export rules: which are refused with which code, and which addresses they mean."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST: Final = re.compile(r"[A-Za-z0-9_.-]+")
_NETGROUP: Final = re.compile(r"[A-Za-z0-9_.-]+")
_LONGEST_NAME: Final = 255


def refuse_wrong(matches: Iterable[str]) -> None:
    """Refuse what is no client match, and one that is named twice in a list."""
    seen: set[str] = set()
    for match in matches:
        for single in _split(match):
            _refuse_wrong_match(single)
            canonical = str(network_of(single) or single.lower())
            if canonical in seen:
                raise Refused(1704050, f'The client match "{single}" is given twice.', "clients.match")
            seen.add(canonical)


def network_of(match: str) -> Network | None:
    """Return the addresses that a match means; None for a host name, a domain and a netgroup."""
    try:
        return ipaddress.ip_network(match)
    except ValueError:
        return None


def matches(match: str, client: Address) -> bool:
    """Tell whether a client of this address is meant; names are not resolved here, and mean nobody."""
    networks = (network_of(single) for single in _split(match))
    return any(network is not None and client in network for network in networks)


def _split(match: str) -> Iterator[str]:
    """Yield the matches of one string: administrators write several with commas between them."""
    return (single.strip() for single in match.split(","))


def _refuse_wrong_match(match: str) -> None:
    if match.startswith("@"):
        _refuse_wrong_name(match[1:], _NETGROUP, missing=1704038, wrong=1704054, long=1704054)
    elif match.startswith("."):
        _refuse_wrong_name(match[1:], _HOST, missing=1704036, wrong=1704045, long=1704065)
    elif "/" in match:
        _refuse_wrong_network(match)
    elif ":" in match or re.fullmatch(r"[0-9.]+", match):
        if network_of(match) is None:
            raise _wrong(1704039, match, "is not valid")
    else:
        _refuse_wrong_name(match, _HOST, missing=1704039, wrong=1704044, long=1704064)


def _refuse_wrong_name(name: str, grammar: re.Pattern[str], *, missing: int, wrong: int, long: int) -> None:
    if not name:
        raise _wrong(missing, name, "lacks a name")
    if not grammar.fullmatch(name):
        raise _wrong(wrong, name, "has characters that are not allowed")
    if len(name) > _LONGEST_NAME:
        raise _wrong(long, name, f"is longer than {_LONGEST_NAME} characters")


def _refuse_wrong_network(match: str) -> None:
    address_text, _, mask = match.partition("/")
    if not address_text:
        raise _wrong(1704037, match, "lacks the network")
    try:
        address = ipaddress.ip_address(address_text)
    except ValueError:
        raise _wrong(1704039, match, "is not valid") from None
    if mask.isdecimal():
        if int(mask) > address.max_prefixlen:
            raise _wrong(1704042, match, "has too many mask bits")
    elif not _is_mask(address, mask):
        raise _wrong(1704043, match, "has a mask that is not valid")
    network = ipaddress.ip_network(match, strict=False)
    if network.network_address == address:
        return
    if int(network.network_address) == 0:
        raise _wrong(1704041, match, "is zero once it is masked")
    raise _wrong(1704040, match, "has host bits set")


def _is_mask(address: Address, mask: str) -> bool:
    """Tell whether this is a netmask with all its ones in front; 0.0.0.255 is none."""
    try:
        bits = int(type(address)(mask))
    except ValueError:
        return False
    hosts = bits ^ (2**address.max_prefixlen - 1)
    return address.version == 4 and hosts & (hosts + 1) == 0


def _wrong(code: int, match: str, what: str) -> Refused:
    return Refused(code, f'The client match "{match}" {what}.', "clients.match")
