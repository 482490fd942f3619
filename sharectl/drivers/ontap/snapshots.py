"""Snapshots of volumes: taken, listed with those of others, removed, and a volume turned back to one."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import (
    ConflictError,
    DriverError,
    NotFoundError,
    ObservedSnapshot,
    ShareInUseError,
    TransientError,
)
from sharectl.drivers.ontap.errors import ArrayError, OutcomeUnknownError
from sharectl.drivers.ontap.names import Note, comment_of, id_filter, read_note, short_id
from sharectl.drivers.ontap.requests import Pattern
from sharectl.drivers.ontap.snapshot_times import is_scheduled

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sharectl.drivers.ontap.client import Array
    from sharectl.model.canonical import JsonObject
    from sharectl.model.requests import SnapshotRef

VOLUMES: Final = "storage/volumes"
SNAPSHOTS: Final = "snapshots"
SNAPSHOT_FIELDS: Final = ("name", "uuid", "comment", "volume.uuid", "volume.name", "svm.name")
NO_LICENCE: Final = 1115127
_MARK: Final = "sharectl_revert"
_MOST_NAMED: Final = 3
_VOLUME_NOTE: Final = "volume"
"""Value of the note of a snapshot: the UUID of the volume that it was taken of."""
_FEW: Final = 10
"""Snapshots that the array is asked for by their ids; for more, all are read."""
_OF_A_POLICY: Final = re.compile(r".+\.[0-9]{4}-[0-9]{2}-[0-9]{2}(_[0-9]{4})?")
"""How the array's own policies name what they take: `hourly.2026-11-29_1005`, `daily.2026-11-29`."""


def list_snapshots(array: Array, svms: Collection[str], ids: Collection[str] | None = None) -> list[JsonObject]:
    """Return the records of all snapshots of the SVMs, those of the array's own policies too, or just those with these ids; none that shares' policies took.

    A clone may have the snapshot that it is based on among its own, with its comment: that is nobody's there.
    """
    wanted = None if ids is None else frozenset(ids)
    if wanted is not None and not wanted:
        return []
    query = (
        {} if wanted is None or len(wanted) > _FEW else {"comment": Pattern("|".join(map(id_filter, sorted(wanted))))}
    )
    found = [
        record
        for svm in sorted(svms)
        for record in array.records(
            f"{VOLUMES}/*/{SNAPSHOTS}", svm=svm, query={"svm.name": svm, **query}, fields=SNAPSHOT_FIELDS
        )
    ]
    found = [record for record in found if not is_scheduled(record["name"])]
    claims = Counter(map(_id_of, found))
    found = [
        {**record, "comment": ""} if claims[_id_of(record)] > 1 and _is_copy(record) else record for record in found
    ]
    return [record for record in found if wanted is None or _id_of(record) in wanted]


def observed(record: JsonObject, share_backend_id: str) -> ObservedSnapshot:
    """Return a snapshot as drivers list it; those that a policy took, or somebody else, have no id."""
    return ObservedSnapshot(_id_of(record), backend_id_of(record), record["name"], share_backend_id)


def backend_id_of(record: JsonObject) -> str:
    """Return what a snapshot is called in a state: its volume and itself, by the ids of the array."""
    return f"{record['volume']['uuid']}/{record['uuid']}"


def take(array: Array, volume_uuid: str, resource_id: str, name: str) -> JsonObject:
    """Take a snapshot, unless the one with this id is there, and return its record. Raises ConflictError where somebody else's has the name."""
    body = {"name": name, "comment": comment_of(Note(resource_id, {_VOLUME_NOTE: volume_uuid}))}
    try:
        array.post((VOLUMES, volume_uuid, SNAPSHOTS), body)
    except OutcomeUnknownError:
        found = _named(array, volume_uuid, name)
        if found is None or _id_of(found) != resource_id:
            raise
        return found
    except ArrayError as problem:
        if problem.kind == "gone":
            message = f"the volume of the snapshot {name!r} is not there any more"
            raise NotFoundError(message) from problem
        if problem.kind != "dup":
            raise
    found = _named(array, volume_uuid, name)
    if found is None:
        message = f"the snapshot {name!r} was taken, and is not listed yet"
        raise TransientError(message)
    if _id_of(found) != resource_id:
        message = (
            f"the volume has a snapshot called {name!r} that is not sharectl's for this resource; nothing was changed"
        )
        raise ConflictError(message)
    return found


