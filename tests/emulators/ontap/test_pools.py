"""Aggregates and their disks, and the policies that volumes follow: what they show, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.emulators.ontap.client import Client
from tests.emulators.ontap.storage_calls import GIB, WAIT

if TYPE_CHECKING:
    from tests.emulators.ontap.client import Got
    from tests.emulators.ontap.storage_calls import Storage

QOS = "/storage/qos/policies"
SNAPSHOT_POLICIES = "/storage/snapshot-policies"
EFFICIENCY = "/storage/volume-efficiency-policies"


def _block(client: Client, name: str) -> dict[str, Any]:
    return dict(client.get(f"/storage/aggregates?name={name}&fields=space").records[0]["space"]["block_storage"])


def test_aggregates_of_all_kinds_are_there(client: Client) -> None:
    """One of flash, one hybrid, and the root aggregate of each node, which the command line tells apart."""
    fields = "home_node.name,block_storage.storage_type,block_storage.primary.raid_type"
    shown = {each["name"]: each for each in client.get(f"/storage/aggregates?fields={fields}").records}
    assert {name: each["block_storage"]["storage_type"] for name, each in shown.items()} == {
        "aggr0_n1": "hdd",
        "aggr0_n2": "hdd",
        "aggr1": "ssd",
        "aggr2": "hybrid",
    }
    assert (shown["aggr1"]["home_node"]["name"], shown["aggr2"]["home_node"]["name"]) == ("n1", "n2")
    roots = client.get("/private/cli/aggr?root=true&fields=aggregate").records
    assert sorted(each["aggregate"] for each in roots) == ["aggr0_n1", "aggr0_n2"]


def test_a_hybrid_aggregate_has_disks_of_two_types(client: Client) -> None:
    """As the array calls them."""
    found = client.get("/storage/disks?aggregates.name=aggr2&fields=effective_type").records
    assert {each["effective_type"] for each in found} == {"fsas", "ssd"}
    assert {
        each["effective_type"]
        for each in client.get("/storage/disks?aggregates.name=aggr1&fields=effective_type").records
    } == {"ssd"}


def test_a_guaranteed_volume_takes_its_size_a_thin_one_what_is_in_it(storage: Storage) -> None:
    """Growing the former takes more, and is refused as a failed job where there is no more."""
    before = _block(storage.client, "aggr1")["available"]
    thick = storage.volume("v", size=2 * GIB, **{"guarantee.type": "volume"})
    assert before - _block(storage.client, "aggr1")["available"] == 2 * GIB
    storage.volume("w", size=5 * GIB)
    assert before - _block(storage.client, "aggr1")["available"] < 3 * GIB
    assert storage.change(thick, size=20 * 2**40).code == 917536
    assert storage.change(thick, guarantee__type="none", size=20 * 2**40).status == 200


def test_room_that_others_take_is_missing(storage: Storage) -> None:
    """Also for thin volumes, once there is none left at all."""
    storage.client.emulator.world.taken_bytes["aggr1"] = _block(storage.client, "aggr1")["available"]
    assert _block(storage.client, "aggr1")["available"] == 0
    assert storage.try_volume("v").code == 917536
    storage.client.emulator.world.taken_bytes.clear()
    assert storage.try_volume("v").status == 201


def test_a_flexgroup_needs_an_aggregate_with_room_for_a_member(storage: Storage) -> None:
    """Where none is named."""
    world = storage.client.emulator.world
    for name in ("aggr1", "aggr2"):
        world.taken_bytes[name] = _block(storage.client, name)["available"] - 99 * GIB
    got = storage.try_volume("fg", style="flexgroup", aggregates=None, size=800 * GIB)
    world.taken_bytes.clear()
    assert got.code == 13107341


def _qos(client: Client, name: str = "q", **fields: Any) -> Got:  # noqa: ANN401 - JSON
    return client.post(f"{QOS}?{WAIT}", {"svm.name": "vs1", "name": name, **fields})


FIXED = {"fixed": {"max_throughput_iops": 100}}
ADAPTIVE = {"adaptive": {"expected_iops": 10, "peak_iops": 20}}
_QOS_REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "a fixed one of a fixed one's name": (FIXED, 8454379),
    "an adaptive one of a fixed one's name": (ADAPTIVE, 8454277),
    "an adaptive one of an adaptive one's name": ({"name": "value", **ADAPTIVE}, 8454380),
    "a fixed one of an adaptive one's name": ({"name": "value", **FIXED}, 8454278),
    "both": ({"name": "r", **FIXED, **ADAPTIVE}, 262186),
    "a minimum above the maximum": (
        {"name": "r", "fixed": {"max_throughput_iops": 1, "min_throughput_iops": 2}},
        8454194,
    ),
    "expected above peak": ({"name": "r", "adaptive": {"expected_iops": 30, "peak_iops": 20}}, 8454274),
    "zero": ({"name": "r", "adaptive": {"expected_iops": 0, "peak_iops": 20}}, 8454273),
    "no such SVM": ({"name": "r", "svm.name": "vs9", **FIXED}, 2621462),
}


@pytest.mark.parametrize(("fields", "code"), _QOS_REFUSALS.values(), ids=_QOS_REFUSALS)
def test_a_wrong_qos_policy_is_refused(client: Client, fields: dict[str, Any], code: int) -> None:
    """Each mistake has the array's own code."""
    assert _qos(client, **FIXED).status == 201
    got = client.post(f"{QOS}?{WAIT}", {"svm.name": "vs1", "name": "q", **fields})
    assert got.code == code


