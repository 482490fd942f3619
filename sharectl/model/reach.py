"""Who gains and who loses access where the rules or the protocols of a share change: clients, users and groups, net of overlaps."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.access import (
    ANYBODY,
    BOTH,
    CIFS,
    NFS,
    AccessLevel,
    AccessRule,
    AccessType,
    joined_protocols,
    protocols_in,
    smb_rules,
)
from sharectl.model.address_shifts import address_shifts
from sharectl.model.precedence import RANKS, network_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sharectl.model.precedence import Network

_UNKNOWN_RANK: Final = 3
"""That of a level that a backend lists and nobody can have asked for."""
_EVERYWHERE: Final = AccessRule(AccessType.IP, "", AccessLevel.READ_WRITE)
_PEOPLE: Final = (AccessType.USER, AccessType.GROUP, AccessType.GUEST)


class Effect(StrEnum):
    """What a change is for whom it concerns; `CHANGES` where the same level comes with other options, and nobody here knows whether they are more or less."""

    GAINS = "gains"
    LOSES = "loses"
    CHANGES = "changes"


class Shift(NamedTuple):
    """What the clients or people named by `access_type` and `access_to` could do, and what they can do then.

    `before` and `after` are what a rule grants, in words (`rw (squash none)`); None is no access. `but_for` names those among them
    whom it does not concern. `protocol` is that over which they come, as a share has it. `unless_grouped`: nobody here knows the
    members of groups, and a rule for a group may say otherwise for some.
    """

    access_type: str
    access_to: str
    before: str | None
    after: str | None
    effect: Effect
    protocol: str
    but_for: tuple[str, ...] = ()
    unless_grouped: bool = False


class Access(NamedTuple):
    """How a share may be reached: over which protocols, and by which rules; no protocol is a share that is not there."""

    protocol: str | None = None
    rules: tuple[AccessRule, ...] = ()


NOWHERE: Final = Access()


@lru_cache(maxsize=4096)
def shifts(before: Access, after: Access) -> tuple[Shift, ...]:
    """Return who gains and who loses, losses first. Many shares have the same few lists of rules, and the answer is found once for them."""
    found: dict[Shift, list[str]] = {}
    for protocol in (NFS, CIFS):
        was, will = _rules_over(protocol, before), _rules_over(protocol, after)
        if was == will:
            continue
        for shift in (*_of_addresses(protocol, was, will), *_of_people(was, will)):
            found.setdefault(shift, []).append(protocol)
    whole = [shift._replace(protocol=joined_protocols(protocols)) for shift, protocols in found.items()]
    return tuple(sorted(whole, key=lambda shift: _ORDER[shift.effect]))


_ORDER: Final = {Effect.LOSES: 0, Effect.CHANGES: 1, Effect.GAINS: 2}


def _rules_over(protocol: str, access: Access) -> tuple[AccessRule, ...]:
    """Return the rules by which clients of a protocol reach the share."""
    if protocol not in protocols_in(access.protocol):
        return ()
    rules = tuple(rule for rule in access.rules if not rule.is_remark)
    if access.protocol != BOTH:
        return rules
    if protocol == NFS:
        return tuple(rule for rule in rules if rule.access_type == AccessType.IP)
    return tuple(smb_rules(rules)[0])


def _of_addresses(protocol: str, was: tuple[AccessRule, ...], will: tuple[AccessRule, ...]) -> Iterable[Shift]:
    """Yield what changes by address. Where only people are named, users come from everywhere."""
    before, after = _by_network(was), _by_network(will)
    base: tuple[AccessRule | None, AccessRule | None] = (None, None)
    if protocol == CIFS:
        if _names_people(was) and not _names_people(will) and not after:
            before = {}  # nobody is let in any more, from wherever: that is said of the people
        elif _names_people(will) and not _names_people(was) and not before:
            after = {}
        else:
            base = _base(was, before), _base(will, after)
    for network, had, has, but_for in address_shifts(before, after, base):
        yield _shift(AccessType.IP, str(network), had, has, tuple(map(str, but_for)))


def _base(rules: tuple[AccessRule, ...], networks: Mapping[Network, AccessRule | None]) -> AccessRule | None:
    return _EVERYWHERE if _names_people(rules) and not any(networks.values()) else None


def _names_people(rules: Iterable[AccessRule]) -> bool:
    return any(rule.access_type in _PEOPLE and _lets_in(rule) for rule in rules)


def _lets_in(rule: AccessRule) -> bool:
    return rule.access_level != AccessLevel.NONE


def _by_network(rules: Iterable[AccessRule]) -> dict[Network, AccessRule | None]:
    """Return what each network is granted, without its name; None where it is kept out."""
    found: dict[Network, AccessRule | None] = {}
    for rule in rules:
        network = network_of(rule.access_to) if rule.access_type == AccessType.IP else None
        if network is not None:
            found[network] = rule._replace(access_to="") if _lets_in(rule) else None
    return found


def _of_people(was: tuple[AccessRule, ...], will: tuple[AccessRule, ...]) -> Iterable[Shift]:
    """Yield what changes for users, groups and guests: the narrowest rule decides, user before group before everybody before guests."""
    before, after = _by_name(was), _by_name(will)
    named = sorted({*before, *after})
    pairs = {who: (_decided(who, before), _decided(who, after)) for who in named}
    rest = pairs.get(_ALL_USERS)
    for who in named:
        had, has = pairs[who]
        by_group = _strongest_group(who, before)
        if rank_of(by_group) > max(rank_of(had), rank_of(has)):
            had = by_group  # of whoever is in that group
        if had == has:
            continue
        is_open = bool(_strongest_group(who, before) or _strongest_group(who, after))
        but_for: tuple[str, ...] = ()
        if who == _ALL_USERS:
            but_for = tuple(
                (after.get(other) or before[other]).key
                for other in named
                if other not in {_ALL_USERS, _GUESTS} and pairs[other] != rest
            )
        shown = after.get(who) or before[who]
        yield _shift(who[0], shown.access_to, had, has, but_for)._replace(unless_grouped=is_open)


_Who = tuple[str, str]
_ALL_USERS: Final = (str(AccessType.USER), ANYBODY)
_GUESTS: Final = (str(AccessType.GUEST), ANYBODY)


def _by_name(rules: Iterable[AccessRule]) -> dict[_Who, AccessRule]:
    return {(str(rule.access_type), rule.access_to.casefold()): rule for rule in rules if rule.access_type in _PEOPLE}


def _strongest_group(who: _Who, rules: Mapping[_Who, AccessRule]) -> AccessRule | None:
    """Return what the rule of a group grants, without its name, that may decide for `who`, whom no rule names; the one that grants most."""
    if who in rules or who in {_ALL_USERS, _GUESTS}:
        return None
    granted = [rule for (access_type, _), rule in rules.items() if access_type == AccessType.GROUP and _lets_in(rule)]
    return _nameless(max(granted, key=rank_of)) if granted else None


def _decided(who: _Who, rules: Mapping[_Who, AccessRule]) -> AccessRule | None:
    """Return what is granted to a user, a group or guests, without the name; None where nothing is."""
    wider = (who,) if who == _GUESTS else (who, _ALL_USERS, _GUESTS)
    found = next((rules[name] for name in wider if name in rules), None)
    return _nameless(found) if found is not None and _lets_in(found) else None


def _nameless(rule: AccessRule) -> AccessRule:
    return rule._replace(access_type=AccessType.USER, access_to="")


def rank_of(rule: AccessRule | None) -> int:
    """Return how much a rule grants, the more the higher; 0 is nothing."""
    return 0 if rule is None else RANKS.get(rule.access_level, _UNKNOWN_RANK)


def is_readable(rules: Iterable[AccessRule]) -> bool:
    """Tell whether it is known of each rule whom it lets in; a remark of a driver, or a client that is no network, may be anybody."""
    return not any(
        rule.is_remark or (rule.access_type == AccessType.IP and network_of(rule.access_to) is None) for rule in rules
    )


def _shift(
    access_type: str, access_to: str, had: AccessRule | None, has: AccessRule | None, but_for: tuple[str, ...]
) -> Shift:
    return Shift(str(access_type), access_to, *_grants(had, has), "", but_for)


@lru_cache(maxsize=4096)
def _grants(had: AccessRule | None, has: AccessRule | None) -> tuple[str | None, str | None, Effect]:
    """Return what both grant, and what the difference is; the rules of many shares differ in whom they name alone."""
    effect = _effect_of_options(*({} if rule is None else dict(rule.options) for rule in (had, has)))
    if rank_of(has) < rank_of(had):
        effect = Effect.LOSES
    elif rank_of(has) > rank_of(had) and (had is None or effect is not Effect.LOSES):
        effect = Effect.GAINS
    before, after = (None if rule is None else rule.grant for rule in (had, has))
    return before, after, effect


_SQUASHES: Final = ("none", "root", "all")
"""What a squash takes away, the least first."""


def _effect_of_options(before: Mapping[str, str], after: Mapping[str, str]) -> Effect:
    """Return what other options are for the clients. One that is not given is as the share type and the backend say, which is not known here."""
    found = {
        _EFFECTS_OF_OPTIONS.get(name, _unclear)(before.get(name), after.get(name))
        for name in {*before, *after}
        if before.get(name) != after.get(name)
    }
    return next((effect for effect in (Effect.LOSES, Effect.CHANGES) if effect in found), Effect.GAINS)


def _effect_of_security(before: str | None, after: str | None) -> Effect:
    if before is None or after is None:
        return Effect.CHANGES
    return Effect.LOSES if {*before.split(",")} - {*after.split(",")} else Effect.GAINS


def _effect_of_insecure(before: str | None, after: str | None) -> Effect:
    if after == "true":
        return Effect.GAINS
    return Effect.LOSES if before == "true" and after is not None else Effect.CHANGES


def _effect_of_squash(before: str | None, after: str | None) -> Effect:
    if after == _SQUASHES[0] or before == _SQUASHES[-1]:
        return Effect.GAINS
    if before not in _SQUASHES or after not in _SQUASHES:
        return Effect.CHANGES
    return Effect.LOSES if _SQUASHES.index(after) > _SQUASHES.index(before) else Effect.GAINS


def _unclear(_before: str | None, _after: str | None) -> Effect:
    return Effect.CHANGES


_EFFECTS_OF_OPTIONS: Final[Mapping[str, Callable[[str | None, str | None], Effect]]] = {
    "security": _effect_of_security,
    "insecure": _effect_of_insecure,
    "squash": _effect_of_squash,
}
