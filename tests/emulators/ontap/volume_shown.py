"""A volume as GET shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.emulators.ontap import aggregates, volume_names
from tests.emulators.ontap.access_records import ExportPolicy
from tests.emulators.ontap.aggregates import Aggregate
from tests.emulators.ontap.policy_records import EfficiencyPolicy, QosPolicy, SnapshotPolicy
from tests.emulators.ontap.svm_lookup import of_svm
from tests.emulators.ontap.svm_records import Svm
from tests.emulators.ontap.volume_records import Autosize, Snapshot, Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World


@dataclass(slots=True)
class Surroundings:
    """What the records of one listing have in common, computed when the first asks for it."""

    world: World
    _used: Mapping[str, int] | None = None
    _snapshots: dict[str, int] | None = None
    _parents: frozenset[str] | None = None

    def room(self, volume: Volume) -> int | None:
        """Return what the aggregates of a thin volume have left; None for one whose size is guaranteed."""
        if volume.thick:
            return None
        if self._used is None:
            self._used = aggregates.used_bytes(self.world)
        used = self._used
        return sum(aggregates.room(self.world, each, used) for each in set(volume.aggregates))

    def snapshots(self, volume: Volume) -> int:
        """Return how many snapshots a volume has."""
        if self._snapshots is None:
            self._snapshots = {}
            for snapshot in self.world[Snapshot]:
                self._snapshots[snapshot.volume] = self._snapshots.get(snapshot.volume, 0) + 1
        return self._snapshots.get(volume.uuid, 0)

    def parent(self, volume: Volume) -> Volume | None:
        """Return the volume in which a junction stands."""
        if volume.path is None or volume.root:
            return None
        found = self.world[Volume].where(svm=volume.svm, path=volume_names.parent_of(volume.path))
        return found[0] if found else None

    def has_clones(self, volume: Volume) -> bool:
        """Tell whether a volume is the parent of others."""
        if self._parents is None:
            self._parents = frozenset(each.origin.volume for each in self.world[Volume] if each.origin is not None)
        return volume.uuid in self._parents


def shown(volume: Volume, around: Surroundings) -> JsonObject:
    """Return the whole record of a volume; one that is offline has little to tell."""
    world = around.world
    record: JsonObject = {
        "uuid": volume.uuid,
        "name": volume.name,
        "comment": volume.comment,
        "create_time": world.clock.stamp(volume.create_time),
        "msid": volume.msid,
        "size": volume.size,
        "state": volume.state,
        "style": volume.style,
        "type": volume.type,
        "is_svm_root": volume.root,
        **of_svm(world, volume.svm),
        "aggregates": [_named(world[Aggregate][each]) for each in dict.fromkeys(volume.aggregates)],
        "snapshot_count": around.snapshots(volume),
        "clone": _clone(world, volume, around),
        "nas": _nas(world, volume, around),
        "guarantee": {"type": "volume" if volume.thick else "none", "honored": volume.state == "online"},
        "encryption": {"enabled": False, "state": "unencrypted", "type": "none"},
        "snapmirror": {"is_protected": False},
        "snaplock": {"type": "non_snaplock"},
        "tiering": {"policy": "none"},
        "space": {"size": volume.size},
        "quota": {"state": volume.quota},
        "error_state": {"has_bad_blocks": False, "is_inconsistent": False},
    }
    if volume.snapshot_policy is not None:
        record["snapshot_policy"] = _named(world[SnapshotPolicy][volume.snapshot_policy])
    if volume.qos_policy is not None:
        record["qos"] = {"policy": _named(world[QosPolicy][volume.qos_policy])}
    _set_all(record, volume.settings)
    if volume.state == "online":
        _fill_online(record, world, volume, around)
    else:
        record["status"] = [f"{volume.state}, raid_dp, {volume.style}"]
    return record


def member_shown(volume: Volume, number: int, around: Surroundings) -> JsonObject:
    """Return the record of a member of a FlexGroup: its share of the whole."""
    member, count = volume.members[number - 1], len(volume.members)
    part = replace(
        volume,
        uuid=member.uuid,
        name=f"{volume.name}__{number:04}",
        style="flexgroup_constituent",
        aggregates=(member.aggregate,),
        size=volume.size // count,
        data=volume.data // count,
        snapshot_data=volume.snapshot_data // count,
        members=(),
        path=None,
    )
    return {**shown(part, around), "flexgroup": {"uuid": volume.uuid, "name": volume.name}}


def _named(each: Aggregate | SnapshotPolicy | QosPolicy) -> JsonObject:
    return {"uuid": each.uuid, "name": each.name}


def _clone(world: World, volume: Volume, around: Surroundings) -> JsonObject:
    if volume.origin is None:
        clone: JsonObject = {"is_flexclone": False}
    else:
        parent = world[Volume][volume.origin.volume]
        clone = {"is_flexclone": True, "split_initiated": volume.splitting}
        if parent.deleted_at is None:
            svm = world[Svm][parent.svm]
            clone["parent_volume"] = {"uuid": parent.uuid, "name": parent.name}
            clone["parent_svm"] = {"uuid": svm.uuid, "name": svm.name}
        snapshot = world[Snapshot].get(volume.origin.snapshot)
        if snapshot is not None:
            clone["parent_snapshot"] = {"uuid": snapshot.uuid, "name": snapshot.name}
        if volume.origin.split_since is not None:
            whole = max(volume.origin.split_until - volume.origin.split_since, 1.0)
            passed = int((world.clock.now() - volume.origin.split_since) * 100 / whole)
            clone["split_complete_percent"] = min(passed, 99)
    if world.version >= (9, 16, 1):
        clone["has_flexclone"] = around.has_clones(volume)
    return clone


def _nas(world: World, volume: Volume, around: Surroundings) -> JsonObject:
    policy = world[ExportPolicy].get(volume.policy)
    nas: JsonObject = {} if policy is None else {"export_policy": {"id": policy.id, "name": policy.name}}
    if volume.path is not None:
        nas["path"] = volume.path
        parent = around.parent(volume)
        if parent is not None:
            nas["junction_parent"] = {"uuid": parent.uuid, "name": parent.name}
    if volume.state == "online":
        nas |= {
            "security_style": volume.security_style,
            "unix_permissions": volume.unix_permissions,
            "uid": volume.uid,
            "gid": volume.gid,
        }
    return nas


def _fill_online(record: JsonObject, world: World, volume: Volume, around: Surroundings) -> None:
    record["language"] = volume.language
    record["autosize"] = _autosize(volume)
    record["files"] = {"maximum": volume.files_maximum or volume.size // 33_600, "used": 96}
    record["space"] = _space(volume, around)
    record["efficiency"] = efficiency_of(world, volume)
    record.setdefault("access_time_enabled", True)
    record.setdefault("scheduled_snapshot_naming_scheme", "create_time")
    if world.version >= (9, 13, 1):
        record.setdefault("snapshot_directory_access_enabled", True)
    _set_all(record, {name: value for name, value in volume.settings.items() if name.startswith(_ONLINE)})


_ONLINE = ("space.", "autosize.", "files.")


def efficiency_of(world: World, volume: Volume) -> JsonObject:
    """Return what saves space in a volume: on flash, duplicates are looked for unless that is switched off."""
    flash = world[Aggregate][volume.aggregates[0]].storage_type == "ssd"
    record: JsonObject = {
        "state": "disabled",
        "dedupe": "background" if flash else "none",
        "compression": "none",
        "compaction": "inline" if flash else "none",
        "cross_volume_dedupe": "none",
    }
    record |= {
        name.removeprefix("efficiency."): value
        for name, value in volume.settings.items()
        if name.startswith("efficiency.") and name.count(".") == 1
    }
    if record["dedupe"] != "none" or record["compression"] != "none":
        record["state"] = "enabled"
    policy = None if volume.efficiency_policy is None else world[EfficiencyPolicy].get(volume.efficiency_policy)
    if policy is not None:
        record["policy"] = {"name": policy.name}
    return record


def autosize_of(volume: Volume) -> Autosize:
    """Return within which bounds a volume changes its size; they follow the size until they are set."""
    return volume.autosize or Autosize("off", volume.size * 12 // 10, volume.size)


def _autosize(volume: Volume) -> JsonObject:
    it = autosize_of(volume)
    return {
        "mode": it.mode,
        "maximum": it.maximum,
        "minimum": it.minimum,
        "grow_threshold": it.grow_threshold,
        "shrink_threshold": it.shrink_threshold,
    }


def _space(volume: Volume, around: Surroundings) -> JsonObject:
    it = volume.space
    available = it.available(around.room(volume))
    return {
        "size": it.size,
        "afs_total": it.total,
        "used": it.used,
        "used_by_afs": it.used,
        "user_data": volume.data,
        "available": available,
        "available_percent": available * 100 // it.total if it.total else 0,
        "percent_used": it.percent_used,
        "physical_used": it.data + it.snapshots,
        "footprint": volume.footprint,
        "total_footprint": volume.footprint,
        "local_tier_footprint": volume.footprint,
        "filesystem_size": it.size,
        "filesystem_size_fixed": volume.size_fixed,
        "full_threshold_percent": 98,
        "nearly_full_threshold_percent": 95,
        "fractional_reserve": 0,
        "logical_space": {"reporting": False, "enforcement": False, "used_by_afs": it.used, "used": it.used},
        "over_provisioned": 0,
        "overwrite_reserve": 0,
        "snapshot_spill": it.spill,
        "snapshot": {
            "reserve_percent": it.reserve_percent,
            "reserve_size": it.reserve,
            "reserve_available": max(0, it.reserve - it.snapshots),
            "used": it.snapshots,
            "space_used_percent": it.snapshots * 100 // it.reserve if it.reserve else 0,
            "autodelete_enabled": False,
        },
    }


def _set_all(record: JsonObject, settings: Mapping[str, Any]) -> None:
    """Put values into a nested record by their dotted names."""
    for dotted, value in settings.items():
        *above, last = dotted.split(".")
        place = record
        for name in above:
            place = place.setdefault(name, {})
        place[last] = value
