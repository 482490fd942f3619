"""Shares as their types ask for them, on an emulated array: the request for the volume, and what belongs to it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import ConflictError, DriverError, PoolError, ShareInUseError, TransientError
from sharectl.drivers.ontap.qos import policy_name
from sharectl.drivers.testing import new_id, ref, snapshot_ref
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRef, ShareRequest

from .array_fixtures import driver_on

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.ontap.driver import OntapDriver
    from tests.emulators.ontap.server import Emulator

THIN = {"thin_provisioning": "<is> True"}
VOLUMES = "storage/volumes"


def request(name: str = "projects", *, pool: str = "aggr1", **extra_specs: str) -> ShareRequest:
    """Return a request for a share of 2 GiB on a thin volume."""
    specs = {key.replace("__", ":"): value for key, value in extra_specs.items()}
    return ShareRequest(new_id(), name, 2 * GIB, "NFS", pool, {**THIN, **specs})


def sent(emulator: Emulator, method: str, path: str) -> list[dict[str, Any]]:
    """Return the bodies of the requests with this method whose path begins so."""
    return [
        json.loads(each.body) for each in emulator.calls.all() if each.method == method and each.path.startswith(path)
    ]


def volume(driver: OntapDriver, name: str, *fields: str) -> dict[str, Any]:
    """Return a volume as it is on the array."""
    (found,) = driver._array.records(VOLUMES, query={"name": name}, fields=("size", "comment", *fields))
    return found


def qos_policies(driver: OntapDriver) -> dict[str, Mapping[str, Any]]:
    """Return the limits of the policies of the SVM."""
    found = driver._array.records("storage/qos/policies", query={"svm.name": "vs1"}, fields=("name", "fixed"))
    return {each["name"]: each.get("fixed", {}) for each in found if each["name"].startswith("sharectl_")}


def test_all_that_a_type_asks_for_is_in_one_request(driver: OntapDriver, emulator: Emulator) -> None:
    """The volume is made with it, and is never without."""
    emulator.calls.clear()
    driver.create_share(
        request(
            dedupe="<is> True",
            compression="<is> True",
            netapp__hide_snapdir="true",
            netapp__language="C.UTF-8",
            netapp__max_files="50000",
            ontap__snapshot_reserve_percent="10",
        )
    )
    (body,) = sent(emulator, "POST", "/storage/volumes")
    assert body["guarantee"] == {"type": "none"}
    assert body["efficiency"] == {"dedupe": "background", "compression": "background"}
    assert body["snapshot_directory_access_enabled"] is False
    assert body["language"] == "c.utf_8"
    assert body["files"] == {"maximum": 50000}
    assert body["space"] == {"snapshot": {"reserve_percent": 10}}
    assert body["snapshot_policy"] == {"name": "none"}
    assert (body["style"], body["aggregates"]) == ("flexvol", [{"name": "aggr1"}])


def test_limits_come_before_the_volume_and_go_after_it(driver: OntapDriver, emulator: Emulator) -> None:
    """The share is never without them, and no policy is left."""
    share = driver.create_share(request(qos="true", netapp__maxiopspergib="10"))
    (body,) = sent(emulator, "POST", "/storage/volumes")
    assert list(qos_policies(driver)) == [body["qos"]["policy"]["name"]]
    assert next(iter(qos_policies(driver).values()))["max_throughput_iops"] == 20
    driver.delete_share(ref(share))
    driver.delete_share(ref(share))
    assert qos_policies(driver) == {}


def test_limits_for_each_gib_follow_the_size(driver: OntapDriver) -> None:
    """In both directions, though a call that changes the size knows nothing of the type."""
    share = driver.create_share(request(qos="true", netapp__maxiopspergib="10", netapp__minbps="1048576"))
    driver.extend_share(ref(share), 5 * GIB)
    (limits,) = qos_policies(driver).values()
    assert (limits["max_throughput_iops"], limits["min_throughput_mbps"]) == (50, 1)
    driver.shrink_share(ref(share), 3 * GIB)
    (limits,) = qos_policies(driver).values()
    assert limits["max_throughput_iops"] == 30


def test_a_repeated_call_makes_no_second_policy(driver: OntapDriver) -> None:
    """And brings the first one up to what is asked for."""
    asked = request(qos="true", netapp__maxiops="100")
    share = driver.create_share(asked)
    again = replace(asked, extra_specs={**asked.extra_specs, "netapp:maxiops": "200"})
    assert driver.create_share(again) == share
    (limits,) = qos_policies(driver).values()
    assert limits["max_throughput_iops"] == 200


def test_an_adaptive_policy_of_that_name_is_nobodys_to_change(driver: OntapDriver) -> None:
    """Fixed and adaptive ones share their names; nothing is made, until it is gone."""
    asked = request(qos="true", netapp__maxiops="100")
    name = policy_name(asked.resource_id)
    adaptive = {"expected_iops": 100, "peak_iops": 200}
    body = {"svm": {"name": "vs1"}, "name": name, "adaptive": adaptive}
    driver._array.post("storage/qos/policies", body, svm="vs1")
    with pytest.raises(ConflictError, match="made it an adaptive one"):
        driver.create_share(asked)
    (found,) = driver._array.records("storage/qos/policies", query={"name": name}, fields=("adaptive",))
    assert adaptive.items() <= found["adaptive"].items()
    assert driver.list_shares() == []
    driver._array.delete(("storage/qos/policies", found["uuid"]), svm="vs1")
    driver.create_share(asked)
    assert qos_policies(driver)[name]["max_throughput_iops"] == 100


def test_limits_that_were_cut_from_their_size_follow_it(driver: OntapDriver, emulator: Emulator) -> None:
    """They change first, and go back where the array refuses the size."""
    share = ref(driver.create_share(request(qos="true", netapp__maxiopspergib="10")))
    emulator.fault("refuse", "PATCH", "/storage/volumes/*", times=1, code=13107341)
    with pytest.raises(PoolError):
        driver.extend_share(share, 5 * GIB)
    (limits,) = qos_policies(driver).values()
    assert limits["max_throughput_iops"] == 20
    emulator.fault("cut", "PATCH", "/storage/volumes/*", times=1)
    with pytest.raises(TransientError):
        driver.extend_share(share, 5 * GIB)
    driver.extend_share(share, 5 * GIB)
    (limits,) = qos_policies(driver).values()
    assert limits["max_throughput_iops"] == 50


def test_limits_go_with_a_share_whose_removal_is_cut(driver: OntapDriver, emulator: Emulator) -> None:
    """Before the volume, by which an interrupted removal is found."""
    share = ref(driver.create_share(request(qos="true", netapp__maxiops="100")))
    emulator.calls.clear()
    driver.delete_share(share)
    removed = [each.path.split("/")[1:3] for each in emulator.calls.all() if each.method == "DELETE"]
    assert removed == [["storage", "qos"], ["storage", "volumes"]]
    assert qos_policies(driver) == {}


def test_without_a_licence_no_clone_is_made(driver: OntapDriver, emulator: Emulator) -> None:
    """The array says which one is missing; nothing is left, and no other aggregate is tried."""
    parent = driver.create_share(request())
    taken = driver.create_snapshot(ref(parent), new_id(), "monday")
    wanted = replace(request("copy"), snapshot=snapshot_ref(taken, parent))
    before = emulator.dump()
    emulator.change("remove_license", package="flexclone")
    with pytest.raises(DriverError, match="flexclone") as refused:
        driver.create_share(wanted)
    assert not isinstance(refused.value, PoolError | TransientError)
    after = emulator.dump()
    assert {kind: after[kind] for kind in after if kind != "License"} == {
        kind: before[kind] for kind in before if kind != "License"
    }


@pytest.mark.parametrize("done", [True, False])
def test_a_clone_whose_answer_is_lost_is_made_once(driver: OntapDriver, emulator: Emulator, *, done: bool) -> None:
    """It is found by its comment, and is a clone with limits of its own."""
    parent = driver.create_share(request())
    taken = driver.create_snapshot(ref(parent), new_id(), "monday")
    wanted = replace(request("copy", qos="true", netapp__maxiops="50"), snapshot=snapshot_ref(taken, parent))
    emulator.fault("cut", "POST", "/storage/volumes", times=1, done=done)
    try:
        driver.create_share(wanted)
    except TransientError:
        driver.create_share(wanted)
    assert sorted(share.name for share in driver.list_shares()) == ["copy", "projects"]
    assert volume(driver, "copy", "clone.is_flexclone")["clone"]["is_flexclone"] is True
    assert list(qos_policies(driver)) == [policy_name(wanted.resource_id)]


def test_a_policy_of_the_administrators_is_taken_and_left(driver: OntapDriver) -> None:
    """It is not sharectl's to remove."""
    body = {"svm": {"name": "vs1"}, "name": "gold", "adaptive": {"expected_iops": 100, "peak_iops": 200}}
    driver._array.post("storage/qos/policies", body, svm="vs1")
    share = driver.create_share(request(netapp__adaptive_qos_policy_group="gold"))
    assert volume(driver, "projects", "qos.policy.name")["qos"]["policy"]["name"] == "gold"
    driver.delete_share(ref(share))
    assert driver._array.records("storage/qos/policies", query={"name": "gold"})


