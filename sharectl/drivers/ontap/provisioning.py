"""What a new volume gets by its share type: the fields that make it so, and what its comment has to remember for later calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.extra_specs import Asked
from sharectl.drivers.ontap.qos import follows_size, limits_of
from sharectl.model.access import BOTH, CIFS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.canonical import JsonObject

Version = tuple[int, int, int]

SNAPSHOT_DIRECTORY_SINCE: Final[Version] = (9, 13, 1)
_WINDOWS_STYLE: Final = "ntfs"
_OPEN_PERMISSIONS: Final = 777
"""Those of the root of a new volume, in octal digits: whom the export lets in may write there, as in shares of other drivers."""
_STYLES: Final = {CIFS: _WINDOWS_STYLE, BOTH: "mixed"}
_SNAPLOCK_PERIODS: Final[Mapping[str, tuple[str, ...]]] = {
    "netapp:snaplock_autocommit_period": ("autocommit_period",),
    "netapp:snaplock_min_retention_period": ("retention", "minimum"),
    "netapp:snaplock_max_retention_period": ("retention", "maximum"),
    "netapp:snaplock_default_retention_period": ("retention", "default"),
}

FORCED_MINUTES: Final = "force_delete_minutes"
FILES_MULTIPLIER: Final = "max_files_multiplier"
QOS_NOTE: Final = "qos"
RESERVE_NOTE: Final = "reserve"
"""Values of a volume's note: until what age it is deleted past the recovery queue, by how much its files exceed the array's own number, that it has a
QoS policy of its own, whether it goes under that yet or not, and that what is kept for snapshots in it was as the backend says."""


def volume_fields(extra_specs: Mapping[str, str], protocol: str, snapshot_reserve: int, version: Version) -> JsonObject:
    """Return the fields of the request that makes a volume, QoS and what belongs to no type left out.

    Each is sent, asked for or not, where what an array does by itself differs from array to array. Raises DriverError for what an
    array of this release cannot do.
    """
    asked = Asked(extra_specs)
    reserve = asked.value("ontap:snapshot_reserve_percent")
    fields: JsonObject = {
        "type": "rw",
        "guarantee": {"type": "none" if asked.flag("netapp:thin_provisioned") else "volume"},
        "snapshot_policy": {"name": asked.value("netapp:snapshot_policy") or "none"},
        "space": {"snapshot": {"reserve_percent": snapshot_reserve if reserve is None else reserve}},
        "efficiency": efficiency_fields(asked),
        "tiering": {"policy": asked.value("ontap:tiering_policy") or "none"},
        "nas": {"security_style": asked.value("ontap:security_style") or _STYLES.get(protocol, "unix")},
    }
    permissions = asked.value("ontap:unix_permissions")
    if permissions is not None or fields["nas"]["security_style"] != _WINDOWS_STYLE:
        fields["nas"]["unix_permissions"] = _OPEN_PERMISSIONS if permissions is None else permissions
    if (language := asked.value("netapp:language")) is not None:
        fields["language"] = language
    if files := asked.value("netapp:max_files"):
        fields["files"] = {"maximum": files}
    if asked.value("netapp_flexvol_encryption"):
        fields["encryption"] = {"enabled": True}
    fields.update(_snapshot_directory(asked, version))
    fields.update(_snaplock(asked))
    return fields


def efficiency_fields(asked: Asked) -> JsonObject:
    """Return how a volume saves space; the policy, which some releases ignore when a volume is made, is `efficiency_policy`."""
    return {
        "dedupe": "background" if asked.flag("netapp:dedup") else "none",
        "compression": "background" if asked.flag("netapp:compression") else "none",
    }


def files_multiplier(extra_specs: Mapping[str, str]) -> float | None:
    """Return by how much a volume is to hold more files than the array gives it."""
    factor: float | None = Asked(extra_specs).value("netapp:max_files_multiplier")
    return factor


def later_fields(extra_specs: Mapping[str, str], volume: JsonObject, factor: float | None = None) -> JsonObject:
    """Return what a volume gets once it is there, as it was read: nothing for most types. `factor` is that of its number of files."""
    asked = Asked(extra_specs)
    fields: JsonObject = {}
    if (policy := asked.value("netapp:efficiency_policy")) is not None and policy != _name_in(
        volume, "efficiency", "policy"
    ):
        fields["efficiency"] = {"policy": {"name": policy}}
    if factor is not None:
        fields["files"] = {"maximum": round(volume["files"]["maximum"] * factor)}
    return fields


def existing_qos_policy(extra_specs: Mapping[str, str]) -> str | None:
    """Return the policy of the administrator's that the share goes under, None where it is to have its own or none."""
    policy: str | None = Asked(extra_specs).value("netapp:adaptive_qos_policy_group")
    return policy


def splits_clone(extra_specs: Mapping[str, str]) -> bool:
    """Tell whether a clone is to be made independent of its parent."""
    return Asked(extra_specs).flag("netapp:split_clone_on_create")


def noted(extra_specs: Mapping[str, str]) -> dict[str, str]:
    """Return what the comment of the volume has to remember: later calls are told nothing of the share type."""
    asked = Asked(extra_specs)
    limits = limits_of(extra_specs)
    notes = {key: _plain(number) for key, number in limits.items()} if follows_size(limits) else {}
    if limits:
        notes[QOS_NOTE] = "own"
    if asked.value("ontap:snapshot_reserve_percent") is None:
        notes[RESERVE_NOTE] = "backend"
    if minutes := asked.value("netapp:force_delete_time_minutes"):
        notes[FORCED_MINUTES] = str(minutes)
    return notes


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _snapshot_directory(asked: Asked, version: Version) -> JsonObject:
    hides = asked.flag("netapp:hide_snapdir")
    if version >= SNAPSHOT_DIRECTORY_SINCE:
        return {"snapshot_directory_access_enabled": not hides}
    if hides:
        message = (
            f"ONTAP {'.'.join(map(str, version))} cannot hide snapshot directories by its REST API, which the share type asks for "
            "(netapp:hide_snapdir); 9.13.1 and later can"
        )
        raise DriverError(message)
    return {}


def _snaplock(asked: Asked) -> JsonObject:
    kind = asked.value("netapp_snaplock_type")
    if kind is None:
        return {}
    fields: JsonObject = {"type": kind}
    for key, path in _SNAPLOCK_PERIODS.items():
        if (period := asked.value(key)) is not None:
            place = fields
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = period
    return {"snaplock": fields}


def _name_in(record: JsonObject, *path: str) -> Any:  # noqa: ANN401 - part of a record
    value: Any = record
    for step in (*path, "name"):
        value = value.get(step) if isinstance(value, dict) else None
    return value
