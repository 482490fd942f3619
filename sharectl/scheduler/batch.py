"""Placing all new shares of a plan together: one by one as Manila would, or by a solver, so that as many as possible fit where space is tight."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.diagnostics import Diagnostic, Severity, warning
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import Kind, address_of
from sharectl.scheduler.decision import Batch, Decision, Outcome
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.errors import SchedulerConfigError
from sharectl.scheduler.greedy import mutual_hints, place_greedily, placement_order, with_hints
from sharectl.scheduler.registry import no_solver
from sharectl.scheduler.request import size_limit_diagnostics
from sharectl.scheduler.values import format_gib, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.model.candidates import Candidate
    from sharectl.scheduler.pools import PoolState
    from sharectl.scheduler.request import Request

    _Library = Any  # the solver is optional, so its types cannot be named

_UNITS_PER_GIB: Final = 1024
_WEIGHT_SCALE: Final = 1000
_UNBOUNDED: Final = 1 << 50
_LEAST_PART_FOR_WEIGHT: Final = 0.1
"""The least part of the effort that the search for the most weight gets."""


def place_batch(scheduler: Scheduler, requests: Sequence[Request]) -> Batch:
    """Place all requests with reservations; the decisions are in their order, beside what there is to say of the whole batch.

    `settings.algorithm` is `manila` (greedy, the default) or `pack`, which needs the extra of that name. Requests that break a
    size limit of their type are refused and reserve nothing.
    """
    if scheduler.settings.algorithm == "pack":
        return place_packed(scheduler, requests)
    return Batch(place_greedily(scheduler, requests))


def place_packed(scheduler: Scheduler, requests: Sequence[Request]) -> Batch:
    """Place the requests as `place_greedily` does, or better where that leaves some out: more shares, then more GiB, then weight.

    The solver works for `settings.pack.effort` units of counted work, on one thread with a fixed seed: the same input gives the
    same answer. A batch with more than `settings.pack.max_choices` choices is left as the greedy way has it, with a warning.
    Raises SchedulerConfigError where the solver is missing.
    """
    try:
        solver = import_module("ortools.sat.python.cp_model")
    except ImportError:
        raise SchedulerConfigError(no_solver()) from None
    greedy = place_greedily(_copy(scheduler), requests)
    if all(decision.scheduled for decision in greedy):
        return Batch(_reserved(scheduler, requests, greedy))
    packing = _Packing(_copy(scheduler), solver, requests)
    if packing.is_too_large:
        too_large = _too_large(len(requests), scheduler.settings.pack.max_choices)
        return Batch(_reserved(scheduler, requests, greedy), (too_large,))
    packed = packing.decisions(greedy)
    before = _worth(requests, greedy)
    if packed is None or _worth(requests, packed) <= before:
        return Batch(_reserved(scheduler, requests, greedy), (_packed(requests, before, None),))
    alone = {decision.request_id: decision for decision in greedy}
    explained = tuple(
        _explained(request, decision, alone[request.id]) for request, decision in zip(requests, packed, strict=True)
    )
    return Batch(_reserved(scheduler, requests, explained), (_packed(requests, before, _worth(requests, packed)),))


def _copy(scheduler: Scheduler) -> Scheduler:
    copied = Scheduler(scheduler.pools_after(), scheduler.settings)
    copied.ledger.hosts_of_share = dict(scheduler.ledger.hosts_of_share)
    return copied


def _reserved(scheduler: Scheduler, requests: Sequence[Request], decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """Reserve what was decided on a copy."""
    for place in placement_order(requests):
        host = decisions[place].host
        if host is not None:
            scheduler.reserve(requests[place], host)
    return tuple(decisions)


def _worth(requests: Sequence[Request], decisions: Sequence[Decision]) -> tuple[int, float]:
    placed = [request.size_gib for request, decision in zip(requests, decisions, strict=True) if decision.scheduled]
    return len(placed), math.fsum(placed)


def _packed(requests: Sequence[Request], before: tuple[int, float], after: tuple[int, float] | None) -> Diagnostic:
    """Say what packing gained, or that it gained nothing."""
    summary = f"packing found no better way than one by one: {before[0]} of {len(requests)} new shares have a place"
    detail = ""
    if after is not None:
        summary = f"packing found a place for {after[0]} of {len(requests)} new shares ({format_gib(after[1])})"
        detail = f"Placed one by one, {before[0]} would have one ({format_gib(before[1])})."
    return Diagnostic(Severity.NOTE, "scheduler.packed", summary, detail)


def _too_large(shares: int, choices: int) -> Diagnostic:
    return warning(
        "scheduler.pack-too-large",
        f"the {shares} new shares were placed one by one: more than {choices} choices are too many to pack",
        detail="Space is short, and packing might have found a place for more of them.",
        remedy="raise scheduler.pack.maxChoices, or apply fewer new shares at once",
    )


def _explained(request: Request, decision: Decision, alone: Decision) -> Decision:
    """Say of a share that only packing refused that others took its room."""
    if decision.scheduled or not alone.scheduled:
        return decision
    left_out = warning(
        "scheduler.packed-out",
        f"share {request.id} has no place so that more other shares have one",
        detail="Packing places as many shares as possible, then as many GiB; placed one by one, this share would fit.",
        remedy="add capacity, make a share smaller, or choose the algorithm manila",
        address=address_of(Kind.SHARE, request.id),
    )
    return replace(decision, diagnostics=(*decision.diagnostics, left_out))


@dataclass(frozen=True, slots=True)
class _Group:
    """Requests that any solution may exchange: equal but for their names, or a single one with hints."""

    places: tuple[int, ...]
    size: int
    pools: Mapping[str, Candidate]


class _Packing:
    """A batch as a problem for the solver: how many shares of each group go to each of its pools."""

    def __init__(self, scheduler: Scheduler, solver: _Library, requests: Sequence[Request]) -> None:
        self._scheduler = scheduler
        self._solver = solver
        self._requests = requests
        self._wishes = mutual_hints(requests)
        self._groups: list[_Group] = []
        self.is_too_large = not self._gather()
        self._model = solver.CpModel()
        self._counts: dict[tuple[int, str], Any] = {}

    def decisions(self, greedy: Sequence[Decision]) -> tuple[Decision, ...] | None:
        """Return what the solver makes of the batch, beginning with the greedy decisions; None where it found nothing in its time."""
        for at, group in enumerate(self._groups):
            for host in group.pools:
                self._counts[at, host] = self._model.new_int_var(0, len(group.places), f"n{at}@{host}")
            self._model.add(sum(self._counts[at, host] for host in group.pools) <= len(group.places))
        for host, state in self._scheduler.ledger.by_host.items():
            self._limit_pool(host, state)
        self._add_hints()
        solution = self._solution(greedy)
        return None if solution is None else self._carried_out(self._hosts(solution))

    def _gather(self) -> bool:
        """Group the requests that may be placed at all, each with the pools that it could go to now; return False if these are too many choices."""
        scheduler, requests = self._scheduler, self._requests
        names = {request.id for request in requests}
        members: dict[object, list[int]] = defaultdict(list)
        for place in placement_order(requests):
            request = requests[place]
            if size_limit_diagnostics(request):
                continue
            query = scheduler.query_for(request)
            alone = request.id in self._wishes or request.hints.only_host is not None or request.query is not None
            alone = alone or bool(request.unfit)
            members[request.id if alone else (id(query.traits), request.size_gib)].append(place)
        choices = 0
        for places in members.values():
            first = requests[places[0]]
            request = with_hints(first, first.hints, lambda name: name not in names)
            decision = scheduler.decide(request, all_candidates=True)
            pools = {pool.host: pool for pool in decision.candidates}
            self._groups.append(_Group(tuple(places), math.ceil(request.size_gib * _UNITS_PER_GIB), pools))
            choices += len(pools)
            if choices > scheduler.settings.pack.max_choices:
                return False
        return True

    def _limit_pool(self, host: str, state: PoolState) -> None:
        """Bound what goes to one pool: for each way of reading its capacity, all shares together stay within that limit."""
        model, counts, groups = self._model, self._counts, self._groups
        here = [at for at, group in enumerate(groups) if host in group.pools]
        load = sum(counts[at, host] * groups[at].size for at in here)
        for bound in {self._bounds(self._requests[groups[at].places[0]], state) for at in here}:
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

    def _bounds(self, request: Request, state: PoolState) -> tuple[int, tuple[int, float] | None]:
        """Return what may be promised on the pool and, where it is thin, its real space and ratio, in units.

        The last share of a thin pool needs only its size divided by the ratio in real space; the shares before it need all of
        theirs, but on a pool that counts bytes no share takes any.
        """
        traits = self._scheduler.query_for(request).traits
        free = number(state.free)
        if free is None:
            return _UNBOUNDED, None
        total, reserved = number(state.total), float(state.reserved(traits.reserve)) / 100
        if total is None:
            return math.floor(free * _UNITS_PER_GIB), None
        spare = free - total * reserved
        usable = math.floor(spare * _UNITS_PER_GIB) if state.counts_bytes else math.floor(spare) * _UNITS_PER_GIB
        if not (traits.thin_logic and state.thin):
            return usable, None
        promised = math.floor((total * state.ratio - state.provisioned) * _UNITS_PER_GIB)
        return promised, None if state.counts_bytes else (usable, float(state.ratio))

    def _add_hints(self) -> None:
        """Set shares of the batch together or apart; each of these is a group of its own."""
        groups, counts = self._groups, self._counts
        by_id = {self._requests[group.places[0]].id: at for at, group in enumerate(groups) if len(group.places) == 1}
        for name, hints in self._wishes.items():
            mine = by_id.get(name)
            if mine is None:
                continue
            for other in (by_id[name] for name in hints.different_host if name in by_id):
                for host in groups[mine].pools:
                    if host in groups[other].pools:
                        self._model.add(counts[mine, host] + counts[other, host] <= 1)
            for other in (by_id[name] for name in hints.same_host if name in by_id):
                for host in groups[mine].pools:
                    self._model.add(counts[mine, host] <= counts.get((other, host), 0))

    def _solution(self, greedy: Sequence[Decision]) -> dict[tuple[int, str], int] | None:
        """Solve: first as many shares as possible, then as many GiB; with what is left of the effort, the same with the most weight."""
        groups, counts, model = self._groups, self._counts, self._model
        whole = sum(group.size * len(group.places) for group in groups) + 1
        worth = sum(variable * (whole + groups[at].size) for (at, _), variable in counts.items())
        effort = self._scheduler.settings.pack.effort
        found = (self._solver.OPTIMAL, self._solver.FEASIBLE)
        self._begin_with(self._counted(greedy))
        model.maximize(worth)
        runner = self._runner(effort)
        if runner.solve(model) not in found:
            return None
        solution = {key: runner.value(variable) for key, variable in counts.items()}
        model.add(worth >= round(runner.objective_value))
        model.clear_hints()
        self._begin_with(solution)
        weights = {(at, pool.host): pool.weight for at, group in enumerate(groups) for pool in group.pools.values()}
        model.maximize(sum(variable * round(weights[key] * _WEIGHT_SCALE) for key, variable in counts.items()))
        spent = runner.response_proto.deterministic_time
        runner = self._runner(max(effort - spent, effort * _LEAST_PART_FOR_WEIGHT))
        if runner.solve(model) in found:
            solution = {key: runner.value(variable) for key, variable in counts.items()}
        return solution

    def _runner(self, effort: float) -> _Library:
        runner = self._solver.CpSolver()
        runner.parameters.num_workers = 1
        runner.parameters.random_seed = 0
        runner.parameters.max_deterministic_time = effort
        return runner

    def _begin_with(self, solution: Mapping[tuple[int, str], int]) -> None:
        for key, variable in self._counts.items():
            self._model.add_hint(variable, solution.get(key, 0))

    def _counted(self, decisions: Sequence[Decision]) -> dict[tuple[int, str], int]:
        """Return how many shares of each group the decisions have on each pool."""
        found: dict[tuple[int, str], int] = defaultdict(int)
        for at, group in enumerate(self._groups):
            for place in group.places:
                host = decisions[place].host
                if host is not None and (at, host) in self._counts:
                    found[at, host] += 1
        return found

    def _hosts(self, solution: Mapping[tuple[int, str], int]) -> dict[int, str]:
        """Return the host of each placed request by its place."""
        hosts: dict[int, str] = {}
        for at, group in enumerate(self._groups):
            waiting = iter(group.places)
            for host in group.pools:
                for _ in range(solution[at, host]):
                    hosts[next(waiting)] = host
        return hosts

    def _carried_out(self, hosts: Mapping[int, str]) -> tuple[Decision, ...]:
        """Reserve the solution share by share, with every filter asked again; on a pool the largest last, which may count on thin space."""
        scheduler, requests = self._scheduler, self._requests
        placed = scheduler.ledger.hosts_of_share
        decisions: dict[int, Decision] = {}
        group_of = {place: group for group in self._groups for place in group.places}
        order = placement_order(requests)
        for place in sorted(order, key=lambda place: (place not in hosts, requests[place].size_gib)):
            request = requests[place]
            broken = size_limit_diagnostics(request)
            if broken:
                decisions[place] = Decision(request.id, Outcome.NO_VALID_HOST, diagnostics=broken)
                continue
            asked = with_hints(request, self._wishes.get(request.id, request.hints), placed.__contains__)
            decision = scheduler.decide(asked)
            host = hosts.get(place)
            if host is None or scheduler.refusal(asked, host) is not None:
                last = decision.last_filter or "CapacityFilter"
                decisions[place] = Decision(request.id, Outcome.NO_VALID_HOST, None, (), last, decision.diagnostics)
                continue
            chosen = next((pool for pool in decision.candidates if pool.host == host), group_of[place].pools[host])
            others = [pool for pool in decision.candidates if pool.host != host]
            scheduler.reserve(request, host)
            candidates = (chosen, *others)[: scheduler.settings.max_attempts]
            decisions[place] = replace(decision, outcome=Outcome.SCHEDULED, host=host, candidates=candidates)
        return tuple(decisions[place] for place in range(len(requests)))