def test_files_are_multiplied_once(driver: OntapDriver) -> None:
    """However often the call is made."""
    driver.create_share(request("usual"))
    usual = volume(driver, "usual", "files.maximum")["files"]["maximum"]
    asked = request(netapp__max_files_multiplier="1.5")
    for _ in range(2):
        driver.create_share(asked)
        assert volume(driver, "projects", "files.maximum")["files"]["maximum"] == round(usual * 1.5)


def test_a_young_share_of_such_a_type_is_deleted_for_good(driver: OntapDriver, emulator: Emulator) -> None:
    """Others wait in the array's recovery queue; its clock is taken to be right."""
    with emulator.world.lock:
        shown = datetime.fromisoformat(emulator.world.clock.stamp())
        emulator.world.clock.skew_seconds = (datetime.now(UTC) - shown).total_seconds() - 120
    for minutes, forced in (("0", False), ("60", True)):
        share = driver.create_share(request(netapp__force_delete_time_minutes=minutes))
        emulator.calls.clear()
        driver.delete_share(ref(share))
        (deleted,) = [
            each for each in emulator.calls.all() if each.method == "DELETE" and "/storage/volumes/" in each.path
        ]
        assert ("force=true" in deleted.query) == forced


@pytest.mark.parametrize(
    "specs",
    [{"netapp__thin_provisoned": "true"}, {"netapp__compression": "true"}, {"qos": "true"}, {"netapp__maxiops": "x"}],
)
def test_what_validate_refuses_is_not_made(driver: OntapDriver, specs: dict[str, str]) -> None:
    """By the same functions."""
    with pytest.raises(DriverError, match=r"netapp:|qos"):
        driver.create_share(request(**specs))
    assert not driver._array.records(VOLUMES, query={"name": "projects"})


