"""The scheduler: Manila's greedy decisions for one request after another, each at a cost that hardly grows with the pools.

Requests fall into classes of equal traits. What cannot change is judged once for a class; capacities are kept in rankings that
follow each reservation; only what is left is evaluated for the single request. Decisions are those of the plain evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.scheduler.decision import Decision, Outcome
from sharectl.scheduler.evaluation import diagnostics_of, first_refusal, run_filters, weigh
from sharectl.scheduler.fast.quick import FastPath, RequestClass, decide_quickly
from sharectl.scheduler.filters import DRIVER_CHECK
from sharectl.scheduler.pools import Ledger
from sharectl.scheduler.registry import rules_from
from sharectl.scheduler.request import Operation, Query, traits_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from sharectl.model.settings import SchedulerSettings
    from sharectl.scheduler.filters import Filter
    from sharectl.scheduler.pools import Pool, PoolState
    from sharectl.scheduler.request import PlacedShare, Request

_DECIDED_BY_TARGET: Final = (Operation.EXTEND, Operation.MANAGE, Operation.MIGRATE)


class Scheduler:
    """Places requests on pools and keeps account of what is placed. Pools are tried in the given order where weights are equal."""

    def __init__(self, pools: Sequence[Pool], settings: SchedulerSettings, placed: Iterable[PlacedShare] = ()) -> None:
        """Take the pools as reported (the shares in `placed` are in their figures) and the chosen rules.

        Raises SchedulerConfigError for an unknown filter or weigher, and for a number out of range.
        """
        self.settings = settings
        self.rules = rules_from(settings)
        self._all_pools = tuple(pools)
        usable = [pool for pool in pools if pool.enabled and pool.up]
        self.ledger = Ledger(usable, placed, settings.max_over_subscription_ratio)
        self._with_disabled: Ledger | None = None
        self._path = FastPath(self.ledger)
        self._classes: dict[Hashable, RequestClass] = {}
        self._specs: dict[int, tuple[Mapping[str, str], int]] = {}
        self._spec_numbers: dict[Hashable, int] = {}

    def place(self, request: Request, *, all_candidates: bool = False) -> Decision:
        """Decide on the request and reserve its size on the first candidate.

        At most `max_attempts` candidates are returned unless `all_candidates` are asked for. For an extension, adoption or
        migration the question is whether `target_host` can take it; an extension reserves its growth, an adoption nothing.
        """
        decision = self.decide(request, all_candidates=all_candidates)
        if decision.host is not None:
            self.reserve(request, decision.host)
        return decision

    def reserve(self, request: Request, host: str) -> None:
        """Reserve what the request needs on `host`, and note that the share is there."""
        if request.operation is not Operation.MANAGE:
            self.consume(host, request.needed_gib, thin_logic=self.query_for(request).traits.thin_logic)
        if request.operation is not Operation.EXTEND:
            self.ledger.settle(request.id, host)

    def decide(self, request: Request, *, all_candidates: bool = False) -> Decision:
        """Decide on the request as `place`, reserving nothing."""
        if not self._all_pools:
            return Decision(request.id, Outcome.NO_HOSTS)
        if self.attempts_used_up(request):
            return Decision(request.id, Outcome.NO_VALID_HOST)
        states = self.states_for(request)
        if not states:
            return Decision(request.id, Outcome.NO_HOSTS)
        query, known = self._classified(request)
        if not all_candidates and states is self.ledger.states and request.operation not in _DECIDED_BY_TARGET:
            decision = decide_quickly(query, known, self.ledger, self.settings.max_attempts)
            if decision is not None:
                return decision
        return self._decide_plainly(query, states, all_candidates=all_candidates)

    def refusal(self, request: Request, host: str) -> str | None:
        """Return why this one pool would not take the request now (`CapacityFilter: needs …`); None where it would."""
        state = self.ledger.by_host.get(host)
        if state is None:
            return f"there is no usable pool {host}"
        query, filters = self.query_for(request), self.filters_for(request)
        stopped = ((each, each.stops(query, self.ledger)) for each in filters if each.concerns(query))
        reason = next((f"{each.name}: {why}" for each, why in stopped if why is not None), None)
        if reason is not None:
            return reason
        place, problem = first_refusal(state, query, self.ledger, filters)
        if place is None:
            return None
        why = filters[place].reason(state, query, self.ledger) if problem is None else problem.error.reason
        return f"{filters[place].name}: {why}"

    def query_for(self, request: Request) -> Query:
        """Return the request as filters and weighers see it."""
        return self._classified(request)[0]

    def filters_for(self, request: Request) -> tuple[Filter, ...]:
        """Return the filters that judge the request: an extension has a shorter list than all others."""
        filters = self.rules.extend_filters if request.operation is Operation.EXTEND else self.rules.filters
        return (DRIVER_CHECK, *filters) if request.unfit else filters

    def states_for(self, request: Request) -> tuple[PoolState, ...]:
        """Return the pools that the request may see: an administrator who names the host sees disabled ones too."""
        if not (request.is_admin and request.hints.only_host):
            return self.ledger.states
        return self._ledger_with_disabled().states

    def consume(self, host: str, size_gib: float, *, thin_logic: bool = True) -> None:
        """Reserve `size_gib` on `host` (give it back where negative); an unknown host is ignored. `thin_logic` is the share type's."""
        state = (self._with_disabled or self.ledger).by_host.get(host)
        if state is None:
            return
        state.consume(size_gib, thin_logic=thin_logic)
        if self.ledger.by_host.get(host) is state:
            self._path.follow(state)

    def pools_after(self) -> tuple[Pool, ...]:
        """Return all pools with the capacities as they are now."""
        states = (self._with_disabled or self.ledger).by_host
        return tuple(states[pool.host].current() if pool.host in states else pool for pool in self._all_pools)

    def _ledger_with_disabled(self) -> Ledger:
        if len(self.ledger.states) == sum(pool.up for pool in self._all_pools):
            return self.ledger
        if self._with_disabled is None:
            usable = sorted((pool for pool in self._all_pools if pool.up), key=lambda pool: not pool.enabled)
            ledger = Ledger(usable, (), self.settings.max_over_subscription_ratio)
            ledger.states = tuple(self.ledger.by_host.get(state.host, state) for state in ledger.states)
            ledger.by_host = {state.host: state for state in ledger.states}
            self._with_disabled = ledger
        return self._with_disabled

    def attempts_used_up(self, request: Request) -> bool:
        """Tell whether the request was tried `max_attempts` times already."""
        limit = self.settings.max_attempts
        return limit > 1 and request.retry is not None and request.retry.attempts + 1 > limit

    def _classified(self, request: Request) -> tuple[Query, RequestClass]:
        key = (
            self._spec_number(request.extra_specs),
            request.share_proto,
            request.server_mode,
            request.availability_zone,
            request.operation is Operation.EXTEND,
            request.snapshot_id is None,
            request.snapshot_host,
            request.snapshot_availability_zone,
            request.active_replica_host,
            request.all_replica_hosts,
            tuple(request.group_specs.items()) if request.group_specs else None,
            bool(request.unfit),
        )
        known = self._classes.get(key)
        if known is None:
            known = self._classes[key] = self._new_class(request)
        return Query(request, known.traits, request.needed_gib), known

    def _spec_number(self, specs: Mapping[str, str]) -> int:
        """Return a number for equal extra specs; the mapping is kept so that its id is not reused."""
        seen = self._specs.get(id(specs))
        if seen is not None:
            return seen[1]
        found = self._spec_numbers.setdefault(tuple(specs.items()), len(self._spec_numbers))
        self._specs[id(specs)] = (specs, found)
        return found

    def _new_class(self, request: Request) -> RequestClass:
        domain = None
        if request.active_replica_host or request.snapshot_host:
            allowed = (request.active_replica_host, request.snapshot_host)
            source = next((state for state in self.ledger.states if state.host in allowed), None)
            domain = source.pool.capabilities.get("replication_domain") if source is not None else None
        traits = traits_of(request, domain)
        query = Query(request, traits, request.needed_gib)
        return RequestClass(query, self.filters_for(request), self.rules, self._path)

    def _decide_plainly(self, query: Query, states: Sequence[PoolState], *, all_candidates: bool) -> Decision:
        """Decide by every filter on every pool."""
        request = query.request
        stages, problems = run_filters(states, query, self.ledger, self.filters_for(request))
        alive = stages[-1].passed if stages else tuple(states)
        if not alive:
            last = stages[-1].filter.name
            return Decision(request.id, Outcome.NO_VALID_HOST, None, (), last, diagnostics_of(problems))
        weighing, unfit = weigh(alive, query, self.rules)
        problems += unfit
        if not weighing.states:
            return Decision(request.id, Outcome.NO_VALID_HOST, diagnostics=diagnostics_of(problems))
        candidates = weighing.ranked(None if all_candidates else self.settings.max_attempts)
        host: str | None = candidates[0].host
        if request.operation in _DECIDED_BY_TARGET:
            host = request.target_host if any(state.host == request.target_host for state in weighing.states) else None
        outcome = Outcome.NO_VALID_HOST if host is None else Outcome.SCHEDULED
        return Decision(request.id, outcome, host, candidates, None, diagnostics_of(problems))
