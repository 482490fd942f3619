"""Volumes on btrfs: sizes that hold, snapshots that keep, reverts that lose nothing, and kills at every point."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import shutil
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sharectl.drivers.linux.agent.contract import ProblemKind
from sharectl.drivers.linux.agent.host import mounts, system_calls
from sharectl.drivers.linux.agent.host.daemons import wait_until
from sharectl.drivers.linux.agent.volumes.btrfs import ioctls
from sharectl.drivers.linux.agent.volumes.btrfs.pool import FEATURES, BtrfsPool
from sharectl.drivers.linux.agent.volumes.contract import Claim, Resize
from sharectl.drivers.linux.agent.volumes.folders import opened
from tests.drivers.linux.lab import need, run
from tests.drivers.linux.pools import (
    MEBIBYTE,
    POOL_BYTES,
    btrfs_pool,
    crash_everywhere,
    fails_with,
    make_btrfs_pool,
    make_host_folder,
    module_btrfs_pool,
    names,
    write,
)

__all__ = ["btrfs_pool", "module_btrfs_pool"]

MODE = 0o2770
OWNER = (1234, 5678)


def folder_of(pool: BtrfsPool) -> Path:
    """Return the pool's folder."""
    return Path(pool._path)


def private(pool: BtrfsPool, name: str) -> set[str]:
    """Return what is in one of the pool's private folders."""
    return {entry.name for entry in (folder_of(pool) / ".sharectl" / name).iterdir()}


def crash_settings(pool: BtrfsPool) -> dict[str, object]:
    """Return how another process opens the pool."""
    image = str(folder_of(pool).with_suffix(".img"))
    return {"kind": "btrfs", "name": pool.name, "path": str(folder_of(pool)), "image": image}


def await_cleaner(pool: BtrfsPool) -> None:
    """Wait until the kernel has cleared away what was deleted; a commit wakes it."""
    descriptor = os.open(folder_of(pool), os.O_RDONLY)
    try:

        def is_clean() -> bool:
            ioctls.sync(descriptor)
            return run("btrfs", "subvolume", "list", "-d", str(folder_of(pool))).stdout == ""

        wait_until(is_clean, "the cleaner is not done")
    finally:
        os.close(descriptor)


def seen(pool: BtrfsPool) -> dict[str, tuple[int | None, int | None]]:
    """Return the size and the usage of each volume."""
    return {name: (state.size_bytes, state.used_bytes) for name, state in pool.list_volumes().items()}


def test_a_new_volume_is_empty_and_has_its_mode_owner_and_size(module_btrfs_pool: BtrfsPool) -> None:
    """What a share begins as."""
    module_btrfs_pool.create("new", 8 * MEBIBYTE, MODE, OWNER)
    status = Path(module_btrfs_pool.attach("new")).stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (MODE, *OWNER)
    assert names(module_btrfs_pool, "new") == set()
    assert module_btrfs_pool.list_volumes()["new"].size_bytes == 8 * MEBIBYTE


def test_making_a_volume_again_leaves_its_data_mode_and_owner(module_btrfs_pool: BtrfsPool) -> None:
    """The second call finishes the first, and takes nothing away from somebody who uses the volume by now."""
    module_btrfs_pool.create("again", 8 * MEBIBYTE, 0o700, (0, 0))
    write(module_btrfs_pool, "again", "kept")
    module_btrfs_pool.create("again", 16 * MEBIBYTE, MODE, OWNER, Claim(module_btrfs_pool.identify("again")))
    status = Path(module_btrfs_pool.attach("again")).stat()
    assert (status.st_mode & 0o7777, status.st_uid) == (0o700, 0)
    assert names(module_btrfs_pool, "again") == {"kept"}
    assert module_btrfs_pool.list_volumes()["again"].size_bytes == 16 * MEBIBYTE


def test_the_size_is_enforced_and_extending_a_full_volume_makes_room_at_once(module_btrfs_pool: BtrfsPool) -> None:
    """The limit is set by way of the pool's folder: by way of the full volume the kernel would refuse it."""
    module_btrfs_pool.create("full", 8 * MEBIBYTE, MODE, OWNER)
    with pytest.raises(OSError, match="Disk quota exceeded"):
        write(module_btrfs_pool, "full", "big", 20 * MEBIBYTE)
    assert module_btrfs_pool.used_bytes("full") <= 8 * MEBIBYTE
    with pytest.raises(OSError, match="Disk quota exceeded"):
        write(module_btrfs_pool, "full", "more", 4 * MEBIBYTE)
    module_btrfs_pool.resize("full", 16 * MEBIBYTE)
    write(module_btrfs_pool, "full", "more", 4 * MEBIBYTE)
    assert 11 * MEBIBYTE < module_btrfs_pool.used_bytes("full") <= 16 * MEBIBYTE


def test_a_volume_that_has_more_room_than_is_asked_for_keeps_it(module_btrfs_pool: BtrfsPool) -> None:
    """Somebody made it larger by hand; and one that is smaller does not grow where it is to shrink."""
    module_btrfs_pool.create("roomy", 16 * MEBIBYTE, MODE, OWNER)
    run("btrfs", "qgroup", "limit", str(24 * MEBIBYTE), f"{module_btrfs_pool._path}/roomy")
    assert module_btrfs_pool.resize("roomy", 20 * MEBIBYTE, Resize.EXTEND) == 24 * MEBIBYTE
    assert module_btrfs_pool.resize("roomy", 32 * MEBIBYTE, Resize.SHRINK) == 24 * MEBIBYTE
    assert module_btrfs_pool.list_volumes()["roomy"].size_bytes == 24 * MEBIBYTE


