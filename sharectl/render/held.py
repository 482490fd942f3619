"""What a plan leaves undone because it is refused, as lines for the plan and for its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.render.paint import paint
from sharectl.render.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.plans import Held, Plan

_MOST_HELD: Final = 50


def held_lines(plan: Plan, *, color: bool) -> Iterator[str]:
    """Yield what is not done, address by address, and why; nothing where all is done."""
    if not plan.held:
        return
    yield paint("Held: this is refused, or depends on what is", "error", color)
    for held in plan.held[:_MOST_HELD]:
        verbs = held_verbs(held)
        reason = visible(held.reason)
        text = reason if reason.startswith(held.address) else f"{visible(held.address)}: {reason}"
        yield f"  {paint('✗', 'error', color)} {text}{f'  ({verbs})' if verbs else ''}"
    if len(plan.held) > _MOST_HELD:
        yield f"  and {len(plan.held) - _MOST_HELD} more"


def held_verbs(held: Held) -> str:
    """Return the verbs that are not done, as far as they were worked out."""
    return ", ".join(verb.value for verb in held.verbs)
