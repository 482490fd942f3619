"""Volumes that are neither removed nor turned back for what others have made of them, or put into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import ConflictError, DriverError, ShareInUseError, TransientError
from sharectl.drivers.testing import new_id
from sharectl.model.requests import SnapshotRef
from tests.emulators.ontap.volume_records import Volume

from .ground import rule

if TYPE_CHECKING:
    from sharectl.model.requests import ShareRef

    from .ground import Ground

CLIENT = rule("10.0.0.0/24")
KINDS = {"luns": "LUNs", "namespaces": "NVMe namespaces"}


def change(ground: Ground, name: str, **fields: Any) -> None:  # noqa: ANN401 - any field
    """Change a volume behind the array's back."""
    with ground.emulator.world.lock:
        ground.emulator.world[Volume].change(ground.volumes()[name].uuid, **fields)


def clone(ground: Ground, name: str = "a_copy") -> str:
    """Let an administrator clone the share, and return the path of the clone."""
    body = {
        "svm": {"name": "vs1"},
        "name": name,
        "clone": {"is_flexclone": True, "parent_volume": {"name": "projects"}},
        "nas": {"path": f"/{name}", "export_policy": {"name": "sharectl_none"}},
    }
    ground.send("POST", "/storage/volumes", body)
    return f"/storage/volumes/{ground.volumes()[name].uuid}"


def stays(ground: Ground, share: ShareRef, words: str) -> None:
    """Assert that the share is not removed, and that nothing of it changes."""
    before, since = ground.volumes()["projects"], ground.oracle.now()
    ground.forget_calls()
    with pytest.raises(ShareInUseError, match=words):
        ground.driver.delete_share(share)
    assert {each.split(" ")[0] for each in ground.calls()} == {"GET"}
    assert ground.volumes()["projects"] == before
    assert ground.oracle.check_between("projects", None, None, since) == []


@pytest.mark.parametrize("version", [(9, 12, 1), (9, 16, 1)])
def test_a_share_with_a_clone_stays_as_it_is(ground: Ground, version: tuple[int, int, int]) -> None:
    """Its clients keep it: the array would refuse its removal, but only once it is unmounted."""
    ground.emulator.world.version = version
    try:
        ground.fresh()
        share = ground.share(CLIENT)
        copy = clone(ground)
        stays(ground, share, "a_copy is a clone of it")
        ground.send("PATCH", copy, {"nas": {"path": ""}})
        ground.send("DELETE", f"{copy}?force=true")
        ground.driver.delete_share(share)
        assert "projects" not in ground.volumes()
    finally:
        ground.emulator.world.version = (9, 16, 1)


def test_a_share_whose_clone_is_in_the_recovery_queue_stays_as_it_is(ground: Ground) -> None:
    """It is listed nowhere; from 9.16.1 on the array says of the parent that it has one."""
    share = ground.share(CLIENT)
    copy = clone(ground)
    ground.send("PATCH", copy, {"nas": {"path": ""}})
    ground.send("DELETE", copy)
    stays(ground, share, "recovery queue")


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_that_somebody_has_put_blocks_into_stays(ground: Ground, kind: str) -> None:
    """Neither removed nor turned back: hosts would lose what they write past the export."""
    share = ground.share(CLIENT)
    taken = ground.driver.create_snapshot(share, new_id(), "monday")
    snapshot = SnapshotRef(str(taken.resource_id), taken.backend_id, taken.name, share.resource_id, share.backend_id)
    change(ground, "projects", **{kind: 1})
    stays(ground, share, f"{KINDS[kind]} are in the volume projects")
    with pytest.raises(ShareInUseError, match=KINDS[kind]):
        ground.driver.revert_share(share, snapshot)
    change(ground, "projects", **{kind: 0})
    ground.driver.revert_share(share, snapshot)
    ground.driver.delete_share(share)
    assert "projects" not in ground.volumes()


def test_a_volume_with_namespaces_is_not_taken_over(ground: Ground) -> None:
    """As one with LUNs is not."""
    share = ground.share()
    change(ground, "projects", namespaces=1, comment="")
    with pytest.raises(ConflictError, match="NVMe namespaces are in it"):
        ground.driver.adopt_share(share.backend_id, new_id(), None)


@pytest.mark.parametrize("path", ["/storage/luns", "/storage/namespaces"])
def test_what_nobody_may_look_for_keeps_a_share(ground: Ground, path: str) -> None:
    """Whether it may go is not known; an array that is busy is asked again."""
    share = ground.share(CLIENT)
    ground.emulator.fault("refuse", "GET", path, times=1, code=6, message="not authorized")
    with pytest.raises(DriverError, match=f"may not GET /api{path}"):
        ground.driver.delete_share(share)
    ground.emulator.fault("unavailable", "GET", path, times=1, status=503)
    with pytest.raises(TransientError):
        ground.driver.delete_share(share)
    assert ground.listed().access == (CLIENT,)
    ground.driver.delete_share(share)
    ground.is_tidy(shares=0, with_access=0)
