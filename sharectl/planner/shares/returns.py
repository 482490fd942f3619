"""Shares that a replacement set aside and that are wanted after all: none is removed in favour of an empty one like it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.planner.moves import add_move, take_deviations_along
from sharectl.planner.records import DEPOSED_MARK, recorded_as
from sharectl.planner.shares.steps import changes_beyond_place

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft


def plan_returns(draft: Draft, aside: list[Address]) -> None:
    """Add a step for each share in `aside` that gets its address back: the replacement was cut short before the new one was there.

    One that cannot become what its manifest says, or whose replacement is asked for, stays where it is until the new share is made.
    """
    draft.set_aside = frozenset(former.partition(DEPOSED_MARK)[0] for former in aside)
    formers: dict[Address, list[Address]] = {}
    for former in aside:
        formers.setdefault(former.partition(DEPOSED_MARK)[0], []).append(former)
    for address, found in sorted(formers.items()):
        is_taken = address in draft.records or address in draft.options.imports
        if is_taken or address not in draft.desired.digests or address in draft.options.replaces or len(found) > 1:
            continue
        seen = draft.deviations.get(found[0])
        if seen is not None and (seen.observed is None or seen.observed.trashed_at is not None):
            continue
        record, wanted = draft.records[found[0]], draft.desired.share(address)
        if not changes_beyond_place(draft, record, recorded_as(record, wanted.name), wanted):
            add_move(draft, found[0], address, "the replacement was cut short, and is not wanted any more")
    take_deviations_along(draft)
