"""Volumes: what makes them, what is refused, and what their space is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.emulators.ontap.storage_calls import GIB, WAIT
from tests.emulators.ontap.volume_records import Snapshot, Volume
from tests.emulators.ontap.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.ontap.client import Client
    from tests.emulators.ontap.storage_calls import Storage


def test_a_volume_is_there_once_its_job_is_through(client: Client) -> None:
    """POST answers 202 with a job; the volume cannot be seen before that has ended."""
    body = {"svm.name": "vs1", "name": "v", "style": "flexvol", "aggregates": [{"name": "aggr1"}]}
    client.emulator.world.clock.scale = 0.0
    got = client.post("/storage/volumes", body)
    seen = len(client.get("/storage/volumes?name=v").records)
    client.emulator.world.pass_time(2)
    assert (got.status, seen, len(client.get("/storage/volumes?name=v").records)) == (202, 0, 1)


def test_what_was_begun_goes_on_after_a_restart(storage: Storage, tmp_path: Path) -> None:
    """A volume that is being made, a clone that is being split, one in the recovery queue, and the hours."""
    client, world = storage.client, storage.client.emulator.world
    storage.volume("v", snapshot_policy=None)
    clone = storage.clone("c", "v")
    storage.delete(storage.volume("gone"))
    body = {"svm.name": "vs1", "name": "coming", "style": "flexvol", "aggregates": [{"name": "aggr1"}]}
    client.post("/storage/volumes", body)
    client.patch(f"/storage/volumes/{clone}", {"clone.split_initiated": True})
    world.save(tmp_path / "state")
    again = World()
    again.load(tmp_path / "state")
    again.pass_time(2 * 3600)
    assert {each.name for each in again[Volume] if each.deleted_at is None} == {"vs1_root", "v", "c", "coming"}
    assert again[Volume][clone].origin is None
    assert sum(each.name.startswith("hourly.") for each in again[Snapshot].where(volume=storage.uuid("v"))) == 2
    again.pass_time(12 * 3600)
    assert [each.name for each in again[Volume] if each.deleted_at is not None] == []


def test_defaults_are_the_arrays(storage: Storage) -> None:
    """Left out, a volume has 20 MB that are guaranteed, the policies called default, and is not mounted."""
    left_out = ("size", "guarantee.type", "snapshot_policy", "nas.path")
    got = storage.show(storage.volume("v", **dict.fromkeys(left_out)))
    assert (got["size"], got["guarantee"]["type"], got["snapshot_policy"]["name"]) == (20 * 2**20, "volume", "default")
    assert (got["nas"]["export_policy"]["name"], got["nas"].get("path"), got["type"]) == ("default", None, "rw")


def test_standard_fields_leave_out_what_must_be_named(storage: Storage) -> None:
    """`*` gives what was recorded of an array; the rest is given where it is named."""
    uuid = storage.volume("v")
    standard, all_of_it = storage.show(uuid, "*"), storage.show(uuid)
    dear = {"guarantee", "efficiency", "quota", "files", "snapshot_directory_access_enabled", "is_svm_root"}
    assert not dear & set(standard)
    assert dear <= set(all_of_it)
    assert set(standard["nas"]) == {"export_policy"}
    assert set(standard["nas"]["export_policy"]) == {"name"}


_CREATE_REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "neither aggregates nor style": ({"style": None, "aggregates": None}, 787140),
    "a FlexVol without an aggregate": ({"aggregates": None}, 918242),
    "a FlexVol on two": ({"aggregates": [{"name": "aggr1"}, {"name": "aggr2"}]}, 918242),
    "no such aggregate": ({"aggregates": [{"name": "aggr9"}]}, 917508),
    "a root aggregate": ({"aggregates": [{"name": "aggr0_n1"}]}, 917597),
    "a style that nobody makes": ({"style": "flexgroup_constituent"}, 918241),
    "less than 20 MB": ({"size": "19MB"}, 917534),
    "a reserve above 90 percent": ({"space.snapshot.reserve_percent": 91}, 917835),
    "a name of 204 characters": ({"name": "v" * 204}, 917886),
    "a digit in front": ({"name": "1v"}, 917887),
    "a character that is not allowed": ({"name": "a-b"}, 917888),
    "a junction that is no path": ({"nas.path": "v"}, 918252),
    "a junction that goes up": ({"nas.path": "/../v"}, 918252),
    "a junction that is taken": ({"nas.path": "/"}, 918252),
    "a junction in no directory": ({"nas.path": "/none/v"}, 918252),
    "no such export policy": ({"nas.export_policy.name": "none"}, 918271),
    "no such snapshot policy": ({"snapshot_policy": "weekdays"}, 917551),
    "no such QoS policy": ({"qos.policy.name": "fast"}, 4),
    "no such SVM": ({"svm": {"name": "vs9"}}, 2621462),
    "no SVM named": ({"svm": None}, 2621707),
    "the state of an error": ({"state": "error"}, 918652),
    "a shrink threshold above the other": ({"autosize": {"grow_threshold": 50, "shrink_threshold": 60}}, 917829),
    "autosize upside down": ({"autosize": {"maximum": "1GB", "minimum": "2GB"}}, 917831),
    "autosize from above the size": ({"autosize": {"maximum": "3GB", "minimum": "2GB"}}, 918524),
}


@pytest.mark.parametrize(("fields", "code"), _CREATE_REFUSALS.values(), ids=_CREATE_REFUSALS)
def test_a_wrong_volume_is_refused(storage: Storage, fields: dict[str, Any], code: int) -> None:
    """Each mistake in a POST has the array's own code, and leaves no volume."""
    got = storage.try_volume("v", **fields)
    assert (got.code, [each["name"] for each in storage.client.get("/storage/volumes?name=!vs1_root").records]) == (
        code,
        [],
    )


