"""Trees are copied with all that matters, measured as the file system counts, and removed without leaving them."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import DriverError
from sharectl.drivers.directory import trees
from sharectl.drivers.directory.files import opened_beneath, opened_directory

from .opening import names_in

if TYPE_CHECKING:
    from pathlib import Path


def copy(source: Path, target: Path) -> Path:
    """Copy a tree into a new directory."""
    target.mkdir()
    with opened_directory(str(source)) as source_fd, opened_directory(str(target)) as target_fd:
        trees.copy_tree(source_fd, target_fd)
    return target


def used(path: Path) -> int:
    """Measure a tree."""
    with opened_directory(str(path)) as descriptor:
        return trees.used_bytes(descriptor)


def purge(path: Path) -> None:
    """Empty a directory."""
    with opened_directory(str(path)) as descriptor:
        trees.purge(descriptor)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make a tree with one of everything."""
    top = tmp_path / "source"
    (top / "inner" / "deep").mkdir(parents=True)
    (top / "file").write_text("content")
    (top / "file").chmod(0o640)
    os.utime(top / "file", ns=(1_000_000_000, 2_000_000_123))
    (top / "inner" / "name").hardlink_to(top / "file")
    (top / "link").symlink_to("/etc/passwd")
    os.utime(top / "link", ns=(5, 6), follow_symlinks=False)
    os.mkfifo(top / "pipe", 0o600)
    with (top / "sparse").open("wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
        file.truncate(65 << 20)
    (top / "hole").touch()
    os.truncate(top / "hole", 1 << 20)
    (top / "inner" / "deep" / "locked").mkdir()
    (top / "inner" / "deep" / "locked" / "x").touch()
    (top / "inner" / "deep" / "locked").chmod(0o500)
    os.utime(top / "inner", ns=(7_000_000_000, 8_000_000_000))
    return top


def test_a_copy_keeps_content_modes_times_links_and_holes(source: Path, tmp_path: Path) -> None:
    """Names of one file stay names of one file."""
    target = copy(source, tmp_path / "target")
    assert (target / "file").read_text() == "content"
    assert stat.S_IMODE((target / "file").stat().st_mode) == 0o640
    assert (target / "file").stat().st_mtime_ns == 2_000_000_123
    assert (target / "inner" / "name").stat().st_ino == (target / "file").stat().st_ino
    assert (target / "file").stat().st_nlink == 2
    assert (target / "link").readlink().as_posix() == "/etc/passwd"
    assert (target / "link").lstat().st_mtime_ns == 6
    assert (target / "pipe").is_fifo()
    assert (target / "sparse").stat().st_size == 65 << 20
    assert (target / "sparse").stat().st_blocks * 512 < 1 << 20
    with (target / "sparse").open("rb") as file:
        file.seek(64 << 20)
        assert file.read(3) == b"end"
    assert (target / "hole").stat().st_size == 1 << 20
    assert stat.S_IMODE((target / "inner" / "deep" / "locked").stat().st_mode) == 0o500
    assert (target / "inner").stat().st_mtime_ns == 8_000_000_000


def test_a_copy_keeps_extended_attributes(tmp_path: Path) -> None:
    """Of files and directories, where the file system has them."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch()
    try:
        os.setxattr(source / "file", "user.colour", b"red")
    except OSError as cause:
        if cause.errno != errno.EOPNOTSUPP:
            raise
        pytest.skip("needs a file system with extended attributes")
    os.setxattr(source, "user.shape", b"round")
    target = copy(source, tmp_path / "target")
    assert os.getxattr(target / "file", "user.colour") == b"red"
    assert os.getxattr(target, "user.shape") == b"round"


def test_a_socket_is_left_out(tmp_path: Path) -> None:
    """It belongs to a process, not to the data."""
    source = tmp_path / "s"
    source.mkdir()
    with socket.socket(socket.AF_UNIX) as server, opened_directory(str(source)) as descriptor:
        server.bind(f"/proc/self/fd/{descriptor}/socket")
        assert names_in(copy(source, tmp_path / "t")) == []


def test_file_data_is_shared_where_the_file_system_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is cloned by one call; no data is read."""
    source = tmp_path / "source"
    source.mkdir()
    for name in "ab":
        (source / name).write_text(name)
    cloned = []

    def ioctl(target: int, request: int, origin: int) -> int:
        assert request == 0x40049409
        cloned.append(os.pwrite(target, os.pread(origin, 10, 0), 0))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    monkeypatch.setattr(trees, "_copy_data", None)
    target = copy(source, tmp_path / "target")
    assert sorted(path.read_text() for path in target.iterdir()) == ["a", "b"]
    assert cloned == [1, 1]


def test_an_error_of_the_disk_ends_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for a file system that cannot clone."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch()

    def ioctl(target: int, request: int, origin: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    with pytest.raises(OSError, match="Input/output"):
        copy(source, tmp_path / "target")


def test_usage_counts_blocks_once_and_follows_no_link(tmp_path: Path) -> None:
    """Hard links once, holes not, what a link points to not."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(os.urandom(1 << 20))
    top = tmp_path / "top"
    top.mkdir()
    empty = used(top)
    (top / "data").write_bytes(os.urandom(1 << 18))
    os.sync()
    (top / "again").hardlink_to(top / "data")
    (top / "link").symlink_to(outside)
    (top / "hole").touch()
    os.truncate(top / "hole", 1 << 30)
    assert 1 << 18 <= used(top) - empty < 1 << 19


def test_purge_removes_everything_inside_and_nothing_outside(source: Path, tmp_path: Path) -> None:
    """Links are removed, not followed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").touch()
    (source / "inner" / "out").symlink_to(outside)
    (source / "out").symlink_to(outside)
    purge(source)
    assert names_in(source) == []
    assert (outside / "canary").exists()


def test_a_tree_deeper_than_there_are_descriptors_is_removed_and_measured(tmp_path: Path) -> None:
    """Depth costs no descriptors and no stack."""
    top = tmp_path / "top"
    top.mkdir()
    descriptor = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    assert used(top) >= 0
    purge(top)
    assert names_in(top) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_what_is_mounted_inside_is_neither_removed_nor_copied_nor_counted(tmp_path: Path) -> None:
    """Removal stops and says so."""
    top = tmp_path / "top"
    (top / "inner" / "mounted").mkdir(parents=True)
    if os.system(f"mount -t tmpfs tmpfs {top}/inner/mounted") != 0:  # noqa: S605 - a path of this test
        pytest.skip("needs the right to mount")
    try:
        (top / "inner" / "mounted" / "canary").write_bytes(bytes(1 << 20))
        assert used(top) < 1 << 19
        target = copy(top, tmp_path / "target")
        assert names_in(target / "inner" / "mounted") == []
        with pytest.raises(DriverError, match="mounted inside"):
            purge(top)
        mounted = next(path for path in tmp_path.rglob("canary"))
        assert mounted.stat().st_size == 1 << 20
        with pytest.raises(DriverError, match="mounted inside"):
            purge(mounted.parent.parent)
    finally:
        mount = next(path for path in tmp_path.rglob("canary")).parent
        assert os.system(f"umount {mount}") == 0  # noqa: S605 - as above


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_directory_that_its_owner_locked_is_removed(source: Path) -> None:
    """Permissions do not keep the owner from removing."""
    purge(source)
    assert names_in(source) == []


def test_nothing_is_opened_through_a_link(tmp_path: Path) -> None:
    """Each part of a path below the top is opened by itself."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with (
        opened_directory(str(tmp_path)) as descriptor,
        pytest.raises(OSError, match="link"),
        opened_beneath(descriptor, ("link",)),
    ):
        pytest.fail("a link was followed")


def test_a_file_that_becomes_shorter_while_it_is_copied_is_copied_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy ends; the rest is a hole."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"x" * 10)
    monkeypatch.setattr(os, "pread", lambda *_: b"")
    target = copy(source, tmp_path / "target")
    assert (target / "file").read_bytes() == bytes(10)


@pytest.mark.parametrize("name", ["lseek", "listxattr"])
def test_an_error_while_reading_ends_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A copy is whole or not there."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"x" * 10)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(OSError, match="Input/output"):
        copy(source, tmp_path / "target")


def test_a_file_system_without_extended_attributes_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to keep."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch()

    def fail(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "listxattr", fail)
    assert names_in(copy(source, tmp_path / "target")) == ["file"]