def remove_known(array: Array, snapshot: SnapshotRef, svms: Collection[str]) -> None:
    """Remove a snapshot, which is known by its id alone where nobody heard whether it was taken; as `remove` then."""
    if snapshot.backend_id:
        places = [snapshot.backend_id]
    else:
        places = [backend_id_of(record) for record in list_snapshots(array, svms, [snapshot.resource_id])]
    for place in places:
        remove(array, place, snapshot.name)


def remove(array: Array, backend_id: str, name: str) -> None:
    """Remove a snapshot; a missing one is no error. Raises ShareInUseError where a clone is based on it."""
    volume_uuid, _, uuid = backend_id.partition("/")
    try:
        array.delete((VOLUMES, volume_uuid, SNAPSHOTS, uuid))
    except ArrayError as problem:
        if problem.kind == "gone":
            return
        if problem.kind != "inuse":
            raise
        clones = _clones_of(array, volume_uuid, name)
        based = (
            f"the clone{'s' * (len(clones) != 1)} {', '.join(clones)} {'are' if len(clones) != 1 else 'is'} based on it"
        )
        why = based if clones else "a clone in the recovery queue, a replication or a lock holds it"
        message = f"the snapshot {name!r} cannot be removed: {why}; split or remove what holds it"
        raise ShareInUseError(message) from problem


def revert(array: Array, snapshot: SnapshotRef, size_bytes: int) -> None:
    """Turn a volume back to its snapshot, and give it its size again.

    Newer snapshots would go with it, and keep it from being done, whoever took them; only those of the array's own policies go.
    Whether a restore whose answer was lost was carried out shows by a mark that is taken before it.
    """
    volume_uuid, _, uuid = snapshot.backend_id.partition("/")
    message = f"the snapshot {snapshot.name!r} is not there any more"
    try:
        there = _all_of(array, volume_uuid)
    except ArrayError as problem:
        if problem.kind != "gone":
            raise
        raise NotFoundError(message) from problem
    target = next((each for each in there if each["uuid"] == uuid), None)
    if target is None:
        raise NotFoundError(message)
    newer = [each for each in there if _is_newer(each, target) and not _is_mark(each)]
    if kept := [each["name"] for each in newer if not _is_of_a_policy(each)]:
        message = (
            f"the newer snapshot{'s' * (len(kept) != 1)} {', '.join(map(repr, kept[:_MOST_NAMED]))} would be lost with it: on ONTAP "
            "a volume goes back to its newest snapshot alone; remove newer ones first"
        )
        raise ShareInUseError(message)
    mark = _take_mark(array, volume_uuid, snapshot.share_resource_id, there)
    _restore(array, volume_uuid, target, mark)
    _give_size(array, volume_uuid, size_bytes)


def _restore(array: Array, volume_uuid: str, target: JsonObject, mark: str) -> None:
    body = {"restore_to": {"snapshot": {"uuid": target["uuid"]}}}
    try:
        array.patch((VOLUMES, volume_uuid), body)
    except OutcomeUnknownError as problem:
        if _is_there(array, volume_uuid, mark):
            message = f"{problem}; the newer content was still there a moment later"
            raise TransientError(message) from problem
    except ArrayError as problem:
        if not _is_there(array, volume_uuid, mark):
            return
        remove(array, f"{volume_uuid}/{mark}", _MARK)
        if problem.code == NO_LICENCE:
            message = "the array has no SnapRestore licence, without which no volume can be turned back"
            raise DriverError(message) from problem
        if problem.kind == "inuse":
            message = f"{problem}; a newer snapshot is locked, or a clone or a replication needs it"
            raise ShareInUseError(message) from problem
        raise


