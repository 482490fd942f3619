"""Manila's filters, each a row of a table: how it judges one pool for one request, and why it refused."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from sharectl.model.diagnostics import did_you_mean
from sharectl.model.frozen import dataclass
from sharectl.scheduler import capacity
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.expressions import ExpressionError, compile_expression
from sharectl.scheduler.json_query import QueryError, parse_query, query_holds
from sharectl.scheduler.pools import CHANGING_STATS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.model.specs import SchedulerHints
    from sharectl.scheduler.expressions import Namespaces
    from sharectl.scheduler.pools import Ledger, PoolState
    from sharectl.scheduler.request import Query, Request


class Stability(Enum):
    """What a filter's verdict on a pool can change with; the engine keeps verdicts for as long as they hold.

    FIXED: never, for requests of equal traits. CAPACITY: with the size and the pool's capacities, as the built-in CapacityFilter.
    REQUEST: with the request itself. POOL: with the size, the share and the pool's capacities (pool functions).
    """

    FIXED = "fixed"
    CAPACITY = "capacity"
    REQUEST = "request"
    POOL = "pool"


class HostChoice(NamedTuple):
    """The hosts that a request's hints leave: `only` these (None: all), and `never` those."""

    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()


class Filter(Protocol):
    """What every filter meets; an entry point of the group `sharectl.scheduler.filters` names one such object.

    One of stability REQUEST whose verdict depends on nothing but the host may also have `hosts(query, ledger)`, which returns a
    HostChoice, so that few pools are examined; it is called only if the filter concerns the request and does not stop it.
    """

    @property
    def name(self) -> str:
        """The name in `sharectl.yaml` and in explanations."""
        ...

    @property
    def stability(self) -> Stability:
        """What the verdict can change with; REQUEST is always right, and the slowest."""
        ...

    def concerns(self, query: Query, /) -> bool:
        """Tell whether the filter applies to this request; if not, every pool passes."""
        ...

    def stops(self, query: Query, ledger: Ledger, /) -> str | None:
        """Return why no pool at all can take the request, else None."""
        ...

    def passes(self, state: PoolState, query: Query, ledger: Ledger, /) -> bool:
        """Judge one pool; raises UnfitValueError for a value with which it cannot be judged."""
        ...

    def reason(self, state: PoolState, query: Query, ledger: Ledger, /) -> str:
        """Say, with figures and without the filter's name, why a pool that did not pass was refused."""
        ...


class BaseFilter:
    """A filter that concerns every request and never stops one as a whole; a base for your own."""

    name = ""
    stability = Stability.REQUEST

    def concerns(self, _query: Query, /) -> bool:
        """Concern every request."""
        return True

    def stops(self, _query: Query, _ledger: Ledger, /) -> str | None:
        """Stop none."""
        return None


_ANYTHING: Final = BaseFilter()
_CONSISTENT: Final = "consistent_snapshot_support"


@dataclass(frozen=True, slots=True)
class BuiltInFilter:
    """A filter of Manila's, by its parts."""

    name: str
    stability: Stability
    passes: Callable[[PoolState, Query, Ledger], bool]
    reason: Callable[[PoolState, Query, Ledger], str]
    concerns: Callable[[Query], bool] = _ANYTHING.concerns
    stops: Callable[[Query, Ledger], str | None] = _ANYTHING.stops
    hosts: Callable[[Query, Ledger], HostChoice] | None = None


def _is_in_zone(state: PoolState, query: Query, _ledger: Ledger) -> bool:
    zone, traits = state.pool.availability_zone, query.traits
    if traits.availability_zone is not None and zone != traits.availability_zone:
        return False
    return not traits.availability_zones or zone in traits.availability_zones


def _zones(state: PoolState, query: Query, _ledger: Ledger) -> str:
    zone = state.pool.availability_zone or "no availability zone"
    wanted = query.traits.availability_zone
    if wanted is not None and wanted != state.pool.availability_zone:
        return f"in {zone}, the share asks for {wanted}"
    return f"in {zone}, the share type allows {', '.join(sorted(query.traits.availability_zones))}"


def _shortage(state: PoolState, query: Query, _ledger: Ledger) -> str:
    try:
        return capacity.shortage(state, query.size_gib, query.traits)
    except UnfitValueError as problem:
        return problem.reason


def _is_capable(state: PoolState, query: Query, _ledger: Ledger) -> bool:
    report = state.pool.capabilities
    if query.traits.needs_qos_type and not report.get("qos_type_support", False):
        return False
    return all(requirement.met_by(report) for requirement in query.traits.requirements)


def _lacking(state: PoolState, query: Query, _ledger: Ledger) -> str:
    """Name the first extra spec that does not hold, and what the pool has instead."""
    report = state.pool.capabilities
    if query.traits.needs_qos_type and not report.get("qos_type_support", False):
        return "the type has a default_qos_type, the pool has no qos_type_support"
    failed = next(wanted for wanted in query.traits.requirements if not wanted.met_by(report))
    found = failed.find(report)
    near = did_you_mean(failed.key.rpartition(":")[2], sorted(report)) if found is None else ""
    missing = f"the pool has no such capability{f'; {near}' if near else ''}"
    shown = ", ".join(map(repr, found)) if isinstance(found, list) else repr(found)
    return f"extra spec {failed.key} = {failed.wanted!r}, {missing if found is None else f'the pool has {shown}'}"