def test_a_flexgroup_is_laid_over_the_aggregates_of_its_pool(emulator: Emulator) -> None:
    """In members of one size, and listed in its pool; a smaller one is refused."""
    driver = driver_on(emulator, flexGroups={"wide": {"aggregates": ["aggr1", "aggr2"], "membersPerAggregate": 2}})
    wide = next(pool for pool in driver.pools() if pool.name == "wide")
    assert wide.capabilities["netapp_flexgroup"] is True
    with pytest.raises(DriverError, match="400GiB"):
        driver.create_share(request(pool="wide"))
    share = driver.create_share(replace(request(pool="wide"), size_bytes=400 * GIB))
    (body,) = sent(emulator, "POST", "/storage/volumes")
    assert (body["style"], body["constituents_per_aggregate"]) == ("flexgroup", 2)
    assert (share.pool, share.size_bytes) == ("wide", 400 * GIB)
    assert [each.name for each in driver.list_shares()] == ["projects"]
    driver.extend_share(ref(share), 500 * GIB)
    snapshot = driver.create_snapshot(ref(share), new_id(), "monday")
    asked = replace(request("copy", pool="wide"), size_bytes=500 * GIB, snapshot=snapshot_ref(snapshot, share))
    clone = driver.create_share(asked)
    assert (clone.pool, clone.size_bytes) == ("wide", 500 * GIB)
    driver.close()


def test_a_clone_has_a_policy_and_limits_of_its_own(driver: OntapDriver, emulator: Emulator) -> None:
    """From its first moment nobody may reach it; what it is to be else comes by one more call."""
    share = driver.create_share(request())
    driver.update_access(ref(share), [], [], [])
    snapshot = driver.create_snapshot(ref(share), new_id(), "monday")
    emulator.calls.clear()
    asked = replace(request("copy", qos="true", netapp__maxiops="7"), size_bytes=3 * GIB)
    clone = driver.create_share(replace(asked, snapshot=snapshot_ref(snapshot, share)))
    (body,) = sent(emulator, "POST", "/storage/volumes")
    assert body["clone"]["is_flexclone"] is True
    assert body["nas"]["export_policy"] == {"name": "sharectl_none"}
    assert len(sent(emulator, "PATCH", "/storage/volumes")) == 1
    assert (clone.size_bytes, clone.access) == (3 * GIB, ())
    there = volume(driver, "copy", "clone.is_flexclone", "qos.policy.name", "snapshot_policy.name")
    assert there["clone"]["is_flexclone"] is True
    assert there["qos"]["policy"]["name"] == next(iter(qos_policies(driver)))
    assert there["snapshot_policy"]["name"] == "none"


