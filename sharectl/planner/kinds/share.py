"""How shares are planned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.kinds import Kind, address_of
from sharectl.planner.kinds import KindPlanner
from sharectl.planner.shares.changes import hold_for_snapshot
from sharectl.planner.shares.lost import refuse_what_may_be_renamed
from sharectl.planner.shares.metadata import plan_metadata
from sharectl.planner.shares.steps import plan_changed_share, plan_lost_share, plan_removed_share
from sharectl.planner.strays import refuse_taken_name, refuse_unfinished_import
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft


def _leave_to_placement(draft: Draft, address: Address) -> None:
    """Plan nothing for a new share by itself: all of them are placed together."""


def _plan_changed(draft: Draft, address: Address) -> None:
    if plan_metadata(draft, address):
        return
    plan_changed_share(draft, address)
    if address in draft.replaced:
        draft.new.append(address)


def _plan_lost(draft: Draft, address: Address) -> None:
    """Plan a vanished share in its own place, or, where that would be the wrong one, with the new shares.

    It is the wrong one for a clone whose snapshot will not be there, and for a share that is to be on another network now. A share
    that is listed under its name all the same (put back from a copy, by hand) is not made beside that, nor one that may be there
    under another name.
    """
    checks = refuse_unfinished_import, refuse_taken_name, refuse_what_may_be_renamed
    if not all(may_be_made(draft, address) for may_be_made in checks):
        return
    wanted, record = draft.desired.share(address), draft.records[address]
    source = wanted.source_snapshot
    if source is not None and hold_for_snapshot(draft, address, address_of(Kind.SNAPSHOT, source)):
        return
    snapshot = None if source is None else draft.records.get(address_of(Kind.SNAPSHOT, source))
    near_source = source is None or (snapshot is not None and snapshot.backend == record.backend)
    if near_source and spec_object_of(record).get("share_network") == wanted.share_network:
        plan_lost_share(draft, address)
    else:
        draft.recreations.append(address)
        draft.new.append(address)


PLANNER: Final = KindPlanner(refuse_taken_name, _leave_to_placement, _plan_changed, _plan_lost, plan_removed_share)
