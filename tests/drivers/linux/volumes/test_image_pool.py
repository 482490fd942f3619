"""Volumes in image files: sizes that hold, and the same promises as on btrfs where the host's file system shares blocks."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sharectl.drivers.linux.agent.contract import ProblemKind
from sharectl.drivers.linux.agent.host import commands, loops
from sharectl.drivers.linux.agent.host.daemons import wait_until
from sharectl.drivers.linux.agent.volumes.contract import Claim, Resize
from sharectl.drivers.linux.agent.volumes.images import files
from sharectl.drivers.linux.agent.volumes.images.pool import ALWAYS, WITH_SHARED_BLOCKS, ImagePool
from tests.drivers.linux.lab import need, run
from tests.drivers.linux.pools import MEBIBYTE, crash_everywhere, fails_with, make_host_folder, names, write

MODE = 0o2770
OWNER = (1234, 5678)
SIZES = {"ext4": 32 * MEBIBYTE, "xfs": 300 * MEBIBYTE}


def make_pool(directory: str, file_system: str) -> ImagePool:
    """Return a prepared pool in a new folder."""
    need(f"mkfs.{file_system}", file_system=file_system)
    Path(directory, file_system).mkdir()
    pool = ImagePool(file_system, f"{directory}/{file_system}", file_system)
    pool.prepare()
    return pool


@pytest.fixture(params=["ext4", "xfs"])
def pool(request: pytest.FixtureRequest, lab_directory: str) -> ImagePool:
    """Give a pool on the host's own file system, whatever that is."""
    return make_pool(lab_directory, request.param)


@pytest.fixture(params=["ext4", "xfs"])
def sharing_pool(request: pytest.FixtureRequest, lab_directory: str) -> ImagePool:
    """Give a pool on XFS, which shares blocks."""
    return make_pool(make_host_folder(lab_directory, "xfs", 3072 * MEBIBYTE), request.param)


@pytest.fixture
def ext4_pool(lab_directory: str) -> ImagePool:
    """Give a pool of ext4 volumes on the host's own file system."""
    return make_pool(lab_directory, "ext4")


def size_of(pool: ImagePool) -> int:
    """Return the size of a small volume in the pool."""
    return SIZES[pool.name]


def private(pool: ImagePool, folder: str) -> set[str]:
    """Return what is in one of the pool's private folders."""
    return {entry.name for entry in Path(pool._path, ".sharectl", folder).iterdir()}


def listed(pool: ImagePool) -> dict[str, int | None]:
    """Return the sizes of the volumes."""
    return {name: state.size_bytes for name, state in pool.list_volumes().items()}


def uuid_of(pool: ImagePool, volume: str) -> str:
    """Return the UUID of a volume's file system."""
    return run("blkid", "-p", "-o", "value", "-s", "UUID", f"{pool._path}/.sharectl/images/{volume}.img").stdout