def test_shrinking_below_what_is_used_is_refused_and_above_it_is_done(module_btrfs_pool: BtrfsPool) -> None:
    """The kernel would take any limit."""
    module_btrfs_pool.create("shrunk", 16 * MEBIBYTE, MODE, OWNER)
    write(module_btrfs_pool, "shrunk", "big", 6 * MEBIBYTE)
    with fails_with(ProblemKind.IN_USE, "'shrunk'", "delete data first"):
        module_btrfs_pool.resize("shrunk", 4 * MEBIBYTE)
    assert module_btrfs_pool.list_volumes()["shrunk"].size_bytes == 16 * MEBIBYTE
    module_btrfs_pool.resize("shrunk", 8 * MEBIBYTE)
    module_btrfs_pool.resize("shrunk", 8 * MEBIBYTE)
    with pytest.raises(OSError, match="Disk quota exceeded"):
        write(module_btrfs_pool, "shrunk", "more", 4 * MEBIBYTE)


def test_a_snapshot_keeps_and_a_clone_diverges_with_its_own_size(module_btrfs_pool: BtrfsPool) -> None:
    """A clone begins with the limit of the snapshot's volume, and must not stay so; it is writable."""
    pool = module_btrfs_pool
    pool.create("origin", 8 * MEBIBYTE, MODE, OWNER)
    write(pool, "origin", "early", 4 * MEBIBYTE)
    pool.create_snapshot("origin", "snap-1")
    write(pool, "origin", "late")
    pool.create_snapshot("origin", "snap-1")
    pool.clone("snap-1", "clone", 32 * MEBIBYTE)
    assert names(pool, "clone") == {"early"}
    write(pool, "clone", "own", 16 * MEBIBYTE)
    assert names(pool, "origin") == {"early", "late"}
    assert pool.list_volumes()["clone"].size_bytes == 32 * MEBIBYTE
    assert "snap-1" in pool.list_snapshots()
    with pytest.raises(OSError, match="Read-only"):
        (folder_of(pool) / ".sharectl/snapshots/snap-1/x").touch()


def test_cloning_again_gives_the_size_and_keeps_the_data(module_btrfs_pool: BtrfsPool) -> None:
    """The second call finishes the first."""
    pool = module_btrfs_pool
    pool.create("origin-2", 8 * MEBIBYTE, MODE, OWNER)
    pool.create_snapshot("origin-2", "snap-2")
    pool.clone("snap-2", "clone-2", 16 * MEBIBYTE)
    write(pool, "clone-2", "own")
    pool.clone("snap-2", "clone-2", 16 * MEBIBYTE, Claim(pool.identify("clone-2")))
    assert names(pool, "clone-2") == {"own"}


def test_a_clone_smaller_than_the_snapshot_is_refused(module_btrfs_pool: BtrfsPool) -> None:
    """Else it would be born full."""
    pool = module_btrfs_pool
    pool.create("origin-3", 16 * MEBIBYTE, MODE, OWNER)
    write(pool, "origin-3", "big", 8 * MEBIBYTE)
    pool.create_snapshot("origin-3", "snap-3")
    with fails_with(ProblemKind.REFUSED, "snap-3", "larger size"):
        pool.clone("snap-3", "clone-3", 4 * MEBIBYTE)
    assert "clone-3" not in pool.list_volumes()


def test_a_revert_brings_the_snapshot_back_and_keeps_the_size(module_btrfs_pool: BtrfsPool) -> None:
    """The size is the volume's, not that of the time of the snapshot."""
    pool = module_btrfs_pool
    pool.create("turned", 8 * MEBIBYTE, MODE, OWNER)
    write(pool, "turned", "old")
    pool.create_snapshot("turned", "snap-4")
    pool.resize("turned", 24 * MEBIBYTE)
    write(pool, "turned", "new")
    pool.revert("turned", "snap-4")
    assert names(pool, "turned") == {"old"}
    assert pool.list_volumes()["turned"].size_bytes == 24 * MEBIBYTE
    write(pool, "turned", "after", 16 * MEBIBYTE)
    assert private(pool, "staging") == set()


def test_a_revert_to_a_snapshot_that_outgrew_the_volume_is_refused(module_btrfs_pool: BtrfsPool) -> None:
    """The volume was shrunk since."""
    pool = module_btrfs_pool
    pool.create("small", 16 * MEBIBYTE, MODE, OWNER)
    write(pool, "small", "big", 8 * MEBIBYTE)
    pool.create_snapshot("small", "snap-5")
    Path(pool.attach("small"), "big").unlink()
    pool.resize("small", 4 * MEBIBYTE)
    with fails_with(ProblemKind.REFUSED, "snap-5"):
        pool.revert("small", "snap-5")
    assert names(pool, "small") == set()


def test_a_volume_without_a_limit_stays_so_when_it_is_reverted(module_btrfs_pool: BtrfsPool) -> None:
    """One that was taken over may have none."""
    pool = module_btrfs_pool
    run("btrfs", "subvolume", "create", str(folder_of(pool) / "adopted"))
    assert pool.list_volumes()["adopted"].size_bytes is None
    pool.create_snapshot("adopted", "snap-6")
    pool.revert("adopted", "snap-6")
    assert pool.list_volumes()["adopted"].size_bytes is None


def test_deleting_leaves_nothing_and_repeats(btrfs_pool: BtrfsPool) -> None:
    """No subvolume, no snapshot; the qgroups go with the cleaner, or by `prepare`."""
    btrfs_pool.create("gone", 8 * MEBIBYTE, MODE, OWNER)
    write(btrfs_pool, "gone", "data")
    btrfs_pool.create_snapshot("gone", "snap")
    for _ in range(2):
        btrfs_pool.delete("gone")
        btrfs_pool.delete_snapshot("snap")
    assert btrfs_pool.list_volumes() == {}
    assert btrfs_pool.list_snapshots() == {}
    await_cleaner(btrfs_pool)
    btrfs_pool.prepare()
    descriptor = os.open(folder_of(btrfs_pool), os.O_RDONLY)
    try:
        assert set(ioctls.all_usages(descriptor)) == {5}
    finally:
        os.close(descriptor)


