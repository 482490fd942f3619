"""Beside the odd volumes that others made: they are told apart, nothing of them changes, and what hangs on them is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ConflictError, NotFoundError, ShareInUseError, SnapshotRef, TransientError
from sharectl.drivers.testing import new_id, ref
from tests.emulators.ontap import foreign, oracle
from tests.emulators.ontap.logins import Role

from .ground import rule

if TYPE_CHECKING:
    from .ground import Ground

NOT_TAKEN = {
    "no_junction": "mounted nowhere",
    "stopped": "is offline",
    "big_group": "flexgroup",
    "mirror": "of type dp",
    "with_lun": "LUNs are in it",
}
LUNS = "GET /storage/luns"


def test_each_is_told_apart_from_what_can_be_taken_over(ground: Ground) -> None:
    """The listing is whole, and says of five why they stay as they are."""
    foreign.add(ground.emulator.world)
    found = {share.name: share for share in ground.driver.list_shares()}
    assert found.keys() == set(foreign.NAMES)
    reasons = {name: share.not_adoptable for name, share in found.items() if share.not_adoptable}
    assert reasons.keys() == NOT_TAKEN.keys()
    assert all(NOT_TAKEN[name] in reason for name, reason in reasons.items())
    assert {share.resource_id for share in found.values()} == {None}


def test_a_volume_with_luns_is_not_taken_over(ground: Ground) -> None:
    """What hosts write into the LUNs would go with the share; nothing is written on the volume."""
    foreign.add(ground.emulator.world)
    comment = ground.volumes()["with_lun"].comment
    with pytest.raises(ConflictError, match="LUNs are in it"):
        ground.driver.adopt_share("with_lun", new_id(), None)
    assert ground.volumes()["with_lun"].comment == comment


def test_luns_are_asked_for_once_where_there_are_volumes_of_others(ground: Ground) -> None:
    """Whatever their number; and not at all where all are sharectl's."""
    ground.share(name="ours")
    ground.forget_calls()
    ground.driver.list_shares()
    assert LUNS not in ground.calls()
    foreign.add(ground.emulator.world)
    ground.driver.list_shares()
    assert ground.calls()[LUNS] == 1


def test_where_the_role_may_not_look_for_luns_no_volume_is_taken_over(ground: Ground) -> None:
    """The listing is whole all the same, and says which path the role needs."""
    foreign.add(ground.emulator.world)
    world = ground.emulator.world
    (role,) = [role for role in world[Role] if role.name == "sharectl-svm"]
    without = tuple((path, access) for path, access in role.privileges if path != "/api/storage/luns")
    with world.lock:
        world[Role].change(role.key, privileges=without)
    driver = ground.fresh("sharectl-svm")
    found = {share.name: share.not_adoptable for share in driver.list_shares()}
    assert found.keys() == set(foreign.NAMES)
    assert "may not GET /api/storage/luns" in found["projects"]
    assert "is offline" in found["stopped"]
    with pytest.raises(ConflictError, match="may not GET /api/storage/luns"):
        driver.adopt_share("projects", new_id(), None)


def test_an_array_that_tells_nothing_of_luns_is_listed_all_the_same(ground: Ground) -> None:
    """Whatever its reason; nothing is taken over then."""
    foreign.add(ground.emulator.world)
    ground.emulator.fault("refuse", "GET", "/storage/luns", code=3, message="no such command")
    found = {share.name: share.not_adoptable for share in ground.driver.list_shares()}
    assert found.keys() == set(foreign.NAMES)
    assert all(found.values())
    assert "nobody knows whether LUNs are in it" in found["projects"]


def test_the_life_of_a_share_changes_nothing_of_its_neighbours(ground: Ground) -> None:
    """Made, given clients, extended, put aside, brought back and removed, it leaves a volume in the recovery queue."""
    foreign.add(ground.emulator.world)
    before = ground.emulator.dump()
    share = ground.share(rule("10.0.1.0/24"), name="ours")
    ground.driver.extend_share(share, 3 << 30)
    ground.driver.trash_share(share)
    ground.driver.restore_share(share.resource_id)
    ground.driver.delete_share(share)
    assert oracle.changed_outside(before, ground.emulator.dump(), share.resource_id) == []
    assert [volume.name.startswith("ours_") for volume in ground.queue()] == [True]
    assert oracle.unowned_policies(ground.emulator.world, "sharectl_", but=["sharectl_none"]) == []


def test_a_share_with_a_volume_inside_is_in_use(ground: Ground) -> None:
    """The array does not unmount it; who is inside is named, and reached as before."""
    foreign.add(ground.emulator.world)
    share = ref(ground.driver.adopt_share("projects", new_id(), None))
    since = ground.oracle.now()
    for remove in (ground.driver.delete_share, ground.driver.trash_share):
        with pytest.raises(ShareInUseError, match="nested is mounted"):
            remove(share)
    assert ground.oracle.check_between("nested", None, None, since) == []
    assert ground.volumes()["projects"].path == "/projects"


def test_a_share_with_a_volume_inside_is_served_over_smb_as_before(ground: Ground) -> None:
    """What is mounted inside is looked for before anything is withdrawn."""
    foreign.add(ground.emulator.world)
    driver = ground.fresh(smb={"fromAnywhere": True})
    share = ref(driver.adopt_share("projects", new_id(), None))
    before = [access for access in driver.list_shares([share.resource_id])[0].access if access.access_type == "user"]
    assert before
    for remove in (driver.delete_share, driver.trash_share):
        with pytest.raises(ShareInUseError, match="nested is mounted"):
            remove(share)
        (seen,) = driver.list_shares([share.resource_id])
        assert [access for access in seen.access if access.access_type == "user"] == before


def test_no_other_volume_is_turned_back_for_a_share(ground: Ground) -> None:
    """A state may know the snapshot of a copy, which has the comments of all snapshots."""
    share, other = ground.share(), ground.share(name="other")
    taken = ground.driver.create_snapshot(other, "snapshot-1", "monday")
    ground.send(
        "POST", f"/storage/volumes/{ground.volumes()['other'].uuid}/snapshots", {"name": "hourly.2026-11-02_0805"}
    )
    of = SnapshotRef("snapshot-1", taken.backend_id, "monday", share.resource_id, "projects")
    with pytest.raises(NotFoundError, match="not of the volume projects"):
        ground.driver.revert_share(share, of)
    assert len(ground.driver.list_snapshots()) == 2


def test_what_is_not_shown_yet_is_waited_for(ground: Ground) -> None:
    """A policy that was just made may not be listed for some seconds, and is nobody else's for that."""
    world = ground.emulator.world
    for policy in ground.admin.get("/protocols/nfs/export-policies?name=sharectl_none").records:
        ground.send("DELETE", f"/protocols/nfs/export-policies/{policy['id']}")
    world.clock.scale = 0.0
    world.settings.hidden_after_post_seconds = 5.0
    driver = ground.fresh()
    with pytest.raises(TransientError):
        driver.prepare()
    world.pass_time(6)
    driver.prepare()
