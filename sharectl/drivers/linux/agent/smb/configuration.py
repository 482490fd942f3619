"""Shares in the grammar of smb.conf(5): written so that nothing is misread, and read back exactly."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind, Rule, Section, rule_in
from sharectl.drivers.linux.agent.smb import modules, treatment
from sharectl.drivers.linux.agent.smb.names import local_user
from sharectl.model.client_addresses import nobody_at
from sharectl.model.precedence import RANKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HEADER: Final = "# Written by sharectl; what is changed here by hand is undone.\n"
_RESERVED: Final = frozenset({"global", "homes", "printers", "print$", "ipc$", "admin$"})
_NAME_FORBIDDEN: Final = frozenset('%<>*?|/\\+=;:",[]')
_MAX_NAME_CHARACTERS: Final = 80  # Windows takes no longer share name
_PATH_FORBIDDEN: Final = frozenset('%"\\')
# Samba takes a prefix of up to two digits for a number and anything longer for a mask written as an address.
_LONGEST_PREFIX_NUMBER: Final = 99
_READ_ONLY: Final = {"none": "yes", "ro": "yes", "rw": "no"}
"""What a section says for guests of each level, and so for whoever it does not name."""
_LIST: Final = re.compile(r'(?:"[^"\n]*"(?: "[^"\n]*")*)?')


@dataclass(frozen=True, slots=True)
class Cut:
    """Whose live sessions lose a right: those of some users, or all of the share."""

    users: frozenset[str] = frozenset()
    is_whole: bool = False


def folded(name: str) -> str:
    """Return the form in which two names of shares are the same to Samba."""
    return name.casefold()


def check_section(section: Section, server: str) -> None:
    """Raise REFUSED where Samba would misread a part of the section."""
    problem = _name_problem(section.name) or path_problem(section.path) or treatment.problem_of(section.treatment)
    if problem is None:
        networks = sorted(section.networks | section.denied)
        problem = next((text for text in map(_network_problem, networks) if text), None)
    if problem is None and section.guest not in _READ_ONLY:
        problem = f"guests can be given rw, ro and none, not {section.guest!r}"
    if problem is None and section.networks and section.denied:
        problem = f"the share {section.name!r} would say from where alone it can be reached and from where not, and Samba reads one of the two"
    if problem is not None:
        raise Problem(ProblemKind.REFUSED, problem)
    named = (*sorted(section.writers), *sorted(section.readers), *sorted(section.shut_out))
    accounts = [local_user(user, server) for user in named]
    if len(set(accounts)) != len(accounts):
        double = next(account for account in accounts if accounts.count(account) > 1)
        message = f"the share {section.name!r} names the user {double!r} twice; Samba ignores case"
        raise Problem(ProblemKind.REFUSED, message)


def path_problem(path: str) -> str | None:
    """Return why Samba would misread the path of a folder, or None where it would not."""
    if not path.startswith("/") or path == "/" or ".." in path.split("/"):
        return f"{path!r} is not the absolute path of a folder that can be shared"
    if not path.isprintable() or path != path.strip() or "  " in path or _PATH_FORBIDDEN.intersection(path):
        return (
            f"Samba would misread the path {path!r}: it has a percent sign, a quote, a backslash, a control character, "
            "spaces side by side or at an end"
        )
    return None


def render_section(section: Section, server: str) -> str:
    r"""Return the section's text. Precondition: `check_section` accepts it.

    Users are written as `SERVER\user`: alone, Samba would also take a name for a well-known group ("Everyone") or a
    security identifier. How they were given stands in comments, from which alone they are read back; so does the treatment.
    """
    has_guests = section.guest != "none"
    lines = [
        f"[{section.name}]",
        f"# writers = {_quoted(section.writers)}",
        f"# readers = {_quoted(section.readers)}",
        *([f"# shut out = {_quoted(section.shut_out)}"] if section.shut_out else []),
        *([f"# asked = {json.dumps([list(rule) for rule in section.asked])}"] if section.asked else []),
        *treatment.comments_of(section.treatment),
        f"    path = {section.path}",
        f"    guest ok = {'yes' if has_guests else 'no'}",
        f"    read only = {_READ_ONLY[section.guest]}",
        f"    available = {'yes' if section.users or has_guests else 'no'}",
        # An empty `valid users` would let everybody in.
        *([] if has_guests else [f"    valid users = {_accounts(section.users, server)}"]),
        *([f"    invalid users = {_accounts(section.shut_out, server)}"] if section.shut_out else []),
        f"    read list = {_accounts(section.readers, server)}",
        f"    write list = {_accounts(section.writers, server)}",
    ]
    if section.networks:
        lines.append(f"    hosts allow = {' '.join(_network_text(network) for network in sorted(section.networks))}")
        lines.append("    hosts deny = ALL")
    elif section.denied:
        lines.append(f"    hosts deny = {' '.join(_network_text(network) for network in sorted(section.denied))}")
    lines += [f"    {line}" for line in modules.lines_of(section.treatment, section.path)]
    return "\n".join([*lines, ""])


@lru_cache(maxsize=65536)
def parse_section(text: str, server: str) -> Section | None:
    """Return the section whose text this is, to the letter; None for any other text."""
    lines = text.split("\n")
    values = dict(line.strip().removeprefix("# ").partition(" = ")[::2] for line in lines[1:])
    offered = treatment.of_comment(values.get("treatment"))
    asked = _asked(values.get("asked", "[]"))
    lists = ("writers", "readers", "shut out")
    if offered is None or asked is None or not all(_LIST.fullmatch(values.get(key, "")) for key in lists):
        return None
    levels = {"yes": "ro", "no": "rw"} if values.get("guest ok") == "yes" else {}
    denied = values.get("hosts deny", "").split() if "hosts allow" not in values else []
    section = Section(
        lines[0][1:-1],
        values.get("path", ""),
        _unquoted(values.get("writers", "")),
        _unquoted(values.get("readers", "")),
        frozenset(_network_back(word) for word in values.get("hosts allow", "").split()),
        offered,
        levels.get(values.get("read only", ""), "none"),
        _unquoted(values.get("shut out", "")),
        frozenset(map(_network_back, denied)),
        asked,
    )
    try:
        check_section(section, server)
    except Problem:
        return None
    return section if render_section(section, server) == text else None


def split_sections(text: str) -> dict[str, str]:
    """Return the text of each section of a file by its folded name; the last of several counts, as it does for Samba.

    What stands before the first section is kept under the empty name, unless it is the header.
    """
    head, *sections = re.split(r"^(?=[ \t]*\[)", text, flags=re.MULTILINE)
    found = {} if head in {HEADER, ""} else {"": head}
    for section in sections:
        found[folded(section.partition("]")[0].strip()[1:])] = section
    return found


def join_sections(sections: Mapping[str, str]) -> str:
    """Return the file of these sections."""
    return "".join([HEADER, *(sections[key] for key in sorted(sections))])


def cut_needed(before: str | None, after: str | None, server: str) -> Cut:
    """Return whose sessions of a share to end when its section changes; None stands for no section.

    A live session keeps the rights and the modules that it began with, so whoever may do less now is cut off, and nobody else; where
    the share offers something else now, everybody is.
    """
    if before is None or before == after:
        return Cut()
    old = parse_section(before, server)
    new = None if after is None else parse_section(after, server)
    if old is None or new is None or (old.name, old.path) != (new.name, new.path) or old.treatment != new.treatment:
        return Cut(is_whole=True)
    if new.networks and (not old.networks or old.networks - new.networks):
        return Cut(is_whole=True)
    if RANKS[new.guest] < RANKS[old.guest] or (not new.networks and new.denied - old.denied):
        return Cut(is_whole=True)
    before_levels, after_levels = _levels(old, server), _levels(new, server)
    return Cut(
        frozenset(
            account
            for account in before_levels.keys() | after_levels.keys()
            if RANKS[after_levels.get(account, new.guest)] < RANKS[before_levels.get(account, old.guest)]
        )
    )


def _levels(section: Section, server: str) -> dict[str, str]:
    """Return what each account that the section names may do."""
    lists = (("none", section.shut_out), ("ro", section.readers), ("rw", section.writers))
    return {account: level for level, users in lists for account in _local(users, server)}


def _asked(text: str) -> tuple[Rule, ...] | None:
    """Return the rules in a comment, None where it was not written so."""
    try:
        return tuple(rule_in(plain) for plain in json.loads(text))
    except (ValueError, TypeError, IndexError, KeyError):
        return None


def _name_problem(name: str) -> str | None:
    if folded(name) in _RESERVED:
        return f"Samba uses the share name {name!r} itself"
    if (
        not 0 < len(name) <= _MAX_NAME_CHARACTERS
        or not name.isprintable()
        or name != name.strip()
        or "  " in name
        or not name.strip(".")
    ):
        return f"{name!r} is not a share name that Windows clients can use: 1 to 80 printable characters, single spaces"
    if forbidden := sorted(_NAME_FORBIDDEN.intersection(name)):
        return f"{name!r} is not a share name that Windows clients can use: it holds {' '.join(forbidden)}"
    return None


@lru_cache(maxsize=65536)
def _network_problem(network: str) -> str | None:
    try:
        # The zone of an IPv6 address (after %) may hold any text, also line breaks.
        parsed = None if "%" in network else ipaddress.ip_network(network)
    except ValueError:
        parsed = None
    canonical = {str(parsed), str(parsed.network_address) if parsed.num_addresses == 1 else ""} if parsed else set()
    if network not in canonical:
        return f"{network!r} is not an address or network in canonical form"
    nobody = nobody_at(network)
    return None if nobody is None else f"the network {network} {nobody.why}: {nobody.remedy}"


def _network_text(network: str) -> str:
    address, separator, prefix = network.partition("/")
    if separator and int(prefix) > _LONGEST_PREFIX_NUMBER:
        return f"{address}/{ipaddress.IPv6Network((0, int(prefix))).netmask}"
    return network


def _network_back(word: str) -> str:
    address, _, mask = word.partition("/")
    if ":" in mask:
        try:
            return f"{address}/{int(ipaddress.IPv6Address(mask)).bit_count()}"
        except ValueError:
            return word
    return word


def _local(users: Iterable[str], server: str) -> frozenset[str]:
    return frozenset(local_user(user, server) for user in users)


def _accounts(users: Iterable[str], server: str) -> str:
    return _quoted(f"{server}\\{account}" for account in _local(users, server))


def _quoted(names: Iterable[str]) -> str:
    return " ".join(f'"{name}"' for name in sorted(names))


def _unquoted(text: str) -> frozenset[str]:
    return frozenset(text[1:-1].split('" "')) if text else frozenset()
