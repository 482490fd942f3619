"""How much a refusal holds: the verbs that are not done at its address; what depends on those is held with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.verbs import Effect, Verb, verbs_that

if TYPE_CHECKING:
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address

RESIZING: Final = frozenset({Verb.EXTEND_SHARE, Verb.SHRINK_SHARE})
REVERTING: Final = frozenset({Verb.REVERT_SHARE})
REMOVING: Final = verbs_that(Effect.REMOVES, managed=True)
MAKING: Final = verbs_that(Effect.MAKES, Effect.TAKES_OVER, managed=True)
USING: Final = frozenset(Verb) - {Verb.MOVE, Verb.UPDATE_RECORD}
"""Whatever needs the resource itself; its row may follow the manifest all the same."""
CONTENT: Final = RESIZING | REVERTING
"""What touches the data of a share that is there."""


class Refusal(NamedTuple):
    """One thing that is not done: what was said of it, and the verbs that it holds at its address; None holds all of them.

    `former` is the address that the resource had, where a rename is refused: what is there must not be touched either.
    """

    address: Address
    diagnostic: Diagnostic
    verbs: frozenset[Verb] | None = None
    former: Address | None = None
