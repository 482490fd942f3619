"""Pools: the aggregates that shares may go to, with the capabilities that Manila's NetApp driver reports, under its names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.observed import PoolReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.observed import CapacityBytes

NOMINAL_UTILIZATION: Final = 50
"""What Manila's driver reports of how busy the disks are where it has no counters to read."""

FLEXGROUP_MEMBERS: Final = 4
"""Members on each aggregate of a FlexGroup."""

LEAST_MEMBER_BYTES: Final = 100 << 30

_BY_TYPE: Final = (True, False)
_UNIFIED: Final = ("compliance", "enterprise")
_AS_DISKS_SAY: Final = {"fc": "FCAL", "nl_sas": "FSAS", "nvme_ssd": "SSD_NVM", "vm_disk": "VMDISK", "sata": "ATA"}
"""Types of disks as aggregates call them, by what the disks themselves say, which Manila reports."""

AGGREGATE_FIELDS: Final = (
    "uuid",
    "name",
    "state",
    "home_node.name",
    "node.name",
    "space.block_storage",
    "block_storage.primary.raid_type",
    "block_storage.primary.disk_type",
    "block_storage.hybrid_cache.disk_type",
    "block_storage.storage_type",
    "data_encryption",
)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate as far as a login may see it; `total_bytes` is unknown to one of an SVM."""

    name: str
    total_bytes: CapacityBytes
    free_bytes: CapacityBytes
    home_node: str | None = None
    raid_type: str | None = None
    storage_type: str | None = None
    encrypts: bool = False
    is_home: bool | None = None
    disk_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Promised:
    """The sizes of the volumes on an aggregate: of those that sharectl made, and of all."""

    own_bytes: int = 0
    all_bytes: int = 0

    def __add__(self, other: Promised) -> Promised:
        """Return both together."""
        return Promised(self.own_bytes + other.own_bytes, self.all_bytes + other.all_bytes)


@dataclass(frozen=True, slots=True)
class FlexGroupPool:
    """A set of aggregates over which FlexGroups are laid."""

    name: str
    aggregates: tuple[str, ...]
    members: int = FLEXGROUP_MEMBERS

    @property
    def least_bytes(self) -> int:
        """The size of the smallest FlexGroup here."""
        return LEAST_MEMBER_BYTES * self.members * len(self.aggregates)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of all pools of a backend."""

    is_cluster_login: bool
    encrypts_volumes: bool = False
    reverts: bool = True
    has_share_servers: bool = False
    cluster_name: str = ""
    promised: Mapping[str, Promised] = field(default_factory=dict)


def aggregates_of(records: Iterable[JsonObject], disks: Iterable[JsonObject]) -> tuple[Aggregate, ...]:
    """Return the aggregates in records of `/storage/aggregates`, with the types of the disks that they are on; one that is not online has no room.

    Where no disks are listed, since a login need not see them, the type is the one that the aggregate itself tells.
    """
    types: dict[str, set[str]] = {}
    for disk in disks:
        for aggregate in disk.get("aggregates", ()):
            if (kind := disk.get("effective_type")) is not None:
                types.setdefault(aggregate["name"], set()).add(kind.upper())
    return tuple(_aggregate(record, types.get(record["name"]) or _own_types(record)) for record in records)


def _own_types(record: JsonObject) -> set[str]:
    storage = record.get("block_storage", {})
    told = [storage.get(part, {}).get("disk_type") for part in ("primary", "hybrid_cache")]
    return {_AS_DISKS_SAY.get(kind, kind.upper()) for kind in told if kind}


def _aggregate(record: JsonObject, disk_types: set[str]) -> Aggregate:
    space = record.get("space", {}).get("block_storage", {})
    storage = record.get("block_storage", {})
    home, node = record.get("home_node", {}).get("name"), record.get("node", {}).get("name")
    is_online = record.get("state", "online") == "online"
    return Aggregate(
        name=record["name"],
        total_bytes=space.get("size") or "unknown",
        free_bytes=space.get("available", 0) if is_online else 0,
        home_node=home,
        raid_type=storage.get("primary", {}).get("raid_type"),
        storage_type=storage.get("storage_type"),
        encrypts=bool(record.get("data_encryption", {}).get("software_encryption_enabled")),
        is_home=home == node,
        disk_types=tuple(sorted(disk_types)),
    )