def test_what_is_not_there_is_not_found(module_btrfs_pool: BtrfsPool) -> None:
    """Each call that needs a volume or a snapshot says which is missing."""
    pool = module_btrfs_pool
    pool.create("there", 8 * MEBIBYTE, MODE, OWNER)
    for call in (
        lambda: pool.attach("nowhere"),
        lambda: pool.resize("nowhere", MEBIBYTE),
        lambda: pool.used_bytes("nowhere"),
        lambda: pool.create_snapshot("nowhere", "s"),
        lambda: pool.revert("nowhere", "s"),
        lambda: pool.revert("there", "nowhere"),
        lambda: pool.clone("nowhere", "v", MEBIBYTE),
    ):
        with fails_with(ProblemKind.NOT_FOUND, "'nowhere'"):
            call()


def test_one_volume_is_looked_at_as_the_listing_sees_it(module_btrfs_pool: BtrfsPool) -> None:
    """Without reading all; any entry of the folder takes a name."""
    pool = module_btrfs_pool
    pool.create("single", 8 * MEBIBYTE, MODE, OWNER)
    assert pool.volume_state("single") == pool.list_volumes()["single"]
    assert pool.has_volume("single")
    assert not pool.has_volume("nowhere")
    (folder_of(pool) / "taken").mkdir()
    assert pool.has_volume("taken")
    with fails_with(ProblemKind.NOT_FOUND, "'nowhere'"):
        pool.volume_state("nowhere")


def test_a_folder_a_file_and_a_link_in_the_way_are_left_alone(module_btrfs_pool: BtrfsPool, lab_directory: str) -> None:
    """Only subvolumes are volumes; a link is never followed, wherever it leads."""
    pool = module_btrfs_pool
    pool.create("target", 8 * MEBIBYTE, MODE, OWNER)
    (folder_of(pool) / "folder").mkdir(mode=0o700)
    (folder_of(pool) / "file").write_text("x", encoding="ascii")
    (folder_of(pool) / "link").symlink_to("target")
    for name in ("folder", "file", "link"):
        for call in (
            lambda name=name: pool.attach(name),
            lambda name=name: pool.resize(name, 9 * MEBIBYTE),
            lambda name=name: pool.delete(name),
            lambda name=name: pool.create_snapshot(name, f"of-{name}"),
        ):
            with fails_with(ProblemKind.CONFLICT, "left alone"):
                call()
        with fails_with(ProblemKind.CONFLICT, "already is in the pool"):
            pool.create(name, 8 * MEBIBYTE, MODE, OWNER)
    assert set(pool.list_volumes()).isdisjoint({"folder", "file", "link"})
    assert (folder_of(pool) / "folder").stat().st_mode & 0o7777 == 0o700
    assert pool.list_volumes()["target"].size_bytes == 8 * MEBIBYTE


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "../a", "/etc", "a\nb", "a\0b", "a\x1b[0m", "lost+found", "ä" * 101, "\ud800"],
)
def test_a_hostile_name_reaches_nothing(module_btrfs_pool: BtrfsPool, name: str) -> None:
    """A name is one printable component that is not hidden."""
    pool = module_btrfs_pool
    for call in (
        lambda: pool.create(name, MEBIBYTE, MODE, OWNER),
        lambda: pool.clone("s", name, MEBIBYTE),
        lambda: pool.clone(name, "v", MEBIBYTE),
        lambda: pool.attach(name),
        lambda: pool.detach(name),
        lambda: pool.delete(name),
        lambda: pool.resize(name, MEBIBYTE),
        lambda: pool.used_bytes(name),
        lambda: pool.create_snapshot(name, "s"),
        lambda: pool.create_snapshot("v", name),
        lambda: pool.delete_snapshot(name),
        lambda: pool.revert("v", name),
        lambda: pool.revert(name, "s"),
    ):
        with fails_with(ProblemKind.REFUSED, "cannot be the name of a volume"):
            call()


@pytest.mark.parametrize("name", ["-rf", "a b", 'quote"', "%n", "{}", "ünïcode", "x" * 200, "$(reboot)", "a\\040b"])
def test_an_unusual_name_is_just_a_name(module_btrfs_pool: BtrfsPool, name: str) -> None:
    """No shell and no grammar sees it."""
    pool = module_btrfs_pool
    pool.create(name, 8 * MEBIBYTE, MODE, OWNER)
    pool.create_snapshot(name, name)
    pool.revert(name, name)
    assert pool.list_volumes()[name].size_bytes == 8 * MEBIBYTE
    pool.detach(name)
    pool.delete(name)
    pool.delete_snapshot(name)
    assert name not in pool.list_volumes()


def make_inner_subvolumes(volume: str) -> None:
    """Make subvolumes in the folder: two beside each other, one in a folder of its own, and one in another."""
    Path(volume, "folder").mkdir()
    for name in ("inner", "inner/deeper", "inner/deeper/deepest", "folder/other"):
        run("btrfs", "subvolume", "create", f"{volume}/{name}")
    Path(volume, "inner/deeper/deepest/file").touch()


def test_a_volume_with_subvolumes_of_its_own_is_not_reverted(module_btrfs_pool: BtrfsPool) -> None:
    """No snapshot has their data."""
    pool = module_btrfs_pool
    pool.create("outer", 8 * MEBIBYTE, MODE, OWNER)
    pool.create_snapshot("outer", "snap-7")
    run("btrfs", "subvolume", "create", f"{pool.attach('outer')}/inner")
    with fails_with(ProblemKind.IN_USE, "'inner'", "by hand"):
        pool.revert("outer", "snap-7")
    assert names(pool, "outer") == {"inner"}


