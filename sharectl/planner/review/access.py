"""Who gains and who loses access by a plan, share by share, and which new rules open a share to everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.access import AccessLevel, AccessType
from sharectl.model.address_shifts import joined, span
from sharectl.model.field_changes import RULE_FIELD
from sharectl.model.plans import CreateShare, UpdateAccess
from sharectl.model.precedence import network_of
from sharectl.model.reach import NOWHERE, Access, is_readable, shifts
from sharectl.model.verbs import Verb
from sharectl.planner.review.nouns import AccessChange, Cause, Opening

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from sharectl.model.access import AccessRule
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Step
    from sharectl.model.precedence import Network

_REMOVALS: Final = frozenset({Verb.DELETE_SHARE, Verb.TRASH_SHARE, Verb.FORGET})
_EXPORT: Final = "export/"
_LARGE_PREFIX: Final = 8
_EVERY_CLIENT: Final = {"0.0.0.0/0": "every IPv4 client", "::/0": "every IPv6 client"}


class _Parts(NamedTuple):
    """The steps of one share that change who may reach it."""

    creation: CreateShare | None
    removal: Step | None
    update: Step | None


def access_changes(steps_at: Mapping[Address, Sequence[Step]]) -> tuple[AccessChange, ...]:
    """Return who gains and who loses, with the shares for which that is equal, in the order of the first of each."""
    alike: dict[tuple[object, ...], tuple[AccessChange, list[Address]]] = {}
    for address, steps in steps_at.items():
        change = _change(steps)
        if change is not None:  # long lists are compared once: their answers are found once
            key = change._replace(shifts=()), id(change.shifts)
            alike.setdefault(key, (change, []))[1].append(address)
    found: dict[AccessChange, list[Address]] = {}
    for change, addresses in alike.values():
        found.setdefault(change, []).extend(addresses)
    return tuple(change._replace(addresses=tuple(sorted(addresses))) for change, addresses in found.items())


def _change(steps: Sequence[Step]) -> AccessChange | None:
    """Return what changes for the clients of one share, without its address; None where nothing does."""
    parts = _parts(steps)
    creation, removal, update = parts
    if removal is None and update is None:
        return None
    cause = Cause.RULES
    if creation is not None:
        cause = Cause.NEW if removal is None else Cause.REPLACED
    elif removal is not None:
        cause = Cause.REMOVED
    changes = () if update is None or creation is not None else update.changes
    remount = next((str(each.after) for each in changes if each.field == "export_name" and each.before), "")
    settings = tuple(each for each in changes if each.field.startswith(_EXPORT))
    before = _before(parts)
    if before is None:
        return AccessChange((), cause, (), remount, settings, is_known=False)
    found = shifts(before, _after(parts, before))
    is_known = is_readable(before.rules)
    is_moot = is_known and not (found or remount or settings or (cause is Cause.REPLACED and before.rules))
    return None if is_moot else AccessChange((), cause, found, remount, settings, is_known)


def _parts(steps: Sequence[Step]) -> _Parts:
    creation = next((step.work for step in steps if isinstance(step.work, CreateShare)), None)
    removal = next((step for step in steps if step.verb in _REMOVALS and step.backend is not None), None)
    update = next((step for step in steps if isinstance(step.work, UpdateAccess)), None)
    return _Parts(creation, removal, update)


def _before(parts: _Parts) -> Access | None:
    """Return who reaches the share today; None where the plan does not say."""
    source = parts.removal
    if source is None:
        if parts.creation is not None:
            return NOWHERE
        source = parts.update
    if source is None or source.before is None or source.before.access is None:
        return None
    return Access(source.before.protocol, _sorted((*source.before.access, *source.before.others)))


def _after(parts: _Parts, before: Access) -> Access:
    """Return who reaches the share once the plan is done."""
    update = parts.update
    if update is None or not isinstance(update.work, UpdateAccess):
        return NOWHERE
    others = () if parts.creation is not None or update.before is None else update.before.others
    spec = update.work.spec if parts.creation is None else parts.creation.spec
    protocol = before.protocol if spec is None else str(spec.protocol)
    return Access(protocol, _sorted((*update.work.rules, *others)))


def _sorted(rules: tuple[AccessRule, ...]) -> tuple[AccessRule, ...]:
    return tuple(sorted(rules)) if len(rules) > 1 else rules


def openings(steps_at: Mapping[Address, Sequence[Step]]) -> tuple[Opening, ...]:
    """Return the new and changed rules that open shares to everybody, each with its shares; several may do so together."""
    found: dict[Opening, list[Address]] = {}
    for address, steps in steps_at.items():
        for step in steps:
            if isinstance(step.work, UpdateAccess):
                for opening in _opened(step.work.rules, step):
                    found.setdefault(opening, []).append(address)
    return tuple(opening._replace(addresses=tuple(addresses)) for opening, addresses in found.items())


def _opened(rules: Iterable[AccessRule], step: Step) -> Iterator[Opening]:
    wide = [(rule, who) for rule in rules if (who := everybody(rule))]
    parts = [rule for rule in rules if _is_large_part(rule)]
    if not (wide or parts):
        return
    changed = {change.field.removeprefix(RULE_FIELD) for change in step.changes if change.after is not None}
    yield from (Opening((), rule.key, who, rule.grant) for rule, who in wide if rule.key in changed)
    if any(rule.key in changed for rule in parts):
        yield from _opened_together(rules, {(who, rule.access_level) for rule, who in wide})


def _is_large_part(rule: AccessRule) -> bool:
    """Tell whether a rule lets in so many addresses that a few like it are all; one that lets in all is another matter."""
    if rule.access_type != AccessType.IP or rule.access_level == AccessLevel.NONE:
        return False
    _, _, length = rule.access_to.partition("/")
    return length.isdecimal() and 0 < int(length) <= _LARGE_PREFIX


def _opened_together(rules: Iterable[AccessRule], told: Container[tuple[str, str]]) -> Iterator[Opening]:
    """Yield whom rules let in together that each let in a part of all addresses, and whether all of them may write."""
    readers = [rule for rule in rules if rule.access_type == AccessType.IP and rule.access_level != AccessLevel.NONE]
    writers = [rule for rule in readers if rule.access_level == AccessLevel.READ_WRITE]
    found = dict.fromkeys(_whole(readers), AccessLevel.READ_ONLY)
    found |= dict.fromkeys(_whole(writers), AccessLevel.READ_WRITE)
    for network, level in found.items():
        who = _EVERY_CLIENT[network]
        if not ((who, level) in told or (who, AccessLevel.READ_WRITE) in told):
            yield Opening((), f"{AccessType.IP}:{network}", who, level)


def _whole(rules: Iterable[AccessRule]) -> list[str]:
    """Return the networks of all addresses that rules come to together."""
    networks = sorted((network for rule in rules if (network := network_of(rule.access_to)) is not None), key=span)
    apart: list[Network] = []
    for network in networks:
        if not (apart and network.is_within(apart[-1])):
            apart.append(network)
    return [name for network in joined(apart) if (name := str(network)) in _EVERY_CLIENT]


def everybody(rule: AccessRule) -> str:
    """Return whom a rule lets in that names nobody in particular; an empty text of any other rule."""
    if rule.access_level == AccessLevel.NONE:
        return ""
    if rule.access_type == AccessType.GUEST:
        return "whoever comes without a password"
    if rule.access_type == AccessType.USER:
        return "every user" if rule.access_to == "*" else ""
    return _EVERY_CLIENT.get(rule.access_to, "") if rule.access_type == AccessType.IP else ""
