"""A driver that leaves the access rules of others alone: it takes them out of what is listed, and keeps them in what is put in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sharectl.drivers.base import Driver
    from sharectl.model.access import AccessRule
    from sharectl.model.ignoring import IgnoreList
    from sharectl.model.observed import ObservedShare
    from sharectl.model.requests import RuleStatus, ShareRef

_RETURN_A_SHARE: Final = ("create_share", "adopt_share", "restore_share")


def leaving_alone(driver: Driver, ignored: IgnoreList) -> Driver:
    """Return the driver, with all of its capabilities, as one that does not show and does not end the rules that are ignored.

    The full set that the driver itself gets holds them, as they are in force at that moment, but for those that are to be deleted:
    these sharectl has given itself, and `delete` must name them all (see `rules_to_end`).
    """
    if not ignored.access:
        return driver
    names = [name for name in dir(driver) if not name.startswith("_")]
    parts: dict[str, Any] = {name: _passed_on(driver, name) for name in names}
    parts |= {
        name: _without_ignored(getattr(driver, name), ignored) for name in _RETURN_A_SHARE if hasattr(driver, name)
    }

    def list_shares(_self: object, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShare]:
        return [_shown(share, ignored) for share in driver.list_shares(resource_ids)]

    def update_access(
        _self: object,
        share: ShareRef,
        rules: Collection[AccessRule],
        add: Collection[AccessRule],
        delete: Collection[AccessRule],
    ) -> Mapping[AccessRule, RuleStatus]:
        keys = {rule.key for rule in (*rules, *delete)}
        others = [
            rule
            for listed in driver.list_shares([share.resource_id])
            for rule in listed.access
            if ignored.covers_rule(rule) and rule.key not in keys
        ]
        statuses = driver.update_access(share, [*rules, *others], () if others else add, () if others else delete)
        return {rule: status for rule, status in statuses.items() if rule not in others}

    parts |= {"list_shares": list_shares, "update_access": update_access, "leaves_others_alone": True}
    return cast("Driver", type(f"{type(driver).__name__}LeavingAlone", (), parts)())


def rules_to_end(driver: Driver, given: Collection[AccessRule], wanted: Collection[AccessRule]) -> list[AccessRule]:
    """Return which of the given rules `delete` has to name in a call that makes the whole set so; only such a driver needs to be told."""
    return sorted(set(given) - set(wanted)) if getattr(driver, "leaves_others_alone", False) else []


def _passed_on(driver: Driver, name: str) -> property:
    return property(lambda _self: getattr(driver, name))


def _without_ignored(call: Callable[..., ObservedShare], ignored: IgnoreList) -> Callable[..., ObservedShare]:
    def answered(_self: object, *arguments: object) -> ObservedShare:
        return _shown(call(*arguments), ignored)

    return answered


def _shown(share: ObservedShare, ignored: IgnoreList) -> ObservedShare:
    others = tuple(rule for rule in share.access if ignored.covers_rule(rule))
    if not others:
        return share
    return share._replace(access=tuple(rule for rule in share.access if rule not in others), ignored_access=others)
