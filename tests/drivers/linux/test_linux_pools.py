"""What the agent's operations promise of pools: prepared once, told apart from others, seen when they are down, never made empty anew."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import BackendUnavailableError, PoolError
from sharectl.drivers.linux.agent.volumes.btrfs.pool import BtrfsPool
from sharectl.drivers.testing import shares_of
from tests.drivers.linux.lab import mounts_under, run
from tests.drivers.linux.operations_lab import ANYBODY, MIB, new_id, ref, snapshot_ref

if TYPE_CHECKING:
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom
    from sharectl.drivers.linux.driver import LinuxDriver
    from tests.drivers.linux.operations_lab import OperationsLab


def test_nothing_is_touched_before_it_is_prepared(own_backend: OperationsLab) -> None:
    """It is asked for its pools all the same, so that a first plan can place shares."""
    driver = own_backend.open()
    assert driver.report().identity is None
    assert (list(driver.list_shares()), list(driver.list_snapshots()), list(driver.list_share_servers())) == (
        [],
        [],
        [],
    )
    (pool,) = driver.pools()
    assert (pool.name, pool.total_bytes, pool.free_bytes, pool.allocated_bytes) == ("fast", 1 << 30, 1 << 30, 0)
    with pytest.raises(BackendUnavailableError, match="holds nothing of this backend; it was never prepared"):
        driver.create_share(own_backend.request("early"))
    assert list(own_backend.folder.iterdir()) == []


def test_a_preparation_that_was_killed_at_its_beginning_is_made_whole(own_backend: OperationsLab) -> None:
    """Records that were not finished are no backend that was prepared."""
    root = own_backend.folder / "root"
    root.mkdir()
    connection = sqlite3.connect(root / "records.sqlite.new")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE meta (key TEXT)")
    connection.close()
    driver = own_backend.open()
    assert driver.report().identity is None
    assert list(driver.list_shares()) == []
    assert driver.prepare() == driver.report().identity
    assert not list(root.glob("*.new*"))


def test_preparations_at_once_give_one_identity(own_backend: OperationsLab) -> None:
    """From as many agents."""
    drivers = [own_backend.open() for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        identities = set(threads.map(lambda driver: driver.prepare(), drivers))
    assert len(identities) == 1
    assert {own_backend.open().prepare()} == identities


def test_a_pool_that_takes_long_holds_up_no_other(own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is prepared on its own, and once by a process."""
    own_backend.open(pools={"fast": own_backend.pool, "slow": own_backend.loop_pool("slow")}).prepare()
    driver = own_backend.open(pools={"fast": own_backend.pool, "slow": own_backend.loop_pool("slow")})
    rooms: PoolRoom = driver._agent.backend._pools  # type: ignore[attr-defined]
    prepare, is_slow, go_on, prepared = BtrfsPool.prepare, Event(), Event(), []

    def counted(pool: BtrfsPool) -> None:
        prepared.append(pool.name)
        if pool.name == "slow":
            is_slow.set()
            assert go_on.wait(300)
        prepare(pool)

    monkeypatch.setattr(BtrfsPool, "prepare", counted)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(rooms.usable, "slow") for _ in range(2)]
        assert is_slow.wait(300)
        share = driver.create_share(own_backend.request("quick"))
        go_on.set()
        assert {pool.result().name for pool in waiting} == {"slow"}
    assert share.backend_id == "fast/quick"
    assert sorted(prepared) == ["fast", "slow"]


def test_a_folder_that_is_not_there_is_told(own_backend: OperationsLab) -> None:
    """It is said before anything is prepared, and how to mend it."""
    path = own_backend.folder / "images"
    driver = own_backend.open(pools={"fast": {"type": "image", "path": str(path)}})
    with pytest.raises(BackendUnavailableError, match="images is not on the storage host; make it, and mount"):
        driver.pools()
    path.mkdir()
    on_no_btrfs = own_backend.open(pools={"fast": {"type": "btrfs", "path": str(path)}})
    with pytest.raises(BackendUnavailableError, match="is not on btrfs; mount one there, or write type: image"):
        on_no_btrfs.pools()
    (pool,) = driver.pools()
    assert 0 < int(pool.free_bytes) <= int(pool.total_bytes)
    assert mounts_under(str(own_backend.folder)) == []


