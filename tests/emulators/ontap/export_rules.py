"""The rules of an export policy as values: their order, and what the first that matches lets a client do."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap import client_matches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.client_matches import Address

Rules = tuple["Rule", ...]

NO_BODY: Final = 65534
"""The user that whoever is squashed becomes, unless the rule names another."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One rule; among those of a policy the lowest index whose clients match decides alone."""

    index: int
    clients: tuple[str, ...]
    ro_rule: tuple[str, ...]
    rw_rule: tuple[str, ...]
    superuser: tuple[str, ...] = ("any",)
    protocols: tuple[str, ...] = ("any",)
    anonymous_user: str = str(NO_BODY)
    allow_suid: bool = True
    allow_device_creation: bool = True
    chown_mode: str = "restricted"
    ntfs_unix_security: str = "fail"
    allow_nfs_tls_only: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Level:
    """What a client may do."""

    read: bool = False
    write: bool = False
    root: bool = False


NOTHING: Final = Level()


def level_of(rules: Iterable[Rule], client: Address, *, flavour: str = "sys", protocol: str = "nfs") -> Level:
    """Return what these rules let a client of this address do, with this security flavour."""
    for rule in sorted(rules, key=lambda each: each.index):
        if _speaks(rule, protocol) and any(client_matches.matches(match, client) for match in rule.clients):
            return _level_by(rule, flavour)
    return NOTHING


def _speaks(rule: Rule, protocol: str) -> bool:
    return any(each == "any" or each.startswith(protocol) for each in rule.protocols)


def _level_by(rule: Rule, flavour: str) -> Level:
    read = _admits(rule.ro_rule, flavour)
    write = read and _admits(rule.rw_rule, flavour)
    squashed = not {"any", flavour} & set(rule.ro_rule) or not {"any", flavour} & set(rule.superuser)
    return Level(read=read, write=write, root=read and (not squashed or rule.anonymous_user == "0"))


def _admits(flavours: tuple[str, ...], flavour: str) -> bool:
    """Tell whether a list admits a flavour; `none` admits each, as the anonymous user."""
    return "never" not in flavours and bool({"any", "none", flavour} & set(flavours))


def placed(rules: Rules, rule: Rule) -> Rules:
    """Put a rule at its index: one that is there, and those that follow it without a hole, move up by one."""
    taken = {each.index for each in rules}
    hole = rule.index
    while hole in taken:
        hole += 1
    moved = tuple(
        dataclasses.replace(each, index=each.index + 1) if rule.index <= each.index < hole else each for each in rules
    )
    return tuple(sorted((*moved, rule), key=lambda each: each.index))


def next_index(rules: Rules) -> int:
    """Return the index of a rule for which none is asked: after the last."""
    return max((each.index for each in rules), default=0) + 1


def without(rules: Rules, index: int) -> Rules:
    """Take a rule away; its place stays a hole."""
    return tuple(each for each in rules if each.index != index)


def same_values(one: Rule, other: Rule) -> bool:
    """Tell whether two rules differ in nothing but their index."""
    return dataclasses.replace(one, index=0) == dataclasses.replace(other, index=0)
