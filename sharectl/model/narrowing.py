"""What a change of access rules takes away from whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.access import ANYBODY, AccessLevel, AccessRule, AccessType
from sharectl.model.precedence import RANKS, deciding, network_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.model.precedence import Network

_EVERYWHERE: Final = AccessRule(AccessType.IP, "", AccessLevel.READ_WRITE)
"""What decides for a network where rules for people alone say who may reach a share."""
_UNKNOWN: Final = 3
"""The rank of a level that a backend lists and nobody can have asked for."""


def narrowed(before: Collection[AccessRule], after: Collection[AccessRule]) -> tuple[AccessRule, ...]:
    """Return the rules by which somebody who could reach a share `before` can do less `after`, in their order.

    A network that another one covers is not lost, and one that a smaller one replaces is. A rule that is new and gives part of a
    network less than it had is returned itself: the narrowest rule that covers a client decides. So is one that gives a user or a
    group less than a group, or all users, had: nobody here knows who is in a group.
    """
    known, wanted = set(before), set(after)
    if known == wanted:
        return ()
    was, will = _by_network(before), _by_network(after)
    lost = [rule for rule in sorted(known - wanted) if not _keeps(rule, will, after)]
    people = [rule for rule in sorted(known & wanted) if rule.access_type != AccessType.IP and _grants(rule)]
    from_everywhere = bool(people) and not any(map(_grants, was.values()))
    if from_everywhere and any(map(_grants, will.values())):
        lost += people  # from some networks alone now
    told = {rule.key for rule in lost}
    base = _EVERYWHERE if from_everywhere else None
    cut = [rule for rule in sorted(wanted - known) if rule.key not in told and _cuts(rule, was, before, base)]
    return (*lost, *cut)


def _by_network(rules: Collection[AccessRule]) -> dict[Network, AccessRule]:
    found = ((_network(rule), rule) for rule in rules)
    return {network: rule for network, rule in found if network is not None}


def _network(rule: AccessRule) -> Network | None:
    """Return the network of a rule; None of one for people."""
    return network_of(rule.access_to) if rule.access_type == AccessType.IP else None


def _grants(rule: AccessRule) -> bool:
    return rule.access_level != AccessLevel.NONE


def _rank(rule: AccessRule | None) -> int:
    return 0 if rule is None else RANKS.get(rule.access_level, _UNKNOWN)


def _keeps(rule: AccessRule, after: Mapping[Network, AccessRule], rules: Collection[AccessRule]) -> bool:
    """Tell whether whoever had the rule can do as much by the rules that decide afterwards."""
    network = _network(rule)
    if network is not None:
        return _rank(rule) <= _rank(deciding(network, after))
    who = rule.access_type, rule.access_to.casefold()
    deciders = [one for one in rules if (one.access_type, one.access_to.casefold()) == who]
    if not deciders and rule.access_type == AccessType.USER:
        deciders = [one for one in rules if one.access_type == AccessType.USER and one.access_to == ANYBODY]
    return _rank(rule) <= max(map(_rank, deciders), default=0)


def _cuts(
    rule: AccessRule, networks: Mapping[Network, AccessRule], before: Collection[AccessRule], base: AccessRule | None
) -> bool:
    """Tell whether a new rule gives whom it names less than what decided before; `base` decides for a network that no rule covers."""
    network = _network(rule)
    if network is not None:
        return _rank(rule) < _rank(deciding(network, networks) or base)
    wider = [one for one in before if one.access_type == AccessType.GROUP or _is_for_all(one)]
    return not _is_for_all(rule) and _rank(rule) < max(map(_rank, wider), default=0)


def _is_for_all(rule: AccessRule) -> bool:
    return rule.access_type == AccessType.USER and rule.access_to == ANYBODY
