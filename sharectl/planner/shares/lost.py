"""Shares that are gone from their backend, and may be there all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.planner.access import ignore_list
from sharectl.planner.strays import importable_shares, places_of, ways_back
from sharectl.state.rows import share_spec_of

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft


def refuse_what_may_be_renamed(draft: Draft, address: Address) -> bool:
    """Tell whether a share that is gone from its backend may be made again, empty; refuse it if it may be there under another name.

    That is so where the backend holds storage which nobody knows, and which is as large or does not say how large it is.
    """
    record = draft.records[address]
    backend = record.backend or ""
    seen = draft.observed.get(backend)
    if seen is None or len(draft.recreations) < draft.options.allow_recreations:
        return True
    ignored, size = ignore_list(draft, backend), share_spec_of(record).size_bytes
    found = [
        (backend, share)
        for share in importable_shares(draft.known_ids, seen)
        if share.trashed_at is None and share.size_bytes in {None, size} and not ignored.covers_share(share.backend_id)
    ]
    if not found:
        return True
    draft.refuse(
        "share.lost-or-renamed",
        address,
        f"{address} is gone from backend {backend}, and may be there under another name: {places_of(found)}",
        detail="the state does not know that storage, and the share would be made again, empty.",
        remedy=(
            f"if that is the share, undo there what was changed of its name and its mark, or {ways_back(draft, address, *found[0])}; "
            "if it is not, pass --allow-recreations with the number of shares to make again"
        ),
    )
    return False
