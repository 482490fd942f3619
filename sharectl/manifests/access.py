"""Canonical access rules: addresses and networks as `ipaddress` prints them, users in Windows notation."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from sharectl.manifests.proposals import NO_GROUPS, NO_VARIABLES, mentions_variable
from sharectl.model.client_addresses import nobody_at

MAX_USER_CHARACTERS: Final = 256
_PREFIX_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,2}")
_EVERYBODY: Final = frozenset({"0", "0/0", "*", "any", "all", "everybody", "everyone", "world"})
_FORBIDDEN_IN_USER: Final = frozenset('"/[]:;|=,+*?<>%')
_SECURITY_IDENTIFIER: Final = re.compile(r"S-1-[0-9]+(-[0-9]+)*", re.IGNORECASE)
_USER_FORMS: Final = r"write CORP\alice, alice@corp.example or alice"


class AccessError(ValueError):
    """A rule that names nobody: `summary` says what is wrong, `remedy` how to mend it, `code` ends the diagnostic's code."""

    def __init__(self, code: str, summary: str, remedy: str) -> None:
        """Carry the parts of the diagnostic."""
        super().__init__(summary)
        self.code, self.summary, self.remedy = code, summary, remedy


class _Refusal(NamedTuple):
    code: str
    summary: str
    remedy: str


def canonical_ip(text: str) -> str:
    """Return the address or network in `text` as `ipaddress` prints it, without the prefix of a single address.

    Raises AccessError for anything else, and for a network with host bits set (proposing the network).
    """
    result = _canonical_ip(text)
    if isinstance(result, _Refusal):
        if not result.remedy:
            from sharectl.manifests.client_forms import instead_of_client  # noqa: PLC0415 - only mistakes need it

            result = result._replace(remedy=instead_of_client(text))
        raise AccessError(*result)
    return result


def canonical_client(text: str) -> str:
    """Return the address or network of a client as `canonical_ip` does.

    Raises AccessError also for what cannot be a client's: the unspecified address, a multicast group, IPv4 in IPv6 notation.
    """
    canonical = canonical_ip(text)
    nobody = nobody_at(canonical)
    if nobody is not None:
        raise AccessError(*_Refusal("nobody", f"{text[:80]} {nobody.why}", nobody.remedy))
    return canonical


def canonical_user(text: str) -> str:
    r"""Return the user `text` in Unicode's composed form: `CORP\alice`, `alice@corp.example` or `alice`.

    Raises AccessError for names that Windows and Samba do not know, or that Samba would read as a group or a variable.
    """
    user = unicodedata.normalize("NFC", text)
    problem = _problem_of_user(user)
    remedy = _USER_FORMS
    if user[:1] in ("@", "&", "+"):
        remedy = NO_GROUPS
    elif mentions_variable(user):
        remedy = NO_VARIABLES
    if not isinstance(_canonical_ip(user), _Refusal):
        problem, remedy = "it is an address", "set `type: ip`"
    if problem:
        raise AccessError(*_Refusal("user", f"{text[:80]!r} is not a user: {problem}", remedy))
    return user


def _problem_of_user(user: str) -> str:
    if len(user) > MAX_USER_CHARACTERS:
        return f"it is longer than {MAX_USER_CHARACTERS} characters"
    if any(unicodedata.category(character)[0] == "C" or character in "\u2028\u2029" for character in user):
        return "it holds control or invisible characters"
    forbidden = sorted(_FORBIDDEN_IN_USER.intersection(user))
    if forbidden:
        return f"a user's name cannot hold {' '.join(forbidden)}"
    if mentions_variable(user):
        return "it is a variable that nothing has filled in"
    if user[:1] in ("@", "&"):
        return f"{user[:1]} at the beginning marks a group"
    return _problem_of_parts(user)


def _problem_of_parts(user: str) -> str:
    if _SECURITY_IDENTIFIER.fullmatch(user):
        return "it is a security identifier, which a server takes for a group's or for everybody's as well"
    parts = user.split("\\")
    if len(parts) > 2:  # noqa: PLR2004 - a domain and a name
        return "there is more than one backslash"
    if any(not part or part != part.strip() or not part.strip(".") for part in parts):
        return "the domain or the name is empty, only dots, or has spaces around it"
    if user.count("@") > 1 or user.endswith("@") or ("@" in user and len(parts) > 1):
        return "it mixes the two notations, or has an @ too many"
    return ""


@lru_cache(maxsize=65536)
def _canonical_ip(text: str) -> str | _Refusal:
    import ipaddress  # noqa: PLC0415 - unchanged manifests need none

    problem = _problem_of_form(text)
    if problem is not None:
        return problem
    address, slash, prefix = text.partition("/")
    try:
        ip = ipaddress.ip_address(address)
        network = ipaddress.ip_network(f"{address}/{prefix}" if slash else address, strict=False)
    except ValueError:
        return _Refusal("ip", f"{text[:80]!r} is not an IP address or network", "")
    if network.network_address != ip:
        summary = f"{text!r} is not a network: it names a host within {network}"
        return _Refusal("host-bits", summary, f"write {network} for the network, or {ip} for the one host")
    return str(ip) if network.prefixlen == network.max_prefixlen else str(network)


def _problem_of_form(text: str) -> _Refusal | None:
    if text.lower() in _EVERYBODY:
        remedy = "write 0.0.0.0/0 for every IPv4 address, and ::/0 for every IPv6 address"
        return _Refusal("ip", f"{text!r} is not an IP address or network", remedy)
    address, slash, prefix = text.partition("/")
    if slash and not _PREFIX_LENGTH.fullmatch(prefix):
        return _Refusal("ip", f"{text[:80]!r} is not a network with a prefix length", "")
    if "%" in address:
        return _Refusal("ip", f"{text[:80]!r} has a zone, which means nothing to another host", "leave the zone out")
    return None
