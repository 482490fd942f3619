"""Fragments in the grammar of exports(5): written from access rules, and read back into them."""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Final

from sharectl.drivers.directory.asked import asked_comment, options_asked, rules_asked
from sharectl.drivers.share_checks import kept_out
from sharectl.model.access import AccessRule
from sharectl.model.client_addresses import nobody_at
from sharectl.model.precedence import network_of as prefix_of
from sharectl.model.precedence import without
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.model.access import ExportSettings
    from sharectl.model.precedence import Network


HEADER: Final = "# Written by sharectl; a change made here by hand shows as drift, and the next apply undoes it."
_BASE_OPTIONS: Final = ("sync", "no_subtree_check", "root_squash")
_SQUASHES: Final = {"none": "no_root_squash", "root": "root_squash", "all": "all_squash"}
_FLAVOURS: Final = frozenset({"sys", "krb5", "krb5i", "krb5p"})
_LARGEST_ID: Final = 4294967294
_MOST_CLIENTS: Final = 65536
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
    given: dict[Network | None, AccessRule] = {}
    for rule in sorted(rules):
        problem = _rule_problem(rule)
        if problem is None and given.setdefault(prefix_of(rule.access_to), rule) != rule:
            problem = "another rule gives the same address something else"
        statuses[rule] = RuleStatus("active") if problem is None else RuleStatus("error", problem)
    statuses |= kept_out(statuses)
    in_force = [rule for rule, status in statuses.items() if status.status == "active"]
    parts = _parts(in_force)
    if len(parts) > _MOST_CLIENTS:
        reason = f"without those that are kept out, the networks come to {len(parts)} parts, and {_MOST_CLIENTS} can be exported to"
        return None, {**statuses, **dict.fromkeys(in_force, RuleStatus("error", reason))}
    if not parts:
        return (None, statuses) if not in_force else (f"{HEADER}\n{_asked(in_force, options)}", statuses)
    clients = sorted(
        (
            -network.length,
            network.version,
            f"{_written(str(network))}({','.join((rule.access_level, *_with(options, rule)))})",
        )
        for network, rule in parts
    )
    line = " ".join([escape_path(path), *(text for _, _, text in clients)])
    return f"{HEADER}\n{_asked(in_force, options)}{line}\n", statuses


def _parts(rules: Collection[AccessRule]) -> list[tuple[Network, AccessRule]]:
    """Return the networks to export to, each with the rule that decides there.

    exports(5) has no words for a client that is kept out of a network: so the network is cut into what is left of it.
    """
    networks = {network: rule for rule in rules if (network := prefix_of(rule.access_to)) is not None}
    holes = [network for network, rule in networks.items() if rule.access_level == "none"]
    parts: list[tuple[Network, AccessRule]] = []
    for network, rule in networks.items():
        if rule.access_level == "none":
            continue
        if any(hole.is_within(network) for hole in holes):
            narrower = [other for other in networks if other != network]
            parts += [(part, rule) for part in without(network, narrower)]
        else:
            parts.append((network, rule))
    return parts


def _asked(rules: Collection[AccessRule], options: Sequence[str]) -> str:
    """Return the comment with what was asked for, where what is exported does not say it; empty where it does."""
    if not any(rule.options or rule.access_level == "none" for rule in rules):
        return ""
    return f"{asked_comment(rules, options)}\n"


def _written(network: str) -> str:
    return _EVERY_IPV4.get(network, network)


def _with(options: Sequence[str], rule: AccessRule) -> tuple[str, ...]:
    """Return the options of an export with those of a rule in their place."""
    if not rule.options:
        return tuple(options)
    own = dict(rule.options)
    found = [_SQUASHES[own["squash"]] if option == "root_squash" and "squash" in own else option for option in options]
    for name, word in (("anonymousUid", "anonuid"), ("anonymousGid", "anongid")):
        if name in own:
            found = [option for option in found if not option.startswith(f"{word}=")] + [f"{word}={own[name]}"]
    if "insecure" in own:
        found.append("insecure" if own["insecure"] == "true" else "secure")
    if "security" in own:
        found.append(f"sec={own['security'].replace(',', ':')}")
    return tuple(found)


def export_settings(anonymous_uid: int | None, anonymous_gid: int | None) -> ExportSettings:
    """Return what an export has besides its clients, as the contract names it."""
    named = (("anonymousGid", anonymous_gid), ("anonymousUid", anonymous_uid))
    return tuple((name, str(value)) for name, value in named if value is not None)


def settings_in(text: str) -> tuple[tuple[str, ...], ExportSettings] | None:
    """Return the options that all clients of a fragment have alike, and the settings that they are; None where sharectl wrote others."""
    asked = options_asked(text)
    found = {match[2].partition(",")[2] for match in _CLIENT.finditer(text)} if asked is None else {asked}
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
    asked = rules_asked(text)
    if asked and render_exports(path, asked, options)[0] == text:
        return asked
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


def _rule_problem(rule: AccessRule) -> str | None:
    if rule.access_type != "ip":
        return f"an NFS export knows addresses, not {rule.access_type}s"
    if network_of(rule.access_to) is None:
        return f"{rule.access_to!r} is not an address or network in canonical form"
    nobody = nobody_at(rule.access_to)
    if nobody is not None:
        return f"{rule.access_to} {nobody.why}; {nobody.remedy}"
    if rule.access_level not in {"rw", "ro", "none"}:
        return f"NFS knows the levels rw, ro and none, not {rule.access_level!r}"
    wrong = [f"{name} {value}" for name, value in rule.options if not _is_option(name, value)]
    return f"exports(5) has no option {wrong[0]!r}" if wrong else None


def _is_option(name: str, value: str) -> bool:
    if name in {"anonymousUid", "anonymousGid"}:
        return (
            value.isascii() and value.isdecimal() and len(value) <= len(str(_LARGEST_ID)) and int(value) <= _LARGEST_ID
        )
    if name == "security":
        return _FLAVOURS.issuperset(value.split(","))
    return value in {"squash": _SQUASHES.keys(), "insecure": {"true", "false"}}.get(name, ())
