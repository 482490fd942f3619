"""A share is its volume, not its name: what else comes to have the name is never taken for it, on btrfs and in images."""

from __future__ import annotations

import os
import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import ConflictError, NotFoundError
from sharectl.drivers.linux.agent.database import SCHEMA_VERSION
from tests.drivers.linux.lab import need, run
from tests.drivers.linux.operations_lab import ALICE, ANYBODY, MIB, new_id, ref, snapshot_ref
from tests.drivers.linux.pools import make_host_folder
from tests.drivers.linux.smb_client import smb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.drivers.base import ObservedShare
    from sharectl.drivers.linux.driver import LinuxDriver
    from tests.drivers.linux.operations_lab import OperationsLab

VERSION_1 = """
BEGIN;
ALTER TABLE share DROP COLUMN identity;
ALTER TABLE share DROP COLUMN next_identity;
ALTER TABLE share DROP COLUMN is_removing;
ALTER TABLE snapshot DROP COLUMN share_id;
ALTER TABLE snapshot DROP COLUMN identity;
ALTER TABLE snapshot DROP COLUMN is_removing;
DROP TABLE schedule;
DROP TABLE scheduled_snapshot;
PRAGMA user_version = 1;
COMMIT;
"""


def replaced_by_hand(volume: Path) -> Path:
    """Remove a subvolume and make another of its name, as an administrator might; return a file in it."""
    if volume.exists():
        run("btrfs", "subvolume", "delete", str(volume))
    run("btrfs", "subvolume", "create", str(volume))
    (volume / "theirs").write_text("theirs", encoding="ascii")
    return volume / "theirs"


def found_under(driver: LinuxDriver, backend_id: str) -> list[str | None]:
    """Return under which ids a volume is listed."""
    return [share.resource_id for share in driver.list_shares() if share.backend_id == backend_id]


@pytest.mark.parametrize("protocol", ["NFS", "CIFS"])
def test_nothing_is_done_to_another_volume_of_the_name(backend: OperationsLab, protocol: str) -> None:
    """Each call says that the share's own is gone and that another has its name; the listing says both too."""
    share = backend.share(f"swapped-{protocol}", ANYBODY, protocol=protocol)
    snapshot = backend.snapshot(share)
    theirs = replaced_by_hand(backend.volume(share))
    driver = backend.open()
    assert found_under(driver, share.backend_id) == [None]
    calls: tuple[Callable[[], Any], ...] = (
        lambda: driver.extend_share(ref(share), 32 * MIB),
        lambda: driver.shrink_share(ref(share), 8 * MIB),
        lambda: driver.used_bytes(ref(share)),
        lambda: driver.update_access(ref(share), [ANYBODY], [], []),
        lambda: driver.trash_share(ref(share)),
        lambda: driver.restore_share(str(share.resource_id)),
        lambda: driver.create_snapshot(ref(share), new_id(), "tuesday"),
        lambda: driver.revert_share(ref(share), snapshot_ref(snapshot)),
    )
    for call in calls:
        with pytest.raises(NotFoundError, match="is gone, and another that sharectl did not make has its name; import"):
            call()
    request = backend.request(share.name, protocol, resource_id=share.resource_id)
    with pytest.raises(ConflictError, match="sharectl did not make it; import it"):
        driver.create_share(request)
    driver.delete_share(ref(share))
    assert theirs.read_text(encoding="ascii") == "theirs"
    assert run("btrfs", "subvolume", "show", str(theirs.parent)).stdout.count("Limit referenced:\t-") == 1
    assert found_under(driver, share.backend_id) == [None]


def test_what_samba_served_is_closed_when_another_volume_comes_under_its_path(backend: OperationsLab) -> None:
    """Samba is told a path. The next agent that changes anything in the pool withdraws the share."""
    share = backend.share("path", ANYBODY, ALICE, protocol="CIFS")
    replaced_by_hand(backend.volume(share))
    assert "theirs" in shown(backend, "path")
    backend.open().create_share(backend.request("unrelated"))
    assert "theirs" not in shown(backend, "path")


def shown(backend: OperationsLab, name: str) -> str:
    """Return what alice sees in a share by SMB."""
    return smb(backend.network.client, backend.host.ipv4, name, "alice", backend.passwords["ALICE"], "ls").text


def test_another_volume_of_the_name_is_imported(backend: OperationsLab) -> None:
    """The record of the share that is gone gives the name up."""
    share = backend.share("succeeded", ANYBODY)
    theirs = replaced_by_hand(backend.volume(share))
    taken = backend.driver.adopt_share(share.backend_id, new_id(), 16 * MIB)
    assert found_under(backend.driver, share.backend_id) == [taken.resource_id]
    assert list(backend.driver.list_shares([str(share.resource_id)])) == []
    backend.allow(taken, ANYBODY)
    backend.driver.delete_share(ref(share))
    assert theirs.exists()
    backend.driver.delete_share(ref(taken))
    assert not theirs.exists()


