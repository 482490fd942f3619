"""Pools as the scheduler sees them, and what changes while shares are placed on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.frozen import dataclass, field
from sharectl.model.quantities import GIB
from sharectl.scheduler.values import is_thin, number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharectl.drivers.base import Capability
    from sharectl.model.backends import BackendSpec
    from sharectl.model.observed import BackendReport, CapacityBytes, PoolReport
    from sharectl.scheduler.request import PlacedShare


_INHERITED_WHERE_EMPTY: Final = (
    "share_backend_name",
    "storage_protocol",
    "vendor_name",
    "driver_version",
    "replication_type",
    "replication_domain",
)
_INHERITED_WHERE_ABSENT: Final[Mapping[str, Any]] = {
    "driver_handles_share_servers": None,
    "snapshot_support": None,
    "create_share_from_snapshot_support": None,
    "revert_to_snapshot_support": False,
    "mount_snapshot_support": False,
    "snapshot_inherit_share_access_support": False,
    "security_service_update_support": False,
    "network_allocation_update_support": False,
    "share_server_multiple_subnet_support": False,
    "share_replicas_migration_support": False,
    "encryption_support": None,
    "qos_type_support": False,
}
_NEVER_INHERITED: Final = ("dedupe", "compression")
_BACKEND_WINS: Final = ("ipv4_support", "ipv6_support")
_RESERVED_KEYS: Final = ("reserved_percentage", "reserved_snapshot_percentage", "reserved_share_extend_percentage")


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool: `host` is `backend#pool` (the backend is `host@backend` for Manila); capacities among `capabilities` are in GiB.

    `capabilities` carry Manila's names and are complete: what a pool inherits from its backend is in them already.
    `counts_bytes` is set where a driver of sharectl reports: room is then compared to the byte, and a share on a thin pool takes of
    what may be promised alone. Without it both are Manila's: whole GiB, and each share of a batch takes free space too.
    """

    host: str
    backend: str
    name: str
    availability_zone: str | None = None
    enabled: bool = True
    up: bool = True
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    counts_bytes: bool = False

    @property
    def backend_host(self) -> str:
        """The `host` without the pool: pools with an equal one are on the same backend."""
        return self.host.partition("#")[0]


