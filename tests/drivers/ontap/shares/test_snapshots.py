"""Snapshots on an emulated array: taken once, told from those of others, removed, and gone back to once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ConflictError, NotFoundError, ShareInUseError, SnapshotRef, TransientError
from sharectl.drivers.ontap import snapshots
from sharectl.drivers.ontap.errors import ArrayError

from ..scripted import CUT, scripted  # noqa: TID252 - the folder above is of the same tests

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.drivers.ontap.client import Array
    from tests.emulators.ontap.server import Emulator

GIB = 1 << 30
ID = "snapshot-1"


@pytest.fixture
def volume(array: Array) -> str:
    """Make a volume, and return its id."""
    body = {
        "svm": {"name": "vs1"},
        "name": "projects",
        "style": "flexvol",
        "aggregates": [{"name": "aggr1"}],
        "size": GIB,
        "guarantee": {"type": "none"},
        "snapshot_policy": {"name": "none"},
        "nas": {"path": "/projects"},
    }
    array.post("storage/volumes", body, svm="vs1")
    (found,) = array.records("storage/volumes", query={"name": "projects"})
    return str(found["uuid"])


def names(array: Array, volume: str) -> set[str]:
    """Return the names of the snapshots of a volume."""
    return {each["name"] for each in array.records(("storage/volumes", volume, "snapshots"))}


def ref(record: dict[str, object], volume: str) -> SnapshotRef:
    """Return a snapshot as a state knows it."""
    return SnapshotRef(ID, snapshots.backend_id_of(record), str(record["name"]), "share-1", volume)


def foreign(array: Array, volume: str, name: str) -> None:
    """Take a snapshot by hand."""
    array.post(("storage/volumes", volume, "snapshots"), {"name": name})


def test_it_is_taken_by_one_call_and_once(array: Array, emulator: Emulator, volume: str) -> None:
    """Asked again under the same id it is the same one."""
    emulator.calls.clear()
    taken = snapshots.take(array, volume, ID, "monday")
    assert emulator.calls.counted()["POST /storage/volumes/{volume.uuid}/snapshots"] == 1
    assert snapshots.take(array, volume, ID, "monday")["uuid"] == taken["uuid"]
    assert names(array, volume) == {"monday"}


def test_the_arrays_own_are_listed_without_an_id(array: Array, volume: str) -> None:
    """All snapshots of the SVM come by one bulk call."""
    snapshots.take(array, volume, ID, "monday")
    foreign(array, volume, "hourly.2026-11-02_0805")
    found = {
        each.name: each.resource_id
        for each in (snapshots.observed(record, "x") for record in snapshots.list_snapshots(array, ["vs1"]))
        if each.backend_id.startswith(volume)
    }
    assert found == {"monday": ID, "hourly.2026-11-02_0805": None}
    assert [each["name"] for each in snapshots.list_snapshots(array, ["vs1"], [ID])] == ["monday"]


def test_a_name_that_somebody_else_has_is_a_conflict(array: Array, volume: str) -> None:
    """Neither theirs nor a second one is made ours."""
    foreign(array, volume, "monday")
    with pytest.raises(ConflictError, match="monday"):
        snapshots.take(array, volume, ID, "monday")
    assert names(array, volume) == {"monday"}


def test_of_a_volume_that_is_gone_none_is_taken(array: Array) -> None:
    """The engine has to learn that the share is gone."""
    with pytest.raises(NotFoundError):
        snapshots.take(array, "00000000-0000-4000-8000-000000000000", ID, "monday")


@pytest.mark.parametrize("done", [True, False])
def test_an_answer_that_is_lost_makes_no_second_one(
    array: Array, emulator: Emulator, volume: str, *, done: bool
) -> None:
    """What the array did is looked up; what it did not do is tried again by the engine."""
    emulator.faults.add("cut", method="POST", path="*/snapshots", times=1, done=done)
    try:
        snapshots.take(array, volume, ID, "monday")
    except TransientError:
        snapshots.take(array, volume, ID, "monday")
    assert names(array, volume) == {"monday"}


def test_a_removed_one_is_gone_and_twice_is_no_error(array: Array, volume: str) -> None:
    """Deletion ends with the snapshot gone."""
    taken = snapshots.take(array, volume, ID, "monday")
    for _ in range(2):
        snapshots.remove(array, snapshots.backend_id_of(taken), "monday")
    assert names(array, volume) == set()


@pytest.mark.parametrize("done", [True, False])
def test_a_removal_whose_answer_is_lost_is_asked_for_again(
    array: Array, emulator: Emulator, volume: str, *, done: bool
) -> None:
    """Whether it was made or not, it ends with that snapshot gone and the others there."""
    foreign(array, volume, "theirs")
    place = snapshots.backend_id_of(snapshots.take(array, volume, ID, "monday"))
    emulator.faults.add("cut", method="DELETE", path="*/snapshots/*", times=1, done=done)
    with pytest.raises(TransientError):
        snapshots.remove(array, place, "monday")
    snapshots.remove(array, place, "monday")
    assert names(array, volume) == {"theirs"}


def test_one_that_a_clone_is_based_on_stays_and_the_clone_is_named(
    array: Array, emulator: Emulator, volume: str
) -> None:
    """It is asked for once: trying again would not help."""
    taken = snapshots.take(array, volume, ID, "monday")
    clone = {"is_flexclone": True, "parent_volume": {"uuid": volume}, "parent_snapshot": {"uuid": taken["uuid"]}}
    array.post("storage/volumes", {"svm": {"name": "vs1"}, "name": "copy", "clone": clone}, svm="vs1")
    emulator.calls.clear()
    with pytest.raises(ShareInUseError, match="copy"):
        snapshots.remove(array, snapshots.backend_id_of(taken), "monday")
    assert emulator.calls.counted()["DELETE /storage/volumes/{volume.uuid}/snapshots/{uuid}"] == 1
    assert names(array, volume) == {"monday"}


def test_a_share_goes_back_once_and_keeps_its_size(array: Array, emulator: Emulator, volume: str) -> None:
    """Though the array takes the larger of both sizes; and no mark is left."""
    taken = snapshots.take(array, volume, ID, "monday")
    array.patch(("storage/volumes", volume), {"size": 2 * GIB})
    array.patch(("storage/volumes", volume), {"size": GIB // 2})
    emulator.calls.clear()
    snapshots.revert(array, ref(taken, volume), GIB // 2)
    assert names(array, volume) == {"monday"}
    assert array.get(("storage/volumes", volume), fields=("size",))["size"] == GIB // 2


@pytest.mark.parametrize("others", [0, 20])
def test_of_all_that_is_there_those_of_some_ids_are_listed(
    array: Array, emulator: Emulator, volume: str, others: int
) -> None:
    """A few are asked for by their ids, so that the array does not send all that its policies have taken."""
    taken = snapshots.take(array, volume, ID, "monday")
    snapshots.take(array, volume, f"{ID}0", "tuesday")
    foreign(array, volume, "hourly.2026-11-29_1005")
    emulator.calls.clear()
    ids = [ID, *(f"missing-{number}" for number in range(others))]
    assert [each["uuid"] for each in snapshots.list_snapshots(array, ["vs1"], ids)] == [taken["uuid"]]
    assert ["comment=" in each.query for each in emulator.calls.all() if "snapshots" in each.path] == [not others]
    assert snapshots.list_snapshots(array, ["vs1"], []) == []


@pytest.mark.parametrize("ids", [None, [ID]])
def test_the_copy_of_a_snapshot_in_another_volume_is_nobodys(array: Array, volume: str, ids: list[str] | None) -> None:
    """As in a clone, whose own snapshots may begin with the one that it is based on: it must not be removed in its place."""
    taken = snapshots.take(array, volume, ID, "monday")
    body = {"svm": {"name": "vs1"}, "style": "flexvol", "aggregates": [{"name": "aggr1"}], "size": GIB}
    for name in ("a_copy", "z_copy"):
        array.post("storage/volumes", {**body, "name": name}, svm="vs1")
        (copy,) = array.records("storage/volumes", query={"name": name})
        array.post(("storage/volumes", copy["uuid"], "snapshots"), {"name": "monday", "comment": taken["comment"]})
    found = [snapshots.observed(each, "v") for each in snapshots.list_snapshots(array, ["vs1"], ids)]
    assert [each.backend_id for each in found if each.resource_id == ID] == [snapshots.backend_id_of(taken)]
    assert len(found) == (3 if ids is None else 1)


def test_snapshots_of_the_arrays_policies_that_are_newer_go(array: Array, volume: str) -> None:
    """ONTAP has no other way."""
    taken = snapshots.take(array, volume, ID, "monday")
    foreign(array, volume, "hourly.2026-11-29_1005")
    snapshots.revert(array, ref(taken, volume), GIB)
    assert names(array, volume) == {"monday"}


def test_a_newer_snapshot_that_somebody_took_keeps_it_from_being_done(array: Array, volume: str) -> None:
    """Only what the array's own policies take, which they take again, goes without a word."""
    taken = snapshots.take(array, volume, ID, "monday")
    foreign(array, volume, "before_migration")
    with pytest.raises(ShareInUseError, match="before_migration"):
        snapshots.revert(array, ref(taken, volume), GIB)
    assert names(array, volume) == {"monday", "before_migration"}