def test_a_pool_that_is_added_later_is_prepared_when_it_is_used(own_backend: OperationsLab) -> None:
    """Until then it has the room that it is to get."""
    own_backend.share("projects")
    driver = own_backend.open(pools={"fast": own_backend.pool, "slow": own_backend.loop_pool("slow", "256 MiB")})
    assert {pool.name: pool.total_bytes for pool in driver.pools()}["slow"] == 256 * MIB
    assert not Path(own_backend.folder, "slow.img").exists()
    assert driver.create_share(own_backend.request("archive", pool="slow")).backend_id == "slow/archive"
    assert {share.backend_id for share in driver.list_shares()} == {"fast/projects", "slow/archive"}


def test_a_pool_that_was_taken_out_of_the_settings_is_not_an_empty_one(own_backend: OperationsLab) -> None:
    """What is in it is unknown, not gone; its other shares cannot be seen without it."""
    share = own_backend.share("projects")
    snapshot = own_backend.snapshot(share)
    driver = own_backend.open(pools={"slow": own_backend.loop_pool("slow", "256 MiB")})
    for listing in (driver.list_shares, driver.list_snapshots):
        with pytest.raises(
            BackendUnavailableError, match="no longer name the pool 'fast', in which sharectl made shares"
        ):
            listing()
    with pytest.raises(PoolError, match="have no pool 'fast'; they have slow"):
        driver.delete_share(ref(share))
    with pytest.raises(PoolError, match="have no pool 'fast'"):
        driver.delete_snapshot(snapshot_ref(snapshot))
    assert own_backend.volume(share).is_dir()


def test_a_loop_pool_that_is_down_is_listed_as_recorded_and_left_down(own_backend: OperationsLab) -> None:
    """Without the access that nobody has; the next change mounts it."""
    share = own_backend.share("projects", ANYBODY)
    snapshot = own_backend.snapshot(share)
    reboot(own_backend)
    driver = own_backend.open()
    assert [(s.backend_id, s.size_bytes, s.access) for s in driver.list_shares()] == [("fast/projects", 16 * MIB, ())]
    assert list(driver.list_snapshots()) == [snapshot]
    assert [pool.total_bytes for pool in driver.pools()] == [1 << 30]
    assert mounts_under(str(own_backend.folder)) == []
    driver.update_access(ref(share), [ANYBODY], [], [])
    (listed,) = driver.list_shares()
    assert listed.access == (ANYBODY,)


def test_an_agent_that_lives_on_mounts_a_loop_pool_again(own_backend: OperationsLab) -> None:
    """What it prepared once may be unmounted meanwhile."""
    share = own_backend.share("projects", ANYBODY)
    reboot(own_backend)
    assert own_backend.driver.adopt_share(share.backend_id, str(share.resource_id), None).size_bytes == 16 * MIB
    own_backend.allow(share, ANYBODY)
    assert own_backend.access_of(share) == {ANYBODY}


def test_an_image_that_was_replaced_is_another_pool(own_backend: OperationsLab) -> None:
    """It has no room for new shares, and those that were there are unknown."""
    share = own_backend.share("projects")
    reboot(own_backend)
    own_backend.folder.joinpath("pool.img").rename(own_backend.folder / "kept.img")
    other = own_backend.open(root=f"{own_backend.folder}/other-root")
    other.prepare()
    driver = own_backend.open()
    for call in (driver.list_shares, driver.list_snapshots, lambda: driver.used_bytes(ref(share))):
        with pytest.raises(BackendUnavailableError, match="is on a different file system"):
            call()
    assert [(pool.total_bytes, pool.free_bytes) for pool in driver.pools()] == [(0, 0)]


