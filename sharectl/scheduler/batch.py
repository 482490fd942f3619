"""Placing all new shares of a plan together, by the algorithm that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.scheduler.decision import Batch, Decision
from sharectl.scheduler.greedy import place_greedily

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.scheduler.engine import Scheduler
    from sharectl.scheduler.request import Request


def place_all(scheduler: Scheduler, requests: Sequence[Request]) -> tuple[Decision, ...]:
    """Place all requests with reservations and return their decisions in the order of `requests`.

    `settings.algorithm` is `manila` (greedy, the default) or `pack`, which needs the extra of that name. Requests that break a
    size limit of their type are refused and reserve nothing.
    """
    return place_batch(scheduler, requests).decisions


def place_batch(scheduler: Scheduler, requests: Sequence[Request]) -> Batch:
    """Place all requests as `place_all`, and tell what the algorithm has to say of the whole batch."""
    if scheduler.settings.algorithm == "pack":
        from sharectl.scheduler.pack import place_packed  # noqa: PLC0415 - only where it is chosen

        return place_packed(scheduler, requests)
    return Batch(place_greedily(scheduler, requests))