def test_a_name_is_taken_once_in_an_svm(storage: Storage) -> None:
    """Also while a volume of that name is still being made."""
    client = storage.client
    body = {"svm.name": "vs1", "name": "v", "style": "flexvol", "aggregates": [{"name": "aggr1"}]}
    codes = [client.post("/storage/volumes", body).code, client.post("/storage/volumes", body).code]
    client.emulator.world.pass_time(2)
    assert [*codes, client.post("/storage/volumes", body).code] == [None, 13107405, 917526]


def test_what_is_missing_at_the_end_of_the_job_fails_it(storage: Storage) -> None:
    """A guaranteed volume for which the aggregate has no room by then is a failed job, and no volume."""
    got = storage.try_volume("v", **{"guarantee.type": "volume", "size": "11TB"})
    assert (got.code, "enough space" in got.body["error"]["message"]) == (917536, True)
    assert storage.client.get("/storage/volumes?name=v").records == []


def test_space_is_what_the_array_makes_of_it(storage: Storage) -> None:
    """The reserve is taken off the size; snapshots beyond it count as used."""
    uuid = storage.volume("v", size=10 * GIB, **{"space.snapshot.reserve_percent": 5})
    storage.write(uuid, data=3 * GIB, snapshots=GIB)
    space = storage.show(uuid)["space"]
    reserve = 10 * GIB * 5 // 100
    assert (space["snapshot"]["reserve_size"], space["afs_total"]) == (reserve, 10 * GIB - reserve)
    assert space["snapshot_spill"] == GIB - reserve
    assert space["used"] == 3 * GIB + space["snapshot_spill"]
    assert space["available"] == space["afs_total"] - space["used"]
    assert space["percent_used"] == space["used"] * 100 // space["afs_total"]


def test_a_thin_volume_has_no_more_than_its_aggregate(storage: Storage) -> None:
    """`available` is what both leave."""
    uuid = storage.volume("v", size=20 * 2**40)
    left = storage.client.get("/storage/aggregates?name=aggr1&fields=space").records[0]
    assert storage.show(uuid)["space"]["available"] == left["space"]["block_storage"]["available"]