def _is_taken_by_function(state: PoolState, query: Query, _ledger: Ledger) -> bool:
    text = state.pool.capabilities.get("filter_function")
    try:
        return text is None or bool(evaluate_function(str(text), state, query))
    except ExpressionError:
        return False


def _function_value(state: PoolState, query: Query, _ledger: Ledger) -> str:
    text = str(state.pool.capabilities.get("filter_function"))
    try:
        return f"filter_function {text!r} is {evaluate_function(text, state, query)}"
    except ExpressionError as problem:
        return f"filter_function {problem}"


def _may_replicate(state: PoolState, query: Query, _ledger: Ledger) -> bool:
    domain = state.pool.capabilities.get("replication_domain")
    if domain is None or query.request.active_replica_host is None:
        return domain is not None
    return domain == query.traits.replication_domain and state.host not in query.request.all_replica_hosts


def _domains(state: PoolState, query: Query, _ledger: Ledger) -> str:
    domain = state.pool.capabilities.get("replication_domain")
    if domain is None:
        return "the pool has no replication_domain"
    if domain != query.traits.replication_domain:
        return f"replication_domain {domain}, the active replica is in {query.traits.replication_domain}"
    return "the pool holds a replica of the share already"


def _is_near_snapshot(state: PoolState, query: Query, _ledger: Ledger) -> bool:
    if state.pool.backend_host == (query.request.snapshot_host or "").partition("#")[0]:
        return True
    domain = query.traits.replication_domain
    return bool(domain) and domain == state.pool.capabilities.get("replication_domain")


def _tried(query: Query) -> tuple[str, ...]:
    return () if query.request.retry is None else query.request.retry.hosts


def _without_place(of: Callable[[SchedulerHints], tuple[str, ...]]) -> Callable[[Query, Ledger], str | None]:
    def stops(query: Query, ledger: Ledger) -> str | None:
        lost = (share for share in of(query.request.hints) if share not in ledger.hosts_of_share)
        share = next(lost, None)
        return None if share is None else f"share {share}, which the hint names, has no place"

    return stops


def _hosts_in_common(query: Query, ledger: Ledger) -> HostChoice:
    common = (frozenset(ledger.hosts_of_share[share]) for share in query.request.hints.same_host)
    return HostChoice(only=frozenset.intersection(*common))


def _elsewhere(state: PoolState, query: Query, ledger: Ledger) -> str:
    away = next(share for share in query.request.hints.same_host if state.host not in ledger.hosts_of_share[share])
    return f"the hint same_host names {away}, which is on {', '.join(ledger.hosts_of_share[away])}"


def _hosts_to_avoid(query: Query, ledger: Ledger) -> HostChoice:
    shares = query.request.hints.different_host
    return HostChoice(never=frozenset(host for share in shares for host in ledger.hosts_of_share[share]))


def _here(state: PoolState, query: Query, ledger: Ledger) -> str:
    here = next(share for share in query.request.hints.different_host if state.host in ledger.hosts_of_share[share])
    return f"the hint different_host names {here}, which is on this pool"


def _query_problem(query: Query, _ledger: Ledger) -> str | None:
    try:
        parse_query(query.request.query or "")
    except QueryError as problem:
        return str(problem)
    return None


def _unfit_hosts(query: Query, ledger: Ledger) -> HostChoice:
    unfit = query.request.unfit
    return HostChoice(never=frozenset(host for host, state in ledger.by_host.items() if state.pool.backend in unfit))


