"""Manila's filters, each a small object that judges one pool for one request and can say why it refused."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from sharectl.model.diagnostics import did_you_mean
from sharectl.scheduler import capacity
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.expressions import ExpressionError, compile_expression
from sharectl.scheduler.pools import CHANGING_STATS

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """The hosts that a request's own wishes leave: `only` these (None: all), and `never` those."""

    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()


@runtime_checkable
class ChoosesHosts(Protocol):
    """A filter of stability REQUEST whose verdict depends on nothing but the host: it lets the engine look at few pools."""

    def hosts(self, query: Query, ledger: Ledger) -> HostChoice:
        """Return the hosts that pass; asked only where the filter concerns the request and does not stop it."""
        ...


class Filter(Protocol):
    """What every filter meets; an entry point of the group `sharectl.scheduler.filters` names one such object."""

    @property
    def name(self) -> str:
        """The name in `sharectl.yaml` and in explanations."""
        ...

    @property
    def stability(self) -> Stability:
        """What the verdict can change with; REQUEST is always right, and the slowest."""
        ...

    def concerns(self, query: Query) -> bool:
        """Tell whether the filter has any say on this request: where not, every pool passes."""
        ...

    def stops(self, query: Query, ledger: Ledger) -> str | None:
        """Return why no pool at all can take the request, else None."""
        ...

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Judge one pool; raises UnfitValueError for a value with which it cannot be judged."""
        ...

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Say, with figures and without the filter's name, why a pool that did not pass was refused."""
        ...


class BaseFilter:
    """A filter that concerns every request and never stops one as a whole; a base for your own."""

    name = ""
    stability = Stability.REQUEST

    def concerns(self, query: Query) -> bool:
        """Concern every request."""
        return True

    def stops(self, query: Query, ledger: Ledger) -> str | None:
        """Stop none."""
        return None


class DriverCheck(BaseFilter):
    """Keeps a share from backends whose drivers would refuse it for good; applies without being listed in the settings."""

    name = "DriverCheck"

    def concerns(self, query: Query) -> bool:
        """Concern requests with an unfit backend."""
        return bool(query.request.unfit)

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass the pools of all other backends."""
        return state.pool.backend not in query.request.unfit

    def hosts(self, query: Query, ledger: Ledger) -> HostChoice:
        """Return the pools of the unfit backends."""
        unfit = query.request.unfit
        return HostChoice(
            never=frozenset(host for host, state in ledger.by_host.items() if state.pool.backend in unfit)
        )

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Say what the driver would say."""
        return query.request.unfit[state.pool.backend]


class OnlyHostFilter(BaseFilter):
    """The hint `only_host` of an administrator names the one pool."""

    name = "OnlyHostFilter"

    def concerns(self, query: Query) -> bool:
        """Concern administrators' requests with the hint."""
        return query.request.is_admin and query.request.hints.only_host is not None

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass the named pool."""
        return state.host == query.request.hints.only_host

    def hosts(self, query: Query, ledger: Ledger) -> HostChoice:
        """Return the named pool."""
        return HostChoice(only=frozenset({query.request.hints.only_host or ""}))

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Name the wanted pool."""
        return f"the hint only_host asks for {query.request.hints.only_host}"


class AvailabilityZoneFilter(BaseFilter):
    """The share's zone, and the zones that its type allows."""

    name = "AvailabilityZoneFilter"
    stability = Stability.FIXED

    def concerns(self, query: Query) -> bool:
        """Concern requests with a zone of their own or of their type."""
        return query.traits.availability_zone is not None or bool(query.traits.availability_zones)

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass pools in the zone asked for, which the type allows."""
        zone, traits = state.pool.availability_zone, query.traits
        if traits.availability_zone is not None and zone != traits.availability_zone:
            return False
        return not traits.availability_zones or zone in traits.availability_zones

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Name both zones."""
        zone = state.pool.availability_zone or "no availability zone"
        wanted = query.traits.availability_zone
        if wanted is not None and wanted != state.pool.availability_zone:
            return f"in {zone}, the share asks for {wanted}"
        return f"in {zone}, the share type allows {', '.join(sorted(query.traits.availability_zones))}"


class CapacityFilter(BaseFilter):
    """Room for the share, thin or thick, after the reserve that holds for the request."""

    name = "CapacityFilter"
    stability = Stability.CAPACITY

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass pools that have room."""
        return capacity.fits(state, query.size_gib, query.traits)

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Give the figures."""
        try:
            return capacity.shortage(state, query.size_gib, query.traits)
        except UnfitValueError as problem:
            return problem.reason


