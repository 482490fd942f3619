"""What a backend's manifest asks to leave alone, as the planner takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.ignoring import IgnoreList
from sharectl.model.kinds import rule_address
from sharectl.model.verbs import Verb

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.model.access import AccessRule
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft


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
