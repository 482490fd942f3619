"""The plain scheduler that the engine must agree with: every filter on every pool, then every weigher, for each request anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.candidates import Candidate
from sharectl.scheduler.decision import Decision, Outcome
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.evaluation import Problem, diagnostics_of
from sharectl.scheduler.pools import Ledger
from sharectl.scheduler.registry import rules_from
from sharectl.scheduler.request import Operation, Query, traits_of
from sharectl.scheduler.weighers import fill_unknown, normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharectl.model.settings import SchedulerSettings
    from sharectl.scheduler.pools import Pool, PoolState
    from sharectl.scheduler.request import PlacedShare, Request


class ReferenceScheduler:
    """Manila's way of deciding, without any memory but the capacities."""

    def __init__(self, pools: Sequence[Pool], settings: SchedulerSettings, placed: Iterable[PlacedShare] = ()) -> None:
        """Take the usable pools."""
        self.settings = settings
        self.rules = rules_from(settings)
        self.ledger = Ledger(
            [pool for pool in pools if pool.enabled and pool.up], placed, settings.max_over_subscription_ratio
        )

    def place(self, request: Request) -> Decision:
        """Decide on a creation, and reserve it on the first candidate."""
        if not self.ledger.states:
            return Decision(request.id, Outcome.NO_HOSTS)
        decision = self._decide(request)
        if decision.host is not None:
            thin_logic = traits_of(request, self._domain(request)).thin_logic
            self.ledger.by_host[decision.host].consume(request.needed_gib, thin_logic=thin_logic)
            if request.operation is not Operation.EXTEND:
                self.ledger.settle(request.id, decision.host)
        return decision

    def _decide(self, request: Request) -> Decision:
        query = Query(request, traits_of(request, self._domain(request)), request.needed_gib)
        problems: list[Problem] = []
        alive = list(self.ledger.states)
        extends = request.operation is Operation.EXTEND
        for each in self.rules.extend_filters if extends else self.rules.filters:
            if each.concerns(query):
                stopped = each.stops(query, self.ledger) is not None
                alive = [] if stopped else [state for state in alive if self._passes(each, state, query, problems)]
            if not alive:
                return Decision(request.id, Outcome.NO_VALID_HOST, None, (), each.name, diagnostics_of(problems))
        candidates = self._weighed(alive, query)
        if extends:
            fits = any(state.host == request.target_host for state in alive)
            outcome = Outcome.SCHEDULED if fits else Outcome.NO_VALID_HOST
            host = request.target_host if fits else None
            return Decision(request.id, outcome, host, candidates, None, diagnostics_of(problems))
        return Decision(request.id, Outcome.SCHEDULED, candidates[0].host, candidates, None, diagnostics_of(problems))

    def _passes(self, each, state: PoolState, query: Query, problems: list[Problem]) -> bool:  # noqa: ANN001
        try:
            return each.passes(state, query, self.ledger)
        except UnfitValueError as problem:
            problems.append(Problem(state, problem))
            return False

    def _weighed(self, alive: list[PoolState], query: Query) -> tuple[Candidate, ...]:
        weights = [0.0] * len(alive)
        parts: list[list[tuple[str, float]]] = [[] for _ in alive]
        for weigher in self.rules.weighers:
            multiplier = self.rules.multipliers[weigher.name]
            raw = fill_unknown([weigher.raw(state, query) for state in alive], multiplier)
            shown = weigher.concerns(query, alive)
            for place, value in enumerate(normalised(raw)):
                weights[place] += multiplier * value
                if shown:
                    parts[place].append((weigher.name, multiplier * value))
        order = sorted(range(len(alive)), key=weights.__getitem__, reverse=True)[: self.settings.max_attempts]
        return tuple(
            Candidate(
                alive[place].pool.backend,
                alive[place].pool.name,
                weights[place],
                tuple(parts[place]),
            )
            for place in order
        )

    def _domain(self, request: Request) -> str | None:
        hosts = (request.active_replica_host, request.snapshot_host)
        for state in self.ledger.states:
            if state.host in hosts:
                return state.pool.capabilities.get("replication_domain")
        return None