def test_a_volume_that_was_renamed_by_hand_is_none_of_the_names(backend: OperationsLab) -> None:
    """Two shares whose volumes changed places are both gone, and nobody's data is exported as the other's."""
    first, second = backend.share("first", ANYBODY), backend.share("second", ANYBODY)
    one, two = backend.volume(first), backend.volume(second)
    aside = one.with_name("aside")
    for source, target in ((one, aside), (two, one), (aside, two)):
        source.rename(target)
    listed = {share.backend_id: share.resource_id for share in backend.driver.list_shares()}
    assert (listed[first.backend_id], listed[second.backend_id]) == (None, None)
    for source, target in ((one, aside), (two, one), (aside, two)):
        source.rename(target)
    assert backend.access_of(first) == {ANYBODY}


def test_the_snapshot_of_a_share_of_the_same_name_is_no_way_back(backend: OperationsLab) -> None:
    """It belongs to the share that it was taken of, not to whatever has that name now."""
    old = backend.share("heir")
    snapshot = backend.snapshot(old)
    backend.driver.delete_share(ref(old))
    new = backend.share("heir")
    assert new.backend_id == old.backend_id
    with pytest.raises(Exception, match="the snapshot 'monday' was not taken of the share 'heir'"):
        backend.driver.revert_share(ref(new), snapshot_ref(snapshot))


def test_a_snapshot_in_the_place_of_ours_is_not_ours(backend: OperationsLab) -> None:
    """Neither listed, nor cloned, nor reverted to, nor removed."""
    share = backend.share("kept-apart")
    snapshot = backend.snapshot(share)
    place = backend.folder / "pool/.sharectl/snapshots" / str(snapshot.resource_id)
    theirs = replaced_by_hand(place)
    assert list(backend.driver.list_snapshots([str(snapshot.resource_id)])) == []
    with pytest.raises(NotFoundError, match="another one has that name now"):
        backend.driver.create_share(backend.request("copy", snapshot=snapshot_ref(snapshot)))
    with pytest.raises(NotFoundError, match="another one has that name now"):
        backend.driver.revert_share(ref(share), snapshot_ref(snapshot))
    with pytest.raises(ConflictError, match="is of another volume"):
        backend.driver.create_snapshot(ref(share), str(snapshot.resource_id), "monday")
    backend.driver.delete_snapshot(snapshot_ref(snapshot))
    assert theirs.exists()


def as_version_1(backend: OperationsLab) -> LinuxDriver:
    """Give the backend the records of an older sharectl, and return another driver on it."""
    with sqlite3.connect(backend.folder / "root/records.sqlite") as connection:
        connection.executescript(VERSION_1)
    connection.close()
    return backend.open()


def version(backend: OperationsLab) -> int:
    """Return the version of the records' format."""
    connection = sqlite3.connect(backend.folder / "root/records.sqlite")
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def test_records_without_identities_get_those_of_the_volumes_that_are_there(own_backend: OperationsLab) -> None:
    """A plan reads them as they are and changes nothing; the first change brings them up to date, and from then on names do not count."""
    share = own_backend.share("old", ANYBODY)
    snapshot = own_backend.snapshot(share)
    driver = as_version_1(own_backend)
    assert [found.resource_id for found in driver.list_shares()] == [share.resource_id]
    assert list(driver.list_snapshots()) == [snapshot]
    assert version(own_backend) == 1
    driver.extend_share(ref(share), 32 * MIB)
    assert version(own_backend) == SCHEMA_VERSION
    assert own_backend.access_of(share) == {ANYBODY}
    driver.revert_share(ref(share), snapshot_ref(snapshot))
    theirs = replaced_by_hand(own_backend.volume(share))
    assert found_under(driver, share.backend_id) == [None]
    driver.delete_share(ref(share))
    driver.delete_snapshot(snapshot_ref(snapshot))
    assert theirs.exists()
    assert list((own_backend.folder / "pool/.sharectl/snapshots").iterdir()) == []


def test_an_older_record_whose_volume_is_gone_claims_none_that_comes_later(own_backend: OperationsLab) -> None:
    """A ghost that an older version left behind; its name can be given to another share."""
    ghost, other = own_backend.share("ghost"), own_backend.share("other")
    run("btrfs", "subvolume", "delete", str(own_backend.volume(ghost)))
    driver = as_version_1(own_backend)
    driver.extend_share(ref(other), 32 * MIB)
    theirs = replaced_by_hand(own_backend.volume(ghost))
    assert found_under(driver, ghost.backend_id) == [None]
    driver.delete_share(ref(ghost))
    assert theirs.exists()
    shutil.rmtree(theirs.parent)
    assert own_backend.share("ghost").name == "ghost"