def test_a_volume_is_deleted_with_the_subvolumes_inside(btrfs_pool: BtrfsPool) -> None:
    """They are part of its data; those of other volumes stay."""
    for volume in ("gone", "kept"):
        btrfs_pool.create(volume, 8 * MEBIBYTE, MODE, OWNER)
        make_inner_subvolumes(btrfs_pool.attach(volume))
    btrfs_pool.delete("gone")
    assert set(btrfs_pool.list_volumes()) == {"kept"}
    assert Path(btrfs_pool.attach("kept"), "inner/deeper/deepest/file").exists()
    listed = run("btrfs", "subvolume", "list", str(folder_of(btrfs_pool))).stdout
    assert "gone" not in listed
    assert len(listed.splitlines()) == 5


def test_a_subvolume_that_appears_inside_while_a_volume_is_reverted_goes_with_the_newer_data(
    btrfs_pool: BtrfsPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the look for such, and before the exchange."""
    btrfs_pool.create("v", 8 * MEBIBYTE, MODE, OWNER)
    write(btrfs_pool, "v", "old")
    btrfs_pool.create_snapshot("v", "s")
    exchange = system_calls.exchange

    def exchange_late(*arguments: Any) -> None:  # noqa: ANN401 - passed on
        make_inner_subvolumes(btrfs_pool.attach("v"))
        exchange(*arguments)

    monkeypatch.setattr(system_calls, "exchange", exchange_late)
    btrfs_pool.revert("v", "s")
    assert names(btrfs_pool, "v") == {"old"}
    assert private(btrfs_pool, "staging") == set()


def test_a_volume_that_gets_new_subvolumes_without_end_is_not_deleted(
    btrfs_pool: BtrfsPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's program makes them; the message says so, and the volume is there."""
    btrfs_pool.create("v", 8 * MEBIBYTE, MODE, OWNER)
    run("btrfs", "subvolume", "create", f"{btrfs_pool.attach('v')}/0")
    destroy, numbers = ioctls.destroy_subvolume, itertools.count(1)

    def destroy_and_make(descriptor: int, subvolume: int) -> None:
        destroy(descriptor, subvolume)
        run("btrfs", "subvolume", "create", f"{btrfs_pool.attach('v')}/{next(numbers)}")

    monkeypatch.setattr(ioctls, "destroy_subvolume", destroy_and_make)
    with fails_with(ProblemKind.IN_USE, "'v'", "stop what makes them"):
        btrfs_pool.delete("v")
    monkeypatch.undo()
    btrfs_pool.delete("v")
    assert btrfs_pool.list_volumes() == {}


def test_the_listing_has_subvolumes_of_the_folder_alone(module_btrfs_pool: BtrfsPool) -> None:
    """Those made by hand too; not those further down, nor hidden ones."""
    pool = module_btrfs_pool
    (folder_of(pool) / "plain").mkdir()
    for name in ("by-hand", ".hidden", "plain/below"):
        run("btrfs", "subvolume", "create", str(folder_of(pool) / name))
    found = pool.list_volumes()
    assert found["by-hand"].size_bytes is None
    assert {".hidden", "below", "plain"}.isdisjoint(found)


def test_the_usage_in_a_listing_is_that_of_the_last_commit(btrfs_pool: BtrfsPool) -> None:
    """So that a listing makes nothing wait."""
    btrfs_pool.create("v", 16 * MEBIBYTE, MODE, OWNER)
    write(btrfs_pool, "v", "f", 4 * MEBIBYTE)
    used_bytes = btrfs_pool.used_bytes("v")
    assert 4 * MEBIBYTE <= used_bytes <= 5 * MEBIBYTE
    assert seen(btrfs_pool) == {"v": (16 * MEBIBYTE, used_bytes)}


def test_more_volumes_than_one_answer_of_the_kernel_holds_are_listed_whole(btrfs_pool: BtrfsPool) -> None:
    """1,200 long names are more than 256 KiB."""
    for number in range(1200):
        btrfs_pool.create(f"{number:04}-{'x' * 190}", MEBIBYTE, MODE, OWNER)
    found = btrfs_pool.list_volumes()
    assert {int(name[:4]) for name in found} == set(range(1200))
    assert {state.size_bytes for state in found.values()} == {MEBIBYTE}


def test_capacity_and_identity_are_those_of_the_file_system(btrfs_pool: BtrfsPool) -> None:
    """The identity stays over a mount."""
    total_bytes, free_bytes = btrfs_pool.capacity()
    assert total_bytes == POOL_BYTES
    assert POOL_BYTES // 2 < free_bytes < POOL_BYTES
    identity = btrfs_pool.identity()
    run("umount", str(folder_of(btrfs_pool)))
    btrfs_pool.mount()
    btrfs_pool.mount()
    assert btrfs_pool.identity() == identity
    assert identity in run("blkid", str(folder_of(btrfs_pool).with_suffix(".img"))).stdout
    assert (btrfs_pool.name, btrfs_pool.features) == ("p1", FEATURES)


def test_a_full_pool_says_so_and_gives_its_space_back(lab_directory: str) -> None:
    """ENOSPC is a matter of the pool: another may take the share. Mixed groups let data and tables compete for the same space."""
    pool = BtrfsPool("p", make_host_folder(lab_directory, "btrfs", 48 * MEBIBYTE, "--mixed"))
    pool.prepare()
    pool.create("eater", 4096 * MEBIBYTE, MODE, OWNER)
    with pytest.raises(OSError, match="No space left"):
        write(pool, "eater", "big", 64 * MEBIBYTE)
    with fails_with(ProblemKind.POOL, "No space left", "grow the pool"):
        for number in range(500):  # a reserve for deletions takes some
            pool.create(f"v{number}", MEBIBYTE, MODE, OWNER)
    pool.delete("eater")
    assert "eater" not in pool.list_volumes()


def test_a_pool_that_is_unmounted_behind_our_back_is_unavailable_and_untouched(btrfs_pool: BtrfsPool) -> None:
    """Nothing is written to the empty mount point, which could not take it anyway."""
    btrfs_pool.create("v", 8 * MEBIBYTE, MODE, OWNER)
    assert btrfs_pool.is_mounted()
    run("umount", str(folder_of(btrfs_pool)))
    assert not btrfs_pool.is_mounted()
    for call in (
        lambda: btrfs_pool.create("w", 8 * MEBIBYTE, MODE, OWNER),
        lambda: btrfs_pool.attach("v"),
        lambda: btrfs_pool.delete("v"),
        btrfs_pool.identity,
        btrfs_pool.capacity,
        btrfs_pool.list_volumes,
        btrfs_pool.list_snapshots,
    ):
        with fails_with(ProblemKind.UNAVAILABLE, "is not there"):
            call()
    with pytest.raises(PermissionError):
        (folder_of(btrfs_pool) / "w").mkdir()
    btrfs_pool.mount()
    assert set(btrfs_pool.list_volumes()) == {"v"}


def test_a_pool_without_an_image_is_somebody_elses_to_mount(lab_directory: str) -> None:
    """A folder on another file system, or none, is not the pool."""
    for path in (f"{lab_directory}/none", lab_directory):
        pool = BtrfsPool("p", path)
        assert not pool.is_mounted()
        with fails_with(ProblemKind.UNAVAILABLE, "fstab"):
            pool.mount()
        with fails_with(ProblemKind.UNAVAILABLE, "fstab"):
            pool.prepare()
    assert not Path(lab_directory, ".sharectl").exists()


def test_an_unprepared_folder_on_btrfs_is_not_the_pool(lab_directory: str) -> None:
    """It could be the empty mount point of a pool on a host whose own file system is btrfs."""
    host = make_host_folder(lab_directory, "btrfs", 128 * MEBIBYTE)
    pool = BtrfsPool("p", f"{host}/folder")
    Path(host, "folder").mkdir()
    assert not pool.is_mounted()
    with fails_with(ProblemKind.UNAVAILABLE, "is not there"):
        pool.list_volumes()
    pool.prepare()
    assert pool.is_mounted()
    pool.create("v", 8 * MEBIBYTE, MODE, OWNER)
    assert set(pool.list_volumes()) == {"v"}
    assert Path(host, "folder/.sharectl").stat().st_mode & 0o7777 == 0o700


def test_two_pools_on_one_file_system_and_on_one_host_do_not_mix(lab_directory: str) -> None:
    """Folders of one file system are two pools with one identity; an image of its own is another."""
    host = make_host_folder(lab_directory, "btrfs", 256 * MEBIBYTE)
    pools = [BtrfsPool(name, f"{host}/{name}") for name in ("a", "b")]
    run("btrfs", "subvolume", "create", f"{host}/a")
    Path(host, "b").mkdir()
    other = make_btrfs_pool(lab_directory, "other", 256 * MEBIBYTE)
    for pool in pools:
        pool.prepare()
    for pool in (*pools, other):
        pool.create("same", 8 * MEBIBYTE, MODE, OWNER)
        write(pool, "same", pool.name)
        pool.create_snapshot("same", f"of-{pool.name}")
    for pool in (*pools, other):
        assert set(pool.list_volumes()) == {"same"}
        assert names(pool, "same") == {pool.name}
        assert pool.list_snapshots().keys() == {f"of-{pool.name}"}
    assert pools[0].identity() == pools[1].identity() != other.identity()
    pools[0].delete("same")
    assert names(pools[1], "same") == {"b"}


def test_an_image_grows_when_the_settings_ask_for_more_and_never_shrinks(btrfs_pool: BtrfsPool) -> None:
    """At `prepare`, while volumes are in use."""
    btrfs_pool.create("v", 8 * MEBIBYTE, MODE, OWNER)
    image = str(folder_of(btrfs_pool).with_suffix(".img"))
    path = str(folder_of(btrfs_pool))
    BtrfsPool("p1", path, image=image, image_size_bytes=2 * POOL_BYTES).prepare()
    assert btrfs_pool.capacity().total_bytes == 2 * POOL_BYTES
    BtrfsPool("p1", path, image=image).prepare()
    with fails_with(ProblemKind.REFUSED, "only grow"):
        btrfs_pool.prepare()
    assert set(btrfs_pool.list_volumes()) == {"v"}


def test_a_grown_image_file_whose_file_system_was_not_grown_is_finished(btrfs_pool: BtrfsPool) -> None:
    """As when the process was killed between the two."""
    image = folder_of(btrfs_pool).with_suffix(".img")
    with image.open("rb+") as file:
        file.truncate(2 * POOL_BYTES)
    BtrfsPool("p1", str(folder_of(btrfs_pool)), image=str(image), image_size_bytes=2 * POOL_BYTES).prepare()
    assert btrfs_pool.capacity().total_bytes == 2 * POOL_BYTES


@pytest.mark.parametrize("size_bytes", [300_000_000, 300 * MEBIBYTE + 1234])
def test_an_image_of_no_whole_number_of_sectors_is_as_large_as_btrfs_makes_it(
    lab_directory: str, size_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And has its size then: nothing is resized when it is prepared again."""
    pool = make_btrfs_pool(lab_directory, size_bytes=size_bytes)
    assert pool.capacity().total_bytes == size_bytes // 4096 * 4096
    monkeypatch.setattr(ioctls, "resize", None)
    pool.prepare()


def test_an_image_that_is_too_small_for_a_resize_is_refused_untouched_and_grows_to_256_mib(lab_directory: str) -> None:
    """It was made by other means. Once it is large enough, it grows as others do."""
    need("mkfs.btrfs", file_system="btrfs")
    image, path = Path(lab_directory, "p.img"), f"{lab_directory}/p"
    with image.open("wb") as file:
        file.truncate(128 * MEBIBYTE)
    run("mkfs.btrfs", "-q", str(image))
    with fails_with(ProblemKind.REFUSED, "256 MiB", "ask for its size"):
        BtrfsPool("p", path, image=str(image), image_size_bytes=200 * MEBIBYTE).prepare()
    assert image.stat().st_size == 128 * MEBIBYTE
    for size_bytes in (128 * MEBIBYTE, 256 * MEBIBYTE):
        pool = BtrfsPool("p", path, image=str(image), image_size_bytes=size_bytes)
        pool.prepare()
        assert pool.capacity().total_bytes == size_bytes


def test_an_image_that_cannot_grow_now_keeps_its_size_and_is_usable(
    btrfs_pool: BtrfsPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel does one such thing at a time; a later call lets it grow."""
    image, path = str(folder_of(btrfs_pool).with_suffix(".img")), str(folder_of(btrfs_pool))
    larger = BtrfsPool("p1", path, image=image, image_size_bytes=2 * POOL_BYTES)
    ioctl, answers = fcntl.ioctl, iter((10, OSError(errno.EIO, os.strerror(errno.EIO))))

    def refuse_to_resize(descriptor: int, number: int, *arguments: Any) -> Any:  # noqa: ANN401 - passed on
        if number != ioctls._RESIZE:
            return ioctl(descriptor, number, *arguments)
        if isinstance(answer := next(answers), OSError):
            raise answer
        return answer

    monkeypatch.setattr(fcntl, "ioctl", refuse_to_resize)
    larger.prepare()
    assert larger.capacity().total_bytes == POOL_BYTES
    with fails_with(ProblemKind.UNAVAILABLE, "cannot grow", "old size"):
        larger.prepare()
    monkeypatch.undo()
    btrfs_pool.prepare()
    assert larger.capacity().total_bytes == POOL_BYTES
    larger.prepare()
    assert larger.capacity().total_bytes == 2 * POOL_BYTES


def test_a_file_that_is_no_btrfs_image_is_never_overwritten(lab_directory: str) -> None:
    """Whatever it is, somebody may want it."""
    need("mkfs.btrfs", file_system="btrfs")
    precious = Path(lab_directory, "precious")
    precious.write_bytes(b"thesis")
    pool = BtrfsPool("p", f"{lab_directory}/p", image=str(precious), image_size_bytes=POOL_BYTES)
    with fails_with(ProblemKind.CONFLICT, "left alone"):
        pool.prepare()
    assert precious.read_bytes() == b"thesis"
    assert not pool.is_mounted()


def test_an_image_of_no_size_or_too_small_a_size_is_refused(lab_directory: str) -> None:
    """And nothing is made."""
    for size_bytes in (None, 255 * MEBIBYTE):
        pool = BtrfsPool("p", f"{lab_directory}/p", image=f"{lab_directory}/i", image_size_bytes=size_bytes)
        with fails_with(ProblemKind.REFUSED, "at least 256 MiB"):
            pool.prepare()
    assert not Path(lab_directory, "i").exists()


def test_an_image_that_is_gone_is_not_replaced_by_mount(lab_directory: str) -> None:
    """A pool that lost its data is for people to look at."""
    pool = make_btrfs_pool(lab_directory)
    run("umount", str(folder_of(pool)))
    Path(lab_directory, "p1.img").rename(f"{lab_directory}/away")
    with fails_with(ProblemKind.UNAVAILABLE, "is gone"):
        pool.mount()
    assert not Path(lab_directory, "p1.img").exists()


def test_a_pool_is_not_mounted_over_content_nor_over_another_mount(lab_directory: str) -> None:
    """What is there would be hidden."""
    need("mkfs.btrfs", file_system="btrfs")
    point = Path(lab_directory, "p")
    point.mkdir()
    (point / "data").touch()
    pool = BtrfsPool("p", str(point), image=f"{lab_directory}/i", image_size_bytes=POOL_BYTES)
    with fails_with(ProblemKind.CONFLICT, "not empty"):
        pool.prepare()
    (point / "data").unlink()
    run("mount", "-t", "tmpfs", "none", str(point))
    with fails_with(ProblemKind.UNAVAILABLE, "something else is mounted"):
        pool.prepare()


def test_an_image_has_one_loop_device_however_often_it_is_mounted(btrfs_pool: BtrfsPool, lab_directory: str) -> None:
    """A second device on it would be a second file system in the same place."""
    elsewhere = Path(lab_directory, "elsewhere")
    elsewhere.mkdir()
    mounts.bind(str(folder_of(btrfs_pool)), str(elsewhere))
    run("umount", str(folder_of(btrfs_pool)))
    btrfs_pool.mount()
    image = str(folder_of(btrfs_pool).with_suffix(".img"))
    assert len(run("losetup", "-j", image).stdout.splitlines()) == 1


def test_quotas_that_were_turned_off_are_turned_on_by_the_next_change(btrfs_pool: BtrfsPool) -> None:
    """All limits were lost with them, as the listing shows; setting them again is then possible."""
    btrfs_pool.create("v", 8 * MEBIBYTE, MODE, OWNER)
    run("btrfs", "quota", "disable", str(folder_of(btrfs_pool)))
    assert seen(btrfs_pool) == {"v": (None, None)}
    btrfs_pool.resize("v", 8 * MEBIBYTE)
    assert btrfs_pool.list_volumes()["v"].size_bytes == 8 * MEBIBYTE
    with pytest.raises(OSError, match="Disk quota exceeded"):
        write(btrfs_pool, "v", "big", 16 * MEBIBYTE)


def test_numbers_that_the_kernel_gave_up_on_are_counted_anew_before_they_are_used(btrfs_pool: BtrfsPool) -> None:
    """Somebody who plays with groups of groups makes it lose count, as dropping a huge shared tree does; then no limit holds."""
    btrfs_pool.create("v", 16 * MEBIBYTE, MODE, OWNER)
    write(btrfs_pool, "v", "f", 4 * MEBIBYTE)
    btrfs_pool.create_snapshot("v", "s")
    path = str(folder_of(btrfs_pool))
    subvolume = run("btrfs", "inspect-internal", "rootid", f"{path}/v").stdout.strip()
    run("btrfs", "qgroup", "create", "1/100", path)
    run("btrfs", "qgroup", "assign", "--no-rescan", f"0/{subvolume}", "1/100", path, check=False)
    inconsistent = Path("/sys/fs/btrfs", btrfs_pool.identity(), "qgroups/inconsistent")
    assert inconsistent.read_text(encoding="ascii").strip() == "1"
    assert seen(btrfs_pool)["v"] == (16 * MEBIBYTE, None)
    assert 4 * MEBIBYTE <= btrfs_pool.used_bytes("v") <= 5 * MEBIBYTE
    assert inconsistent.read_text(encoding="ascii").strip() == "0"


def test_while_the_kernel_counts_usage_is_unknown_and_sizes_are_not_promised(btrfs_pool: BtrfsPool) -> None:
    """A call gives up after its patience, with what goes on and that it goes on by itself."""
    btrfs_pool.create("v", 64 * MEBIBYTE, MODE, OWNER)
    for number in range(3000):
        (Path(btrfs_pool.attach("v")) / f"{number}").write_bytes(b"x" * 5000)
    hasty = BtrfsPool("p1", str(folder_of(btrfs_pool)), counting_seconds=0.0)
    stop = threading.Event()

    def keep_counting() -> None:
        descriptor = os.open(folder_of(btrfs_pool), os.O_RDONLY)
        try:
            while not stop.is_set():
                ioctls.start_rescan(descriptor)
        finally:
            os.close(descriptor)

    counter = threading.Thread(target=keep_counting)
    counter.start()
    try:
        with fails_with(ProblemKind.UNAVAILABLE, "counting", "try again later"):
            while True:
                hasty.resize("v", 64 * MEBIBYTE)
        while (state := hasty.list_volumes()["v"]).used_bytes is not None:
            assert state.size_bytes == 64 * MEBIBYTE
    finally:
        stop.set()
        counter.join()
    assert (state.size_bytes, state.used_bytes) == (64 * MEBIBYTE, None)
    btrfs_pool.resize("v", 80 * MEBIBYTE)


def test_simple_quotas_are_refused(lab_directory: str) -> None:
    """They charge a clone for nothing, and an origin for what it deleted."""
    host = make_host_folder(lab_directory, "btrfs", 128 * MEBIBYTE)
    descriptor = os.open(host, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, 0xC0109428, struct.pack("=QQ", 4, 0))  # BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA
    except OSError as error:
        pytest.skip(f"needs a kernel with simple quotas (Linux 6.7): {error}")
    finally:
        os.close(descriptor)
    with fails_with(ProblemKind.REFUSED, "simple quotas", "btrfs quota disable"):
        BtrfsPool("p", host).prepare()


def test_64_threads_at_once_get_what_they_ask_for(btrfs_pool: BtrfsPool) -> None:
    """Each with a life cycle of its own on one pool."""

    def live(number: int) -> set[str]:
        volume, snapshot = f"v{number}", f"s{number}"
        btrfs_pool.create(volume, 8 * MEBIBYTE, MODE, OWNER)
        write(btrfs_pool, volume, f"old-{number}")
        btrfs_pool.create_snapshot(volume, snapshot)
        write(btrfs_pool, volume, "new")
        btrfs_pool.resize(volume, 16 * MEBIBYTE)
        btrfs_pool.clone(snapshot, f"c{number}", 24 * MEBIBYTE)
        btrfs_pool.revert(volume, snapshot)
        btrfs_pool.delete(f"c{number}")
        btrfs_pool.delete_snapshot(snapshot)
        return names(btrfs_pool, volume)

    with ThreadPoolExecutor(64) as threads:
        found = list(threads.map(live, range(64)))
    assert found == [{f"old-{number}"} for number in range(64)]
    assert {state.size_bytes for state in btrfs_pool.list_volumes().values()} == {16 * MEBIBYTE}
    assert btrfs_pool.list_snapshots() == {}
    assert private(btrfs_pool, "staging") == set()


def test_killed_anywhere_while_it_is_made_a_volume_is_made_by_the_next_call(btrfs_pool: BtrfsPool) -> None:
    """With its size, mode and owner."""
    seen = crash_everywhere(crash_settings(btrfs_pool), [], ["create", "v{n}", 8 * MEBIBYTE, MODE, OWNER])
    assert {tuple(each) if each is not None else None for each in seen} == {None, ()}, "before it was there, and after"
    found = btrfs_pool.list_volumes()
    assert {found[f"v{number}"].size_bytes for number in range(len(seen))} == {8 * MEBIBYTE}
    status = [Path(btrfs_pool.attach(f"v{number}")).stat() for number in range(len(seen))]
    assert {(each.st_mode & 0o7777, each.st_uid, each.st_gid) for each in status} == {(MODE, *OWNER)}


def test_killed_anywhere_a_snapshot_and_a_clone_are_made_by_the_next_call(btrfs_pool: BtrfsPool) -> None:
    """The clone has its own size each time."""
    btrfs_pool.create("origin", 8 * MEBIBYTE, MODE, OWNER)
    write(btrfs_pool, "origin", "old")
    seen = crash_everywhere(crash_settings(btrfs_pool), [], ["create_snapshot", "origin", "s{n}"])
    assert btrfs_pool.list_snapshots().keys() == {f"s{number}" for number in range(len(seen))}
    seen = crash_everywhere(crash_settings(btrfs_pool), [], ["clone", "s0", "v{n}", 24 * MEBIBYTE])
    assert {tuple(each) for each in seen if each is not None} == {("old",)}
    found = btrfs_pool.list_volumes()
    assert {found[f"v{number}"].size_bytes for number in range(len(seen))} == {24 * MEBIBYTE}


def test_killed_anywhere_a_revert_has_either_the_newer_data_or_the_snapshots(btrfs_pool: BtrfsPool) -> None:
    """Never neither; the next call finishes it, and leaves nothing behind."""
    before = [
        ["create", "v{n}", 8 * MEBIBYTE, MODE, OWNER],
        ["write", "v{n}", "old"],
        ["create_snapshot", "v{n}", "s{n}"],
        ["write", "v{n}", "new"],
        ["resize", "v{n}", 16 * MEBIBYTE],
    ]
    seen = crash_everywhere(crash_settings(btrfs_pool), before, ["revert", "v{n}", "s{n}"])
    assert {tuple(each) for each in seen} == {("new", "old"), ("old",)}
    found = btrfs_pool.list_volumes()
    assert set(found) == {f"v{number}" for number in range(len(seen))}
    assert {state.size_bytes for state in found.values()} == {16 * MEBIBYTE}
    assert {tuple(names(btrfs_pool, volume)) for volume in found} == {("old",)}
    assert private(btrfs_pool, "staging") == set()


def test_killed_anywhere_a_volume_is_deleted_by_the_next_call(btrfs_pool: BtrfsPool) -> None:
    """It is there or not; nothing is there in part."""
    before = [["create", "v{n}", 8 * MEBIBYTE, MODE, OWNER], ["write", "v{n}", "old"]]
    seen = crash_everywhere(crash_settings(btrfs_pool), before, ["delete", "v{n}"])
    assert {tuple(each) if each is not None else None for each in seen} == {("old",), None}
    assert btrfs_pool.list_volumes() == {}


def test_killed_anywhere_a_pool_is_prepared_by_the_next_call(lab_directory: str) -> None:
    """Image, mount, folders and quotas; each attempt has a pool of its own."""
    need("mkfs.btrfs", file_system="btrfs")
    image, path = f"{lab_directory}/i{{n}}.img", f"{lab_directory}/p{{n}}"
    settings = {"kind": "btrfs", "name": "p", "path": path, "image": image, "image_size_bytes": 256 * MEBIBYTE}
    seen = crash_everywhere(settings, [], ["prepare"])
    assert len(seen) > 5
    for number in range(len(seen)):
        pool = BtrfsPool("p", path.format(n=number), image=image.format(n=number))
        pool.create("v", 8 * MEBIBYTE, MODE, OWNER)
        assert set(pool.list_volumes()) == {"v"}
        assert len(run("losetup", "-j", image.format(n=number)).stdout.splitlines()) == 1
    names = {f"{kind.format(number)}" for number in range(len(seen)) for kind in ("i{}.img", "p{}")}
    assert {entry.name for entry in Path(lab_directory).iterdir()} == names


def test_what_a_killed_revert_left_is_swept_by_prepare_unless_somebody_works_there(btrfs_pool: BtrfsPool) -> None:
    """One that nobody repeats."""
    btrfs_pool.create("v", 8 * MEBIBYTE, MODE, OWNER)
    btrfs_pool.create_snapshot("v", "s")
    staging = folder_of(btrfs_pool) / ".sharectl/staging"
    snapshots = staging.with_name("snapshots")
    run("btrfs", "subvolume", "snapshot", str(snapshots / "s"), str(staging / "v"))
    holder = os.open(staging, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_SH)
        btrfs_pool.prepare()
        assert private(btrfs_pool, "staging") == {"v"}
    finally:
        os.close(holder)
    btrfs_pool.prepare()
    assert private(btrfs_pool, "staging") == set()


def test_leftovers_with_subvolumes_inside_are_swept_and_one_that_cannot_be_is_left(
    btrfs_pool: BtrfsPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool works on without it."""
    staging = folder_of(btrfs_pool) / ".sharectl/staging"
    for name in ("a", "b", "c"):
        run("btrfs", "subvolume", "create", str(staging / name))
        make_inner_subvolumes(str(staging / name))
    destroy = ioctls.destroy_subvolume

    def destroy_all_but_one(descriptor: int, subvolume: int) -> None:
        with opened(str(staging / "b")) as kept_fd:
            if subvolume == ioctls.subvolume_id(kept_fd):
                raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        destroy(descriptor, subvolume)

    monkeypatch.setattr(ioctls, "destroy_subvolume", destroy_all_but_one)
    btrfs_pool.prepare()
    assert private(btrfs_pool, "staging") == {"b"}
    monkeypatch.undo()
    btrfs_pool.prepare()
    assert private(btrfs_pool, "staging") == set()


def test_what_was_deleted_or_reverted_stays_so_after_a_power_cut(btrfs_pool: BtrfsPool, lab_directory: str) -> None:
    """Seen in a copy of the device, as it was when the calls returned."""
    for name in ("deleted", "turned"):
        btrfs_pool.create(name, 8 * MEBIBYTE, MODE, OWNER)
        write(btrfs_pool, name, "old")
        btrfs_pool.create_snapshot(name, f"of-{name}")
    write(btrfs_pool, "turned", "new")
    btrfs_pool.used_bytes("turned")  # all of this is on the device

    def after_a_power_cut(name: str) -> BtrfsPool:
        image, copy = folder_of(btrfs_pool).with_suffix(".img"), Path(lab_directory, f"{name}.img")
        shutil.copyfile(image, copy)
        run("btrfstune", "-m", "-f", str(copy))  # the kernel mounts no second file system of the same identity
        pool = BtrfsPool(name, f"{lab_directory}/{name}", image=str(copy))
        pool.mount()
        return pool

    btrfs_pool.revert("turned", "of-turned")
    assert names(after_a_power_cut("after-revert"), "turned") == {"old"}
    btrfs_pool.delete_snapshot("of-deleted")
    assert after_a_power_cut("after-snapshot").list_snapshots().keys() == {"of-turned"}
    btrfs_pool.delete("deleted")
    assert set(after_a_power_cut("after-delete").list_volumes()) == {"turned"}