def test_a_volume_is_not_shrunk_below_what_is_in_it(storage: Storage) -> None:
    """The text names the least size, which is taken then."""
    uuid = storage.volume("v", size=4 * GIB)
    storage.write(uuid, data=2 * GIB)
    got = storage.change(uuid, size=2 * GIB)
    message = got.body["error"]["message"].lower()
    assert "selected volume size is too small to hold the current volume data" in message
    least = int(message.rpartition(": ")[2].rstrip("."))
    assert (storage.change(uuid, size=least).status, storage.show(uuid, "size")["size"]) == (200, least)


def test_a_fixed_size_is_set_free_first(storage: Storage) -> None:
    """`filesystem_size_fixed` stands in the way of each resize until it is false."""
    uuid = storage.volume("v")
    storage.change(uuid, space__filesystem_size_fixed=True)
    assert storage.change(uuid, size=2 * GIB).status != 200
    storage.change(uuid, space__filesystem_size_fixed=False)
    assert storage.change(uuid, size=2 * GIB).status == 200


_CHANGE_REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "less than 20 MB": ({"size": "1MB"}, 917534),
    "a taken name": ({"name": "other"}, 917526),
    "a wrong name": ({"name": "a b"}, 917888),
    "offline while mounted": ({"state": "offline"}, 524546),
    "the state of an error": ({"state": "error"}, 918652),
    "a taken junction": ({"nas__path": "/other"}, 918252),
    "no such policy": ({"nas__export_policy__name": "none"}, 918271),
    "a split of what is no clone": ({"clone__split_initiated": True}, 917628),
    "quotas without a rule": ({"quota__enabled": True}, 917536),
    "nothing": ({}, 262190),
    "a style": ({"style": "flexgroup"}, 262196),
}


@pytest.mark.parametrize(("fields", "code"), _CHANGE_REFUSALS.values(), ids=_CHANGE_REFUSALS)
def test_a_wrong_change_is_refused(storage: Storage, fields: dict[str, Any], code: int) -> None:
    """Each mistake in a PATCH has the array's own code, and changes nothing."""
    storage.volume("other")
    uuid = storage.volume("v")
    before = storage.show(uuid)
    assert (storage.change(uuid, **fields).code, storage.show(uuid) == before) == (code, True)


def test_an_offline_volume_loses_its_fields(storage: Storage) -> None:
    """Its size stays; what it uses, its language and its autosize cannot be told, and it says why."""
    uuid = storage.volume("v")
    storage.change(uuid, nas__path="")
    storage.change(uuid, state="offline")
    got = storage.show(uuid)
    assert {"language", "autosize"} & set(got) == set()
    assert (got["space"], got["size"], got["state"], len(got["status"])) == ({"size": GIB}, GIB, "offline", 1)
    assert storage.change(uuid, size=2 * GIB).code == 917533
    assert storage.change(uuid, state="online").status == 200


def test_a_rename_leaves_the_junction(storage: Storage) -> None:
    """And other objects show the new name at once."""
    uuid = storage.volume("v")
    below = storage.volume("w", **{"nas.path": "/v/w"})
    storage.change(uuid, name="renamed")
    assert storage.show(uuid, "nas.path")["nas"]["path"] == "/v"
    assert storage.show(below, "nas")["nas"]["junction_parent"]["name"] == "renamed"
    assert storage.change(uuid, nas__path="").code == 917536


def test_a_mounted_volume_is_not_deleted(storage: Storage) -> None:
    """Unmounting comes first; a volume that is online may be deleted."""
    uuid = storage.volume("v")
    refused = storage.client.delete(f"/storage/volumes/{uuid}?{WAIT}")
    assert (refused.code, storage.delete(uuid).status) == (524546, 200)


