"""Fragments in the grammar of smb.conf(5): written from access rules, and read back into them."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from sharectl.drivers.directory.exports import HEADER, network_of
from sharectl.model.access import AccessRule
from sharectl.model.client_addresses import nobody_at
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_RESERVED_SECTIONS: Final = frozenset({"global", "homes", "printers", "print$", "ipc$", "admin$"})
_SECTION_FORBIDDEN: Final = frozenset('%<>*?|/\\+=;:",[]')
_SECURITY_IDENTIFIER: Final = re.compile(r"S-1-[0-9]+(-[0-9]+)*", re.IGNORECASE)
_USER_FORBIDDEN: Final = frozenset('"%')
_MAX_SECTION_LENGTH: Final = 80
_MAX_USER_LENGTH: Final = 256
# Samba takes a prefix of up to two digits for a number and anything longer for a mask written as an address.
_LONGEST_PREFIX_NUMBER: Final = 99
_QUOTED_LIST: Final = re.compile(r'"[^"]*"(?: "[^"]*")*')
_INCLUDE: Final = "include = "


def section_problem(section: str, path: str) -> str | None:
    """Return why a share of this name at this path cannot be written to smb.conf, or None where it can."""
    if section.lower() in _RESERVED_SECTIONS:
        return f"Samba uses the name {section!r} itself"
    if len(section) > _MAX_SECTION_LENGTH or not section.isprintable() or section != section.strip():
        return f"{section!r} is not a name that Windows clients can use: at most 80 printable characters"
    if forbidden := sorted(_SECTION_FORBIDDEN.intersection(section)):
        return f"{section!r} is not a name that Windows clients can use: it contains {' '.join(forbidden)}"
    if not path.isprintable() or path != path.strip() or any(character in path for character in '%"\\'):
        return f"Samba would misread the path {path!r}: it contains a percent sign, a quote, a backslash or a control character"
    return None


def render_section(
    section: str, path: str, rules: Collection[AccessRule]
) -> tuple[str | None, dict[AccessRule, RuleStatus]]:
    """Return the fragment, None without a rule in force, and the status of each rule.

    User rules say who may read or write, address rules from where; with both, both must be met. Samba cannot
    make a share read-only by address, so such a rule is an error. Precondition: `section_problem` found none.
    """
    statuses = {rule: RuleStatus("active") for rule in rules}
    users: dict[str, AccessRule] = {}
    hosts: list[AccessRule] = []
    for rule in sorted(rules):
        problem = _rule_problem(rule)
        if problem is not None:
            statuses[rule] = RuleStatus("error", problem)
        elif rule.access_type == "ip":
            hosts.append(rule)
        elif users.setdefault(rule.access_to.casefold(), rule) != rule:
            statuses[rule] = RuleStatus("error", "another rule names the same user; Samba ignores case")
    if not users and not hosts:
        return None, statuses
    return _section_text(section, path, tuple(users.values()), hosts), statuses


def parse_section(text: str, section: str, path: str) -> tuple[AccessRule, ...]:
    """Return the rules that a fragment puts in force.

    A fragment that is not as `render_section` writes it also brings a rule that nobody can have asked for, so that a change by
    hand is seen.
    """
    values: dict[str, str] = {}
    for line in text.split("\n"):
        key, separator, value = line.strip().partition(" = ")
        if separator:
            values[key] = value
    rules = tuple(_rules_of(values))
    if rules and render_section(section, path, rules)[0] == text:
        return rules
    return (*rules, AccessRule("user", "unreadable: the section was changed by hand", "rw"))


def render_includes(paths: Iterable[str]) -> str:
    """Return the file that an administrator includes in smb.conf: it includes each fragment."""
    return "\n".join([HEADER, *(f"{_INCLUDE}{path}" for path in paths), ""])


def parse_includes(text: str) -> frozenset[str]:
    """Return the paths that the file of `render_includes` includes."""
    return frozenset(line.removeprefix(_INCLUDE) for line in text.split("\n") if line.startswith(_INCLUDE))


def _section_text(section: str, path: str, users: Collection[AccessRule], hosts: Collection[AccessRule]) -> str:
    lines = [
        HEADER,
        f"[{section}]",
        f"    path = {path}",
        "    guest ok = no",
        f"    read only = {'yes' if users else 'no'}",
    ]
    if users:
        names = sorted(rule.access_to for rule in users)
        readers = sorted(rule.access_to for rule in users if rule.access_level == "ro")
        writers = sorted(rule.access_to for rule in users if rule.access_level == "rw")
        lines.append(f"    valid users = {_quoted(names)}")
        if readers:
            lines.append(f"    read list = {_quoted(readers)}")
        if writers:
            lines.append(f"    write list = {_quoted(writers)}")
    if hosts:
        lines.append(f"    hosts allow = {' '.join(_host_text(rule.access_to) for rule in hosts)}")
        lines.append("    hosts deny = ALL")
    return "\n".join([*lines, ""])


def _rules_of(values: dict[str, str]) -> Iterable[AccessRule]:
    for key, level in (("read list", "ro"), ("write list", "rw")):
        for user in _unquoted(values.get(key, "")):
            yield AccessRule("user", user, level)
    for host in values.get("hosts allow", "").split():
        yield AccessRule("ip", _host_back(host), "rw")


def _rule_problem(rule: AccessRule) -> str | None:
    if rule.access_level not in {"rw", "ro"}:
        return f"Samba knows the levels rw and ro, not {rule.access_level!r}"
    if rule.options:
        return "Samba knows no options of a client"
    if rule.access_type == "ip":
        if rule.access_level == "ro":
            return "Samba cannot make a share read-only by address; write a user rule with level ro"
        if network_of(rule.access_to) is None:
            return f"{rule.access_to!r} is not an address or network in canonical form"
        nobody = nobody_at(rule.access_to)
        return None if nobody is None else f"{rule.access_to} {nobody.why}; {nobody.remedy}"
    return _problem_of_person(rule)


def _problem_of_person(rule: AccessRule) -> str | None:
    if rule.access_type != "user":
        return f"a Samba share knows addresses and users, not {rule.access_type!r}"
    if rule.access_to == "*":
        return "there is no rule for all users here; name each user in a rule of its own"
    return _user_problem(rule.access_to)


def _user_problem(user: str) -> str | None:
    if not user or len(user) > _MAX_USER_LENGTH or user != user.strip():
        return f"{user!r} is not a user name: empty, longer than 256 characters, or with a space at an end"
    if not user.isprintable() or _USER_FORBIDDEN.intersection(user) or user.endswith("\\"):
        return f"{user!r} cannot be written to smb.conf: it has a quote, a percent sign, a control character or ends in a backslash"
    if user[0] in "@+&":
        return f"Samba would take {user!r} for the name of a group"
    if _SECURITY_IDENTIFIER.fullmatch(user):
        return f"Samba would take {user!r} for whoever has that identifier, a group or everybody"
    return None


def _quoted(names: Iterable[str]) -> str:
    return " ".join(f'"{name}"' for name in names)


def _unquoted(text: str) -> list[str]:
    return [word for word in text[1:-1].split('" "') if word] if _QUOTED_LIST.fullmatch(text) else []


def _host_text(access_to: str) -> str:
    address, separator, prefix = access_to.partition("/")
    if separator and int(prefix) > _LONGEST_PREFIX_NUMBER:
        return f"{address}/{ipaddress.IPv6Network((0, int(prefix))).netmask}"
    return access_to


def _host_back(host: str) -> str:
    address, _, mask = host.partition("/")
    if ":" in mask:
        try:
            return f"{address}/{int(ipaddress.IPv6Address(mask)).bit_count()}"
        except ValueError:
            return host
    return host
