"""What the placement of one share looked like in a plan: the pools at its turn, and why each would take it or not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sharectl import scheduler as scheduling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.scheduler import Explanation, PlacedShare, Pool, Request, Scheduler


@dataclass(slots=True)
class Witness:
    """Watches the placement of the share called `name`, and changes nothing of it.

    `explanation` is None until its turn comes. `after` counts the other new shares whose places were reserved before. `pools` are
    those that the backends have reported for the plan.
    """

    name: str
    explanation: Explanation | None = None
    after: int = 0
    pools: tuple[Pool, ...] = ()

    def look(
        self, scheduler: Scheduler, requests: Sequence[Request], placed: Sequence[PlacedShare], already: int
    ) -> None:
        """See what is about to be placed together, after the `already` new shares that are in the scheduler's account."""
        wanted = next((request for request in requests if request.id == self.name), None)
        if wanted is None:
            return
        ahead = _placed_before(scheduler, requests, wanted)
        if ahead:
            scheduler = scheduling.Scheduler(scheduler.pools_after(), scheduler.settings, placed)
            scheduling.place_all(scheduler, ahead)
        later = {request.id for request in requests} - {request.id for request in ahead}
        self.explanation = scheduling.explain(scheduler, _without_hints_at(wanted, later))
        self.after = already + len(ahead)


def _placed_before(scheduler: Scheduler, requests: Sequence[Request], wanted: Request) -> list[Request]:
    """Return those that have their turn before; packing places all of them together."""
    if scheduler.settings.algorithm != "manila":
        return [request for request in requests if request is not wanted]
    ordered = [requests[place] for place in scheduling.placement_order(requests)]
    return ordered[: ordered.index(wanted)]


def _without_hints_at(request: Request, later: set[str]) -> Request:
    """Return the request without hints at new shares whose turn comes later: these keep to them then."""
    hints = request.hints
    same, different = (
        tuple(name for name in names if name not in later) for names in (hints.same_host, hints.different_host)
    )
    return replace(request, hints=replace(hints, same_host=same, different_host=different))