def test_the_recovery_queue_keeps_space_and_gives_the_name_back(storage: Storage) -> None:
    """A deleted volume cannot be seen, takes its room for twelve hours, and another may have its name."""
    before = _available(storage.client)
    uuid = storage.volume("v")
    storage.write(uuid, data=GIB)
    storage.delete(uuid)
    queued = storage.client.get("/private/cli/volume/recovery-queue?fields=vserver,volume").records
    assert storage.client.get(f"/storage/volumes/{uuid}").code == 4
    assert (len(queued), queued[0]["vserver"]) == (1, "vs1")
    assert queued[0]["volume"].startswith("v_")
    assert before - _available(storage.client) == GIB
    assert storage.delete(storage.volume("v"), force=True).status == 200
    storage.client.emulator.world.pass_time(13 * 3600)
    assert (_available(storage.client), storage.client.get("/private/cli/volume/recovery-queue").records) == (
        before,
        [],
    )


def test_the_queue_is_emptied_by_the_command_line(storage: Storage) -> None:
    """One volume at a time, by its name there."""
    storage.delete(storage.volume("v"))
    path = "/private/cli/volume/recovery-queue"
    name = storage.client.get(path).records[0]["volume"]
    assert storage.client.post(f"{path}/purge", {"vserver": "vs1", "volume": "v"}).code == 4
    storage.client.post(f"{path}/purge?{WAIT}", {"vserver": "vs1", "volume": name})
    assert storage.client.get(path).records == []


def test_forced_deletion_passes_the_queue_by(storage: Storage) -> None:
    """With `force` nothing is kept."""
    storage.delete(storage.volume("v"), force=True)
    assert storage.client.get("/private/cli/volume/recovery-queue").records == []


def test_a_deletion_may_stop_half_way(storage: Storage) -> None:
    """It leaves the volume offline, from where it is deleted again."""
    uuid = storage.volume("v")
    storage.client.emulator.faults.add("half_deleted", "DELETE", times=1)
    assert storage.delete(uuid).code == 917536
    assert storage.show(uuid)["state"] == "offline"
    assert storage.client.delete(f"/storage/volumes/{uuid}?{WAIT}").status == 200


def test_a_flexgroup_has_members_that_are_shown_on_request(storage: Storage) -> None:
    """Four on each aggregate unless told otherwise, with 100 GiB at least for each."""
    both = [{"name": "aggr1"}, {"name": "aggr2"}]
    fields = {"style": "flexgroup", "aggregates": both, "size": 800 * GIB}
    assert storage.try_volume("small", **{**fields, "size": 799 * GIB}).code == 917534
    uuid = storage.volume("fg", **fields)
    names = [each["name"] for each in storage.client.get("/storage/volumes?is_constituent=true&name=fg*").records]
    assert sorted(names) == [f"fg__{number:04}" for number in range(1, 9)]
    assert [each["name"] for each in storage.client.get("/storage/volumes?name=fg*").records] == ["fg"]
    assert len(storage.show(uuid)["aggregates"]) == 2


def test_a_flexgroup_shows_its_new_size_before_the_job_ends(storage: Storage) -> None:
    """Resizing takes long; the size can be read at once."""
    uuid = storage.volume("fg", style="flexgroup", aggregates=None, size=800 * GIB)
    got = storage.client.patch(f"/storage/volumes/{uuid}", {"size": 900 * GIB})
    assert (got.status, storage.show(uuid, "size")["size"]) == (202, 900 * GIB)


def test_hourly_snapshots_appear_by_the_default_policy(storage: Storage) -> None:
    """Who leaves the snapshot policy out gets snapshots that nobody asked for."""
    kept, own = storage.volume("v"), storage.volume("w", snapshot_policy=None)
    storage.client.emulator.world.pass_time(2 * 3600)
    assert storage.snapshots(kept) == []
    assert [name.partition(".")[0] for name in storage.snapshots(own)] == ["hourly", "hourly"]


def _available(client: Client) -> int:
    got = client.get("/storage/aggregates?name=aggr1&fields=space").records[0]
    return int(got["space"]["block_storage"]["available"])