def inherited_capabilities(backend: Mapping[str, Any], pool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pool's capabilities with what it inherits from its backend, by Manila 23's rules.

    Facts about the storage are inherited where the pool leaves them out; functions, reserves, thin provisioning,
    over-subscription, quality of service and custom keys are not. The backend's ipv4/ipv6 support always wins.
    """
    merged = dict(pool)
    for key in _INHERITED_WHERE_EMPTY:
        if not merged.get(key):
            merged[key] = backend.get(key)
    for key, default in _INHERITED_WHERE_ABSENT.items():
        if key not in merged:
            merged[key] = backend.get(key, default)
    for key in _NEVER_INHERITED:
        merged.setdefault(key, False)
    for key in _BACKEND_WINS:
        if backend.get(key) is not None:
            merged[key] = backend[key]
    if "sg_consistent_snapshot_support" not in merged:
        group_stats = backend.get("share_group_stats")
        group_stats = group_stats if isinstance(group_stats, Mapping) else {}
        merged["sg_consistent_snapshot_support"] = group_stats.get("consistent_snapshot_support")
    return merged


def pool_from_report(
    backend: BackendSpec,
    backend_report: BackendReport,
    report: PoolReport,
    capabilities: frozenset[Capability],
) -> Pool:
    """Return the Pool, in GiB, of what a driver reports in bytes; the Backend manifest's policy and capabilities win.

    `capabilities` are the driver's optional abilities, from which snapshot, clone and revert support follow.
    """
    inherited = {
        "share_backend_name": backend.name,
        "storage_protocol": list(backend_report.protocols),
        "vendor_name": "sharectl",
        "driver_version": "1.0",
        "driver_handles_share_servers": backend.share_servers,
        "snapshot_support": "snapshot" in capabilities,
        "create_share_from_snapshot_support": "clone" in capabilities,
        "revert_to_snapshot_support": "revert" in capabilities,
        "ipv4_support": True,
        **backend_report.capabilities,
    }
    own = {**report.capabilities, **_capacities(report, backend), **_policy(backend), **backend.capabilities}
    return Pool(
        host=f"{backend.name}#{report.name}",
        backend=backend.name,
        name=report.name,
        availability_zone=backend.availability_zone,
        enabled=backend.enabled,
        capabilities=inherited_capabilities(inherited, own),
        counts_bytes=True,
    )


def _capacities(report: PoolReport, backend: BackendSpec) -> dict[str, Any]:
    reserved = report.reserved_percentage
    for_snapshots, for_extensions = report.reserved_snapshot_percentage, report.reserved_share_extend_percentage
    provisioned = report.allocated_bytes if report.provisioned_bytes is None else report.provisioned_bytes
    values: dict[str, Any] = {
        "pool_name": report.name,
        "total_capacity_gb": _gib(report.total_bytes),
        "free_capacity_gb": _gib(_free_bytes(report, provisioned, backend)),
        "allocated_capacity_gb": report.allocated_bytes / GIB,
        "provisioned_capacity_gb": _gib(provisioned),
        "thin_provisioning": report.capabilities.get("thin_provisioning", report.thin_provisioning),
        "reserved_percentage": reserved,
        "reserved_snapshot_percentage": reserved if for_snapshots is None else for_snapshots,
        "reserved_share_extend_percentage": reserved if for_extensions is None else for_extensions,
    }
    if report.max_over_subscription_ratio is not None:
        values["max_over_subscription_ratio"] = report.max_over_subscription_ratio
    return values


def _free_bytes(report: PoolReport, provisioned_bytes: int, backend: BackendSpec) -> CapacityBytes:
    """Return the free space; where the manifest makes a thin pool thick, what is promised counts as taken, written to or not."""
    if backend.capacity.thin_provisioning is not False or not report.thin_provisioning:
        return report.free_bytes
    if isinstance(report.total_bytes, str) or isinstance(report.free_bytes, str):
        return report.free_bytes
    return min(report.free_bytes, max(0, report.total_bytes - provisioned_bytes))


def _policy(backend: BackendSpec) -> dict[str, Any]:
    policy = {key: value for key, value in asdict(backend.capacity).items() if value is not None}
    reserved = policy.get("reserved_percentage")
    return policy if reserved is None else {**dict.fromkeys(_RESERVED_KEYS, reserved), **policy}


def _gib(size: CapacityBytes) -> float | str:
    return size if isinstance(size, str) else size / GIB


class PoolState:
    """A pool with its capacities as they are now; the figures are in GiB, or what the driver reported instead of a number."""

    __slots__ = (
        "allocated",
        "counts_bytes",
        "free",
        "index",
        "pool",
        "provisioned",
        "ratio",
        "thin",
        "total",
        "version",
    )

    def __init__(self, pool: Pool, index: int, placed_gib: float, default_ratio: float) -> None:
        """Take the figures of the pool's report; `placed_gib` stands in for a thin pool's missing provisioned capacity."""
        report = pool.capabilities
        self.pool = pool
        self.counts_bytes = pool.counts_bytes
        self.index = index
        self.version = 0
        self.total: Any = report.get("total_capacity_gb", 0)
        self.free: Any = report.get("free_capacity_gb")
        self.allocated: Any = report.get("allocated_capacity_gb", 0)
        self.thin: bool = is_thin(report.get("thin_provisioning", False))
        self.provisioned: Any = report.get("provisioned_capacity_gb")
        if self.provisioned is None and self.thin:
            self.provisioned = placed_gib
        self.ratio: Any = report.get("max_over_subscription_ratio", default_ratio)

    @property
    def host(self) -> str:
        """The pool's `backend#pool`."""
        return self.pool.host

    def consume(self, size_gib: float, *, thin_logic: bool = True) -> None:
        """Take `size_gib` from the pool (give it back if negative); figures that are not numbers are left alone.

        With `thin_logic` a share on a thin pool occupies nothing before something is written to it, so that the free space stays,
        as the next report of the driver will say too. Manila takes it off until that report.
        """
        self.version += 1
        if number(self.provisioned) is not None:
            self.provisioned += size_gib
        if number(self.allocated) is not None:
            self.allocated += size_gib
        occupies = not (self.counts_bytes and self.thin and thin_logic)
        if occupies and number(self.free) is not None:
            self.free -= size_gib

    def reserved(self, key: str) -> Any:  # noqa: ANN401 - whatever the driver reported
        """Return the reserved percentage under `key`, 0 if the pool reports none."""
        return self.pool.capabilities.get(key, 0)

    def current(self) -> Pool:
        """Return the pool with the capacities as they are now."""
        if not self.version:
            return self.pool
        figures = {stat: self[stat] for stat in sorted(CHANGING_STATS)}
        return replace(self.pool, capabilities={**self.pool.capabilities, **figures})

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - whatever the driver reported
        """Return what pool functions read as `stats.NAME`, under Manila's names; raises KeyError for any other."""
        field = _FIELD_OF_STAT.get(name)
        if field is not None:
            return getattr(self, field)
        return self.pool.capabilities.get(name, _REPORTED_STATS[name])

    def stats(self) -> dict[str, Any]:
        """Return all that `stats.NAME` can name, as JSON queries read it."""
        return {name: self[name] for name in (*_REPORTED_STATS, *_FIELD_OF_STAT)}


_FIELD_OF_STAT: Mapping[str, str] = {
    "host": "host",
    "total_capacity_gb": "total",
    "free_capacity_gb": "free",
    "allocated_capacity_gb": "allocated",
    "provisioned_capacity_gb": "provisioned",
    "thin_provisioning": "thin",
    "max_over_subscription_ratio": "ratio",
}
CHANGING_STATS = frozenset({"free_capacity_gb", "allocated_capacity_gb", "provisioned_capacity_gb"})
_REPORTED_STATS: Mapping[str, Any] = {
    "share_backend_name": None,
    "vendor_name": None,
    "driver_version": 0,
    "storage_protocol": None,
    "qos": False,
    "reserved_percentage": 0,
    "reserved_snapshot_percentage": 0,
    "reserved_share_extend_percentage": 0,
    "driver_handles_share_servers": False,
    "dedupe": False,
    "compression": False,
    "snapshot_support": True,
    "create_share_from_snapshot_support": True,
    "revert_to_snapshot_support": False,
    "mount_snapshot_support": False,
    "mount_point_name_support": False,
    "replication_domain": None,
    "replication_type": None,
    "sg_consistent_snapshot_support": None,
    "ipv4_support": None,
    "ipv6_support": None,
    "security_service_update_support": False,
    "network_allocation_update_support": False,
    "share_server_multiple_subnet_support": False,
    "snapshot_inherit_share_access_support": False,
    "share_replicas_migration_support": False,
    "encryption_support": None,
    "qos_type_support": None,
}


class Ledger:
    """All pools in their order, with the shares placed on them."""

    __slots__ = ("by_host", "hosts_of_share", "states")

    def __init__(self, pools: Iterable[Pool], placed: Iterable[PlacedShare], default_ratio: float) -> None:
        """Take over the pools and the shares that are there already; what these use is in the pools' figures."""
        self.hosts_of_share: dict[str, tuple[str, ...]] = {}
        placed_gib: dict[str, float] = {}
        for share in placed:
            self.settle(share.id, share.host)
            placed_gib[share.host] = placed_gib.get(share.host, 0) + share.size_gib
        self.states = tuple(
            PoolState(pool, index, placed_gib.get(pool.host, 0), default_ratio) for index, pool in enumerate(pools)
        )
        self.by_host = {state.host: state for state in self.states}

    def settle(self, share_id: str, host: str) -> None:
        """Note that the share is on `host`; a share with replicas is on several."""
        known = self.hosts_of_share.get(share_id, ())
        if host not in known:
            self.hosts_of_share[share_id] = (*known, host)
