"""Access that a plan gives and takes away: which rules belong to others, which are lost, and whether a share may lose them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.access import AccessLevel
from sharectl.model.diagnostics import listed
from sharectl.model.ignoring import IgnoreList
from sharectl.model.kinds import rule_address, split_rule_address
from sharectl.model.narrowing import narrowed
from sharectl.model.verbs import Verb
from sharectl.planner.draft import is_protected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sharectl.model.access import AccessRule
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft

_ACCESS: Final = frozenset({Verb.UPDATE_ACCESS})


def rules_left_out(draft: Draft, address: Address, before: Iterable[AccessRule], after: Iterable[AccessRule]) -> str:
    """Return the access rules that the share would lose only because their documents were not named with -f; empty where there are none."""
    elsewhere = draft.options.elsewhere
    if elsewhere is None or draft.options.destroy:
        return ""
    kept = {rule.key for rule in after}
    lost = sorted({rule.key for rule in before} - kept)
    return listed([key for key in lost if elsewhere.describes_rule(split_rule_address(address)[0], key)])


def who_says(draft: Draft, address: Address, before: Collection[AccessRule], after: Collection[AccessRule]) -> str:
    """Return what asks for other access, as a reason: the share's manifest, the ClientLists that it names, or, where a rule is gone, one of them."""
    named = draft.desired.client_lists_of(address)
    if not named:
        return "its manifest says so"
    listed_rules = draft.desired.clients_of_lists(address)
    lists = {listed_rules[rule.key] for rule in after if rule not in before and rule.key in listed_rules}
    has_own = any(rule not in before and rule.key not in listed_rules for rule in after)
    if {rule.key for rule in before} - {rule.key for rule in after}:
        lists, has_own = lists | named, True
    who = [*(["its manifest"] if has_own else []), *sorted(lists)]
    return f"{', '.join(who[:-1])} and {who[-1]} say so" if who[1:] else f"{who[0]} says so"


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
    """Return the wanted rules that sharectl may give; refuse, one by one, those that the backend's manifest leaves to others.

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


def may_revoke(
    draft: Draft, address: Address, record: Record, before: Collection[AccessRule], after: Collection[AccessRule]
) -> bool:
    """Count what the share loses, and tell whether it may: a protected share does not lose all its recorded access at once."""
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
    if lost and all(rule.access_level == AccessLevel.NONE for rule in after) and is_protected(draft, address, record):
        draft.refuse(
            "safety.protected-access",
            address,
            f"{address} is protected and would lose all of its access ({listed([rule.key for rule in lost])})",
            detail="a manifest with its access rules that is missing looks just like this. Its access stays as it is.",
            remedy=f"restore the rules, or apply it with protect: false first, or pass --override-protection {address}",
            holds=_ACCESS,
        )
        return False
    # A recorded rule that comes back narrows nothing: what was open while it was missing is not what anybody was given.
    there = {rule.key for rule in before}
    back = {rule for rule in known & set(after) if rule.key not in there}
    count_revocations(draft, address, narrowed({*before, *back}, after))
    return True


def count_revocations(draft: Draft, address: Address, rules: Iterable[AccessRule]) -> None:
    """Note rules that the plan takes away or narrows."""
    draft.revocations += [rule_address(address, rule.key) for rule in rules]
