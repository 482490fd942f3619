"""How snapshots are planned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.planner.kinds import KindPlanner
from sharectl.planner.shares.changes import is_awaited
from sharectl.planner.snapshots import plan_changed_snapshot, plan_new_snapshot, plan_removed_snapshot
from sharectl.planner.strays import refuse_taken_snapshot

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft


def _plan_lost(draft: Draft, address: Address) -> None:
    if not is_awaited(draft, address):
        draft.new.append(address)  # taken again when it is known where its share will be


PLANNER: Final = KindPlanner(
    refuse_taken_snapshot, plan_new_snapshot, plan_changed_snapshot, _plan_lost, plan_removed_snapshot
)