def test_a_newer_snapshot_of_ours_keeps_it_from_being_done(array: Array, emulator: Emulator, volume: str) -> None:
    """It would be lost with it, and somebody has it in a manifest."""
    taken = snapshots.take(array, volume, ID, "monday")
    with emulator.world.lock:
        emulator.world.pass_time(5)
    snapshots.take(array, volume, "snapshot-2", "tuesday")
    with pytest.raises(ShareInUseError, match="tuesday"):
        snapshots.revert(array, ref(taken, volume), GIB)
    assert names(array, volume) == {"monday", "tuesday"}


def restores(emulator: Emulator) -> int:
    """Return how often the array was asked to go back."""
    return sum(each.method == "PATCH" and b"restore_to" in each.body for each in emulator.calls.all())


def test_a_restore_whose_answer_was_lost_is_not_made_again(array: Array, emulator: Emulator, volume: str) -> None:
    """What was newer is gone, by which it is known to be done."""
    taken = snapshots.take(array, volume, ID, "monday")
    emulator.faults.add("cut", method="PATCH", path=f"/storage/volumes/{volume}", times=1, done=True)
    snapshots.revert(array, ref(taken, volume), GIB)
    assert restores(emulator) == 1
    assert names(array, volume) == {"monday"}


def test_a_restore_that_did_not_arrive_is_told_and_not_repeated(array: Array, emulator: Emulator, volume: str) -> None:
    """The engine must not do it by itself: it has no time to come again."""
    taken = snapshots.take(array, volume, ID, "monday")
    emulator.faults.add("cut", method="PATCH", path=f"/storage/volumes/{volume}", times=1)
    with pytest.raises(TransientError) as raised:
        snapshots.revert(array, ref(taken, volume), GIB)
    assert raised.value.retry_after_seconds is None
    assert restores(emulator) <= 1


