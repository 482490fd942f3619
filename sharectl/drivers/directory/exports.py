"""Fragments in the grammar of exports(5): written from access rules, and read back into them."""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Final

from sharectl.model.access import AccessRule
from sharectl.model.client_addresses import nobody_at
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.model.access import ExportSettings


HEADER: Final = "# Written by sharectl; a change made here by hand shows as drift, and the next apply undoes it."
_BASE_OPTIONS: Final = ("sync", "no_subtree_check", "root_squash")
# exports(5) reads `\ooo` as a byte anywhere; everything that could mean something else is written so.
_PLAIN_PATH: Final = re.compile(rb"[A-Za-z0-9/._+:@,=~%-]+")
_OTHER_BYTE: Final = re.compile(rb"[^A-Za-z0-9/._+:@,=~%-]")
_CLIENT: Final = re.compile(r"([^()\s]+)\(([^()\s]*)\)")
_OPTIONS: Final = re.compile(rf"{','.join(_BASE_OPTIONS)}(?:,anonuid=([0-9]+))?(?:,anongid=([0-9]+))?")
_IPV4: Final = re.compile(r"([0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)(?:/(0|[1-9][0-9]?))?")
_IPV4_BITS: Final = 32
# nfs-utils shifts a 32-bit mask by 32 for a prefix of 0, which C leaves undefined; the spelled-out mask has one meaning.
_EVERY_IPV4: Final = {"0.0.0.0/0": "0.0.0.0/0.0.0.0"}
_EVERY_IPV4_BACK: Final = {written: rule for rule, written in _EVERY_IPV4.items()}


@functools.lru_cache(maxsize=65536)
def network_of(access_to: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return the network that the canonical `access_to` names (an address is a network of one), or None where it names none."""
    if "%" in access_to:  # an interface of this machine, which means nothing in a server's configuration
        return None
    try:
        network = ipaddress.ip_network(access_to)
    except ValueError:
        return None
    canonical = str(network) if "/" in access_to else str(network.network_address)
    return network if canonical == access_to else None


def export_options(anonymous_uid: int | None, anonymous_gid: int | None) -> tuple[str, ...]:
    """Return the options that each client of an export has besides `rw` or `ro`."""
    identity = []
    if anonymous_uid is not None:
        identity.append(f"anonuid={anonymous_uid}")
    if anonymous_gid is not None:
        identity.append(f"anongid={anonymous_gid}")
    return (*_BASE_OPTIONS, *identity)


def render_exports(
    path: str, rules: Collection[AccessRule], options: Sequence[str]
) -> tuple[str | None, dict[AccessRule, RuleStatus]]:
    """Return the fragment and the status of each rule.

    The fragment is None without a rule in force: a path without clients would be exported to the whole world. The narrowest
    network comes first, because the NFS server takes the first that matches.
    """
    statuses: dict[AccessRule, RuleStatus] = {}
    levels: dict[ipaddress.IPv4Network | ipaddress.IPv6Network, str] = {}
    clients: list[tuple[int, int, str]] = []
    for rule in sorted(rules):
        network = network_of(rule.access_to) if rule.access_type == "ip" else None
        nobody = None if network is None else nobody_at(rule.access_to)
        if network is None:
            statuses[rule] = RuleStatus("error", _why_not(rule))
        elif nobody is not None:
            statuses[rule] = RuleStatus("error", f"{rule.access_to} {nobody.why}; {nobody.remedy}")
        elif rule.options:
            statuses[rule] = RuleStatus("error", "this backend exports to all clients with the same options")
        elif rule.access_level not in {"rw", "ro"}:
            statuses[rule] = RuleStatus("error", f"NFS knows the levels rw and ro, not {rule.access_level!r}")
        elif levels.setdefault(network, rule.access_level) != rule.access_level:
            statuses[rule] = RuleStatus("error", "another rule gives the same address another level")
        else:
            statuses[rule] = RuleStatus("active")
            client = _EVERY_IPV4.get(rule.access_to, rule.access_to)
            text = f"{client}({','.join((rule.access_level, *options))})"
            clients.append((-network.prefixlen, network.version, text))
    if not clients:
        return None, statuses
    line = " ".join([escape_path(path), *(text for _, _, text in sorted(clients))])
    return f"{HEADER}\n{line}\n", statuses


def export_settings(anonymous_uid: int | None, anonymous_gid: int | None) -> ExportSettings:
    """Return what an export has besides its clients, as the contract names it."""
    named = (("anonymousGid", anonymous_gid), ("anonymousUid", anonymous_uid))
    return tuple((name, str(value)) for name, value in named if value is not None)


def settings_in(text: str) -> tuple[tuple[str, ...], ExportSettings] | None:
    """Return the options that all clients of a fragment have alike, and the settings that they are; None where sharectl wrote others."""
    found = {match[2].partition(",")[2] for match in _CLIENT.finditer(text)}
    match = _OPTIONS.fullmatch(found.pop()) if len(found) == 1 else None
    if match is None:
        return None
    uid, gid = (None if number is None else int(number) for number in match.groups())
    return export_options(uid, gid), export_settings(uid, gid)


def parse_exports(text: str, path: str, options: Sequence[str]) -> tuple[AccessRule, ...]:
    """Return the rules that a fragment puts in force.

    What is not as `render_exports` writes it comes back as a rule that nobody can have asked for (its `access_to` is the
    text that stands there), so that a change by hand is seen.
    """
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    if len(lines) != 1:
        return (unreadable(f"{len(lines)} lines instead of one"),)
    exported, *clients = lines[0].split(" ")
    if exported != escape_path(path):
        return (unreadable(exported),)
    return tuple(_parse_client(client, options) for client in clients)


def escape_path(path: str) -> str:
    """Return `path` as one word of exports(5)."""
    plain = path.encode()
    if not _PLAIN_PATH.fullmatch(plain):
        plain = _OTHER_BYTE.sub(lambda match: b"\\%03o" % match[0][0], plain)
    return plain.decode()


def unreadable(text: str) -> AccessRule:
    """Return the rule that stands for something in a fragment that sharectl would not have written."""
    return AccessRule("ip", f"unreadable: {text}", "rw")


def _parse_client(text: str, options: Sequence[str]) -> AccessRule:
    match = _CLIENT.fullmatch(text)
    if match is None:
        return unreadable(text)
    level, *others = match[2].split(",")
    access_to = _EVERY_IPV4_BACK.get(match[1], match[1])
    written = _EVERY_IPV4.get(access_to, access_to)
    if level not in {"rw", "ro"} or tuple(others) != tuple(options) or written != match[1]:
        return unreadable(text)
    return AccessRule("ip", access_to, level) if _names_network(access_to) else unreadable(text)


def _names_network(access_to: str) -> bool:
    """Tell whether `network_of` would find one; for IPv4 without making objects, since a listing asks for every rule of a backend."""
    match = _IPV4.fullmatch(access_to)
    if match is None:
        return network_of(access_to) is not None
    try:
        number = int.from_bytes(socket.inet_pton(socket.AF_INET, match[1]), "big")
    except OSError:
        return False
    return match[2] is None or (int(match[2]) <= _IPV4_BITS and number & ((1 << (_IPV4_BITS - int(match[2]))) - 1) == 0)


def _why_not(rule: AccessRule) -> str:
    if rule.access_type != "ip":
        return f"an NFS export knows addresses, not {rule.access_type}s"
    return f"{rule.access_to!r} is not an address or network in canonical form"