def svm_aggregates(record: JsonObject) -> tuple[Aggregate, ...]:
    """Return the aggregates that an SVM is assigned, as its own login sees them: their free space alone."""
    return tuple(
        Aggregate(each["name"], "unknown", each.get("available_size", "unknown"))
        for each in record.get("aggregates", ())
    )


def promised_on(volumes: Iterable[JsonObject], is_own: Any) -> dict[str, Promised]:  # noqa: ANN401 - a function of a record
    """Return what is promised on each aggregate; a FlexGroup is on several, in equal parts."""
    found: dict[str, Promised] = {}
    for volume in volumes:
        names = [each["name"] for each in volume.get("aggregates", ())]
        for name in names:
            part = volume.get("size", 0) // len(names)
            found[name] = found.get(name, Promised()) + Promised(part if is_own(volume) else 0, part)
    return found


def aggregate_pool(aggregate: Aggregate, facts: Facts) -> PoolReport:
    """Return the pool that an aggregate is."""
    promised = facts.promised.get(aggregate.name, Promised())
    return PoolReport(
        name=aggregate.name,
        total_bytes=aggregate.total_bytes,
        free_bytes=aggregate.free_bytes,
        allocated_bytes=promised.own_bytes,
        provisioned_bytes=promised.all_bytes,
        thin_provisioning=True,
        capabilities=_capabilities((aggregate,), facts, is_flexgroup=False),
    )


def flexgroup_pool(pool: FlexGroupPool, aggregates: Sequence[Aggregate], facts: Facts) -> PoolReport:
    """Return the pool of a set of aggregates: as many times the smallest as there are, since members are of one size."""
    found = [each for each in aggregates if each.name in pool.aggregates]
    is_whole = len(found) == len(pool.aggregates)
    promised = sum((facts.promised.get(name, Promised()) for name in pool.aggregates), Promised())
    return PoolReport(
        name=pool.name,
        total_bytes=_least([each.total_bytes for each in found]) if is_whole else 0,
        free_bytes=_least([each.free_bytes for each in found]) if is_whole else 0,
        allocated_bytes=promised.own_bytes,
        provisioned_bytes=promised.all_bytes,
        thin_provisioning=True,
        capabilities={
            **_capabilities(found, facts, is_flexgroup=True),
            "netapp_aggregate": " ".join(pool.aggregates),
            "filter_function": f"share.size >= {pool.least_bytes >> 30}",
        },
    )


def _least(sizes: Sequence[CapacityBytes]) -> CapacityBytes:
    numbers = [size for size in sizes if isinstance(size, int)]
    return min(numbers) * len(sizes) if len(numbers) == len(sizes) and sizes else "unknown"


def _capabilities(aggregates: Sequence[Aggregate], facts: Facts, *, is_flexgroup: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "netapp_aggregate": " ".join(each.name for each in aggregates),
        "netapp_flexgroup": is_flexgroup,
        "ontap_qtree": False,
        "netapp_cluster_name": facts.cluster_name,
        "netapp_snaplock_type": list(_UNIFIED),
        "netapp_flexvol_encryption": facts.encrypts_volumes,
        "netapp_aggregate_encryption": facts.is_cluster_login and all(each.encrypts for each in aggregates),
        "dedupe": list(_BY_TYPE),
        "compression": list(_BY_TYPE),
        "thin_provisioning": list(_BY_TYPE),
        "qos": facts.is_cluster_login,
        "qos_type_support": False,
        "snapshot_support": True,
        "create_share_from_snapshot_support": True,
        "revert_to_snapshot_support": facts.reverts,
        "utilization": NOMINAL_UTILIZATION,
    }
    if facts.is_cluster_login:
        kinds = sorted({kind for each in aggregates for kind in each.disk_types})
        hybrid = sorted({str(each.storage_type == "hybrid").lower() for each in aggregates})
        found |= {
            "netapp_raid_type": " ".join(sorted({each.raid_type for each in aggregates if each.raid_type})),
            "netapp_disk_type": kinds,
            "netapp_hybrid_aggregate": " ".join(hybrid),
            "netapp_is_home": all(each.is_home for each in aggregates),
        }
    return found
