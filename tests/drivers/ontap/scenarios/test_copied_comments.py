"""Comments that somebody has copied, by which a share could be taken for another volume: it is told apart, or nothing is changed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ConflictError, SnapshotRef
from sharectl.drivers.testing import new_id, ref

from .ground import request, rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.drivers.ontap.driver import OntapDriver
    from sharectl.model.requests import ShareRef
    from tests.cli.console import Console

    from .ground import Ground

CLIENT = rule("10.0.0.0/24")


def payroll(ground: Ground) -> None:
    """Make a volume of somebody else's."""
    body = {"svm": {"name": "vs1"}, "name": "payroll", "aggregates": [{"name": "aggr1"}], "size": 1 << 30}
    ground.send("POST", "/storage/volumes", {**body, "nas": {"path": "/payroll"}})


def comment(ground: Ground, volume: str, text: str) -> None:
    """Give a volume a comment."""
    ground.send("PATCH", f"/storage/volumes/{ground.volumes()[volume].uuid}", {"comment": text})


def copy_comment(ground: Ground, volume: str = "payroll") -> None:
    """Give another volume the comment of the share's."""
    comment(ground, volume, ground.volumes()["projects"].comment)


def remove_by_hand(ground: Ground, volume: str = "projects") -> None:
    """Remove a volume as an administrator does."""
    path = f"/storage/volumes/{ground.volumes()[volume].uuid}"
    ground.send("PATCH", path, {"nas": {"path": ""}})
    ground.send("DELETE", path)


def changes(driver: OntapDriver, share: ShareRef) -> tuple[Callable[[], object], ...]:
    """Return all that may be done to a share; the last removes it."""
    return (
        lambda: driver.update_access(share, [], [], [CLIENT]),
        lambda: driver.extend_share(share, 2 << 30),
        lambda: driver.create_snapshot(share, new_id(), "monday"),
        lambda: driver.trash_share(share),
        lambda: driver.delete_share(share),
    )


def test_of_two_volumes_with_one_comment_that_of_the_share_is_known_by_its_uuid(ground: Ground) -> None:
    """It holds that of its volume from the first change of access on; the other is left alone, and says what is wrong with it."""
    payroll(ground)
    share = ground.share(CLIENT)
    copy_comment(ground)
    theirs = ground.volumes()["payroll"]
    driver = ground.fresh()
    found = {each.backend_id: each for each in driver.list_shares()}
    assert (found["projects"].resource_id, found["payroll"].resource_id) == (share.resource_id, None)
    assert "written for another volume" in found["payroll"].not_adoptable
    with pytest.raises(ConflictError, match="written for another volume"):
        driver.adopt_share("payroll", new_id(), None)
    for change in changes(driver, share):
        change()
    assert ground.volumes() == {"payroll": theirs}


def test_where_two_volumes_say_that_they_are_a_share_none_is_changed(ground: Ground) -> None:
    """As long as neither comment holds a UUID, whichever is older: an administrator may have given the comment to a volume of theirs."""
    payroll(ground)
    share = ground.share()
    copy_comment(ground)
    before = ground.volumes()
    driver = ground.fresh()
    assert [each.resource_id for each in driver.list_shares()].count(share.resource_id) == 1
    assert len(driver.list_shares([share.resource_id])) == 1
    for change in changes(driver, share):
        with pytest.raises(ConflictError, match="payroll and projects all say"):
            change()
    assert ground.volumes() == before
    comment(ground, "payroll", "")
    driver.delete_share(share)
    assert set(ground.volumes()) == {"payroll"}


@pytest.mark.parametrize("clients", [(CLIENT,), ()], ids=["proven", "by its name"])
def test_where_the_share_is_gone_no_other_volume_is_taken_for_it(ground: Ground, clients: tuple[object, ...]) -> None:
    """It is listed as nobody's, with what to do; no call for the share changes it."""
    payroll(ground)
    share = ground.share(*clients)  # type: ignore[arg-type]  # rules
    copy_comment(ground)
    remove_by_hand(ground)
    theirs = ground.volumes()["payroll"]
    driver = ground.fresh()
    assert driver.list_shares([share.resource_id]) == []
    (seen,) = driver.list_shares()
    assert (seen.resource_id, "empty it" in seen.not_adoptable) == (None, True)
    for change in changes(driver, share)[:-1]:
        with pytest.raises(Exception, match=r"no volume has the comment|cannot be told to be the share"):
            change()
    if clients:
        driver.delete_share(share)
    else:
        with pytest.raises(ConflictError, match="cannot be told to be the share"):
            driver.delete_share(share)
    assert ground.volumes() == {"payroll": theirs}


