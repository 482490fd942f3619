"""Canonical access rules: addresses and networks as `ipaddress` prints them, users in Windows notation, and what to write for other forms."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.manifests.names import is_name
from sharectl.manifests.proposals import NO_VARIABLES, mentions_variable
from sharectl.manifests.rule_options import written_options
from sharectl.model.access import ANYBODY, CLIENTS, AccessLevel, AccessRule, AccessType
from sharectl.model.client_addresses import nobody_at, without_ipv6_notation
from sharectl.model.letters import is_seen
from sharectl.model.specs import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MAX_USER_CHARACTERS: Final = 256
_PREFIX_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,2}")
_EVERYBODY: Final = frozenset({"0", "0/0", "*", "any", "all", "everybody", "everyone", "world"})
_ESCAPED: Final = frozenset("\0\a\b\t\n\v\f\r\x1b\x85\xa0\u2028\u2029")
"""What `"CORP\\alice"` and its like come to in YAML."""
_FORBIDDEN_IN_USER: Final = frozenset('"/[]:;|=,+*?<>%')
_SECURITY_IDENTIFIER: Final = re.compile(r"S-1-[0-9]+(-[0-9]+)*", re.IGNORECASE)
_GROUP_MARKS: Final = ("@", "&", "+")
_USER_FORMS: Final = r"write CORP\alice, alice@corp.example or alice"
_GROUP_FORMS: Final = r"write CORP\Domain Users or staff"


class AccessError(ValueError):
    """A rule that names nobody: `summary` says what is wrong, `remedy` how to mend it, `code` ends the diagnostic's code."""

    def __init__(self, summary: str, remedy: str, code: str) -> None:
        """Carry the parts of the diagnostic."""
        super().__init__(summary)
        self.code, self.summary, self.remedy = code, summary, remedy


def canonical_ip(text: str) -> str:
    """Return the address or network in `text` as `ipaddress` prints it, without the prefix of a single address.

    Raises AccessError for anything else, and for a network with host bits set (proposing the network).
    """
    found = _address_and_network(text)
    if found is None:
        summary, remedy = f"{text[:80]!r} is not an IP address or network", ""
        address, slash, prefix = text.partition("/")
        if text.lower() in _EVERYBODY:
            remedy = "write 0.0.0.0/0 for every IPv4 address, and ::/0 for every IPv6 address"
        elif slash and not _PREFIX_LENGTH.fullmatch(prefix):
            summary = f"{text[:80]!r} is not a network with a prefix length"
        elif "%" in address:
            summary, remedy = f"{text[:80]!r} has a zone, which means nothing to another host", "leave the zone out"
        raise AccessError(summary, remedy or instead_of_client(text), "ip")
    address, network = found
    if network.partition("/")[0] != address:
        summary = f"{text!r} is not a network: it names a host within {network}"
        raise AccessError(summary, f"write {network} for the network, or {address} for the one host", "host-bits")
    return network


@lru_cache(maxsize=65536)
def _address_and_network(text: str) -> tuple[str, str] | None:
    """Return the address in `text` and the network around it, without the prefix of a single address; None where there are none."""
    address, slash, prefix = text.partition("/")
    if text.lower() in _EVERYBODY or "%" in address or (slash and not _PREFIX_LENGTH.fullmatch(prefix)):
        return None
    try:
        ip, network = ipaddress.ip_address(address), ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return str(ip), str(ip) if network.prefixlen == network.max_prefixlen else str(network)


def canonical_client(text: str) -> str:
    """Return the address or network of a client as `canonical_ip` does.

    Raises AccessError also for what cannot be a client's: the unspecified address, a multicast group, IPv4 in IPv6 notation.
    """
    canonical = canonical_ip(text)
    nobody = nobody_at(canonical)
    if nobody is not None:
        raise AccessError(summary=f"{text[:80]} {nobody.why}", remedy=nobody.remedy, code="nobody")
    return canonical


@lru_cache(maxsize=65536)
def canonical_to(access_type: str, text: str) -> str:
    """Return whom a rule of this type means by `text`, in canonical form. Raises AccessError."""
    return _CANONICAL[access_type](text)


def canonical_list(text: str) -> str:
    """Return the name of a ClientList. Raises AccessError for anything else."""
    if not is_name(text):
        summary = f"{text[:80]!r} is not the name of a ClientList"
        remedy = "write the metadata.name of one; for an address or a network, set `type: ip`"
        raise AccessError(summary=summary, remedy=remedy, code="list")
    return text