class CapabilitiesFilter(BaseFilter):
    """Every extra spec, unscoped or scoped `capabilities:`, holds for the pool's report."""

    name = "CapabilitiesFilter"
    stability = Stability.FIXED

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass pools that meet every extra spec."""
        report = state.pool.capabilities
        if query.traits.needs_qos_type and not report.get("qos_type_support", False):
            return False
        return all(requirement.met_by(report) for requirement in query.traits.requirements)

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Name the first extra spec that does not hold, and what the pool has instead."""
        report = state.pool.capabilities
        if query.traits.needs_qos_type and not report.get("qos_type_support", False):
            return "the type has a default_qos_type, the pool has no qos_type_support"
        failed = next(wanted for wanted in query.traits.requirements if not wanted.met_by(report))
        found = failed.find(report)
        near = did_you_mean(failed.key.rpartition(":")[2], sorted(report)) if found is None else ""
        missing = f"the pool has no such capability{f'; {near}' if near else ''}"
        has = missing if found is None else f"the pool has {_shown(found)}"
        return f"extra spec {failed.key} = {failed.wanted!r}, {has}"


class DriverFilter(BaseFilter):
    """The pool's own `filter_function`; a function that cannot be evaluated refuses."""

    name = "DriverFilter"
    stability = Stability.POOL

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass pools without a function, and those whose function is true."""
        text = state.pool.capabilities.get("filter_function")
        if text is None:
            return True
        try:
            return bool(evaluate_function(str(text), state, query))
        except ExpressionError:
            return False

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Quote the function, or what is wrong with it."""
        text = str(state.pool.capabilities.get("filter_function"))
        try:
            return f"filter_function {text!r} is {evaluate_function(text, state, query)}"
        except ExpressionError as problem:
            return f"filter_function {problem}"


class ShareReplicationFilter(BaseFilter):
    """A type with a `replication_type` needs a replication domain, a replica the domain of its active replica."""

    name = "ShareReplicationFilter"
    stability = Stability.FIXED

    def concerns(self, query: Query) -> bool:
        """Concern types with a `replication_type`."""
        return query.traits.replication_type is not None

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass pools in the domain that do not hold a replica of the share yet."""
        domain = state.pool.capabilities.get("replication_domain")
        if domain is None:
            return False
        if query.request.active_replica_host is None:
            return True
        return domain == query.traits.replication_domain and state.host not in query.request.all_replica_hosts

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Name the domains, or the replica that is there."""
        domain = state.pool.capabilities.get("replication_domain")
        if domain is None:
            return "the pool has no replication_domain"
        if domain != query.traits.replication_domain:
            return f"replication_domain {domain}, the active replica is in {query.traits.replication_domain}"
        return "the pool holds a replica of the share already"


class CreateFromSnapshotFilter(BaseFilter):
    """A share from a snapshot stays on the snapshot's backend, or in its replication domain."""

    name = "CreateFromSnapshotFilter"
    stability = Stability.FIXED

    def concerns(self, query: Query) -> bool:
        """Concern shares made from a snapshot."""
        return query.request.snapshot_id is not None and query.request.snapshot_host is not None

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass pools of the snapshot's backend, and those in its replication domain."""
        if state.pool.backend_host == (query.request.snapshot_host or "").partition("#")[0]:
            return True
        domain = query.traits.replication_domain
        return bool(domain) and domain == state.pool.capabilities.get("replication_domain")

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Name the snapshot's place."""
        return f"snapshot {query.request.snapshot_id} is on {query.request.snapshot_host}, not on {state.pool.backend_host}"


class RetryFilter(BaseFilter):
    """Pools that were tried for this request are not tried again."""

    name = "RetryFilter"

    def concerns(self, query: Query) -> bool:
        """Concern requests that were tried before."""
        return query.request.retry is not None and bool(query.request.retry.hosts)

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass pools that were not tried."""
        return query.request.retry is None or state.host not in query.request.retry.hosts

    def hosts(self, query: Query, ledger: Ledger) -> HostChoice:
        """Return all but those that were tried."""
        return HostChoice(never=frozenset(query.request.retry.hosts if query.request.retry is not None else ()))

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Say that it was tried."""
        return "tried before for this request"


class IgnoreAttemptedHostsFilter(RetryFilter):
    """RetryFilter under its older name."""

    name = "IgnoreAttemptedHostsFilter"


class ConsistentSnapshotFilter(BaseFilter):
    """A share group's `consistent_snapshot_support` is that of the pool."""

    name = "ConsistentSnapshotFilter"
    stability = Stability.FIXED

    def concerns(self, query: Query) -> bool:
        """Concern groups that ask for it."""
        return "consistent_snapshot_support" in query.request.group_specs

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        """Pass pools with the same support."""
        wanted = query.request.group_specs["consistent_snapshot_support"]
        return bool(wanted == state.pool.capabilities.get("sg_consistent_snapshot_support"))

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        """Name both."""
        found = state.pool.capabilities.get("sg_consistent_snapshot_support")
        return f"consistent_snapshot_support {found}, the group asks for {query.request.group_specs['consistent_snapshot_support']}"


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


def _shown(value: object) -> str:
    return ", ".join(map(repr, value)) if isinstance(value, list) else repr(value)
