"""Placing new shares one after another, in an order that depends on the shares alone, not on files or hints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sharectl.scheduler.decision import Decision, Outcome
from sharectl.scheduler.request import size_limit_diagnostics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sharectl.model.specs import SchedulerHints
    from sharectl.scheduler.engine import Scheduler
    from sharectl.scheduler.request import Request


def place_greedily(scheduler: Scheduler, requests: Sequence[Request]) -> tuple[Decision, ...]:
    """Place one request after another in `placement_order`, as Manila would if they arrived so."""
    decisions: list[Decision | None] = [None] * len(requests)
    order = placement_order(requests)
    wishes = mutual_hints(requests)
    waiting = {request.id for request in requests}
    for place in order:
        request = requests[place]
        waiting.discard(request.id)
        broken = size_limit_diagnostics(request)
        if broken:
            decisions[place] = Decision(request.id, Outcome.NO_VALID_HOST, diagnostics=broken)
            continue
        if request.id in wishes:
            request = _with_hints_now(request, wishes, waiting, scheduler.ledger.hosts_of_share)
        decisions[place] = scheduler.place(request)
    return tuple(decision for decision in decisions if decision is not None)


def placement_order(requests: Sequence[Request]) -> list[int]:
    """Return the places of the requests in the order in which they are placed: the largest first, then by id.

    The largest go first: a small share usually fits into what they leave, and seldom the other way round.
    """
    return sorted(range(len(requests)), key=lambda place: (-requests[place].needed_gib, requests[place].id))


def mutual_hints(requests: Iterable[Request]) -> Mapping[str, SchedulerHints]:
    """Return the hints of requests and, for those that another names, the same hint back.

    To be on the same or on different hosts holds both ways; so the order in which two shares are placed does not matter.
    """
    hinted = [request for request in requests if request.hints.same_host or request.hints.different_host]
    if not hinted:
        return {}
    wishes = {request.id: request.hints for request in hinted}
    by_id = {request.id: request for request in requests}
    for request in hinted:
        for hint in ("same_host", "different_host"):
            for name in getattr(request.hints, hint):
                if name in by_id:
                    theirs = wishes.get(name, by_id[name].hints)
                    both: dict[str, Any] = {hint: tuple(dict.fromkeys((*getattr(theirs, hint), request.id)))}
                    wishes[name] = replace(theirs, **both)
    return wishes


def with_hints(
    request: Request,
    hints: SchedulerHints,
    together: Callable[[str], bool],
    apart: Callable[[str], bool] | None = None,
) -> Request:
    """Return the request with those of the hints that name shares for which `together` and `apart` (by default the same) hold."""
    same_host = tuple(filter(together, hints.same_host))
    different_host = tuple(filter(apart or together, hints.different_host))
    return replace(request, hints=replace(hints, same_host=same_host, different_host=different_host))


def _with_hints_now(
    request: Request, wishes: Mapping[str, SchedulerHints], waiting: set[str], placed: Mapping[str, object]
) -> Request:
    """Return the request without hints at shares that are still to come: their own turn will hold against this one.

    A share of the batch that found no place keeps no other away.
    """
    return with_hints(
        request,
        wishes[request.id],
        lambda name: name not in waiting,
        lambda name: name not in waiting and (name in placed or name not in wishes),
    )
