"""Sizes, removal and the trash."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import DriverError, PoolError, ShareInUseError, TransientError
from sharectl.drivers.testing import ref
from sharectl.model.quantities import GIB
from tests.emulators.ontap.volume_records import Volume

from .ground import request, rule

if TYPE_CHECKING:
    from .ground import Ground

MIB = 1 << 20
CLIENT = rule("10.0.0.0/24")


def fill(ground: Ground, size_bytes: int, name: str = "projects") -> None:
    """Put data into a volume."""
    with ground.emulator.world.lock:
        ground.emulator.world[Volume].change(ground.volumes()[name].uuid, data=size_bytes)


def test_a_share_is_extended_by_a_look_and_a_change(ground: Ground) -> None:
    """And no client notices."""
    share = ground.share(CLIENT)
    ground.forget_calls()
    assert ground.driver.extend_share(share, 3 * GIB) is None
    assert ground.calls()["PATCH /storage/volumes/{uuid}"] == 1
    assert ground.listed().size_bytes == 3 * GIB
    assert ground.listed().access == (CLIENT,)
    ground.is_tidy(shares=1, with_access=1)


@pytest.mark.parametrize("code", [917534, 917628])
def test_a_share_is_not_shrunk_below_what_is_used(ground: Ground, code: int) -> None:
    """By our own look before the call, whatever the array would answer; its size stays."""
    ground.emulator.world.settings.shrink_code = code
    share = ground.share()
    fill(ground, 900 * MIB)
    for size in (800 * MIB, 940 * MIB, 4 * MIB):
        with pytest.raises(ShareInUseError):
            ground.driver.shrink_share(share, size)
    assert ground.listed().size_bytes == GIB


def test_data_that_comes_between_the_look_and_the_change_is_kept(ground: Ground) -> None:
    """The array refuses then, and its refusal is told as what it means."""
    share = ground.share()
    ground.emulator.fault(
        "refuse", "PATCH", "/storage/volumes/*", times=1, code=917534, message="New volume size is too small to hold it"
    )
    with pytest.raises(ShareInUseError):
        ground.driver.shrink_share(share, 512 * MIB)
    assert ground.listed().size_bytes == GIB


def test_a_file_system_of_fixed_size_is_set_free_first(ground: Ground) -> None:
    """As of volumes that a replication once wrote."""
    share = ground.share()
    with ground.emulator.world.lock:
        ground.emulator.world[Volume].change(ground.volumes()["projects"].uuid, size_fixed=True)
    ground.driver.extend_share(share, 2 * GIB)
    assert ground.listed().size_bytes == 2 * GIB


def test_a_share_is_removed_in_the_order_that_the_array_takes(ground: Ground) -> None:
    """Its volume goes into the recovery queue, its policy goes, and its name is free; again is no error."""
    share = ground.share(CLIENT)
    ground.driver.delete_share(share)
    ground.driver.delete_share(share)
    assert [volume.name.startswith("projects") for volume in ground.queue()] == [True]
    assert ground.driver.list_shares() == []
    assert ref(ground.driver.create_share(request())).backend_id == "projects"
    ground.is_tidy(shares=1, with_access=0)


def test_a_backend_may_do_without_the_recovery_queue(ground: Ground) -> None:
    """Then the space is free at once."""
    driver = ground.fresh(recoveryQueue="skip")
    share = ref(driver.create_share(request()))
    driver.delete_share(share)
    assert ground.queue() == []
    ground.is_tidy(shares=0, with_access=0)


CUTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("PATCH", "/storage/volumes/*", {"kind": "cut", "where": "before", "done": True}),
    ("PATCH", "/storage/volumes/*", {"kind": "cut", "where": "before", "done": False}),
    ("DELETE", "/protocols/nfs/export-policies/*", {"kind": "cut", "where": "middle", "done": True}),
    ("DELETE", "/storage/volumes/*", {"kind": "cut", "where": "before", "done": False}),
    ("DELETE", "/storage/volumes/*", {"kind": "cut", "where": "headers", "done": True}),
    ("DELETE", "/storage/volumes/*", {"kind": "unavailable", "status": 503}),
    ("DELETE", "/storage/volumes/*", {"kind": "job_fails", "code": 917536, "message": "an offline volume is left"}),
)


@pytest.mark.parametrize(("method", "path", "fault"), CUTS)
def test_a_removal_that_is_cut_is_finished(ground: Ground, method: str, path: str, fault: dict[str, Any]) -> None:
    """At whichever call, by the next process, that finds what is left by the volume."""
    share = ground.share(CLIENT)
    values = dict(fault)
    ground.emulator.fault(values.pop("kind"), method, path, times=1, **values)
    try:
        ground.driver.delete_share(share)
    except DriverError:
        ground.fresh().delete_share(share)
    assert ground.driver.list_shares() == []
    ground.is_tidy(shares=0, with_access=0)


def test_a_volume_that_was_left_offline_is_removed(ground: Ground) -> None:
    """A removal that failed at its second half leaves it so."""
    share = ground.share(CLIENT)
    with ground.emulator.world.lock:
        ground.emulator.world[Volume].change(ground.volumes()["projects"].uuid, state="offline", path=None)
    ground.driver.delete_share(share)
    ground.is_tidy(shares=0, with_access=0)


def test_what_is_used_comes_with_the_listing(ground: Ground) -> None:
    """Of each volume, by the calls that are made anyway; nothing of one that is offline, of which the array says nothing."""
    share = ground.share(CLIENT)
    ground.forget_calls()
    assert ground.listed().used_bytes == ground.driver.used_bytes(share)
    ground.forget_calls()
    listed = ground.listed()
    calls = ground.calls()
    assert calls["GET /storage/volumes"] == 1
    assert not any("{uuid}" in operation for operation in calls)
    with ground.emulator.world.lock:
        ground.emulator.world[Volume].change(ground.volumes()["projects"].uuid, data=5 << 20)
    assert (ground.listed().used_bytes or 0) - (listed.used_bytes or 0) >= 4 << 20
    with ground.emulator.world.lock:
        ground.emulator.world[Volume].change(ground.volumes()["projects"].uuid, state="offline", path=None)
    assert ground.listed().used_bytes is None


def test_an_unmount_that_has_to_wait_frees_the_lane(ground: Ground) -> None:
    """As during the split of a clone: it is asked again later, and nothing was begun."""
    share = ground.share()
    ground.emulator.fault("refuse", "PATCH", "/storage/volumes/*", times=1, code=917536, message="job ID 7 is running")
    with pytest.raises(TransientError) as later:
        ground.driver.delete_share(share)
    assert later.value.retry_after_seconds
    ground.driver.delete_share(share)
    ground.is_tidy(shares=0, with_access=0)


def test_the_trash_withdraws_and_gives_name_and_path_free(ground: Ground) -> None:
    """Another share may take them; what comes back gets others then."""
    share = ground.share(CLIENT)
    since = ground.oracle.now()
    ground.driver.trash_share(share)
    assert (
        ground.oracle.check_between(ground.driver.list_shares()[0].backend_id, None, {"10.0.0.0/24": "none"}, since)
        == []
    )
    other = ground.driver.create_share(request())
    assert other.backend_id == "projects"
    restored = ground.driver.restore_share(share.resource_id)
    assert (restored.name, restored.access) == ("projects", ())
    assert restored.backend_id != "projects"
    assert restored.export_locations[0] != other.export_locations[0]
    ground.is_tidy(shares=2, with_access=0)


@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize("done", [True, False])
def test_a_way_into_the_trash_or_back_that_is_cut_is_gone_on_with(ground: Ground, skip: int, done: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """Each call may be the last one of a process."""
    share = ground.share(CLIENT)
    ground.emulator.fault("cut", "PATCH", "/storage/volumes/*", where="before", done=done, times=1, skip=skip)
    try:
        ground.driver.trash_share(share)
    except DriverError:
        ground.fresh().trash_share(share)
    assert ground.listed().trashed_at is not None
    ground.emulator.faults.clear()
    ground.emulator.fault("cut", "PATCH", "/storage/volumes/*", where="before", done=done, times=1, skip=skip)
    try:
        ground.driver.restore_share(share.resource_id)
    except DriverError:
        ground.fresh().restore_share(share.resource_id)
    ground.emulator.faults.clear()
    listed = ground.listed()
    assert (listed.trashed_at, listed.backend_id, listed.access) == (None, "projects", ())
    assert listed.export_locations
    ground.is_tidy(shares=1, with_access=0)


def test_an_aggregate_that_filled_up_since_the_plan_is_a_full_pool(ground: Ground) -> None:
    """Another one takes the share."""
    wanted = request(size_bytes=2 << 40)
    ground.emulator.change("take_space", aggregate="aggr1", size=9 << 40)
    with pytest.raises(PoolError):
        ground.driver.create_share(wanted)
    assert ground.driver.list_shares() == []
    made = ground.driver.create_share(dataclasses.replace(wanted, pool="aggr2"))
    assert made.pool == "aggr2"
    ground.is_tidy(shares=1, with_access=0)


def test_a_copy_that_says_it_is_the_share_is_nobodys(ground: Ground) -> None:
    """A clone that an administrator made with the comment of its parent is listed as what it is, and never changed in its place."""
    share = ground.share(CLIENT)
    parent = ground.volumes()["projects"]
    body = {
        "svm": {"name": "vs1"},
        "name": "a_copy",
        "comment": parent.comment,
        "clone": {"is_flexclone": True, "parent_volume": {"name": "projects"}},
        "nas": {"path": "/a_copy", "export_policy": {"name": "sharectl_none"}},
    }
    ground.send("POST", "/storage/volumes", body)
    found = {each.backend_id: each for each in ground.driver.list_shares()}
    assert (found["projects"].resource_id, found["a_copy"].resource_id) == (share.resource_id, None)
    assert "written for another volume" in found["a_copy"].not_adoptable
    copy = ground.volumes()["a_copy"]
    ground.driver.extend_share(share, 2 * GIB)
    assert ground.volumes()["projects"].size == 2 * GIB
    with pytest.raises(ShareInUseError, match="a_copy is a clone of it"):
        ground.driver.delete_share(share)
    assert ground.volumes()["a_copy"] == copy
