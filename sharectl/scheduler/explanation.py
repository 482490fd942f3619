"""Why a share is placed where it is, or nowhere: each pool with its refusal or weights, and the pool that came closest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sharectl.model.frozen import dataclass
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.evaluation import first_refusal, run_filters, weigh
from sharectl.scheduler.filters import Stability
from sharectl.scheduler.request import Request
from sharectl.scheduler.weighers import normalised

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.settings import SchedulerSettings
    from sharectl.model.specs import ShareTypeSpec
    from sharectl.scheduler.decision import Decision
    from sharectl.scheduler.evaluation import Problem, Stage, Weighing
    from sharectl.scheduler.pools import Pool, PoolState
    from sharectl.scheduler.request import Query


class WeightPart(NamedTuple):
    """What one weigher says of a pool: its raw value, that scaled to 0..1 among the candidates, and that times the multiplier."""

    weigher: str
    raw: float
    normalised: float
    contribution: float


class FilterStage(NamedTuple):
    """One filter's work: how many pools it left, and the hosts that it refused."""

    filter: str
    passed: int
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PoolVerdict:
    """What became of one pool: `refused_by` is the first filter that refused it, with the `reason`; else it has a `weight`.

    `refusals` counts all filters that would refuse it, had it come so far.
    """

    host: str
    backend: str
    pool: str
    refused_by: str | None = None
    reason: str = ""
    refusals: int = 0
    weight: float | None = None
    parts: tuple[WeightPart, ...] = ()

    @property
    def sentence(self) -> str:
        """`CapacityFilter: needs 100 GiB, 80.0 GiB free after 20 % reserved`, or the weight."""
        if self.refused_by is not None:
            return f"{self.refused_by}: {self.reason}"
        return f"candidate with weight {self.weight:.4f}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole story of a request: candidates first by weight, then the refused pools in their order.

    `nearest` is the refused pool that lacks least, where no pool was left.
    """

    request_id: str
    decision: Decision
    pools: tuple[PoolVerdict, ...]
    stages: tuple[FilterStage, ...]
    nearest: PoolVerdict | None
    diagnostics: tuple[Diagnostic, ...]


def explain(scheduler: Scheduler, request: Request) -> Explanation:
    """Return the explanation of what the scheduler would decide on the request now; nothing is reserved."""
    decision = scheduler.decide(request, all_candidates=True)
    query = scheduler.query_for(request)
    states = () if scheduler.attempts_used_up(request) else scheduler.states_for(request)
    filters = scheduler.filters_for(request) if states else ()
    stages, problems = run_filters(states, query, scheduler.ledger, filters)
    alive = stages[-1].passed if stages else states
    weighing, unfit = weigh(alive, query, scheduler.rules)
    refused = _refused(scheduler, query, stages, (*problems, *unfit))
    candidates = _candidates(weighing)
    nearest = None
    if refused and not decision.scheduled:
        nearest = min(refused.values(), key=lambda verdict: _distance(verdict, stages))
    return Explanation(
        request_id=request.id,
        decision=decision,
        pools=(*candidates, *refused.values()),
        stages=tuple(
            FilterStage(stage.filter.name, len(stage.passed), tuple(state.host for state in stage.removed))
            for stage in stages
        ),
        nearest=nearest,
        diagnostics=decision.diagnostics,
    )


def _refused(
    scheduler: Scheduler, query: Query, stages: Sequence[Stage], problems: Sequence[Problem]
) -> Mapping[str, PoolVerdict]:
    puzzled = {problem.state.host: problem.error for problem in problems}
    verdicts = {}
    for stage in stages:
        for state in stage.removed:
            found = puzzled.get(state.host)
            if found is not None:
                reason = found.reason
            else:
                reason = stage.stopped or stage.filter.reason(state, query, scheduler.ledger)
            verdicts[state.host] = _verdict(scheduler, query, state, stage.filter.name, reason)
    for host, problem in puzzled.items():
        if host not in verdicts:
            state = next(each for each in scheduler.states_for(query.request) if each.host == host)
            verdicts[host] = PoolVerdict(host, state.pool.backend, state.pool.name, problem.rule, problem.reason, 1)
    return verdicts


def _verdict(scheduler: Scheduler, query: Query, state: PoolState, refused_by: str, reason: str) -> PoolVerdict:
    refusals = 0
    for each in scheduler.filters_for(query.request):
        if not each.concerns(query):
            continue
        try:
            willing = each.stops(query, scheduler.ledger) is None and each.passes(state, query, scheduler.ledger)
        except UnfitValueError:
            willing = False
        refusals += not willing
    return PoolVerdict(state.host, state.pool.backend, state.pool.name, refused_by, reason, refusals)


def _candidates(weighing: Weighing) -> tuple[PoolVerdict, ...]:
    places = {state.host: place for place, state in enumerate(weighing.states)}
    scaled = {name: normalised(raw) for name, raw in weighing.raw.items()}
    verdicts = []
    for pool in weighing.ranked(None):
        place = places[pool.host]
        parts = tuple(
            WeightPart(name, raw[place], scaled[name][place], weighing.parts[name][place])
            for name, raw in weighing.raw.items()
        )
        verdicts.append(PoolVerdict(pool.host, pool.backend, pool.pool, weight=pool.weight, parts=parts))
    return tuple(verdicts)


def _distance(verdict: PoolVerdict, stages: Sequence[Stage]) -> tuple[int, int]:
    """Order refused pools by nearness: fewest refusals, then the latest first refusal."""
    names = [stage.filter.name for stage in stages]
    return verdict.refusals, -names.index(verdict.refused_by or names[0]) if verdict.refused_by in names else 0


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
