"""Shares made from snapshots: FlexClones of the volume of the snapshot, split from it where their type says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.base import DriverError, NotFoundError
from sharectl.drivers.ontap.autosize import asked_bytes
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.volumes import volume_of
from sharectl.drivers.share_checks import smaller_than_snapshot

if TYPE_CHECKING:
    from sharectl.drivers.ontap.client import Array
    from sharectl.model.canonical import JsonObject
    from sharectl.model.requests import ShareRequest, SnapshotRef

VOLUMES: Final = "storage/volumes"
_NOT_FOR_CLONES: Final = ("type", "space", "efficiency", "nas", "language", "snaplock", "encryption", "files")
"""Fields that a clone has from its parent, and that no request for one may hold."""


def parent_of(array: Array, request: ShareRequest, snapshot: SnapshotRef) -> JsonObject:
    """Return the record of the volume of a snapshot. Raises NotFoundError, and DriverError where the clone would be smaller."""
    volume_uuid, _, uuid = snapshot.backend_id.partition("/")
    try:
        array.get((VOLUMES, volume_uuid, "snapshots", uuid or volume_uuid), fields=("name",))
        parent = array.get((VOLUMES, volume_uuid), fields=("name", "uuid", "size", "svm.name", "style", "comment"))
    except ArrayError as problem:
        if problem.kind != "gone":
            raise
        message = f"the snapshot {snapshot.name!r} is not there any more"
        raise NotFoundError(message) from problem
    least = asked_bytes(volume_of(parent))
    if request.size_bytes < least:
        raise DriverError(smaller_than_snapshot(snapshot.name, least, request.size_bytes))
    return parent


def clone_fields(snapshot: SnapshotRef) -> JsonObject:
    """Return what makes the request for a volume one for a clone: without `is_flexclone` the array makes an empty volume."""
    volume_uuid, _, uuid = snapshot.backend_id.partition("/")
    return {
        "clone": {
            "is_flexclone": True,
            "parent_volume": {"uuid": volume_uuid},
            "parent_snapshot": {"uuid": uuid},
        }
    }


def own_fields(fields: JsonObject, size_bytes: int, qos: str | None) -> JsonObject:
    """Return what a clone gets once it is there, of the `fields` that a new volume of its type has."""
    mine: dict[str, Any] = {key: value for key, value in fields.items() if key not in _NOT_FOR_CLONES}
    if qos is not None:
        mine["qos"] = {"policy": {"name": qos}}
    return {**mine, "size": size_bytes}


def split(array: Array, volume_uuid: str) -> None:
    """Begin to make a clone independent of its parent, which goes on by itself; one that is no clone any more needs nothing."""
    array.begin("PATCH", (VOLUMES, volume_uuid), {"clone": {"split_initiated": True}})
