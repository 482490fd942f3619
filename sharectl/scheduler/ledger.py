"""What changes while shares are placed: the capacity figures of each pool, and where each share is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sharectl.scheduler.values import is_thin, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.scheduler.pools import Pool
    from sharectl.scheduler.request import PlacedShare

_CAPACITY_KEYS = ("free_capacity_gb", "allocated_capacity_gb", "provisioned_capacity_gb")


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
        """Take `size_gib` from the pool (give it back where negative): what is not a number stays as it is.

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
        """Return the reserved percentage under `key`; a reserve that the pool leaves out is none."""
        return self.pool.capabilities.get(key, 0)

    def current(self) -> Pool:
        """Return the pool with the capacities as they are now."""
        if not self.version:
            return self.pool
        figures: Mapping[str, Any] = dict(
            zip(_CAPACITY_KEYS, (self.free, self.allocated, self.provisioned), strict=True)
        )
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

    def unsettle(self, share_id: str, host: str) -> None:
        """Forget that the share is on `host`."""
        left = tuple(other for other in self.hosts_of_share.get(share_id, ()) if other != host)
        if left:
            self.hosts_of_share[share_id] = left
        else:
            self.hosts_of_share.pop(share_id, None)