def test_a_share_that_was_renamed_on_the_array_is_the_share(ground: Ground) -> None:
    """Its comment holds its UUID; one that has none yet, since nobody ever got access, is asked for by the name that it was made with."""
    share = ground.share(CLIENT)
    ground.send("PATCH", f"/storage/volumes/{ground.volumes()['projects'].uuid}", {"name": "renamed"})
    assert ground.listed().resource_id == share.resource_id
    ground.fresh().extend_share(share, 2 << 30)
    untouched = ground.share(name="untouched")
    path = f"/storage/volumes/{ground.volumes()['untouched'].uuid}"
    ground.send("PATCH", path, {"name": "other"})
    driver = ground.fresh()
    (seen,) = (each for each in driver.list_shares() if each.backend_id == "other")
    assert (seen.resource_id, "give it that name again" in seen.not_adoptable) == (None, True)
    with pytest.raises(ConflictError, match="volume called untouched"):
        driver.extend_share(untouched, 2 << 30)
    ground.send("PATCH", path, {"name": "untouched"})
    ground.fresh().extend_share(untouched, 2 << 30)
    ground.is_tidy(shares=2, with_access=1)


def test_a_copy_of_a_clone_that_was_split_off_is_not_removed_in_its_place(ground: Ground) -> None:
    """It is no clone any more, and the share is one."""
    parent = ground.share()
    taken = ground.driver.create_snapshot(parent, "snapshot-1", "monday")
    of = SnapshotRef("snapshot-1", taken.backend_id, "monday", parent.resource_id, "projects")
    share = ref(ground.driver.create_share(dataclasses.replace(request("clone"), snapshot=of)))
    body = {
        "svm": {"name": "vs1"},
        "name": "copy",
        "comment": ground.volumes()["clone"].comment,
        "clone": {"is_flexclone": True, "parent_volume": {"name": "clone"}},
    }
    ground.send("POST", "/storage/volumes", body)
    ground.send("PATCH", f"/storage/volumes/{ground.volumes()['copy'].uuid}", {"clone": {"split_initiated": True}})
    ground.emulator.world.pass_time(100_000)
    copy = ground.volumes()["copy"]
    ground.fresh().delete_share(share)
    assert ground.volumes().keys() == {"projects", "copy"}
    assert ground.volumes()["copy"] == copy


SHARE = """apiVersion: sharectl/v1
kind: Share
metadata: {name: projects}
spec: {size: 1GiB, protocol: NFS, access: [{type: ip, to: 10.0.0.0/24, level: rw}]}
"""


def test_a_plan_asks_what_the_volume_is_that_has_the_comment_of_a_lost_share(ground: Ground, console: Console) -> None:
    """Neither is the volume taken, nor is the share made again, empty; with the comment emptied the volume can be imported as the share."""
    payroll(ground)
    console.write("share.yaml", SHARE)
    assert console("apply", "--yes").code == 0
    copy_comment(ground)
    remove_by_hand(ground)
    before = ground.emulator.dump()
    applied = console("apply", "--yes")
    assert applied.code == 1
    assert "share/projects is gone from backend filer, and may be there under another name: payroll" in applied.err
    assert ground.emulator.dump() == before
    assert console("state", "rm", "share/projects").code == 0
    taken = console("import", "share/projects", "payroll", "--backend", "filer", "--yes")
    assert (taken.code, "written for another volume" in taken.out + taken.err) == (1, True)
    comment(ground, "payroll", "")
    assert console("import", "share/projects", "payroll", "--backend", "filer", "--yes").code == 0
    assert console("apply", "--yes").code == 0
    assert console("plan", "--detailed-exitcode").code == 0
