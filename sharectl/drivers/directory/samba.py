"""Fragments in the grammar of smb.conf(5): written from access rules, and read back into them."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from sharectl.drivers.directory.asked import asked_comment, rules_asked
from sharectl.drivers.directory.exports import HEADER, network_of
from sharectl.drivers.share_checks import kept_out
from sharectl.model.access import AccessRule
from sharectl.model.client_addresses import nobody_at
from sharectl.model.precedence import network_of as prefix_of
from sharectl.model.precedence import without
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_RESERVED_SECTIONS: Final = frozenset({"global", "homes", "printers", "print$", "ipc$", "admin$"})
_SECTION_FORBIDDEN: Final = frozenset('%<>*?|/\\+=;:",[]')
_SECURITY_IDENTIFIER: Final = re.compile(r"S-1-[0-9]+(-[0-9]+)*", re.IGNORECASE)
# Of a server in a domain, the one; of any server, what stands in an authority that knows who has logged in, and from where.
_WHOEVER_LOGS_IN: Final = re.compile(r"everyone|nt authority\\.*", re.IGNORECASE)
_USER_FORBIDDEN: Final = frozenset('"%')
_MAX_SECTION_LENGTH: Final = 80
_MAX_USER_LENGTH: Final = 256
# Samba takes a prefix of up to two digits for a number and anything longer for a mask written as an address.
_LONGEST_PREFIX_NUMBER: Final = 99
_QUOTED_LIST: Final = re.compile(r'"[^"]*"(?: "[^"]*")*')
# A client that holds a lease writes and reads in its own memory, of which NFS clients see nothing.
_BESIDE_NFS: Final = (
    "    oplocks = no",
    "    level2 oplocks = no",
    "    posix locking = yes",
    "    strict locking = yes",
)
_INCLUDE: Final = "include = "
CHANGED_BY_HAND: Final = AccessRule("user", "unreadable: the section was changed by hand", "rw")
"""What is read beside the rules of a section that `render_section` would not write so: nobody can have asked for it."""
_ALL_USERS: Final = "user:*"
_GUESTS: Final = "guest:*"


def section_problem(section: str, path: str) -> str | None:
    """Return why a share of this name at this path cannot be written to smb.conf, or None where it can."""
    return name_problem(section) or path_problem(path)


def name_problem(section: str) -> str | None:
    """Return why no share of smb.conf can have this name, or None where one can."""
    if section.lower() in _RESERVED_SECTIONS:
        return f"Samba uses the name {section!r} itself"
    if len(section) > _MAX_SECTION_LENGTH or not section.isprintable() or section != section.strip():
        return f"{section!r} is not a name that Windows clients can use: at most 80 printable characters"
    if forbidden := sorted(_SECTION_FORBIDDEN.intersection(section)):
        return f"{section!r} is not a name that Windows clients can use: it contains {' '.join(forbidden)}"
    return None


def path_problem(path: str) -> str | None:
    """Return why no share of smb.conf can be at this path, or None where one can."""
    if not path.isprintable() or path != path.strip() or any(character in path for character in '%"\\'):
        return f"Samba would misread the path {path!r}: it contains a percent sign, a quote, a backslash or a control character"
    return None


def render_section(
    section: str, path: str, rules: Collection[AccessRule], *, is_beside_nfs: bool = False
) -> tuple[str | None, dict[AccessRule, RuleStatus]]:
    """Return the fragment, None without a rule in force, and the status of each rule.

    Rules for people say who may read or write, address rules from where; with both, both must be met. Samba cannot
    make a share read-only by address, so such a rule is an error. Where NFS clients work on the same files (`is_beside_nfs`), Samba lets nobody
    keep changes to himself. Precondition: `section_problem` found none.
    """
    statuses: dict[AccessRule, RuleStatus] = {}
    given: dict[tuple[str, str], AccessRule] = {}
    for rule in sorted(rules):
        problem = _rule_problem(rule)
        if problem is None and given.setdefault((rule.access_type, rule.access_to.casefold()), rule) != rule:
            problem = f"another rule names the same {rule.access_type}; Samba ignores case"
        statuses[rule] = RuleStatus("active") if problem is None else RuleStatus("error", problem)
    conflicts = _conflicts([rule for rule, status in statuses.items() if status.status == "active"])
    statuses |= {rule: RuleStatus("error", problem) for rule, problem in conflicts.items()}
    statuses |= kept_out(statuses)
    in_force = [rule for rule, status in statuses.items() if status.status == "active"]
    text = _section_text(section, path, in_force, _BESIDE_NFS if is_beside_nfs else ()) if in_force else None
    return text, statuses


def _conflicts(rules: Collection[AccessRule]) -> dict[AccessRule, str]:
    """Return the rules that Samba would mean otherwise beside the others, whoever is in the groups, with the reason of each."""
    people = [rule for rule in rules if rule.access_type != "ip"]
    levels = {rule.key: rule.access_level for rule in people}
    base, guests = levels.get(_ALL_USERS), levels.get(_GUESTS)
    found: dict[AccessRule, str] = {}
    if None not in {base, guests} and base != guests:
        reason = "Samba gives users and guests of a share the same, but for users and groups that are named"
        found |= {rule: reason for rule in people if rule.key in {_ALL_USERS, _GUESTS}}
    groups = [rule for rule in people if rule.access_type == "group"]
    if "ro" in {base, guests} and any(rule.access_level == "rw" for rule in groups):
        reason = "beside a rule for all that is ro, Samba lets whoever is in a group with rw write, also where a narrower rule says ro"
        found |= {
            rule: reason for rule in people if rule.access_level == "ro" and rule.key not in {_ALL_USERS, _GUESTS}
        }
        if found:
            found |= {rule: reason for rule in groups if rule.access_level == "rw"}
    if any(rule.access_level == "none" for rule in groups):
        reason = "Samba keeps all members of a group out that is kept out, also a member who has a rule of its own"
        found |= {rule: reason for rule in people if _is_user(rule) and rule.access_level != "none"}
    return found


def parse_section(text: str, section: str, path: str, *, is_beside_nfs: bool = False) -> tuple[AccessRule, ...]:
    """Return the rules that a fragment puts in force.

    A fragment that is not as `render_section` writes it also brings `CHANGED_BY_HAND`, so that it is seen.
    """
    values: dict[str, str] = {}
    for line in text.split("\n"):
        key, separator, value = line.strip().partition(" = ")
        if separator:
            values[key] = value
    rules = rules_asked(text) or tuple(_rules_of(values))
    if rules and render_section(section, path, rules, is_beside_nfs=is_beside_nfs)[0] == text:
        return rules
    return (*rules, CHANGED_BY_HAND)


def render_includes(paths: Iterable[str]) -> str:
    """Return the file that an administrator includes in smb.conf: it includes each fragment."""
    return "\n".join([HEADER, *(f"{_INCLUDE}{path}" for path in paths), ""])


def parse_includes(text: str) -> frozenset[str]:
    """Return the paths that the file of `render_includes` includes."""
    return frozenset(line.removeprefix(_INCLUDE) for line in text.split("\n") if line.startswith(_INCLUDE))


def _section_text(section: str, path: str, rules: Collection[AccessRule], more: Sequence[str]) -> str:
    people = sorted(rule for rule in rules if rule.access_type != "ip")
    levels = {rule.key: rule.access_level for rule in people}
    base = next((level for key in (_ALL_USERS, _GUESTS) if (level := levels.get(key, "none")) != "none"), None)
    named = [rule for rule in people if rule.key not in {_ALL_USERS, _GUESTS}]
    granted = [rule for rule in named if rule.access_level != "none"]
    writers, readers, shut_out = (
        [rule for rule in named if rule.access_level == level] for level in ("rw", "ro", "none")
    )
    # Where some may only read, of whom a group may let some write, writing is the rule and reading the exception: it comes first.
    writes = base == "rw" or not (base or granted) or (base is None and bool(readers) and any(map(_is_group, writers)))
    lines = [
        HEADER,
        *([] if _is_plain(rules) else [asked_comment(rules)]),
        f"[{section}]",
        f"    path = {path}",
        f"    guest ok = {'yes' if levels.get(_GUESTS, 'none') != 'none' else 'no'}",
        f"    read only = {'no' if writes else 'yes'}",
        *more,
    ]
    is_open = any(rule.access_level != "none" for rule in rules) and (
        base or granted or levels.get(_ALL_USERS) != "none"
    )
    if not is_open:
        lines.append("    available = no")
    lists = {
        "valid users": [] if base else granted,
        "invalid users": shut_out,
        "read list": readers,
        "write list": [rule for rule in writers if not writes or (readers and _is_user(rule))],
    }
    lines += [f"    {name} = {_names(listed)}" for name, listed in lists.items() if listed]
    return "\n".join([*lines, *_host_lines(rules), ""])


def _host_lines(rules: Collection[AccessRule]) -> Iterable[str]:
    """Yield from where the share can be reached: from all networks but those that are kept out, or from those that are let in alone."""
    hosts = {
        network: rule
        for rule in rules
        if rule.access_type == "ip" and (network := prefix_of(rule.access_to)) is not None
    }
    holes = sorted(network for network, rule in hosts.items() if rule.access_level == "none")
    granted = [network for network, rule in hosts.items() if rule.access_level != "none"]
    if granted:
        parts = {part: None for network in granted for part in without(network, holes)}
        allowed = (
            [rule.access_to for rule in rules if rule.access_type == "ip"] if not holes else sorted(map(str, parts))
        )
        if allowed:
            yield f"    hosts allow = {' '.join(map(_host_text, allowed))}"
        yield "    hosts deny = ALL"
    elif holes:
        yield f"    hosts deny = {' '.join(_host_text(str(hole)) for hole in holes)}"


def _is_plain(rules: Collection[AccessRule]) -> bool:
    """Tell whether the section says its rules itself: users with what they may do, and networks that are let in."""
    return all(
        rule.access_level != "none" and rule.access_type in {"user", "ip"} and rule.key != _ALL_USERS for rule in rules
    )


def _is_user(rule: AccessRule) -> bool:
    return rule.access_type == "user" and rule.key != _ALL_USERS


def _is_group(rule: AccessRule) -> bool:
    return rule.access_type == "group"


def _rules_of(values: dict[str, str]) -> Iterable[AccessRule]:
    for key, level in (("read list", "ro"), ("write list", "rw")):
        for user in _unquoted(values.get(key, "")):
            yield AccessRule("user", user, level)
    for host in values.get("hosts allow", "").split():
        yield AccessRule("ip", _host_back(host), "rw")


def _rule_problem(rule: AccessRule) -> str | None:
    if rule.access_level not in {"rw", "ro", "none"}:
        return f"Samba knows the levels rw, ro and none, not {rule.access_level!r}"
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
    if rule.key in {_ALL_USERS, _GUESTS}:
        return None
    if rule.access_type not in {"user", "group"}:
        return f"a Samba share knows addresses, users, groups and guests, not {rule.key!r}"
    return _name_problem(rule.access_to, rule.access_type)


def _name_problem(user: str, what: str) -> str | None:
    if not user or len(user) > _MAX_USER_LENGTH or user != user.strip():
        return f"{user!r} is not the name of a {what}: empty, longer than 256 characters, or with a space at an end"
    if not user.isprintable() or _USER_FORBIDDEN.intersection(user) or user.endswith("\\"):
        return f"{user!r} cannot be written to smb.conf: it has a quote, a percent sign, a control character or ends in a backslash"
    if user[0] in "@+&":
        return f"Samba would take {user!r} for the name of a group"
    if _SECURITY_IDENTIFIER.fullmatch(user):
        return f"Samba would take {user!r} for whoever has that identifier, a group or everybody"
    if _WHOEVER_LOGS_IN.fullmatch(user):
        return f'Samba would take {user!r} for whoever has logged in; for every user, write `type: user` and `to: "*"`'
    return None


def _names(rules: Iterable[AccessRule]) -> str:
    users = sorted(rule.access_to for rule in rules if rule.access_type == "user")
    groups = sorted(rule.access_to for rule in rules if rule.access_type == "group")
    return " ".join([*(f'"{name}"' for name in users), *(f'@"{name}"' for name in groups)])


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
