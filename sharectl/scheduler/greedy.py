"""Placing new shares one after another, in an order that is theirs alone: not the files', not the hints'."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.scheduler.decision import Decision, Outcome
from sharectl.scheduler.limits import size_limit_diagnostics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
            request = replace(request, hints=_hints_now(wishes[request.id], waiting, scheduler, wishes))
        decisions[place] = scheduler.place(request)
    return tuple(decision for decision in decisions if decision is not None)


def placement_order(requests: Sequence[Request]) -> list[int]:
    """Return the places of the requests in the order in which they are placed: the largest first, then by id.

    The largest go first because a small share still fits into what they leave, and seldom the other way round.
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
        for name in request.hints.same_host:
            if name in by_id:
                theirs = wishes.get(name, by_id[name].hints)
                wishes[name] = replace(theirs, same_host=_with(theirs.same_host, request.id))
        for name in request.hints.different_host:
            if name in by_id:
                theirs = wishes.get(name, by_id[name].hints)
                wishes[name] = replace(theirs, different_host=_with(theirs.different_host, request.id))
    return wishes


def _hints_now(
    hints: SchedulerHints, waiting: set[str], scheduler: Scheduler, batch: Mapping[str, SchedulerHints]
) -> SchedulerHints:
    """Return the hints without the shares that are still to come: their own turn will hold against this one.

    A share of the batch that found no place keeps no other away.
    """
    placed = scheduler.ledger.hosts_of_share
    return replace(
        hints,
        same_host=tuple(name for name in hints.same_host if name not in waiting),
        different_host=tuple(
            name for name in hints.different_host if name not in waiting and (name in placed or name not in batch)
        ),
    )


def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return names if name in names else (*names, name)
