"""Tell of new rules that name somebody in letters that look like others: no reviewer sees by the name alone who is let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.diagnostics import warning
from sharectl.model.field_changes import RULE_FIELD
from sharectl.model.letters import out_of_place

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft


def tell_misleading_names(draft: Draft) -> None:
    """Add a warning for each user or group of a new rule whose name has letters of two scripts in one word, with its shares."""
    found: dict[str, dict[Address, None]] = {}
    for step in draft.steps.values():
        for change in step.changes:
            if change.after is not None and not change.field.isascii() and change.field.startswith(RULE_FIELD):
                found.setdefault(change.field.removeprefix(RULE_FIELD), {})[step.address] = None
    for rule, addresses in found.items():
        letters = out_of_place(rule.partition(":")[2])
        if letters:
            first = min(addresses)
            more = f" and {len(addresses) - 1:,} more" if len(addresses) > 1 else ""
            draft.tell(
                warning,
                "access.look-alike",
                f"the rule {rule} of {first}{more} mixes scripts in one word: {', '.join(letters)}",
                detail="The name looks like another one, and is somebody else.",
                remedy="compare it with the name in the directory, letter by letter",
                address=first,
                path="spec.access",
            )
