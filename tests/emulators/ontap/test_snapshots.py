"""Snapshots, clones of them, splits, and going back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.emulators.ontap.licenses import License
from tests.emulators.ontap.storage_calls import GIB, WAIT
from tests.emulators.ontap.volume_records import Snapshot, Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.storage_calls import Storage


def _snapshot(storage: Storage, volume: str, name: str) -> str:
    found = storage.client.get(f"/storage/volumes/{volume}/snapshots?name={name}").records
    return f"/storage/volumes/{volume}/snapshots/{found[0]['uuid']}"


def test_a_snapshot_keeps_its_comment(storage: Storage) -> None:
    """And can be found by it, in all volumes of an SVM at once."""
    storage.snapshot(storage.volume("v"), "s", comment="ours:1")
    found = storage.client.get(
        "/storage/volumes/*/snapshots?svm.name=vs1&comment=ours:*&fields=comment,volume,create_time"
    )
    assert [(each["name"], each["volume"]["name"], each["comment"]) for each in found.records] == [("s", "v", "ours:1")]


_REFUSALS: dict[str, tuple[dict[str, Any], str, int]] = {
    "a taken name": ({}, "s", 525059),
    "a reserved prefix": ({}, "snapmirror.1", 1638477),
    "a name with a slash": ({}, "a/b", 1638518),
    "a volume that is not read-write": ({"type": "dp"}, "t", 1638461),
    "a volume that is offline": ({"state": "offline"}, "t", 524479),
    "a volume that is full": ({"data": 2 * GIB}, "t", 524479),
}


@pytest.mark.parametrize(("changes", "name", "code"), _REFUSALS.values(), ids=_REFUSALS)
def test_a_wrong_snapshot_is_refused(storage: Storage, changes: dict[str, Any], name: str, code: int) -> None:
    """Each reason has the array's own code."""
    uuid = storage.volume("v")
    storage.snapshot(uuid, "s")
    storage.client.emulator.world[Volume].change(uuid, **changes)
    assert storage.snapshot(uuid, name).code == code


def test_a_full_aggregate_has_no_room_for_snapshots(storage: Storage) -> None:
    """Of thin volumes; what is guaranteed has its room."""
    thin, thick = storage.volume("v"), storage.volume("w", **{"guarantee.type": "volume"})
    storage.client.emulator.world.taken_bytes["aggr1"] = 2**60
    assert (storage.snapshot(thin, "s").code, storage.snapshot(thick, "s").status) == (524479, 201)
    storage.client.emulator.world.taken_bytes.clear()


def test_a_volume_has_1023_snapshots_at_most(storage: Storage) -> None:
    """One more is refused."""
    uuid = storage.volume("v")
    world = storage.client.emulator.world
    for number in range(1023):
        snapshot = Snapshot(uuid=str(number), volume=uuid, name=str(number), create_time=0, data=0, volume_size=GIB)
        world[Snapshot].put(snapshot)
    assert storage.snapshot(uuid, "s").code == 525062


def test_a_snapshot_is_renamed_and_noted(storage: Storage) -> None:
    """A FlexGroup's cannot be renamed."""
    uuid = storage.volume("v")
    storage.snapshot(uuid, "s")
    storage.snapshot(uuid, "t")
    path = _snapshot(storage, uuid, "s")
    assert storage.client.patch(f"{path}?{WAIT}", {"name": "t"}).code == 525059
    assert storage.client.patch(f"{path}?{WAIT}", {"name": "u", "comment": "x"}).status == 200
    assert storage.client.get(path).body["comment"] == "x"
    group = storage.volume("fg", style="flexgroup", aggregates=None, size=800 * GIB)
    storage.snapshot(group, "s")
    assert storage.client.patch(f"{_snapshot(storage, group, 's')}?{WAIT}", {"name": "t"}).code == 917628


