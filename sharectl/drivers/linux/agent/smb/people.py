"""Who of a server's users may do what in a share, by its rules for users, groups and guests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.model.precedence import RANKS, network_of, without

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.drivers.linux.agent.contract import Rule

ALL_USERS: Final = "user:*"
GUESTS: Final = "guest:*"


class People(NamedTuple):
    """Whom the backend's settings name: its users, the members of its groups, all by folded name, and whether guests are let in at all."""

    users: frozenset[str] = frozenset()
    groups: Mapping[str, frozenset[str]] = {}
    guests: bool = False


def people_in(plain: Mapping[str, Any]) -> People:
    """Return the people that the driver tells of."""
    groups = {name: frozenset(members) for name, members in plain["groups"].items()}
    return People(frozenset(plain["users"]), groups, bool(plain["guests"]))


def is_for_one(rule: Rule) -> bool:
    """Tell whether a rule names a user."""
    return rule.access_type == "user" and rule.access_to != "*"


def is_plain(rules: Collection[Rule]) -> bool:
    """Tell whether lists of users and networks say the rules themselves."""
    return all(rule.access_level != "none" and (rule.access_type == "ip" or is_for_one(rule)) for rule in rules)


def level_of(key: str, rules: Collection[Rule]) -> str:
    """Return the level of the rule of this key; none where there is no such rule."""
    return next((rule.access_level for rule in rules if f"{rule.access_type}:{rule.access_to}" == key), "none")


def levels(rules: Collection[Rule], accounts: Mapping[str, str], people: People) -> dict[str, str]:
    """Return what each user may do, by the name that a rule has for the user, or by the account.

    `accounts` leads from folded names in rules to accounts. The narrowest rule decides: that of the user, else of several groups the
    one that grants least, else that for all users.
    """
    own = {accounts[rule.access_to.casefold()]: rule for rule in rules if is_for_one(rule)}
    groups = [
        (people.groups.get(rule.access_to.casefold(), frozenset()), rule.access_level)
        for rule in rules
        if rule.access_type == "group"
    ]
    for_all = [rule.access_level for rule in rules if f"{rule.access_type}:{rule.access_to}" == ALL_USERS]
    found = {rule.access_to: rule.access_level for rule in own.values()}
    members = frozenset[str]().union(*(members for members, _ in groups))
    for account in (members | (people.users if for_all else frozenset())) - own.keys():
        by_group = [level for group, level in groups if account in group]
        found[account] = min(by_group or for_all, key=RANKS.__getitem__)
    return found


def networks_of(rules: Collection[Rule]) -> tuple[frozenset[str], frozenset[str]]:
    """Return from where alone the share can be reached, empty for everywhere, and from where it cannot be.

    A network is cut into what is left of it without one that is kept out.
    """
    networks = {network: rule for rule in rules if rule.access_type == "ip" and (network := network_of(rule.access_to))}
    holes = [network for network, rule in networks.items() if rule.access_level == "none"]
    granted = [network for network, rule in networks.items() if rule.access_level != "none"]
    if not granted:
        return frozenset(), frozenset(map(str, holes))
    return frozenset(str(part) for network in granted for part in without(network, holes)), frozenset()