def test_a_clone_its_snapshot_and_its_parent_go_in_this_order(driver: OntapDriver) -> None:
    """A clone in the recovery queue would hold the other two for hours."""
    share = driver.create_share(request())
    snapshot = driver.create_snapshot(ref(share), new_id(), "monday")
    clone = driver.create_share(replace(request("copy"), snapshot=snapshot_ref(snapshot, share)))
    with pytest.raises(ShareInUseError):
        driver.delete_snapshot(snapshot_ref(snapshot, share))
    with pytest.raises(ShareInUseError):
        driver.delete_share(ref(share))
    driver.delete_share(ref(clone))
    driver.delete_snapshot(snapshot_ref(snapshot, share))
    driver.delete_share(ref(share))
    assert driver.list_shares() == []


def test_a_clone_is_split_where_its_type_says_so(driver: OntapDriver, emulator: Emulator) -> None:
    """It is not waited for; when it is over, the parent can go."""
    share = driver.create_share(request())
    snapshot = driver.create_snapshot(ref(share), new_id(), "monday")
    asked = replace(request("copy", netapp__split_clone_on_create="true"), snapshot=snapshot_ref(snapshot, share))
    clone = driver.create_share(asked)
    assert [body for body in sent(emulator, "PATCH", "/storage/volumes") if "clone" in body] == [
        {"clone": {"split_initiated": True}}
    ]
    with emulator.world.lock:
        emulator.world.pass_time(7200)
    assert driver.create_share(asked) == clone
    driver.delete_snapshot(snapshot_ref(snapshot, share))
    driver.delete_share(ref(share))


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("done", [True, False])
def test_a_clone_whose_making_was_cut_short_is_finished(
    driver: OntapDriver, emulator: Emulator, method: str, *, done: bool
) -> None:
    """By the same call again: one volume, with all that it is to have."""
    share = driver.create_share(request())
    snapshot = driver.create_snapshot(ref(share), new_id(), "monday")
    asked = replace(request("copy", qos="true", netapp__maxiops="7"), snapshot=snapshot_ref(snapshot, share))
    emulator.faults.add("cut", method=method, path="/storage/volumes*", times=1, done=done)
    try:
        driver.create_share(asked)
    except DriverError:
        driver.create_share(asked)
    assert sorted(each.name for each in driver.list_shares()) == ["copy", "projects"]
    there = volume(driver, "copy", "qos.policy.name")
    assert there["qos"]["policy"]["name"] == next(iter(qos_policies(driver)))
    assert "base=" not in there["comment"]


def test_no_policy_is_left_where_the_rest_of_a_clone_is_refused(driver: OntapDriver, emulator: Emulator) -> None:
    """What the clone was to go under is removed with it, as the engine does with what a creation has left."""
    share = driver.create_share(request())
    snapshot = driver.create_snapshot(ref(share), new_id(), "monday")
    asked = replace(request("copy", qos="true", netapp__maxiops="7"), snapshot=snapshot_ref(snapshot, share))
    emulator.faults.add("refuse", method="PATCH", path="/storage/volumes/*", times=1, code=917551, message="no policy")
    with pytest.raises(DriverError):
        driver.create_share(asked)
    driver.delete_share(ShareRef(asked.resource_id, "", "copy", "aggr1", "NFS", 2 * GIB))
    assert [each.name for each in driver.list_shares()] == ["projects"]
    assert qos_policies(driver) == {}


def test_a_full_aggregate_sends_the_share_to_the_next(driver: OntapDriver, emulator: Emulator) -> None:
    """Also where there was room when the plan was made."""
    thick = ShareRequest(new_id(), "projects", 2 * GIB, "NFS", "aggr1")
    with emulator.world.lock:
        emulator.world.taken_bytes["aggr1"] = 10**16
    with pytest.raises(PoolError):
        driver.create_share(thick)
    assert driver.create_share(replace(thick, pool="aggr2")).pool == "aggr2"


@pytest.mark.parametrize("spec", ["netapp:adaptive_qos_policy_group", "netapp:efficiency_policy"])
def test_a_policy_that_is_not_there_is_named(driver: OntapDriver, spec: str) -> None:
    """The array says that an entry does not exist, and not which."""
    with pytest.raises(DriverError, match=f"{spec} = 'gold'"):
        driver.create_share(ShareRequest(new_id(), "projects", GIB, "NFS", "aggr1", {spec: "gold"}))


def test_a_set_of_aggregates_that_is_called_as_one_of_them_is_no_pool(emulator: Emulator) -> None:
    """Nobody could tell which of the two a share goes to."""
    opened = driver_on(emulator, flexGroups={"aggr1": {"aggregates": ["aggr1", "aggr2"]}})
    with pytest.raises(DriverError, match="give the pool another name"):
        opened.pools()
    opened.close()