def test_a_clone_hangs_on_its_snapshot_and_on_its_parent(storage: Storage) -> None:
    """Neither can be deleted, also while the clone is in the recovery queue."""
    parent = storage.volume("v", size=2 * GIB)
    storage.snapshot(parent, "s")
    base = _snapshot(storage, parent, "s")
    clone = storage.clone("c", "v", **{"nas.path": "/c"})
    named = storage.clone(
        "d", "v", clone={"is_flexclone": True, "parent_volume": {"name": "v"}, "parent_snapshot": {"name": "s"}}
    )
    assert storage.show(named, "clone,size")["clone"]["parent_snapshot"]["name"] == "s"
    assert storage.snapshots(parent)[0] == "s"
    assert storage.snapshots(parent)[1].startswith("clone_c.")
    assert storage.client.get(base).body["owners"] == ["volume_clone"]
    assert storage.client.delete(f"{base}?{WAIT}").code == 1638555
    assert storage.delete(parent).code == 524615
    storage.delete(named)
    storage.delete(clone, force=True)
    assert storage.client.get("/storage/volumes?clone.is_flexclone=true").records == []
    assert (storage.client.delete(f"{base}?{WAIT}").code, storage.delete(parent).code) == (1638555, 524615)
    storage.client.emulator.world.pass_time(13 * 3600)
    assert storage.client.delete(f"{base}?{WAIT}").status == 200
    assert storage.delete(parent).status == 200


def test_a_clone_has_what_its_parent_has(storage: Storage) -> None:
    """Its size, style and aggregate, and its export policy too unless another is named."""
    storage.policy("p")
    storage.policy("q")
    parent = storage.volume("v", size=3 * GIB, **{"nas.export_policy.name": "p", "nas.security_style": "mixed"})
    clone, own = storage.clone("c", "v"), storage.clone("d", "v", **{"nas.export_policy.name": "q", "comment": "ours"})
    shown, other = storage.show(clone), storage.show(own)
    assert (shown["size"], shown["nas"]["security_style"], shown["comment"]) == (3 * GIB, "mixed", "")
    assert (shown["nas"]["export_policy"]["name"], other["nas"]["export_policy"]["name"]) == ("p", "q")
    assert (shown["aggregates"], other["comment"]) == (storage.show(parent)["aggregates"], "ours")
    assert shown["clone"]["is_flexclone"]


def test_a_clone_takes_no_room_for_what_it_shares(storage: Storage) -> None:
    """Until it is split."""
    parent = storage.volume("v", size=4 * GIB)
    storage.write(parent, data=GIB)
    before = _used(storage)
    clone = storage.clone("c", "v")
    assert _used(storage) == before
    storage.client.patch(f"/storage/volumes/{clone}", {"clone.split_initiated": True})
    storage.client.emulator.world.pass_time(600)
    assert _used(storage) == before + GIB


def _used(storage: Storage) -> int:
    shown = storage.client.get("/storage/aggregates?name=aggr1&fields=space").records[0]
    return int(shown["space"]["block_storage"]["used"])


_CLONE_REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "no parent": ({"clone": {"is_flexclone": True}}, 918232),
    "a parent that there is not": ({"clone": {"is_flexclone": True, "parent_volume": {"name": "x"}}}, 524601),
    "a security style": ({"nas.security_style": "ntfs"}, 918247),
    "a QoS policy": ({"qos.policy.name": "value"}, 918247),
    "what saves space": ({"efficiency": {"dedupe": "none"}}, 918247),
    "an aggregate": ({"aggregates": [{"name": "aggr2"}]}, 918247),
    "a replica": ({"type": "dp"}, 918244),
    "a snapshot that there is not": (
        {"clone": {"is_flexclone": True, "parent_volume": {"name": "v"}, "parent_snapshot": {"name": "x"}}},
        1638600,
    ),
    "without is_flexclone": ({"clone": {"parent_volume": {"name": "v"}}}, 787140),
    "a taken name": ({"name": "v"}, 917526),
}


@pytest.mark.parametrize(("fields", "code"), _CLONE_REFUSALS.values(), ids=_CLONE_REFUSALS)
def test_a_wrong_clone_is_refused(storage: Storage, fields: dict[str, Any], code: int) -> None:
    """Each mistake has the array's own code."""
    storage.volume("v")
    clone = {"is_flexclone": True, "parent_volume": {"name": "v"}}
    got = storage.client.post(f"/storage/volumes?{WAIT}", {"svm.name": "vs1", "name": "c", "clone": clone, **fields})
    assert got.code == code


def test_an_offline_parent_is_not_cloned(storage: Storage) -> None:
    """It is refused as not online."""
    parent = storage.volume("v", **{"nas.path": None})
    storage.change(parent, state="offline")
    got = storage.client.post(
        "/storage/volumes", {"svm.name": "vs1", "name": "c", "clone": {"is_flexclone": True, "parent_volume": "v"}}
    )
    assert got.code == 917775