def test_a_qos_policy_is_changed_renamed_and_removed_unless_it_is_used(storage: Storage) -> None:
    """Presets are neither."""
    client = storage.client
    _qos(client, **FIXED)
    uuid = client.get(f"{QOS}?name=q").records[0]["uuid"]
    volume = storage.volume("v", **{"qos.policy.name": "q"})
    client.patch(f"{QOS}/{uuid}?{WAIT}", {"name": "r", "fixed": {"max_throughput_mbps": 5}})
    assert storage.show(volume, "qos")["qos"]["policy"]["name"] == "r"
    shown = client.get(f"{QOS}/{uuid}").body
    assert shown["fixed"] == {"capacity_shared": False, "max_throughput_iops": 100, "max_throughput_mbps": 5}
    assert shown["object_count"] == 1
    assert client.delete(f"{QOS}/{uuid}").code == 8
    storage.change(volume, qos__policy__name="none")
    assert client.delete(f"{QOS}/{uuid}").status == 200
    preset = client.get(f"{QOS}?name=extreme").records[0]["uuid"]
    assert client.delete(f"{QOS}/{preset}").code == 8454286


def test_a_snapshot_policy_is_followed_until_it_is_switched_off(storage: Storage) -> None:
    """It keeps as many as it says, and is not removed while a volume follows it."""
    client = storage.client
    copies = [{"schedule": {"name": "hourly"}, "count": 2, "prefix": "ours"}]
    got = client.post(SNAPSHOT_POLICIES, {"svm.name": "vs1", "name": "p", "copies": copies})
    path = got.headers["location"].removeprefix("/api")
    volume = storage.volume("v", snapshot_policy="p")
    client.emulator.world.pass_time(4 * 3600)
    assert [name.partition(".")[0] for name in storage.snapshots(volume)] == ["ours", "ours"]
    assert client.delete(path).code == 1638415
    client.patch(path, {"enabled": False})
    before = storage.snapshots(volume)
    client.emulator.world.pass_time(4 * 3600)
    assert storage.snapshots(volume) == before
    storage.change(volume, snapshot_policy__name="none")
    assert client.delete(path).status == 200


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "a b"}, 262197),
        ({"copies": []}, 262212),
        ({"copies": [{"schedule": {"name": "sometimes"}, "count": 1}]}, 262197),
        ({"copies": [{"schedule": {"name": "daily"}, "count": 0}]}, 262197),
    ],
)
def test_a_wrong_snapshot_policy_is_refused(client: Client, fields: dict[str, Any], code: int) -> None:
    """A schedule that there is not, none at all, or no copies of it."""
    body = {"svm.name": "vs1", "name": "p", "copies": [{"schedule": {"name": "daily"}, "count": 1}], **fields}
    assert client.post(SNAPSHOT_POLICIES, body).code == code