def _is_there(array: Array, volume_uuid: str, mark: str) -> bool:
    """Tell whether a mark is there. Raises TransientError without a time to come again where that cannot be had: the restore may be done."""
    try:
        return any(each["uuid"] == mark for each in _all_of(array, volume_uuid))
    except TransientError as problem:
        message = f"{problem}; nobody knows yet whether the content was turned back"
        raise TransientError(message) from problem


def _take_mark(array: Array, volume_uuid: str, resource_id: str, there: Iterable[JsonObject]) -> str:
    """Take a snapshot that a restore takes along, and return its id; one that an earlier attempt left is as good only if it is newest."""
    for left in (each for each in there if _is_mark(each)):
        remove(array, backend_id_of(left), left["name"])
    name = f"{_MARK}_{short_id(resource_id)}"
    body = {"name": name}
    try:
        array.post((VOLUMES, volume_uuid, SNAPSHOTS), body)
    except OutcomeUnknownError as problem:
        if _named(array, volume_uuid, name) is None:
            message = f"{problem}; nothing was turned back"
            raise TransientError(message, retry_after_seconds=1.0) from problem
    except ArrayError as problem:
        if problem.kind != "dup":
            raise
    found = _named(array, volume_uuid, name)
    if found is None:
        message = f"the snapshot {name!r} was taken, and is not listed yet; nothing was turned back"
        raise TransientError(message, retry_after_seconds=1.0)
    return str(found["uuid"])


def _give_size(array: Array, volume_uuid: str, size_bytes: int) -> None:
    """Give a volume its size: a restore leaves it the larger one of now and then."""
    try:
        volume = array.get((VOLUMES, volume_uuid), fields=("size",))
        if volume.get("size") != size_bytes:
            array.patch((VOLUMES, volume_uuid), {"size": size_bytes})
    except DriverError:
        return  # the content is turned back, and that must not be done again: the next plan shows the size


def _clones_of(array: Array, volume_uuid: str, snapshot: str) -> list[str]:
    found = array.records(
        VOLUMES,
        query={"clone.parent_volume.uuid": volume_uuid, "clone.parent_snapshot.name": snapshot},
        fields=("name",),
    )
    return sorted(volume["name"] for volume in found)


def _all_of(array: Array, volume_uuid: str) -> list[JsonObject]:
    return array.records(
        (VOLUMES, volume_uuid, SNAPSHOTS), fields=("name", "uuid", "comment", "create_time", "volume.uuid")
    )


def _named(array: Array, volume_uuid: str, name: str) -> JsonObject | None:
    found = array.records((VOLUMES, volume_uuid, SNAPSHOTS), query={"name": name}, fields=SNAPSHOT_FIELDS)
    return found[0] if found else None


def _is_newer(one: JsonObject, other: JsonObject) -> bool:
    from datetime import datetime  # noqa: PLC0415 - a revert alone needs it

    return bool(
        one["uuid"] != other["uuid"]
        and datetime.fromisoformat(one["create_time"]) >= datetime.fromisoformat(other["create_time"])
    )


def _is_mark(record: JsonObject) -> bool:
    return str(record["name"]).startswith(f"{_MARK}_") and not record.get("comment")


def _is_copy(record: JsonObject) -> bool:
    note = read_note(record.get("comment"))
    return note is not None and note.values.get(_VOLUME_NOTE) != record["volume"]["uuid"]


def _is_of_a_policy(record: JsonObject) -> bool:
    return read_note(record.get("comment")) is None and _OF_A_POLICY.fullmatch(str(record["name"])) is not None


def _id_of(record: JsonObject) -> str | None:
    note = read_note(record.get("comment"))
    return None if note is None else note.resource_id