def test_a_change_of_the_format_that_finds_no_room_changes_nothing(
    own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records are still those of the older version, whole, and the next change goes on."""
    share = own_backend.share("old")
    driver = as_version_1(own_backend)
    monkeypatch.setattr(
        "sharectl.drivers.linux.agent.database._TO_VERSION_2",
        "ALTER TABLE share ADD COLUMN identity TEXT; SELECT full FROM disk",
    )
    with pytest.raises(Exception, match="cannot be read or written"):
        driver.extend_share(ref(share), 32 * MIB)
    assert version(own_backend) == 1
    assert [found.resource_id for found in driver.list_shares()] == [share.resource_id]
    monkeypatch.undo()
    driver.extend_share(ref(share), 32 * MIB)
    assert version(own_backend) == SCHEMA_VERSION


@pytest.fixture
def images(own_backend: OperationsLab) -> tuple[OperationsLab, LinuxDriver]:
    """Give a backend with a pool of ext4 images on XFS."""
    need("mkfs.ext4", "mkfs.xfs", file_system="xfs")
    folder = make_host_folder(str(own_backend.folder), "xfs", 3 << 30)
    driver = own_backend.open(pools={"fast": {"type": "image", "path": folder, "fileSystem": "ext4"}})
    driver.prepare()
    return own_backend, driver


def test_another_image_of_the_name_is_not_the_share(images: tuple[OperationsLab, LinuxDriver]) -> None:
    """Its file system has another UUID; it is listed as nobody's, and not removed."""
    lab, driver = images
    share = driver.create_share(lab.request("disk", size_bytes=32 * MIB))
    image = image_of(lab, share)
    run("umount", str(lab.folder / "host-xfs/disk"))
    image.unlink()
    run("mkfs.ext4", "-q", str(image), "16M")
    assert found_under(driver, share.backend_id) == [None]
    for call in (
        lambda: driver.extend_share(ref(share), 64 * MIB),
        lambda: driver.update_access(ref(share), [ANYBODY], [], []),
        lambda: driver.trash_share(ref(share)),
    ):
        with pytest.raises(NotFoundError, match="is gone, and another that sharectl did not make has its name"):
            call()
    driver.delete_share(ref(share))
    assert image.stat().st_size == 16 * MIB
    assert found_under(driver, share.backend_id) == [None]


def test_an_image_is_the_share_after_all_that_sharectl_does_to_it(images: tuple[OperationsLab, LinuxDriver]) -> None:
    """A copy in another size, a revert, and a copy of the whole pool to another disk keep it."""
    lab, driver = images
    share = driver.create_share(lab.request("disk", size_bytes=32 * MIB))
    snapshot = driver.create_snapshot(ref(share), new_id(), "monday")
    clone = driver.create_share(lab.request("clone", size_bytes=32 * MIB, snapshot=snapshot_ref(snapshot)))
    driver.shrink_share(ref(share), 24 * MIB)
    driver.extend_share(ref(share), 48 * MIB)
    driver.revert_share(ref(share), snapshot_ref(snapshot))
    image = image_of(lab, share)
    shutil.copyfile(image, image.with_suffix(".moved"))
    os.replace(image.with_suffix(".moved"), image)  # noqa: PTH105 - over the other
    listed = {found.backend_id: found.resource_id for found in driver.list_shares()}
    assert listed == {share.backend_id: share.resource_id, clone.backend_id: clone.resource_id}
    assert [found.resource_id for found in driver.list_snapshots()] == [snapshot.resource_id]


def test_a_folder_in_the_place_of_a_deleted_image_stays(
    images: tuple[OperationsLab, LinuxDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the agent was killed after the image went, and somebody made a folder of its name."""
    lab, driver = images
    share = driver.create_share(lab.request("disk", size_bytes=32 * MIB))
    records = driver._agent.backend._records  # type: ignore[attr-defined]

    class KilledError(BaseException):
        """What nobody handles."""

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(type(records), "remove_share", killed)
        with pytest.raises(KilledError):
            driver.delete_share(ref(share))
    folder = lab.folder / "host-xfs/disk"
    assert not folder.exists()
    folder.mkdir()
    driver.delete_share(ref(share))
    assert folder.is_dir()
    assert records.allocated_bytes() == {}


def image_of(lab: OperationsLab, share: ObservedShare) -> Path:
    """Return the image of a share."""
    return lab.folder / "host-xfs/.sharectl/images" / f"{share.backend_id.removeprefix('fast/')}.img"