def canonical_user(text: str) -> str:
    r"""Return the user `text` in Unicode's composed form: `CORP\alice`, `alice@corp.example`, `alice`, or `*` for every user.

    Raises AccessError for names that Windows and Samba do not know, or that Samba would read as a group or a variable.
    """
    if text == ANYBODY:
        return text
    user = unicodedata.normalize("NFC", text)
    remedy = f"for a group, write `type: group` and `to: {user[1:81]}`" if user[:1] in _GROUP_MARKS else _USER_FORMS
    return _checked_name(user, "user", remedy)


def canonical_group(text: str) -> str:
    r"""Return the group `text` in Unicode's composed form: `CORP\Domain Users` or `staff`. Raises AccessError as `canonical_user` does."""
    group = unicodedata.normalize("NFC", text)
    remedy = f"write the name alone, `{group[1:81]}`" if group[:1] in _GROUP_MARKS else _GROUP_FORMS
    if text == ANYBODY:
        remedy = 'for every user, write `type: user` and `to: "*"`'
    return _checked_name(group, "group", remedy)


def canonical_guest(text: str) -> str:
    """Return `*`, which a rule for guests names. Raises AccessError for anything else: guests have no names."""
    if text != ANYBODY:
        remedy = 'write `to: "*"`; to let guests in from some networks alone, add rules of type ip'
        raise AccessError(summary=f"guests have no names, such as {text[:80]!r}", remedy=remedy, code="guest")
    return text


def _checked_name(name: str, what: str, remedy: str) -> str:
    problem = _problem_of_name(name, what)
    if mentions_variable(name):
        remedy = NO_VARIABLES
    if _address_and_network(name) is not None:
        problem, remedy = "it is an address", "set `type: ip`"
    if _ESCAPED.intersection(name):
        remedy = (
            "in double quotes, YAML reads a backslash and the character after it as one: write the name without quotes"
        )
    if problem:
        raise AccessError(summary=f"{name[:80]!r} is not a {what}: {problem}", remedy=remedy, code=what)
    return name


def _problem_of_name(user: str, what: str) -> str:
    if len(user) > MAX_USER_CHARACTERS:
        return f"it is longer than {MAX_USER_CHARACTERS} characters"
    if any(unicodedata.category(each)[0] == "C" or each in "\u2028\u2029" for each in user) or not is_seen(user):
        return "it holds control or invisible characters"
    forbidden = sorted(_FORBIDDEN_IN_USER.intersection(user))
    if forbidden:
        return f"a {what}'s name cannot hold {' '.join(forbidden)}"
    if mentions_variable(user):
        return "it is a variable that nothing has filled in"
    if user[:1] in _GROUP_MARKS:
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


_FORMS: Final = "write one such as 10.0.0.5, 10.0.0.0/8 or 2001:db8::/32"
_BY_ADDRESS: Final = (
    "clients are known by address alone: an NFS server would trust whatever a name service says at that moment"
)
_HOST_NAME: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_*?\[\]-]+(?:\.[A-Za-z0-9_*?\[\]-]+)*\.?")
_DOTTED: Final = re.compile(r"(?:[0-9]{1,3}\.){1,3}(?:[0-9]{1,3}|\*|x)?")
_SHORT_NETWORK: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3}){0,2})\.?/([0-9]{1,2})")
_MOST_NETWORKS: Final = 4


def instead_of_client(text: str) -> str:
    """Return what to write instead of `text`, which is neither an address nor a network of hosts."""
    client = re.sub(r"\([^)]*\)$", "", text.strip()).strip("[]").strip()
    if mentions_variable(text):
        return NO_VARIABLES
    if client.startswith(("@", "&", "+")):
        instead = _looked_up(client) if _HOST_NAME.fullmatch(client[1:]) else ""
        return f"netgroups and groups are not looked up; {_BY_ADDRESS}; write the addresses or networks of its hosts{instead}"
    networks = _networks(client)
    if networks is not None:
        return f"write {networks}"
    if "\\" in client or "@" in client:
        return "for a user, set `type: user`, for a group `type: group` (CIFS)"
    if client and _HOST_NAME.fullmatch(client):
        what = "names with wildcards" if set(client) & set("*?[]") else "host names"
        example = "its network, such as 10.20.0.0/24" if what != "host names" else "its address, such as 10.20.0.5"
        instead = _looked_up(client) if what == "host names" else ""
        return f"{what} are not resolved; {_BY_ADDRESS}; write {example}, in a rule for each{instead}"
    return _FORMS


def _looked_up(client: str) -> str:
    return (
        f", or a ClientList: `sharectl clients resolve {client} --write FILE` writes one, and `type: clients` names it"
    )


def _networks(client: str) -> str | None:
    """Return the networks that a client in another notation stands for."""
    for reading in (_with_mask, _shortened, _range, _with_port, _several):
        try:
            found = reading(client)
        except ValueError:
            continue
        if found:
            return found
    return None


