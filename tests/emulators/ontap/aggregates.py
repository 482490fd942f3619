"""Aggregates and their disks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.cluster import Node, node_named, serving
from tests.emulators.ontap.operations import Row, rows
from tests.emulators.ontap.space import GIB
from tests.emulators.ontap.volume_records import Volume
from tests.emulators.ontap.world import Record, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.emulators.ontap.facts import JsonObject

_TIB: Final = 1024 * GIB
_FULL_THRESHOLD_PERCENT: Final = 98
_KINDS: Final = {"ssd": ("ssd", "solid_state"), "hybrid": ("fsas", "capacity"), "hdd": ("sas", "performance")}
"""What the disks of a storage type are: their effective type, and their class."""
_CACHE_DISKS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate(Record):
    """An aggregate; what of it is used, its volumes say."""

    name: str
    home_node: str
    size: int
    storage_type: str = "ssd"
    raid_type: str = "raid_dp"
    root: bool = False
    """Whether it holds its node's own root volume, and takes no others."""
    encrypted: bool = False
    disks: int = 6


def seed(world: World) -> None:
    """Make two data aggregates, one of flash and one hybrid, and the root aggregates of both nodes."""
    for number, kind in ((1, "ssd"), (2, "hybrid")):
        node = node_named(world, f"n{number}")
        assert node is not None
        for name, root in ((f"aggr0_n{number}", True), (f"aggr{number}", False)):
            world[Aggregate].put(
                Aggregate(
                    uuid=world.new_uuid(),
                    name=name,
                    home_node=node.uuid,
                    size=_TIB // 8 if root else 10 * _TIB,
                    storage_type="hdd" if root else kind,
                    raid_type="raid_dp" if number == 1 or root else "raid_tec",
                    root=root,
                )
            )


def named(world: World, name: str) -> Aggregate:
    """Return an aggregate that is known to be there."""
    return world[Aggregate].where(name=name)[0]


def used_bytes(world: World) -> Mapping[str, int]:
    """Return what is taken of each aggregate, by UUID, by all volumes, those in the recovery queue too."""
    used: Counter[str] = Counter()
    for volume in world[Volume]:
        footprint = volume.footprint
        if volume.members:
            for member in volume.members:
                used[member.aggregate] += footprint // len(volume.members)
        else:
            used[volume.aggregates[0]] += footprint
    for aggregate in world[Aggregate]:
        used[aggregate.uuid] += world.taken_bytes.get(aggregate.name, 0)
        if aggregate.root:
            used[aggregate.uuid] += aggregate.size * 95 // 100
    return used


def room(world: World, aggregate: str, used: Mapping[str, int] | None = None) -> int:
    """Return what an aggregate has left."""
    taken = (used_bytes(world) if used is None else used).get(aggregate, 0)
    return max(0, world[Aggregate][aggregate].size - taken)


@rows("aggregate")
def aggregates(world: World) -> Iterable[Row]:
    """Show the aggregates, those of the nodes' root volumes among them."""
    used = used_bytes(world)
    for aggregate in world[Aggregate]:
        yield Row({"uuid": aggregate.uuid, "name": aggregate.name}, partial(_shown, world, aggregate, used))


def _shown(world: World, aggregate: Aggregate, used: Mapping[str, int]) -> JsonObject:
    home, node = world[Node][aggregate.home_node], serving(world, aggregate.home_node)
    return {
        "uuid": aggregate.uuid,
        "name": aggregate.name,
        "state": "online",
        "create_time": world.clock.stamp(0.0),
        "home_node": {"uuid": home.uuid, "name": home.name},
        "node": {"uuid": node.uuid, "name": node.name},
        "snaplock_type": "non_snaplock",
        "sidl_enabled": False,
        "data_encryption": {"software_encryption_enabled": aggregate.encrypted, "drive_protection_enabled": False},
        "block_storage": _block_storage(aggregate),
        "cloud_storage": {"attach_eligible": False},
        "inactive_data_reporting": {"enabled": False},
        "inode_attributes": {"files_total": 31136, "files_used": 97},
        "space": _space(world, aggregate, used),
        "volume-count": sum(aggregate.uuid in volume.aggregates for volume in world[Volume]),
    }


def _block_storage(aggregate: Aggregate) -> JsonObject:
    hybrid = aggregate.storage_type == "hybrid"
    effective, disk_class = _KINDS[aggregate.storage_type]
    cache: JsonObject = {"enabled": hybrid}
    if hybrid:
        cache |= {"disk_count": _CACHE_DISKS, "disk_type": "ssd", "raid_type": "raid4", "size": _TIB // 2, "used": 0}
    return {
        "hybrid_cache": cache,
        "mirror": {"enabled": False, "state": "unmirrored"},
        "primary": {
            "checksum_style": "block",
            "disk_class": disk_class,
            "disk_count": aggregate.disks,
            "disk_type": effective if effective in {"ssd", "sas"} else "nl_sas",
            "raid_size": 24,
            "raid_type": aggregate.raid_type,
        },
        "storage_type": aggregate.storage_type,
        "uses_partitions": False,
    }


def _space(world: World, aggregate: Aggregate, used: Mapping[str, int]) -> JsonObject:
    taken = min(used.get(aggregate.uuid, 0), aggregate.size)
    return {
        "block_storage": {
            "size": aggregate.size,
            "available": aggregate.size - taken,
            "used": taken,
            "used_percent": taken * 100 // aggregate.size,
            "physical_used": taken,
            "physical_used_percent": taken * 100 // aggregate.size,
            "full_threshold_percent": _FULL_THRESHOLD_PERCENT,
            "inactive_user_data": 0,
            "aggregate_metadata": 0,
        },
        "cloud_storage": {"used": 0},
        "footprint": taken,
        "efficiency": {"savings": 0, "ratio": 1.0, "logical_used": taken},
        "snapshot": {"reserve_percent": 0, "used": 0, "available": 0, "total": 0, "used_percent": 0},
    }


@rows("disk")
def disks(world: World) -> Iterable[Row]:
    """Show the disks of which the aggregates are made."""
    for shelf, aggregate in enumerate(world[Aggregate], start=1):
        cache = ["ssd"] * (_CACHE_DISKS if aggregate.storage_type == "hybrid" else 0)
        kinds = [aggregate.storage_type] * aggregate.disks + cache
        for bay, kind in enumerate(kinds):
            name = f"1.{shelf}.{bay}"
            yield Row({"name": name}, partial(_disk_shown, world, aggregate, name, kind))


def _disk_shown(world: World, aggregate: Aggregate, name: str, kind: str) -> JsonObject:
    effective, disk_class = _KINDS[kind]
    node = world[Node][aggregate.home_node]
    return {
        "name": name,
        "uid": f"{name}:{aggregate.uuid}",
        "state": "present",
        "container_type": "aggregate",
        "class": disk_class,
        "effective_type": effective,
        "type": effective,
        "home_node": {"uuid": node.uuid, "name": node.name},
        "node": {"uuid": node.uuid, "name": node.name},
        "aggregates": [{"uuid": aggregate.uuid, "name": aggregate.name}],
        "bay": int(name.rpartition(".")[2]),
        "usable_size": aggregate.size // aggregate.disks,
        "vendor": "NETAPP",
        "pool": "pool0",
    }
