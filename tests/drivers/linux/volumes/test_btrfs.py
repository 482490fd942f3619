"""The kernel's own answers about btrfs: what the pool stands on."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.host.daemons import wait_until
from sharectl.drivers.linux.agent.volumes.btrfs import ioctls
from tests.drivers.linux.lab import run
from tests.drivers.linux.pools import MEBIBYTE, make_host_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def top(module_directory: str) -> str:
    """Give a btrfs with full quotas."""
    folder = make_host_folder(module_directory, "btrfs", 256 * MEBIBYTE)
    with opened(folder) as descriptor:
        file_system = ioctls.file_system_id(descriptor)
        assert file_system is not None
        ioctls.enable_quotas(descriptor)
        wait_until(lambda: ioctls.accounting(descriptor, file_system).is_exact, "quotas are not on")
    return folder


@contextmanager
def opened(folder: str) -> Iterator[int]:
    """Open a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_a_file_system_is_known_by_its_uuid_and_others_have_none(top: str, lab_directory: str) -> None:
    """As blkid has it."""
    with opened(top) as descriptor, opened("/proc") as other:
        expected = run("findmnt", "-n", "-o", "UUID", top).stdout.strip()
        assert ioctls.file_system_id(descriptor) == expected
        assert ioctls.file_system_id(other) is None
        assert not ioctls.is_subvolume(other)


def test_a_subvolume_has_an_id_and_is_told_from_a_folder(top: str) -> None:
    """The id is that of btrfs-progs."""
    Path(top, "folder").mkdir()
    with opened(top) as descriptor:
        ioctls.create_subvolume(descriptor, "sub")
        with pytest.raises(FileExistsError):
            ioctls.create_subvolume(descriptor, "sub")
        with opened(f"{top}/sub") as subvolume, opened(f"{top}/folder") as folder:
            assert ioctls.is_subvolume(subvolume)
            assert not ioctls.is_subvolume(folder)
            expected = int(run("btrfs", "inspect-internal", "rootid", f"{top}/sub").stdout)
            assert ioctls.subvolume_id(subvolume) == expected
            assert ioctls.subvolume_id(folder) == ioctls.subvolume_id(descriptor) == 5


def test_a_snapshot_is_read_only_if_asked_for_and_a_copy_of_it_is_not(top: str) -> None:
    """The flag is the snapshot's own."""
    with opened(top) as descriptor:
        ioctls.create_subvolume(descriptor, "live")
        with opened(f"{top}/live") as live:
            ioctls.create_snapshot(live, descriptor, "kept", read_only=True)
        with opened(f"{top}/kept") as kept:
            ioctls.create_snapshot(kept, descriptor, "copy", read_only=False)
            assert ioctls.is_read_only(kept)
        with opened(f"{top}/copy") as copy:
            assert not ioctls.is_read_only(copy)


def test_a_limit_is_read_back_at_once_and_can_be_taken_away(top: str) -> None:
    """For one subvolume and in bulk."""
    with opened(top) as descriptor:
        ioctls.create_subvolume(descriptor, "limited")
        with opened(f"{top}/limited") as subvolume:
            number = ioctls.subvolume_id(subvolume)
        for limit in (MEBIBYTE, 5 * MEBIBYTE, None):
            ioctls.set_limit(descriptor, number, limit)
            usage = ioctls.usage(descriptor, number)
            assert usage is not None
            assert usage.limit_bytes == limit
            assert ioctls.all_usages(descriptor)[number] == usage
        assert ioctls.usage(descriptor, 999_999) is None
        with pytest.raises(FileNotFoundError):
            ioctls.set_limit(descriptor, 999_999, MEBIBYTE)


def test_the_names_in_a_folder_are_found_with_their_subvolumes(top: str) -> None:
    """A name that is no UTF-8 comes as Python writes such names."""
    Path(top, "parent").mkdir()
    strange = os.fsdecode(b"\xff-strange")
    with opened(top) as descriptor, opened(f"{top}/parent") as parent:
        for name in ("one", strange):
            ioctls.create_subvolume(parent, name)
        inode = os.fstat(parent).st_ino
        found = {each.name for each in ioctls.subvolumes_in(descriptor, 5) if each.directory == inode}
        assert found == {"one", strange}
        with opened(f"{top}/parent/one") as one:
            ioctls.destroy_subvolume(descriptor, ioctls.subvolume_id(one))
        found = {each.name for each in ioctls.subvolumes_in(descriptor, 5) if each.directory == inode}
        assert found == {strange}


def test_destroying_says_what_is_in_the_way(top: str) -> None:
    """Nothing but a subvolume that holds no other is removed."""
    with opened(top) as descriptor:
        ioctls.create_subvolume(descriptor, "outer")
        with opened(f"{top}/outer") as outer:
            ioctls.create_subvolume(outer, "inner")
            number = ioctls.subvolume_id(outer)
        for subvolume, code in ((number, errno.ENOTEMPTY), (999_999, errno.ENOENT)):
            with pytest.raises(OSError, match=os.strerror(code)):
                ioctls.destroy_subvolume(descriptor, subvolume)


def test_a_subvolume_has_one_identity_however_it_is_asked_for(top: str) -> None:
    """Another of its name has another; a snapshot knows whose it is."""
    with opened(top) as descriptor:
        found = []
        for _ in range(2):
            ioctls.create_subvolume(descriptor, "told")
            with opened(f"{top}/told") as told:
                number, origin = ioctls.subvolume_id(told), ioctls.origin(told)
                ioctls.create_snapshot(told, descriptor, f"of-{number}", read_only=True)
            with opened(f"{top}/of-{number}") as snapshot:
                assert ioctls.origin(snapshot).parent_identity == origin.identity
            assert ioctls.identities(descriptor)[number] == origin.identity
            assert origin.identity in run("btrfs", "subvolume", "show", f"{top}/told").stdout
            ioctls.destroy_subvolume(descriptor, number)
            assert number not in ioctls.identities(descriptor)
            found.append(origin.identity)
        assert len(set(found)) == 2


def test_qgroups_of_subvolumes_that_exist_are_never_stale_and_others_can_be_removed(top: str) -> None:
    """Newer kernels remove those of subvolumes themselves, so that the removal is tried on a group of groups."""
    group = (1 << 48) | 100
    with opened(top) as descriptor:
        ioctls.create_subvolume(descriptor, "with-qgroup")
        run("btrfs", "qgroup", "create", "1/100", top)
        before = ioctls.all_usages(descriptor)
        assert ioctls.remove_stale_qgroups(descriptor) == 0
        assert ioctls.all_usages(descriptor) == before
        assert ioctls._remove_qgroup(descriptor, group)
        assert not ioctls._remove_qgroup(descriptor, group)


def test_the_device_of_a_file_system_is_its_loop_device(top: str) -> None:
    """With the size that the file system has of it."""
    with opened(top) as descriptor:
        device = ioctls.device(descriptor)
    assert device.path == run("findmnt", "-n", "-o", "SOURCE", top).stdout.strip()
    assert device.size_bytes == 256 * MEBIBYTE


def test_without_quotas_nothing_is_counted(lab_directory: str) -> None:
    """And that is not an error."""
    with opened(make_host_folder(lab_directory, "btrfs", 128 * MEBIBYTE)) as descriptor:
        file_system = ioctls.file_system_id(descriptor)
        assert file_system is not None
        assert ioctls.accounting(descriptor, file_system) == ioctls.Accounting(
            enabled=False, simple=False, is_exact=False
        )
        assert ioctls.all_usages(descriptor) == {}
        assert ioctls.usage(descriptor, 5) is None