def _with_mask(client: str) -> str:
    """Read `192.168.10.1/255.255.255.0`, and an address that had brackets or options about it."""
    address, slash, _ = client.partition("/")
    network = ipaddress.ip_network(client, strict=False)
    ip = ipaddress.ip_address(address)
    if not slash or network.prefixlen == network.max_prefixlen:
        return str(ip)
    return str(network) if ip == network.network_address else f"{network} for the network, or {ip} for the one host"


def _shortened(client: str) -> str:
    """Read `10.20.`, `10.20.*`, `10.20.x` and `10.20/16`."""
    short = _SHORT_NETWORK.fullmatch(client)
    if short is not None:
        given = short[1].split(".")
        return str(ipaddress.ip_network(f"{'.'.join(given + ['0'] * (4 - len(given)))}/{short[2]}", strict=False))
    if not _DOTTED.fullmatch(client.replace(".*.*", ".*")):
        return ""
    given = [part for part in client.split(".") if part.isdigit()]
    if len(given) == 4:  # noqa: PLR2004 - a whole address, which is none: some part is over 255, or begins with a zero
        return ""
    return str(ipaddress.ip_network(f"{'.'.join(given + ['0'] * (4 - len(given)))}/{8 * len(given)}"))


def _range(client: str) -> str:
    """Read `10.0.0.1-10.0.0.9` and `10.0.0.1-9`."""
    first, dash, last = (part.strip() for part in client.partition("-"))
    if not dash:
        return ""
    if last.isdigit():
        last = f"{first.rpartition('.')[0]}.{last}"
    networks = list(ipaddress.summarize_address_range(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)))
    if len(networks) > _MOST_NETWORKS:
        return f"the {len(networks)} networks of this range, from {networks[0]} to {networks[-1]}, each in a rule of its own"
    shown = (str(n.network_address) if n.prefixlen == n.max_prefixlen else str(n) for n in networks)
    return f"{' and '.join(shown)}{', each in a rule of its own' if len(networks) > 1 else ''}"


def _with_port(client: str) -> str:
    """Read `10.0.0.5:2049`."""
    address, _, port = client.partition(":")
    return f"{ipaddress.IPv4Address(address)}, without a port" if port.isdigit() else ""


def _several(client: str) -> str:
    """Read `10.0.0.5, 10.1.0.0/16`."""
    parts = client.replace(",", " ").replace(";", " ").split()
    if not 1 < len(parts) <= _MOST_NETWORKS:
        return ""
    for part in parts:
        ipaddress.ip_network(part)
    return f"{' and '.join(parts)}, each in a rule of its own"


class FoundAccess(NamedTuple):
    """The rules that a manifest can hold, and those that none can, each with the reason."""

    rules: tuple[AccessRule, ...]
    left_out: tuple[tuple[AccessRule, str], ...]


def writable_access(rules: Iterable[AccessRule], protocol: str) -> FoundAccess:
    """Return what a manifest can say of the rules in force on a share of this protocol.

    A rule that means something which a manifest writes otherwise (an IPv4 address in IPv6 notation) is written so.
    """
    kept: dict[str, AccessRule] = {}
    left_out: list[tuple[AccessRule, str]] = []
    for rule in rules:
        problem = _problem(rule, protocol)
        if problem:
            left_out.append((rule, problem))
            continue
        try:
            written = _written(rule)
        except AccessError as error:
            left_out.append((rule, error.summary))
            continue
        if kept.setdefault(written.key, written) != written:
            left_out.append((rule, f"another rule gives {written.access_to} something else"))
    return FoundAccess(tuple(kept.values()), tuple(left_out))


def _problem(rule: AccessRule, protocol: str) -> str:
    if rule.access_level not in set(AccessLevel):
        return f"a manifest knows the levels {', '.join(AccessLevel)}, not {rule.access_level!r}"
    if rule.access_type not in set(AccessType):
        return f"a manifest knows addresses, users, groups and guests, not {rule.access_type!r}"
    if rule.access_type != AccessType.IP and protocol == Protocol.NFS:
        return f"an NFS share takes no access rule for a {rule.access_type}"
    try:
        written_options(rule.options)
    except ValueError:
        return f"a manifest cannot say all of {rule.grant}"
    return ""


def _written(rule: AccessRule) -> AccessRule:
    to = without_ipv6_notation(rule.access_to) if rule.access_type == AccessType.IP else rule.access_to
    return rule._replace(access_to=canonical_to(rule.access_type, to))


_CANONICAL: Final[Mapping[str, Callable[[str], str]]] = {
    AccessType.IP: canonical_client,
    AccessType.USER: canonical_user,
    AccessType.GROUP: canonical_group,
    AccessType.GUEST: canonical_guest,
    CLIENTS: canonical_list,
}