def test_an_image_that_never_was_the_pool_does_not_stay_in_its_place(own_backend: OperationsLab) -> None:
    """It is unmounted again, so that the right one can come back; and whoever only looks mounts nothing."""
    share = own_backend.share("projects", ANYBODY)
    reboot(own_backend)
    image = own_backend.folder / "pool.img"
    with pytest.raises(BackendUnavailableError, match="is not mounted; the next apply mounts it"):
        own_backend.open().used_bytes(ref(share))
    assert mounts_under(str(own_backend.folder)) == []
    image.rename(own_backend.folder / "kept.img")
    with image.open("wb") as file:
        file.truncate(1 << 30)
    run("mkfs.btrfs", "-q", str(image))
    driver = own_backend.open()
    with pytest.raises(BackendUnavailableError, match="holds a different file system from the one that was prepared"):
        driver.update_access(ref(share), [ANYBODY], [], [])
    (own_backend.folder / "kept.img").rename(image)
    driver.update_access(ref(share), [ANYBODY], [], [])
    assert own_backend.open().list_shares()[0].access == (ANYBODY,)


@pytest.fixture
def admins_pool(own_backend: OperationsLab) -> Any:  # noqa: ANN401 - parts of documents have many types
    """Give a driver on a file system that an administrator mounts, and what mounts and unmounts it."""
    image, path = own_backend.folder / "disk.img", own_backend.folder / "disk"
    with image.open("wb") as file:
        file.truncate(200 * MIB)
    run("mkfs.btrfs", "-q", str(image))
    path.mkdir()
    run("mount", "-o", "loop", str(image), str(path))
    driver = own_backend.open(pools={"fast": {"type": "btrfs", "path": str(path)}})
    driver.prepare()
    return driver, path


def test_a_file_system_that_an_administrator_has_to_mount_is_waited_for(
    own_backend: OperationsLab, admins_pool: tuple[LinuxDriver, Path]
) -> None:
    """Its shares are unknown while it is not mounted, and nothing is made on what is there instead."""
    driver, path = admins_pool
    driver.create_share(own_backend.request("projects"))
    run("umount", str(path))
    for prepared_in_this_process in (driver, own_backend.open(pools={"fast": {"type": "btrfs", "path": str(path)}})):
        with pytest.raises(BackendUnavailableError, match=r"is not mounted at .*; mount it \(is it in /etc/fstab\?\)"):
            prepared_in_this_process.list_shares()
        with pytest.raises(BackendUnavailableError, match="mount"):
            prepared_in_this_process.create_share(own_backend.request("second"))
        assert [(pool.total_bytes, pool.free_bytes) for pool in prepared_in_this_process.pools()] == [(0, 0)]
    assert list(path.iterdir()) == []
    run("mount", "-o", "loop", str(own_backend.folder / "disk.img"), str(path))
    assert [share.backend_id for share in driver.list_shares()] == ["fast/projects"]


def test_a_backend_is_prepared_only_with_all_its_pools(own_backend: OperationsLab) -> None:
    """One that is missing keeps it from having an identity, and the next call finishes."""
    path = own_backend.folder / "images"
    driver = own_backend.open(pools={"fast": own_backend.pool, "slow": {"type": "image", "path": str(path)}})
    with pytest.raises(Exception, match="slow"):
        driver.prepare()
    assert driver.report().identity is None
    path.mkdir()
    assert driver.prepare() == driver.report().identity


def reboot(backend: OperationsLab) -> None:
    """Leave the host as it is after a start: nothing runs, nothing is mounted."""
    servers = backend.driver._agent.backend._room.servers("main")  # type: ignore[attr-defined]
    servers.nfs.stop()
    for point in mounts_under(str(backend.folder)):
        run("umount", point)


def test_an_unlimited_share_of_an_id_that_is_not_there_is_left_out(own_backend: OperationsLab) -> None:
    """Listing by id gives what is there."""
    share = own_backend.share("projects")
    assert shares_of(own_backend.driver, [new_id(), str(share.resource_id)]) == [share]
