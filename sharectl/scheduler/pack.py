"""The placement `pack`: the whole batch at once by a solver, so that as many shares as possible fit where space is tight."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from sharectl.diagnostics import error, warning
from sharectl.scheduler.batch import mutual_hints, place_greedily, placement_order
from sharectl.scheduler.decision import Decision, Outcome, RankedPool
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.errors import SchedulerConfigError
from sharectl.scheduler.limits import size_limit_diagnostics
from sharectl.scheduler.values import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.scheduler.ledger import PoolState
    from sharectl.scheduler.request import Request

    _Library = Any  # the solver is optional, so its types cannot be named

_UNITS_PER_GIB: Final = 1024
_WEIGHT_SCALE: Final = 1000
_UNBOUNDED: Final = 1 << 50
_DEFAULT_EFFORT: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Group:
    """Requests that any solution may exchange: equal but for their names, or a single one with hints."""

    places: tuple[int, ...]
    size: int
    pools: Mapping[str, RankedPool]


def place_packed(scheduler: Scheduler, requests: Sequence[Request]) -> tuple[Decision, ...]:
    """Place the requests as `place_greedily` does, or better where that leaves some out: more shares, then more GiB, then weight.

    The solver works for `settings.options["pack_effort"]` units of deterministic time (about seconds, 10 by default), on one
    thread with a fixed seed: the same input gives the same answer. Raises SchedulerConfigError where the solver is missing.
    """
    solver = _solver()
    attempt = _copy(scheduler)
    greedy = place_greedily(attempt, requests)
    if all(decision.scheduled for decision in greedy):
        return place_greedily(scheduler, requests)
    packed = _packed(_copy(scheduler), solver, requests)
    if packed is None or _worth(requests, packed) <= _worth(requests, greedy):
        return place_greedily(scheduler, requests)
    for request, decision in zip(requests, packed, strict=True):
        if decision.host is not None:
            scheduler.reserve(request, decision.host)
    return tuple(_explained(request, decision, greedy) for request, decision in zip(requests, packed, strict=True))


def _solver() -> _Library:
    try:
        return import_module("ortools.sat.python.cp_model")
    except ImportError:
        raise SchedulerConfigError(
            error(
                "scheduler.no-solver",
                "the placement algorithm pack needs a solver that is not installed",
                remedy="install sharectl[pack], or choose the algorithm manila",
            )
        ) from None


def _copy(scheduler: Scheduler) -> Scheduler:
    copied = Scheduler(scheduler.pools_after(), scheduler.settings)
    copied.ledger.hosts_of_share = dict(scheduler.ledger.hosts_of_share)
    return copied


def _worth(requests: Sequence[Request], decisions: Sequence[Decision]) -> tuple[int, float]:
    placed = [request.size_gib for request, decision in zip(requests, decisions, strict=True) if decision.scheduled]
    return len(placed), math.fsum(placed)


def _explained(request: Request, decision: Decision, greedy: Sequence[Decision]) -> Decision:
    """Say of a share that only packing refused that others took its room."""
    if decision.scheduled or size_limit_diagnostics(request):
        return decision
    alone = next(other for other in greedy if other.request_id == request.id)
    if not alone.scheduled:
        return decision
    note = warning(
        "scheduler.packed-out",
        f"share {request.id} has no place so that more other shares have one",
        detail="Packing places as many shares as possible, then as many GiB; placed one by one, this share would fit.",
        remedy="add capacity, make a share smaller, or choose the algorithm manila",
        address=f"share/{request.id}",
    )
    return replace(decision, diagnostics=(*decision.diagnostics, note))


def _packed(scheduler: Scheduler, solver: _Library, requests: Sequence[Request]) -> tuple[Decision, ...] | None:
    wishes = mutual_hints(requests)
    names = {request.id for request in requests}
    groups = _groups(scheduler, requests, wishes, names)
    hosts = _assignment(scheduler, solver, requests, groups, wishes)
    return None if hosts is None else _carried_out(scheduler, requests, wishes, hosts)


def _groups(
    scheduler: Scheduler, requests: Sequence[Request], wishes: Mapping[str, Any], names: set[str]
) -> list[_Group]:
    """Group the requests that may be placed at all, each with the pools that it could go to now."""
    members: dict[object, list[int]] = defaultdict(list)
    for place in placement_order(requests):
        request = requests[place]
        if size_limit_diagnostics(request):
            continue
        query = scheduler.query_for(request)
        alone = request.id in wishes or request.hints.only_host is not None or request.query is not None
        members[request.id if alone else (id(query.traits), request.size_gib)].append(place)
    groups = []
    for places in members.values():
        request = _without_batch(requests[places[0]], names)
        decision = scheduler.decide(request, all_candidates=True)
        pools = {pool.host: pool for pool in decision.candidates}
        groups.append(_Group(tuple(places), math.ceil(request.size_gib * _UNITS_PER_GIB), pools))
    return groups


def _without_batch(request: Request, names: set[str]) -> Request:
    """Return the request with only those hints that name shares outside the batch."""
    hints = request.hints
    return replace(
        request,
        hints=replace(
            hints,
            same_host=tuple(name for name in hints.same_host if name not in names),
            different_host=tuple(name for name in hints.different_host if name not in names),
        ),
    )


def _assignment(
    scheduler: Scheduler,
    solver: _Library,
    requests: Sequence[Request],
    groups: Sequence[_Group],
    wishes: Mapping[str, Any],
) -> dict[int, str] | None:
    """Solve, and return the host of each placed request by its place; None where the solver found nothing in its time."""
    model = solver.CpModel()
    counts: dict[tuple[int, str], Any] = {}
    for at, group in enumerate(groups):
        for host in group.pools:
            counts[at, host] = model.new_int_var(0, len(group.places), f"n{at}@{host}")
        model.add(sum(counts[at, host] for host in group.pools) <= len(group.places))
    for host, state in scheduler.ledger.by_host.items():
        _limit_pool(model, scheduler, requests, groups, counts, state, host)
    _add_hints(model, requests, groups, counts, wishes)
    whole = sum(group.size * len(group.places) for group in groups) + 1
    worth = sum(variable * (whole + groups[at].size) for (at, _), variable in counts.items())
    runner = solver.CpSolver()
    runner.parameters.num_workers = 1
    runner.parameters.random_seed = 0
    runner.parameters.max_deterministic_time = float(scheduler.settings.options.get("pack_effort", _DEFAULT_EFFORT))
    found = (solver.OPTIMAL, solver.FEASIBLE)
    model.maximize(worth)
    if runner.solve(model) not in found:
        return None
    solution = {key: runner.value(variable) for key, variable in counts.items()}
    model.add(worth >= round(runner.objective_value))
    model.clear_hints()
    for key, variable in counts.items():
        model.add_hint(variable, solution[key])
    model.maximize(
        sum(variable * round(groups[at].pools[host].weight * _WEIGHT_SCALE) for (at, host), variable in counts.items())
    )
    if runner.solve(model) in found:
        solution = {key: runner.value(variable) for key, variable in counts.items()}
    return _hosts(groups, solution)


def _hosts(groups: Sequence[_Group], solution: Mapping[tuple[int, str], int]) -> dict[int, str]:
    hosts: dict[int, str] = {}
    for at, group in enumerate(groups):
        waiting = iter(group.places)
        for host in group.pools:
            for _ in range(solution[at, host]):
                hosts[next(waiting)] = host
    return hosts


def _limit_pool(  # noqa: PLR0913, PLR0917 - the parts of the model
    model: _Library,
    scheduler: Scheduler,
    requests: Sequence[Request],
    groups: Sequence[_Group],
    counts: Mapping[tuple[int, str], Any],
    state: PoolState,
    host: str,
) -> None:
    """Bound what goes to one pool: for each way of reading its capacity, all shares together stay within that limit."""
    here = [at for at, group in enumerate(groups) if host in group.pools]
    load = sum(counts[at, host] * groups[at].size for at in here)
    for bound in {_bounds(scheduler, requests[groups[at].places[0]], state) for at in here}:
        promised, real = bound
        model.add(load <= promised)
        if real is None:
            continue
        usable, ratio = real
        spared = []
        for at in here:
            size = groups[at].size
            last = model.new_bool_var(f"last{at}@{host}{bound}")
            model.add(last <= counts[at, host])
            spared.append((last, max(0, size - math.ceil(size / ratio) - _UNITS_PER_GIB)))
        model.add(sum(last for last, _ in spared) <= 1)
        model.add(load - sum(last * spare for last, spare in spared) <= usable)


def _bounds(scheduler: Scheduler, request: Request, state: PoolState) -> tuple[int, tuple[int, float] | None]:
    """Return what may be promised on the pool and, where it is thin, its real space and ratio, in units.

    The last share of a thin pool needs only its size divided by the ratio in real space; the shares before it need all of theirs.
    """
    traits = scheduler.query_for(request).traits
    free = number(state.free)
    if free is None:
        return _UNBOUNDED, None
    total, reserved = number(state.total), float(state.reserved(traits.reserve)) / 100
    if total is None:
        return math.floor(free * _UNITS_PER_GIB), None
    usable = math.floor(free - total * reserved) * _UNITS_PER_GIB
    if not (traits.thin_logic and state.thin):
        return usable, None
    return math.floor((total * state.ratio - state.provisioned) * _UNITS_PER_GIB), (usable, float(state.ratio))


def _add_hints(
    model: _Library,
    requests: Sequence[Request],
    groups: Sequence[_Group],
    counts: Mapping[tuple[int, str], Any],
    wishes: Mapping[str, Any],
) -> None:
    """Set shares of the batch together or apart; each of these is a group of its own."""
    by_id = {requests[group.places[0]].id: at for at, group in enumerate(groups) if len(group.places) == 1}
    for name, hints in wishes.items():
        mine = by_id.get(name)
        if mine is None:
            continue
        for other in (by_id[name] for name in hints.different_host if name in by_id):
            for host in groups[mine].pools:
                if host in groups[other].pools:
                    model.add(counts[mine, host] + counts[other, host] <= 1)
        for other in (by_id[name] for name in hints.same_host if name in by_id):
            for host in groups[mine].pools:
                model.add(counts[mine, host] <= counts.get((other, host), 0))


def _carried_out(
    scheduler: Scheduler, requests: Sequence[Request], wishes: Mapping[str, Any], hosts: Mapping[int, str]
) -> tuple[Decision, ...]:
    """Reserve the solution share by share, with every filter asked again; on a pool the largest last, which may count on thin space."""
    decisions: dict[int, Decision] = {}
    order = placement_order(requests)
    for place in sorted(order, key=lambda place: (place not in hosts, requests[place].size_gib)):
        request = requests[place]
        broken = size_limit_diagnostics(request)
        if broken:
            decisions[place] = Decision(request.id, Outcome.NO_VALID_HOST, diagnostics=broken)
            continue
        decision = scheduler.decide(_placed_only(request, wishes, scheduler), all_candidates=True)
        chosen = next((pool for pool in decision.candidates if pool.host == hosts.get(place)), None)
        if chosen is None:
            last_filter = decision.last_filter or "CapacityFilter"
            decisions[place] = Decision(request.id, Outcome.NO_VALID_HOST, None, (), last_filter, decision.diagnostics)
            continue
        others = [pool for pool in decision.candidates if pool is not chosen]
        scheduler.reserve(request, chosen.host)
        candidates = (chosen, *others)[: scheduler.settings.max_attempts]
        decisions[place] = replace(decision, host=chosen.host, candidates=candidates)
    return tuple(decisions[place] for place in range(len(requests)))


def _placed_only(request: Request, wishes: Mapping[str, Any], scheduler: Scheduler) -> Request:
    """Return the request with the hints, both ways, that name shares which have their place."""
    hints = wishes.get(request.id, request.hints)
    placed = scheduler.ledger.hosts_of_share
    return replace(
        request,
        hints=replace(
            hints,
            same_host=tuple(name for name in hints.same_host if name in placed),
            different_host=tuple(name for name in hints.different_host if name in placed),
        ),
    )