def test_an_efficiency_policy_is_given_by_a_change(storage: Storage) -> None:
    """Early releases ignore it when a volume is made."""
    client = storage.client
    assert client.post(EFFICIENCY, {"svm.name": "vs1", "name": "auto"}).code == 1
    got = client.post(EFFICIENCY, {"svm.name": "vs1", "name": "nightly"})
    client.emulator.world.version = (9, 12, 1)
    volume = storage.volume("v", **{"efficiency.policy.name": "nightly"})
    client.emulator.world.version = (9, 16, 1)
    assert "policy" not in storage.show(volume)["efficiency"]
    storage.change(volume, efficiency__policy__name="nightly")
    assert storage.show(volume)["efficiency"]["policy"] == {"name": "nightly"}
    assert client.delete(got.headers["location"].removeprefix("/api")).code == 8


def test_flash_looks_for_duplicates_unless_told_not_to(storage: Storage) -> None:
    """A volume on disks does not by itself."""
    flash, disks = storage.volume("v"), storage.volume("w", aggregates=[{"name": "aggr2"}])
    shown = [storage.show(each)["efficiency"] for each in (flash, disks)]
    assert [(each["dedupe"], each["state"]) for each in shown] == [("background", "enabled"), ("none", "disabled")]
    storage.change(flash, efficiency__dedupe="none")
    assert storage.show(flash)["efficiency"]["dedupe"] == "none"


def test_the_snapshot_directory_of_early_releases_is_the_command_lines(storage: Storage) -> None:
    """Its field is not known before 9.13.1."""
    client = storage.client
    client.emulator.world.version = (9, 12, 1)
    uuid = storage.volume("v")
    assert storage.change(uuid, snapshot_directory_access_enabled=False).code == 262179
    path = "/private/cli/volume?vserver=vs1&volume=v"
    assert client.patch(path, {"snapdir_access": "false"}).status == 200
    client.emulator.world.version = (9, 16, 1)
    assert storage.show(uuid)["snapshot_directory_access_enabled"] is False


def test_the_schedules_of_a_policy_are_changed_one_by_one(storage: Storage) -> None:
    """Added, given another number, and taken out but for the last; what the path already says is no field of the body."""
    client = storage.client
    copies = [{"schedule": {"name": "hourly"}, "count": 2, "prefix": "ours"}]
    got = client.post(SNAPSHOT_POLICIES, {"svm.name": "vs1", "name": "p", "copies": copies})
    path = f"{got.headers['location'].removeprefix('/api')}/schedules"
    assert client.post(path, {"schedule": {"name": "no"}, "count": 1}).code == 262197
    assert client.post(path, {"schedule": {"name": "daily"}, "count": 1022}).code == 1638451
    assert client.post(path, {"schedule": {"name": "daily"}, "count": 1, "prefix": "ours"}).code == 1
    assert client.post(path, {"schedule": {"name": "daily"}, "count": 3}).status == 201
    shown = client.get(f"{path}?fields=count,prefix").records
    found = {each["schedule"]["name"]: (each["count"], each["prefix"], each["schedule"]["uuid"]) for each in shown}
    assert {name: value[:2] for name, value in found.items()} == {"hourly": (2, "ours"), "daily": (3, "daily")}
    daily, hourly = f"{path}/{found['daily'][2]}", f"{path}/{found['hourly'][2]}"
    assert client.patch(daily, {"count": 4}).status == 200
    assert client.patch(daily, {"prefix": "theirs"}).code == 262196
    assert client.get(daily).body["count"] == 4
    assert client.delete(daily).status == 200
    assert client.get(daily).status == 404
    assert client.delete(hourly).code == 1638411


def test_schedules_are_the_clusters(client: Client) -> None:
    """Made and removed by its accounts alone, and not while a policy names them."""
    body = {"name": "at_noon", "cron": {"minutes": [0], "hours": [12]}}
    assert Client(client.emulator, "sharectl-svm").post("/cluster/schedules", body).code == 6
    assert client.post("/cluster/schedules", {"name": "at_noon"}).code == 262212
    assert client.post("/cluster/schedules", {**body, "cron": {"minutes": [60]}}).code == 262197
    path = client.post("/cluster/schedules", body).headers["location"].removeprefix("/api")
    assert client.post("/cluster/schedules", body).code == 1
    assert client.get(path).body["cron"] == {"minutes": [0], "hours": [12]}
    policy = {"svm.name": "vs1", "name": "p", "copies": [{"schedule": {"name": "at_noon"}, "count": 1}]}
    made = client.post(SNAPSHOT_POLICIES, policy).headers["location"].removeprefix("/api")
    assert client.delete(path).code == 8
    assert client.delete(made).status == 200
    assert client.delete(path).status == 200
