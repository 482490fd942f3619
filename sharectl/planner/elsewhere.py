"""What the project's own manifests describe beyond the files that a plan was made of: that is left as it is, not taken for gone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import warning
from sharectl.model.kinds import split_rule_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.access import AccessRule
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft

_NAMED_AT_MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the project's own manifests describe, for a plan of files that were named with -f.

    `rules` are the keys of those access rules of a share that are documents of their own. `is_whole` is False where the project's
    manifests have mistakes: then nobody knows all that they describe, and nothing counts as gone.
    """

    addresses: frozenset[Address] = frozenset()
    rules: Mapping[Address, frozenset[str]] = field(default_factory=dict)
    is_whole: bool = True

    @classmethod
    def of(cls, own: Desired, *, is_whole: bool) -> Elsewhere:
        """Return what the manifests `own` of the project describe."""
        return cls(frozenset(own.addresses), own.rule_documents(), is_whole)

    def describes(self, address: Address) -> bool:
        """Tell whether the project's manifests describe the resource, or may do so."""
        return not self.is_whole or address in self.addresses

    def describes_rule(self, address: Address, key: str) -> bool:
        """Tell whether a document of the project's manifests gives this access to the share, or may do so."""
        return not self.is_whole or key in self.rules.get(address, ())


def left_alone(draft: Draft, removed: Iterable[Address]) -> frozenset[Address]:
    """Return which of the resources without a manifest the project's own manifests describe, and say that they stay."""
    elsewhere = draft.options.elsewhere
    if elsewhere is None:
        return frozenset()
    kept = sorted(address for address in removed if elsewhere.describes(address))
    if kept:
        one = len(kept) == 1
        resources = "1 resource is" if one else f"{len(kept)} resources are"
        removing = "to remove one, delete its manifest and plan without -f"
        if elsewhere.is_whole:
            why = "the project's own manifests describe"
            remedy = f"without -f all manifests of the project are planned; {removing}"
        else:
            why = "the project's own manifests, which have mistakes, may describe"
            remedy = f"`sharectl validate` names the mistakes; {removing}"
        draft.diagnostics.append(
            warning(
                "plan.not-named",
                f"{resources} left alone: no file named with -f describes {'it' if one else 'them'}, and {why} {'it' if one else 'them'}",
                detail=f"{_named(kept)}.",
                remedy=remedy,
            )
        )
    return frozenset(kept)


def rules_left_out(draft: Draft, address: Address, before: Iterable[AccessRule], after: Iterable[AccessRule]) -> str:
    """Return the access rules that the share would lose only because their documents were not named with -f; empty where there are none."""
    elsewhere = draft.options.elsewhere
    if elsewhere is None or draft.options.destroy:
        return ""
    kept = {rule.key for rule in after}
    lost = sorted({rule.key for rule in before} - kept)
    return _named([key for key in lost if elsewhere.describes_rule(split_rule_address(address)[0], key)])


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return f"{', '.join(names[:_NAMED_AT_MOST])}{more}"
