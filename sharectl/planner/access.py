"""Access that a plan gives and takes away: rules that are others' to give, which are lost, and whether a share may lose them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.access import ANYBODY, AccessLevel, AccessRule, AccessType
from sharectl.model.diagnostics import listed
from sharectl.model.ignoring import IgnoreList
from sharectl.model.kinds import rule_address, split_rule_address
from sharectl.model.precedence import RANKS, deciding, network_of
from sharectl.model.verbs import Verb
from sharectl.planner.draft import is_protected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sharectl.model.kinds import Address
    from sharectl.model.precedence import Network
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft

_ACCESS: Final = frozenset({Verb.UPDATE_ACCESS})
_EVERYWHERE: Final = AccessRule(AccessType.IP, "", AccessLevel.READ_WRITE)
"""What decides for a network where rules for people alone say who may reach a share."""
_UNKNOWN: Final = 3
"""The rank of a level that a backend lists and nobody can have asked for."""


def rules_left_out(draft: Draft, address: Address, before: Iterable[AccessRule], after: Iterable[AccessRule]) -> str:
    """Return the access rules that the share would lose only because their documents were not named with -f; empty where there are none."""
    elsewhere = draft.options.elsewhere
    if elsewhere is None or draft.options.destroy:
        return ""
    kept = {rule.key for rule in after}
    lost = sorted({rule.key for rule in before} - kept)
    return listed([key for key in lost if elsewhere.describes_rule(split_rule_address(address)[0], key)])


def ignore_list(draft: Draft, backend: str | None) -> IgnoreList:
    """Return what is ignored on the backend; nothing where it has no manifest."""
    spec = draft.desired.backends.get(backend or "")
    return IgnoreList() if spec is None or not spec.ignore else IgnoreList.from_plain(spec.ignore)


def without_ignored(
    draft: Draft,
    address: Address,
    backend: str | None,
    wanted: tuple[AccessRule, ...],
    in_force: Collection[AccessRule] = (),
) -> tuple[AccessRule, ...]:
    """Return the wanted rules that are sharectl's to give; refuse, one by one, those that the backend's manifest leaves to others.

    One that sharectl has given already stays among them.
    """
    ignored = ignore_list(draft, backend)
    if not ignored.access:
        return wanted
    others = [rule for rule in wanted if ignored.covers_rule(rule)]
    for rule in others:
        draft.refuse(
            "access.ignored",
            rule_address(address, rule.key),
            f"the rule {rule.key} of {address} is one that backend {backend} ignores",
            detail="what its `ignore.access` covers belongs to others: sharectl neither gives it nor takes it away.",
            remedy=f"take the rule out, or narrow spec.ignore.access of backend {backend}",
            holds=frozenset({Verb.UPDATE_ACCESS}),
        )
    return tuple(rule for rule in wanted if rule not in others or rule in in_force) if others else wanted


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


def may_revoke(
    draft: Draft, address: Address, record: Record, before: Collection[AccessRule], after: Collection[AccessRule]
) -> bool:
    """Count what the share loses, and tell whether it may: a protected share does not lose all at once of the access that is recorded."""
    known = {rule.rule for rule in draft.state.rules.get(draft.moved_from.get(address, address), ())}
    lost = sorted(known & set(before))
    if left_out := rules_left_out(draft, address, lost, after):
        draft.refuse(
            "access.not-named",
            address,
            f"{address} would lose access that no file named with -f describes ({left_out})",
            detail=f"the project's own manifests {draft.options.elsewhere_verb} it. Its access stays as it is.",
            remedy="name the files with its AccessRule documents with -f too, or leave -f out",
            holds=_ACCESS,
        )
        return False
    if lost and not any(map(_grants, after)) and is_protected(draft, address, record):
        draft.refuse(
            "safety.protected-access",
            address,
            f"{address} is protected and would lose all of its access ({listed([rule.key for rule in lost])})",
            detail="a manifest with its access rules that is missing looks just like this. Its access stays as it is.",
            remedy=f"restore the rules, or apply it with protect: false first, or pass --override-protection {address}",
            holds=_ACCESS,
        )
        return False
    count_revocations(draft, address, narrowed(before, after))
    return True


def count_revocations(draft: Draft, address: Address, rules: Iterable[AccessRule]) -> None:
    """Note rules that the plan takes away or narrows."""
    draft.revocations += [rule_address(address, rule.key) for rule in rules]


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
