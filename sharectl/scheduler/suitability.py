"""Which pools the shares of a type may use at all, regardless of their free space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.evaluation import first_refusal
from sharectl.scheduler.filters import Stability
from sharectl.scheduler.request import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.settings import SchedulerSettings
    from sharectl.model.specs import ShareTypeSpec
    from sharectl.scheduler.pools import Pool


def suitable_pools(pools: Sequence[Pool], settings: SchedulerSettings, share_type: ShareTypeSpec) -> tuple[Pool, ...]:
    """Return the pools that no filter refuses for what the type asks; filters that look at the single share are not asked."""
    scheduler = Scheduler(pools, settings)
    request = Request(share_type.name, 0, extra_specs=share_type.extra_specs)
    query = scheduler.query_for(request)
    lasting = [each for each in scheduler.filters_for(request) if each.stability is Stability.FIXED]
    states = scheduler.ledger.by_host
    return tuple(
        pool
        for pool in pools
        if pool.host in states and first_refusal(states[pool.host], query, scheduler.ledger, lasting)[0] is None
    )