DRIVER_CHECK: Final = BuiltInFilter(
    "DriverCheck",
    Stability.REQUEST,
    passes=lambda state, query, _: state.pool.backend not in query.request.unfit,
    reason=lambda state, query, _: query.request.unfit[state.pool.backend],
    concerns=lambda query: bool(query.request.unfit),
    hosts=_unfit_hosts,
)
"""Keeps a share from backends whose drivers would refuse it for good; applies without being listed in the settings."""
AVAILABILITY_ZONE: Final = BuiltInFilter(
    "AvailabilityZoneFilter",
    Stability.FIXED,
    _is_in_zone,
    _zones,
    concerns=lambda query: query.traits.availability_zone is not None or bool(query.traits.availability_zones),
)
CAPABILITIES: Final = BuiltInFilter("CapabilitiesFilter", Stability.FIXED, _is_capable, _lacking)
DRIVER_FUNCTION: Final = BuiltInFilter("DriverFilter", Stability.POOL, _is_taken_by_function, _function_value)
_RETRY: Final = BuiltInFilter(
    "RetryFilter",
    Stability.REQUEST,
    passes=lambda state, query, _: state.host not in _tried(query),
    reason=lambda _state, _query, _: "tried before for this request",
    concerns=lambda query: bool(_tried(query)),
    hosts=lambda query, _: HostChoice(never=frozenset(_tried(query))),
)
_DEFAULT: Final = (
    BuiltInFilter(
        "OnlyHostFilter",
        Stability.REQUEST,
        passes=lambda state, query, _: state.host == query.request.hints.only_host,
        reason=lambda _state, query, _: f"the hint only_host asks for {query.request.hints.only_host}",
        concerns=lambda query: query.request.is_admin and query.request.hints.only_host is not None,
        hosts=lambda query, _: HostChoice(only=frozenset({query.request.hints.only_host or ""})),
    ),
    AVAILABILITY_ZONE,
    BuiltInFilter(
        "CapacityFilter",
        Stability.CAPACITY,
        passes=lambda state, query, _: capacity.fits(state, query.size_gib, query.traits),
        reason=_shortage,
    ),
    CAPABILITIES,
    DRIVER_FUNCTION,
    BuiltInFilter(
        "ShareReplicationFilter",
        Stability.FIXED,
        _may_replicate,
        _domains,
        concerns=lambda query: query.traits.replication_type is not None,
    ),
    BuiltInFilter(
        "CreateFromSnapshotFilter",
        Stability.FIXED,
        _is_near_snapshot,
        reason=lambda state, query, _: (
            f"snapshot {query.request.snapshot_id} is on {query.request.snapshot_host}, not on {state.pool.backend_host}"
        ),
        concerns=lambda query: query.request.snapshot_id is not None and query.request.snapshot_host is not None,
    ),
    BuiltInFilter(
        "AffinityFilter",
        Stability.REQUEST,
        passes=lambda state, query, ledger: all(
            state.host in ledger.hosts_of_share[share] for share in query.request.hints.same_host
        ),
        reason=_elsewhere,
        concerns=lambda query: bool(query.request.hints.same_host),
        stops=_without_place(lambda hints: hints.same_host),
        hosts=_hosts_in_common,
    ),
    BuiltInFilter(
        "AntiAffinityFilter",
        Stability.REQUEST,
        passes=lambda state, query, ledger: (
            not any(state.host in ledger.hosts_of_share[share] for share in query.request.hints.different_host)
        ),
        reason=_here,
        concerns=lambda query: bool(query.request.hints.different_host),
        stops=_without_place(lambda hints: hints.different_host),
        hosts=_hosts_to_avoid,
    ),
)
_OTHERS: Final = (
    BuiltInFilter(
        "JsonFilter",
        Stability.REQUEST,
        passes=lambda state, query, _: query_holds(query.request.query or "", state),
        reason=lambda _state, query, _: f"the query {query.request.query} does not hold",
        concerns=lambda query: bool(query.request.query),
        stops=_query_problem,
    ),
    _RETRY,
    replace(_RETRY, name="IgnoreAttemptedHostsFilter"),
    BuiltInFilter(
        "ConsistentSnapshotFilter",
        Stability.FIXED,
        passes=lambda state, query, _: bool(
            query.request.group_specs[_CONSISTENT] == state.pool.capabilities.get(f"sg_{_CONSISTENT}")
        ),
        reason=lambda state, query, _: (
            f"{_CONSISTENT} {state.pool.capabilities.get(f'sg_{_CONSISTENT}')}, "
            f"the group asks for {query.request.group_specs[_CONSISTENT]}"
        ),
        concerns=lambda query: _CONSISTENT in query.request.group_specs,
    ),
)
BUILT_IN_FILTERS: Final[Mapping[str, Filter]] = {each.name: each for each in (*_DEFAULT, *_OTHERS)}
DEFAULT_FILTERS: Final = tuple(each.name for each in _DEFAULT)


def evaluate_function(text: str, state: PoolState, query: Query) -> Any:  # noqa: ANN401 - a number, a truth or a text
    """Return the value of a pool function for the request; raises ExpressionError."""
    return compile_expression(text).evaluate(namespaces(state, query))


def function_is_fixed(text: str) -> bool:
    """Tell whether a pool function reads nothing that changes from share to share or with the pool's capacities."""
    try:
        names = compile_expression(text).names
    except ExpressionError:
        return True
    return not any(
        namespace == "share" or (namespace == "stats" and entry in CHANGING_STATS) for namespace, entry in names
    )


def namespaces(state: PoolState, query: Query) -> Namespaces:
    """Return what a pool function can name."""
    return {
        "stats": state,
        "capabilities": state.pool.capabilities,
        "extra": query.traits.specs,
        "share": share_facts(query.request),
    }


def share_facts(request: Request) -> Mapping[str, Any]:
    """Return what pool functions read as `share.NAME`."""
    return {
        **request.facts,
        "id": request.id,
        "size": request.size_gib,
        "share_proto": request.share_proto,
        "availability_zone": request.availability_zone,
        "snapshot_id": request.snapshot_id,
    }