def test_a_clone_that_forgets_to_be_one_is_an_ordinary_volume(storage: Storage) -> None:
    """With an aggregate named, nothing says so but the volume itself."""
    storage.volume("v", size=3 * GIB)
    made = storage.volume("c", size=None, clone={"parent_volume": {"name": "v"}})
    shown = storage.show(made)
    assert (shown["clone"]["is_flexclone"], shown["size"]) == (False, 20 * 2**20)


def test_during_a_split_much_is_refused(storage: Storage) -> None:
    """Unmounting fails with the job in its text, offline and a restore are refused; then it is a volume of its own."""
    storage.volume("v")
    clone = storage.clone("c", "v", **{"nas.path": "/c"})
    storage.snapshot(clone, "s")
    client = storage.client
    assert client.patch(f"/storage/volumes/{clone}", {"clone.split_initiated": True}).status == 202
    client.emulator.world.pass_time(30)
    shown = storage.show(clone)["clone"]
    assert (shown["split_initiated"], 0 < shown["split_complete_percent"] < 100) == (True, True)
    refused = storage.change(clone, nas__path="")
    assert (refused.code, "job ID" in refused.body["error"]["message"]) == (917536, True)
    assert client.patch(f"/storage/volumes/{clone}", {"restore_to": {"snapshot": {"name": "s"}}}).code == 524511
    client.emulator.world.pass_time(600)
    assert storage.show(clone)["clone"] == {"is_flexclone": False, "has_flexclone": False}
    assert storage.change(clone, nas__path="").status == 200


def test_a_split_comes_alone(storage: Storage) -> None:
    """Another field in the same call is refused."""
    storage.volume("v")
    assert storage.change(storage.clone("c", "v"), clone__split_initiated=True, comment="x").code == 918248


def test_a_restore_takes_newer_snapshots_away(storage: Storage) -> None:
    """What is in the volume is what was; its size is the larger of then and now; name, junction and policy stay."""
    policy = storage.policy("p")
    uuid = storage.volume("v", size=2 * GIB, **{"nas.export_policy.name": "p"})
    storage.write(uuid, data=GIB)
    storage.snapshot(uuid, "s1")
    storage.snapshot(uuid, "s2")
    storage.change(uuid, size=3 * GIB)
    storage.write(uuid, data=5 * GIB // 2)
    got = storage.client.patch(f"/storage/volumes/{uuid}?{WAIT}&restore_to.snapshot.name=s1", {})
    shown = storage.show(uuid)
    assert (got.status, storage.snapshots(uuid)) == (200, ["s1"])
    assert (shown["space"]["used"], shown["size"], shown["nas"]["path"]) == (GIB, 3 * GIB, "/v")
    assert shown["nas"]["export_policy"]["id"] == policy


def test_a_restore_is_refused_where_it_would_break_something(storage: Storage) -> None:
    """Other fields beside it, no such snapshot, an offline volume, a clone of a newer one, no licence."""
    uuid = storage.volume("v")
    for name in ("s1", "s2"):
        storage.snapshot(uuid, name)
    path = f"/storage/volumes/{uuid}?{WAIT}"
    wanted = {"restore_to.snapshot.name": "s1"}
    client, world = storage.client, storage.client.emulator.world
    assert client.patch(path, {**wanted, "comment": "x"}).code == 918251
    assert client.patch(path, {"restore_to.snapshot.name": "s9"}).code == 1638600
    newer = next(each for each in world[Snapshot] if each.name == "s2")
    world[Snapshot].change(newer.uuid, owners=("snapmirror",))
    assert client.patch(path, wanted).code == 1638480
    world[Snapshot].change(newer.uuid, owners=(), expiry_time="2099-01-01T00:00:00+00:00")
    assert client.patch(path, wanted).code == 9437886
    world[Snapshot].change(newer.uuid, expiry_time="")
    storage.clone(
        "c", "v", clone={"is_flexclone": True, "parent_volume": {"name": "v"}, "parent_snapshot": {"name": "s2"}}
    )
    assert client.patch(path, wanted).code == 524511
    world[License].remove("snaprestore")
    assert client.patch(path, wanted).code == 1115127


def test_during_a_restore_there_are_no_new_snapshots(storage: Storage) -> None:
    """They are refused as busy until it is through."""
    uuid = storage.volume("v")
    storage.snapshot(uuid, "s")
    storage.client.patch(f"/storage/volumes/{uuid}", {"restore_to.snapshot.name": "s"})
    assert storage.snapshot(uuid, "t").code == 1638532
    storage.client.emulator.world.pass_time(5)
    assert storage.snapshot(uuid, "t").status == 201
