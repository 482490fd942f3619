"""What a body says of the fields of a volume, one group of them at a time; what has no group here is only kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import export_policies, volume_names, volume_shown
from tests.emulators.ontap.access_records import ExportPolicy
from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.policy_records import EfficiencyPolicy, QosPolicy, SnapshotPolicy
from tests.emulators.ontap.references import chosen
from tests.emulators.ontap.space import GREATEST_FLEXVOL_BYTES, LEAST_FLEXVOL_BYTES, LEAST_MEMBER_BYTES
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.emulators.ontap.world import World

Flat = dict[str, Any]
"""A body by dotted names; who has dealt with a field takes it out."""
_OBJECTS: Final = ("svm", "aggregates", "snapshot_policy", "nas.export_policy", "qos.policy", "efficiency.policy")
"""What is left whole, as it names other objects."""
_TAKES_EFFICIENCY_POLICY: Final = (9, 14, 1)


def flat(body: Mapping[str, Any], above: str = "") -> Flat:
    """Return a body by dotted names."""
    found: Flat = {}
    for name, value in body.items():
        dotted = above + name
        if isinstance(value, dict) and dotted not in _OBJECTS:
            found |= flat(value, f"{dotted}.")
        else:
            found[dotted] = value
    return found


def with_plain(volume: Volume, fields: Flat) -> Volume:
    """Set what has no conditions, and forget the fields that only other operations read."""
    plain = {
        "comment": "comment",
        "nas.security_style": "security_style",
        "nas.unix_permissions": "unix_permissions",
        "nas.uid": "uid",
        "nas.gid": "gid",
        "files.maximum": "files_maximum",
        "space.filesystem_size_fixed": "size_fixed",
        "space.snapshot.reserve_percent": "reserve_percent",
    }
    changes = {attribute: fields.pop(dotted) for dotted, attribute in plain.items() if dotted in fields}
    if "guarantee.type" in fields:
        changes["thick"] = fields.pop("guarantee.type") == "volume"
    if changes.get("security_style", "unix") == "unified":
        raise Refused(917628, 'The security style "unified" is not offered for this volume.', "nas.security_style")
    return replace(volume, **changes)


def with_size(volume: Volume, fields: Flat, *, shrink_code: int = 917534) -> Volume:
    """Set the size; bounds of autosize that it passes follow it."""
    sizes = [fields.pop(name) for name in ("size", "space.size") if name in fields]
    if not sizes or sizes[0] == volume.size:
        return volume
    size = sizes[0]
    if volume.size_fixed:
        raise Refused(917628, "The size of this volume is fixed: space.filesystem_size_fixed is true.", "size")
    least = LEAST_MEMBER_BYTES * len(volume.members) if volume.members else LEAST_FLEXVOL_BYTES
    if size < least:
        raise Refused(917534, f"The size {size} is too small. The minimum size is {least} bytes.", "size")
    if not volume.members and size > GREATEST_FLEXVOL_BYTES:
        raise Refused(262197, f'The value "{size}" is invalid for field "size"', "size")
    needed = max(volume.space.least_size, least)
    if size < needed:
        text = f"Selected volume size is too small to hold the current volume data. Selected size: {size}. Minimum size: {needed}."
        raise Refused(shrink_code, text, "size")
    bounds = volume.autosize
    if bounds is not None:
        bounds = replace(bounds, maximum=max(bounds.maximum, size), minimum=min(bounds.minimum, size))
    return replace(volume, size=size, autosize=bounds)


def with_autosize(volume: Volume, fields: Flat) -> Volume:
    """Set the bounds within which the volume changes its size by itself."""
    names = ("mode", "maximum", "minimum", "grow_threshold", "shrink_threshold")
    changes = {name: fields.pop(f"autosize.{name}") for name in names if f"autosize.{name}" in fields}
    if not changes:
        return volume
    bounds = replace(volume_shown.autosize_of(volume), **changes)
    if bounds.grow_threshold <= bounds.shrink_threshold:
        raise Refused(917829, "The grow threshold must be above the shrink threshold.", "autosize.grow_threshold")
    if bounds.minimum > bounds.maximum:
        raise Refused(917831, "The minimum size must not be above the maximum size.", "autosize.minimum")
    if bounds.maximum > GREATEST_FLEXVOL_BYTES and not volume.members:
        raise Refused(918521, "The maximum size is above that of the largest volume.", "autosize.maximum")
    if bounds.minimum > volume.size:
        raise Refused(918524, "The minimum size is above the size.", "autosize.minimum")
    return replace(volume, autosize=bounds)


def with_policy(world: World, volume: Volume, fields: Flat) -> Volume:
    """Set the export policy."""
    named = fields.pop("nas.export_policy", None)
    if not named:
        return volume
    missing = Refused(
        918271, f'The export policy "{named.get("name", named.get("id"))}" does not exist.', "nas.export_policy"
    )
    policy = chosen(world[ExportPolicy].where(svm=volume.svm), named, missing=missing)
    return replace(volume, policy=policy.id)


def with_snapshot_policy(world: World, volume: Volume, fields: Flat) -> Volume:
    """Set the snapshot policy: one of the SVM's, or of the cluster's."""
    named = fields.pop("snapshot_policy", None)
    if not named:
        return volume
    text = f'The snapshot policy "{named.get("name", named.get("uuid"))}" does not exist.'
    candidates = in_scope(world, SnapshotPolicy, volume.svm)
    policy = chosen(candidates, named, missing=Refused(917551, text, "snapshot_policy"))
    return replace(volume, snapshot_policy=policy.uuid)


def with_qos_policy(world: World, volume: Volume, fields: Flat) -> Volume:
    """Set the policy of quality of service; `none` takes it away."""
    named = fields.pop("qos.policy", None)
    if not named:
        return volume
    limits = {f"qos.policy.{name}": value for name, value in named.items() if name.endswith(("_iops", "_mbps"))}
    if limits:
        return replace(volume, settings={**volume.settings, **limits})
    if named.get("name") == "none":
        return replace(volume, qos_policy=None)
    missing = Refused(4, "entry doesn't exist", "qos.policy.name" if "name" in named else "qos.policy.uuid")
    policy = chosen(in_scope(world, QosPolicy, volume.svm), named, missing=missing)
    return replace(volume, qos_policy=policy.uuid)


def with_efficiency(world: World, volume: Volume, fields: Flat) -> Volume:
    """Set what saves space."""
    named = fields.pop("efficiency.policy", None)
    policy = volume.efficiency_policy
    if named and named.get("name") in {"-", ""}:
        policy = None
    elif named:
        missing = Refused(4, "entry doesn't exist", "efficiency.policy.name")
        policy = chosen(in_scope(world, EfficiencyPolicy, volume.svm), named, missing=missing).uuid
    names = [name for name in fields if name.startswith("efficiency.")]
    settings = {**volume.settings, **{name: fields.pop(name) for name in names}}
    return replace(volume, efficiency_policy=policy, settings=settings)


def in_scope(world: World, kind: type[Any], svm: str) -> list[Any]:
    """Return the policies of an SVM and those of the cluster, the former first."""
    return sorted((each for each in world[kind] if each.svm in {svm, None}), key=lambda each: each.svm is None)


def with_path(world: World, volume: Volume, fields: Flat) -> Volume:
    """Mount at a junction path, or unmount where it is empty."""
    path = fields.pop("nas.path", None)
    if path is None or path == (volume.path or ""):
        return volume
    _refuse_unmount(world, volume)
    if not path:
        return replace(volume, path=None)
    refuse_mount(world, volume, path)
    return replace(volume, path=path)


def _refuse_unmount(world: World, volume: Volume) -> None:
    if volume.root:
        raise Refused(918252, "The junction path of a root volume cannot be changed.", "nas.path")
    if volume.path is None:
        return
    mounted = [each for each in world[Volume].where(svm=volume.svm) if each.path is not None]
    below = [
        each.name for each in mounted if each.path != volume.path and volume_names.is_below(each.path, volume.path)
    ]
    if below:
        raise Refused(917536, f'Volume "{volume.name}" has volumes mounted below it: {", ".join(below)}.', "nas.path")


def refuse_mount(world: World, volume: Volume, path: str) -> None:
    """Refuse a junction path that is wrong, taken, or in no volume."""
    volume_names.refuse_wrong_path(path)
    if volume.state != "online":
        raise Refused(917533, f'Volume "{volume.name}" is not online.', "nas.path")
    if any(each.uuid != volume.uuid for each in world[Volume].where(svm=volume.svm, path=path)):
        raise Refused(918252, f'The junction path "{path}" is used by another volume.', "nas.path")
    parents = world[Volume].where(svm=volume.svm, path=volume_names.parent_of(path))
    if not parents or parents[0].uuid == volume.uuid:
        raise Refused(918252, f'The junction path "{path}" is in no directory.', "nas.path")


def released(world: World, old: Volume, new: Volume) -> None:
    """Note that a volume has left its policy."""
    if old.policy != new.policy and old.policy in world[ExportPolicy]:
        export_policies.note_release(world, old.policy)


def kept(volume: Volume, fields: Flat) -> Volume:
    """Keep whatever else may be set."""
    return replace(volume, settings={**volume.settings, **fields})


def described(world: World, volume: Volume, fields: Flat) -> Volume:
    """Fill in all else that a body says of a new volume."""
    if world.version < _TAKES_EFFICIENCY_POLICY:
        fields.pop("efficiency.policy", None)
    if fields.get("state", "online") == "error":
        raise Refused(918652, 'The state "error" cannot be asked for.', "state")
    volume = replace(volume, state=fields.pop("state", "online"))
    volume = with_plain(volume, fields)
    volume = with_autosize(volume, fields)
    volume = with_policy(world, volume, fields)
    volume = with_snapshot_policy(world, volume, fields)
    volume = with_qos_policy(world, volume, fields)
    volume = with_efficiency(world, volume, fields)
    volume = with_path(world, volume, fields)
    return kept(volume, fields)