def test_a_restore_of_which_nothing_can_be_learned_is_not_made_again(tmp_path: Path) -> None:
    """The array is busy when it is asked whether it did it, and says when to come again: the engine would, and restore a second time."""
    then = {"create_time": "2026-11-29T10:00:00+00:00", "volume": {"uuid": "v"}}
    monday = {"uuid": "s", "name": "monday", **then}
    mark = {"uuid": "m", "name": "sharectl_revert_x", **then}
    busy = (503, {"error": {"code": "7", "message": "busy"}}, {"Retry-After": "7"})
    with scripted(tmp_path) as script:
        script.answers = [(200, {"records": [monday]}), (201, {}), (200, {"records": [mark]}), CUT, busy]
        snapshot = SnapshotRef(ID, "v/s", "monday", "share-1", "v")
        array = script.array()
        with pytest.raises(TransientError, match="nobody knows yet") as raised:
            snapshots.revert(array, snapshot, GIB)
        array.close()
    assert raised.value.retry_after_seconds is None
    assert [line.partition(" ")[0] for line in script.lines()] == ["GET", "POST", "GET", "PATCH", "GET"]


def test_without_a_licence_nothing_is_left_behind(array: Array, emulator: Emulator, volume: str) -> None:
    """And the reason is said."""
    taken = snapshots.take(array, volume, ID, "monday")
    emulator.faults.add("refuse", method="PATCH", path=f"/storage/volumes/{volume}", code=1115127, times=1)
    with pytest.raises(Exception, match="SnapRestore"):
        snapshots.revert(array, ref(taken, volume), GIB)
    assert names(array, volume) == {"monday"}


def test_a_volume_without_room_for_a_snapshot_is_left_as_it_is(array: Array, emulator: Emulator, volume: str) -> None:
    """The array says so, and is asked for it once."""
    emulator.fault("refuse", "POST", "*/snapshots", times=1, code=524479, message="No space left on device")
    emulator.calls.clear()
    with pytest.raises(ArrayError, match="No space left") as refused:
        snapshots.take(array, volume, ID, "monday")
    assert refused.value.kind == "space"
    assert emulator.calls.counted()["POST /storage/volumes/{volume.uuid}/snapshots"] == 1
    assert names(array, volume) == set()


def test_nothing_goes_back_to_what_is_not_there(array: Array, volume: str) -> None:
    """The share stays as it is."""
    with pytest.raises(NotFoundError):
        snapshots.revert(array, SnapshotRef(ID, f"{volume}/x", "x", "share-1", volume), GIB)