def has_capability(number: int) -> bool:
    """Tell whether this process has the capability, by its number in linux/capability.h."""
    fields = dict(line.split(":\t") for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return bool(int(fields["CapEff"], 16) >> number & 1)


def crash_settings(pool: ImagePool) -> dict[str, object]:
    """Return how another process opens the pool."""
    return {"kind": "image", "name": pool.name, "path": pool._path, "file_system": pool.name}


def test_a_new_volume_is_a_mounted_file_system_of_its_size(pool: ImagePool) -> None:
    """Empty, with its mode and owner; made again it keeps what is in it."""
    pool.create("v", size_of(pool), MODE, OWNER)
    status = Path(pool.attach("v")).stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (MODE, *OWNER)
    write(pool, "v", "kept")
    pool.create("v", size_of(pool), 0o700, (0, 0), Claim(pool.identify("v")))
    assert names(pool, "v") == {"kept"}
    assert Path(pool.attach("v")).stat().st_uid == OWNER[0]
    assert listed(pool) == {"v": size_of(pool)}
    assert size_of(pool) * 0.6 < os.statvfs(pool.attach("v")).f_blocks * 4096 <= size_of(pool)


def test_the_size_is_enforced(ext4_pool: ImagePool) -> None:
    """By the file system in the image."""
    ext4_pool.create("v", 16 * MEBIBYTE, MODE, OWNER)
    with pytest.raises(OSError, match="No space left"):
        write(ext4_pool, "v", "big", 20 * MEBIBYTE)
    assert ext4_pool.used_bytes("v") <= 16 * MEBIBYTE
    state = ext4_pool.list_volumes()["v"]
    assert state.used_bytes == ext4_pool.used_bytes("v")


def test_an_xfs_volume_grows_while_it_is_full_and_in_use(lab_directory: str) -> None:
    """At once; and finishes what a killed call began."""
    pool = make_pool(lab_directory, "xfs")
    pool.create("v", SIZES["xfs"], MODE, OWNER)
    with pytest.raises(OSError, match="No space left"):
        write(pool, "v", "big", SIZES["xfs"])
    for _ in range(2):
        pool.resize("v", SIZES["xfs"] + 64 * MEBIBYTE)
    write(pool, "v", "more", 40 * MEBIBYTE)
    assert listed(pool) == {"v": SIZES["xfs"] + 64 * MEBIBYTE}
    with fails_with(ProblemKind.IN_USE, "withdraw all access"):
        pool.resize("v", SIZES["xfs"])
    pool.detach("v")
    with fails_with(ProblemKind.IN_USE, "never shrinks"):
        pool.resize("v", SIZES["xfs"])


def test_an_image_that_has_more_room_than_is_asked_for_keeps_it(lab_directory: str) -> None:
    """Somebody made it larger by hand; and one that is smaller does not grow where it is to shrink."""
    pool = make_pool(lab_directory, "xfs")
    larger = SIZES["xfs"] + 64 * MEBIBYTE
    pool.create("v", larger, MODE, OWNER)
    assert pool.resize("v", SIZES["xfs"], Resize.EXTEND) == larger
    assert pool.resize("v", larger + 64 * MEBIBYTE, Resize.SHRINK) == larger
    assert listed(pool) == {"v": larger}


def test_an_ext4_volume_in_use_grows_or_says_what_the_kernel_wants_for_it(ext4_pool: ImagePool) -> None:
    """It takes CAP_SYS_RESOURCE; where root lacks it the volume and its listed size stay as they were."""
    ext4_pool.create("v", 32 * MEBIBYTE, MODE, OWNER)
    write(ext4_pool, "v", "kept")
    if has_capability(24):
        ext4_pool.resize("v", 64 * MEBIBYTE)
        write(ext4_pool, "v", "big", 48 * MEBIBYTE)
    else:
        with fails_with(ProblemKind.IN_USE, "CAP_SYS_RESOURCE"):
            ext4_pool.resize("v", 64 * MEBIBYTE)
        assert listed(ext4_pool) == {"v": 32 * MEBIBYTE}
    assert "kept" in names(ext4_pool, "v")


def test_a_detached_ext4_volume_grows_and_shrinks_but_not_below_its_content(ext4_pool: ImagePool) -> None:
    """By a copy that takes its place when it is whole."""
    ext4_pool.create("v", 32 * MEBIBYTE, MODE, OWNER)
    write(ext4_pool, "v", "big", 20 * MEBIBYTE)
    before = uuid_of(ext4_pool, "v")
    with fails_with(ProblemKind.IN_USE, "withdraw all access"):
        ext4_pool.resize("v", 16 * MEBIBYTE)
    ext4_pool.detach("v")
    with fails_with(ProblemKind.IN_USE, "delete data first"):
        ext4_pool.resize("v", 16 * MEBIBYTE)
    ext4_pool.resize("v", 64 * MEBIBYTE)
    assert listed(ext4_pool) == {"v": 64 * MEBIBYTE}
    write(ext4_pool, "v", "more", 30 * MEBIBYTE)
    Path(ext4_pool.attach("v"), "more").unlink()
    ext4_pool.detach("v")
    ext4_pool.resize("v", 40 * MEBIBYTE)
    assert names(ext4_pool, "v") == {"big"}
    assert os.statvfs(ext4_pool.attach("v")).f_blocks * 4096 <= 40 * MEBIBYTE
    assert uuid_of(ext4_pool, "v") == before
    assert private(ext4_pool, "staging") == set()


def test_attach_and_detach_repeat_and_the_free_mount_point_takes_nothing(ext4_pool: ImagePool) -> None:
    """The data of an unmounted volume must not end up below it."""
    ext4_pool.create("v", 16 * MEBIBYTE, MODE, OWNER)
    write(ext4_pool, "v", "f")
    for _ in range(2):
        ext4_pool.detach("v")
    with pytest.raises(PermissionError):
        Path(ext4_pool._path, "v", "x").touch()
    assert ext4_pool.list_volumes()["v"].used_bytes is None
    assert ext4_pool.used_bytes("v") > 0
    assert ext4_pool.list_volumes()["v"].used_bytes is None
    for _ in range(2):
        assert ext4_pool.attach("v") == f"{ext4_pool._path}/v"
    assert names(ext4_pool, "v") == {"f"}


def test_deleting_leaves_nothing_and_repeats(pool: ImagePool) -> None:
    """No image, mount point or loop device."""
    pool.create("v", size_of(pool), MODE, OWNER)
    for _ in range(2):
        pool.delete("v")
        pool.delete_snapshot("s")
    assert pool.list_volumes() == {}
    assert {entry.name for entry in Path(pool._path).iterdir()} == {".sharectl"}
    assert pool._path not in run("losetup", "-a").stdout


def test_a_volume_that_is_still_mounted_elsewhere_is_not_deleted(
    ext4_pool: ImagePool, lab_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's bind mount keeps the file system alive; it must go first."""
    monkeypatch.setattr("sharectl.drivers.linux.agent.volumes.images.place._RELEASE_SECONDS", 0.05)
    ext4_pool.create("v", 16 * MEBIBYTE, MODE, OWNER)
    elsewhere = Path(lab_directory, "elsewhere")
    elsewhere.mkdir()
    run("mount", "--bind", ext4_pool.attach("v"), str(elsewhere))
    with fails_with(ProblemKind.IN_USE, "is mounted from /dev/loop"):
        ext4_pool.delete("v")
    assert listed(ext4_pool) == {"v": 16 * MEBIBYTE}
    assert ext4_pool.attach("v")
    assert len(run("losetup", "-j", f"{ext4_pool._path}/.sharectl/images/v.img").stdout.splitlines()) == 1


def test_snapshots_keep_clones_diverge_and_reverts_return(sharing_pool: ImagePool) -> None:
    """Taken while the volume is in use; a clone has a UUID of its own, for two alike cannot be told apart by NFS."""
    pool, size_bytes = sharing_pool, size_of(sharing_pool)
    assert pool.features == WITH_SHARED_BLOCKS
    pool.create("v", size_bytes, MODE, OWNER)
    write(pool, "v", "old", MEBIBYTE)
    for _ in range(2):
        pool.create_snapshot("v", "s")
    write(pool, "v", "new")
    assert pool.list_snapshots().keys() == {"s"}
    pool.clone("s", "c", 2 * size_bytes)
    pool.clone("s", "c", 2 * size_bytes, Claim(pool.identify("c")))
    assert names(pool, "c") == {"old"}
    assert os.statvfs(pool.attach("c")).f_blocks * 4096 > size_bytes
    write(pool, "c", "own")
    assert uuid_of(pool, "c") != uuid_of(pool, "v")
    with fails_with(ProblemKind.IN_USE, "withdraw all access"):
        pool.revert("v", "s")
    pool.detach("v")
    pool.revert("v", "s")
    assert names(pool, "v") == {"old"}
    assert listed(pool) == {"v": size_bytes, "c": 2 * size_bytes}
    assert private(pool, "staging") == set()
    with fails_with(ProblemKind.REFUSED, "at least"):
        pool.clone("s", "d", size_bytes - MEBIBYTE)
    pool.delete_snapshot("s")
    assert pool.list_snapshots() == {}


def test_a_revert_keeps_the_size_that_the_volume_has_by_now(sharing_pool: ImagePool) -> None:
    """The snapshot is of a smaller volume."""
    pool, size_bytes = sharing_pool, size_of(sharing_pool)
    pool.create("v", size_bytes, MODE, OWNER)
    pool.create_snapshot("v", "s")
    pool.detach("v")
    pool.resize("v", 2 * size_bytes)
    pool.revert("v", "s")
    assert listed(pool) == {"v": 2 * size_bytes}
    assert os.statvfs(pool.attach("v")).f_blocks * 4096 > size_bytes


def test_without_shared_blocks_there_are_no_snapshots(lab_directory: str) -> None:
    """The features say so before anybody asks."""
    pool = make_pool(make_host_folder(lab_directory, "ext4", 128 * MEBIBYTE), "ext4")
    assert pool.features == ALWAYS
    pool.create("v", 16 * MEBIBYTE, MODE, OWNER)
    with fails_with(ProblemKind.REFUSED, "shares no blocks"):
        pool.create_snapshot("v", "s")
    assert private(pool, "staging") == private(pool, "snapshots") == set()


def test_a_size_that_the_file_system_cannot_have_is_refused(pool: ImagePool) -> None:
    """And nothing is made."""
    with fails_with(ProblemKind.REFUSED, "MiB at least"):
        pool.create("v", MEBIBYTE, MODE, OWNER)
    assert pool.list_volumes() == {}


def test_what_is_not_there_is_not_found(ext4_pool: ImagePool) -> None:
    """Each call that needs a volume or a snapshot says which is missing."""
    ext4_pool.create("there", 16 * MEBIBYTE, MODE, OWNER)
    ext4_pool.detach("there")
    for call in (
        lambda: ext4_pool.attach("nowhere"),
        lambda: ext4_pool.resize("nowhere", 16 * MEBIBYTE),
        lambda: ext4_pool.used_bytes("nowhere"),
        lambda: ext4_pool.create_snapshot("nowhere", "s"),
        lambda: ext4_pool.revert("there", "nowhere"),
        lambda: ext4_pool.clone("nowhere", "v", 16 * MEBIBYTE),
    ):
        with fails_with(ProblemKind.NOT_FOUND, "'nowhere'"):
            call()


@pytest.mark.parametrize("name", ["", "..", ".sharectl", "a/b", "a\nb", "lost+found"])
def test_a_hostile_name_reaches_nothing(ext4_pool: ImagePool, name: str) -> None:
    """A name is one printable component that is not hidden."""
    for call in (
        lambda: ext4_pool.create(name, 16 * MEBIBYTE, MODE, OWNER),
        lambda: ext4_pool.clone("s", name, 16 * MEBIBYTE),
        lambda: ext4_pool.clone(name, "v", 16 * MEBIBYTE),
        lambda: ext4_pool.attach(name),
        lambda: ext4_pool.detach(name),
        lambda: ext4_pool.delete(name),
        lambda: ext4_pool.resize(name, 16 * MEBIBYTE),
        lambda: ext4_pool.used_bytes(name),
        lambda: ext4_pool.create_snapshot("v", name),
        lambda: ext4_pool.delete_snapshot(name),
        lambda: ext4_pool.revert("v", name),
    ):
        with fails_with(ProblemKind.REFUSED, "cannot be the name of a volume"):
            call()


@pytest.mark.parametrize("name", ["-rf", "a b", 'quote"', "ünïcode", "x" * 200])
def test_an_unusual_name_is_just_a_name(ext4_pool: ImagePool, name: str) -> None:
    """No shell and no grammar sees it."""
    ext4_pool.create(name, 16 * MEBIBYTE, MODE, OWNER)
    assert listed(ext4_pool) == {name: 16 * MEBIBYTE}
    ext4_pool.delete(name)


def test_one_volume_is_looked_at_as_the_listing_sees_it(ext4_pool: ImagePool) -> None:
    """Without reading all; whatever nothing can be mounted on takes a name too."""
    ext4_pool.create("v", 16 * MEBIBYTE, MODE, OWNER)
    for _ in range(2):
        assert ext4_pool.volume_state("v") == ext4_pool.list_volumes()["v"]
        ext4_pool.detach("v")
    Path(ext4_pool._path, "taken/inner").mkdir(parents=True)
    Path(ext4_pool._path, "file").touch()
    Path(ext4_pool._path, "link").symlink_to("v")
    Path(ext4_pool._path, "free").mkdir()
    found = {name for name in ("v", "taken", "file", "link", "free", "nowhere") if ext4_pool.has_volume(name)}
    assert found == {"v", "taken", "file", "link"}
    with fails_with(ProblemKind.NOT_FOUND, "'nowhere'"):
        ext4_pool.volume_state("nowhere")


def test_a_folder_with_content_in_the_place_of_a_volume_is_left_alone(ext4_pool: ImagePool) -> None:
    """Nothing is mounted over it, and no image is made."""
    Path(ext4_pool._path, "v").mkdir()
    Path(ext4_pool._path, "v", "data").touch()
    with fails_with(ProblemKind.CONFLICT, "already is in the pool"):
        ext4_pool.create("v", 16 * MEBIBYTE, MODE, OWNER)
    assert ext4_pool.list_volumes() == {}
    with fails_with(ProblemKind.CONFLICT):
        ext4_pool.delete("v")
    assert Path(ext4_pool._path, "v", "data").exists()


def test_something_else_that_is_mounted_in_the_place_of_a_volume_is_not_it(ext4_pool: ImagePool) -> None:
    """Nor is it covered up."""
    ext4_pool.create("v", 16 * MEBIBYTE, MODE, OWNER)
    ext4_pool.detach("v")
    run("mount", "-t", "tmpfs", "none", f"{ext4_pool._path}/v")
    with fails_with(ProblemKind.CONFLICT, "something else is mounted"):
        ext4_pool.attach("v")


def test_a_pool_that_is_unmounted_behind_our_back_is_unavailable(lab_directory: str) -> None:
    """Its identity is gone with it, and comes back with it."""
    host = make_host_folder(lab_directory, "ext4", 64 * MEBIBYTE)
    pool = ImagePool("p", host, "ext4")
    assert (pool.is_mounted(), pool.features) == (False, ALWAYS)
    pool.prepare()
    identity = pool.identity()
    pool.prepare()
    pool.mount()
    assert pool.identity() == identity
    run("umount", host)
    assert not pool.is_mounted()
    for call in (
        pool.identity,
        pool.list_volumes,
        pool.list_snapshots,
        pool.capacity,
        pool.mount,
        lambda: pool.delete("v"),
    ):
        with fails_with(ProblemKind.UNAVAILABLE, "fstab"):
            call()
    run("mount", "-o", "loop", f"{lab_directory}/host-ext4.img", host)
    assert pool.identity() == identity
    assert pool.name == "p"


def test_the_capacity_is_that_of_the_folders_file_system(lab_directory: str) -> None:
    """What sparse images may still take is not subtracted."""
    host = make_host_folder(lab_directory, "ext4", 64 * MEBIBYTE)
    pool = ImagePool("p", host, "ext4")
    pool.prepare()
    before = pool.capacity()
    pool.create("v", 1024 * MEBIBYTE, MODE, OWNER)
    after = pool.capacity()
    assert before.total_bytes == after.total_bytes <= 64 * MEBIBYTE
    assert before.free_bytes - after.free_bytes < 40 * MEBIBYTE


def test_a_preallocated_volume_takes_its_space_at_once_or_says_that_the_pool_is_full(lab_directory: str) -> None:
    """Then a size is no promise but a fact."""
    host = make_host_folder(lab_directory, "ext4", 128 * MEBIBYTE)
    pool = ImagePool("p", host, "ext4", preallocate=True)
    pool.prepare()
    pool.create("v", 32 * MEBIBYTE, MODE, OWNER)
    image = Path(host, ".sharectl/images/v.img")
    assert image.stat().st_blocks * 512 >= 32 * MEBIBYTE
    with fails_with(ProblemKind.POOL, "No space left"):
        pool.create("w", 256 * MEBIBYTE, MODE, OWNER)
    assert listed(pool) == {"v": 32 * MEBIBYTE}
    assert private_of(host, "staging") == set()


def private_of(folder: str, name: str) -> set[str]:
    """Return what is in a private folder of the pool in this folder."""
    return {entry.name for entry in Path(folder, ".sharectl", name).iterdir()}


def test_a_pool_so_full_that_no_file_system_can_be_made_is_full(lab_directory: str) -> None:
    """Another may take the share."""
    host = make_host_folder(lab_directory, "ext4", 16 * MEBIBYTE)
    pool = ImagePool("p", host, "ext4")
    pool.prepare()
    with Path(host, "eater").open("wb") as file, pytest.raises(OSError, match="No space left"):
        os.posix_fallocate(file.fileno(), 0, 16 * MEBIBYTE)
    with fails_with(ProblemKind.POOL):
        pool.create("v", 16 * MEBIBYTE, MODE, OWNER)
    assert pool.list_volumes() == {}


def test_a_missing_program_is_named_with_its_package(ext4_pool: ImagePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is somebody else's to install on."""
    monkeypatch.setattr(commands, "find", lambda _program: None)
    with fails_with(ProblemKind.REFUSED, "mkfs.ext4", "e2fsprogs"):
        ext4_pool.create("v", 16 * MEBIBYTE, MODE, OWNER)


def test_a_damaged_file_system_is_reported_with_the_last_line_of_the_program(ext4_pool: ImagePool) -> None:
    """And the volume stays as it is."""
    ext4_pool.create("v", 32 * MEBIBYTE, MODE, OWNER)
    ext4_pool.detach("v")
    image = Path(ext4_pool._path, ".sharectl/images/v.img")
    with image.open("rb+") as file:
        file.write(bytes(65536))
    damaged = image.read_bytes()
    with fails_with(ProblemKind.REFUSED):
        ext4_pool.resize("v", 64 * MEBIBYTE)
    assert image.read_bytes() == damaged


def test_a_program_that_fails_is_quoted_and_one_without_space_is_a_full_pool(lab_directory: str) -> None:
    """The last line of what it says is the reason."""
    need("mkfs.ext4")
    image = Path(lab_directory, "image")
    image.touch()
    with image.open("rb") as file:
        with fails_with(ProblemKind.REFUSED, "mkfs.ext4 failed with exit code 1"):
            commands.run("mkfs.ext4", "-q", f"{lab_directory}/no/image", "16M", held_fd=file.fileno())
        with fails_with(ProblemKind.POOL, "No space left on device"):
            commands.run("dd", "if=/dev/zero", "of=/dev/full", "count=1", "status=none", held_fd=file.fileno())


def test_an_image_that_was_replaced_while_a_call_waited_for_it_is_opened_anew(lab_directory: str) -> None:
    """Else the call would change a file that nobody sees any more."""
    old, new = Path(lab_directory, "image"), Path(lab_directory, "new")
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    folder_fd = os.open(lab_directory, os.O_RDONLY)

    def read() -> bytes:
        with files.opened_image("image", folder_fd) as image_fd:
            return os.read(image_fd, 3)

    def is_waited_for() -> bool:
        locks = Path("/proc/locks").read_text(encoding="ascii")
        return any("->" in line and f":{inode} " in line for line in locks.splitlines())

    try:
        with ThreadPoolExecutor(1) as threads:
            with files.opened_image("image", folder_fd) as held_fd:
                inode = os.fstat(held_fd).st_ino
                waiting = threads.submit(read)
                wait_until(is_waited_for, "nobody waits")
                new.rename(old)
            assert waiting.result() == b"new"
    finally:
        os.close(folder_fd)


def test_a_copy_has_the_holes_of_its_original(lab_directory: str) -> None:
    """A sparse image stays sparse where blocks cannot be shared."""
    host = make_host_folder(lab_directory, "ext4", 64 * MEBIBYTE)
    source, target = Path(host, "source"), Path(host, "target")
    with source.open("wb") as file:
        file.seek(8 * MEBIBYTE)
        file.write(b"x" * 5000)
        file.truncate(1024 * MEBIBYTE)
    with source.open("rb") as original, target.open("wb") as copy:
        files.copy(original.fileno(), copy.fileno())
    assert target.stat().st_size == 1024 * MEBIBYTE
    assert target.stat().st_blocks == source.stat().st_blocks
    with target.open("rb") as copy:
        copy.seek(8 * MEBIBYTE)
        assert copy.read(5001) == b"x" * 5000 + b"\0"


def test_32_threads_at_once_get_what_they_ask_for(ext4_pool: ImagePool) -> None:
    """Loop devices are taken one by one; each image has one."""

    def live(number: int) -> set[str]:
        ext4_pool.create(f"v{number}", 16 * MEBIBYTE, MODE, OWNER)
        write(ext4_pool, f"v{number}", f"f{number}")
        ext4_pool.detach(f"v{number}")
        return names(ext4_pool, f"v{number}")

    with ThreadPoolExecutor(32) as threads:
        found = list(threads.map(live, range(32)))
    assert found == [{f"f{number}"} for number in range(32)]
    with ThreadPoolExecutor(32) as threads:
        list(threads.map(ext4_pool.delete, [f"v{number}" for number in range(32)]))
    assert ext4_pool.list_volumes() == {}
    assert ext4_pool._path not in run("losetup", "-a").stdout


def test_threads_that_attach_one_volume_at_once_make_one_mount(ext4_pool: ImagePool) -> None:
    """And one loop device."""
    ext4_pool.create("v", 16 * MEBIBYTE, MODE, OWNER)
    ext4_pool.detach("v")
    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(ext4_pool.attach, ["v"] * 16)) == {f"{ext4_pool._path}/v"}
    image = f"{ext4_pool._path}/.sharectl/images/v.img"
    assert len(run("losetup", "-j", image).stdout.splitlines()) == 1
    assert loops.is_mounted_at(image, f"{ext4_pool._path}/v")


def test_killed_anywhere_a_volume_is_made_and_deleted_by_the_next_call(ext4_pool: ImagePool) -> None:
    """Whole, and without a trace."""
    seen = crash_everywhere(crash_settings(ext4_pool), [], ["create", "v{n}", 16 * MEBIBYTE, MODE, OWNER])
    assert len(seen) > 10
    assert listed(ext4_pool) == {f"v{number}": 16 * MEBIBYTE for number in range(len(seen))}
    status = [Path(ext4_pool.attach(f"v{number}")).stat() for number in range(len(seen))]
    assert {(each.st_mode & 0o7777, each.st_uid, each.st_gid) for each in status} == {(MODE, *OWNER)}
    for number in range(len(seen)):
        ext4_pool.delete(f"v{number}")
    before = [["create", "v{n}", 16 * MEBIBYTE, MODE, OWNER]]
    crash_everywhere(crash_settings(ext4_pool), before, ["delete", "v{n}"])
    assert {entry.name for entry in Path(ext4_pool._path).iterdir()} == {".sharectl"}
    assert private(ext4_pool, "staging") == private(ext4_pool, "images") == set()


def test_killed_anywhere_a_resize_keeps_the_data(ext4_pool: ImagePool) -> None:
    """Up and down, detached."""
    before = [["create", "v{n}", 32 * MEBIBYTE, MODE, OWNER], ["write", "v{n}", "kept"], ["detach", "v{n}"]]
    for size_bytes in (40 * MEBIBYTE, 24 * MEBIBYTE):
        seen = crash_everywhere(crash_settings(ext4_pool), before, ["resize", "v{n}", size_bytes], every=2)
        for number in range(len(seen)):
            assert names(ext4_pool, f"v{number}") == {"kept"}
            assert listed(ext4_pool)[f"v{number}"] == size_bytes
            ext4_pool.delete(f"v{number}")
    assert private(ext4_pool, "staging") == set()


def test_killed_anywhere_a_clone_converges(sharing_pool: ImagePool) -> None:
    """With its own size, and a UUID that no other has."""
    pool, size_bytes = sharing_pool, size_of(sharing_pool)
    pool.create("v", size_bytes, MODE, OWNER)
    write(pool, "v", "old")
    pool.create_snapshot("v", "s")
    every = 1 if pool.name == "ext4" else 6  # an XFS volume is slow to make
    seen = crash_everywhere(crash_settings(pool), [], ["clone", "s", "v{n}", size_bytes + 8 * MEBIBYTE], every=every)
    assert len({uuid_of(pool, volume) for volume in pool.list_volumes()}) == len(seen) + 1
    for number in range(len(seen)):
        assert names(pool, f"v{number}") == {"old"}
        assert listed(pool)[f"v{number}"] == size_bytes + 8 * MEBIBYTE
    assert private(pool, "staging") == set()


def test_killed_anywhere_snapshots_and_reverts_converge(lab_directory: str) -> None:
    """The newer data goes only when the old is in place."""
    pool = make_pool(make_host_folder(lab_directory, "xfs", 512 * MEBIBYTE), "ext4")
    size_bytes = size_of(pool)
    pool.create("v", size_bytes, MODE, OWNER)
    write(pool, "v", "old")
    seen = crash_everywhere(crash_settings(pool), [], ["create_snapshot", "v", "s{n}"])
    assert pool.list_snapshots().keys() == {f"s{number}" for number in range(len(seen))}
    before = [["clone", "s0", "v{n}", size_bytes], ["write", "v{n}", "new"], ["detach", "v{n}"]]
    seen = crash_everywhere(crash_settings(pool), before, ["revert", "v{n}", "s0"])
    for number in range(len(seen)):
        assert names(pool, f"v{number}") == {"old"}
    assert listed(pool) == dict.fromkeys(["v", *(f"v{number}" for number in range(len(seen)))], size_bytes)
    assert private(pool, "staging") == set()


def test_prepare_sweeps_what_killed_calls_left(sharing_pool: ImagePool) -> None:
    """A mounted copy too."""
    pool = sharing_pool
    pool.create("v", size_of(pool), MODE, OWNER)
    staging = Path(pool._path, ".sharectl/staging")
    shutil.copyfile(f"{pool._path}/.sharectl/images/v.img", staging / "w.img")
    (staging / "w.mount").mkdir()
    pool.detach("v")
    run("mount", "-o", "loop", f"{pool._path}/.sharectl/images/v.img", str(staging / "w.mount"))
    pool.prepare()
    assert private(pool, "staging") == set()
    assert listed(pool) == {"v": size_of(pool)}
