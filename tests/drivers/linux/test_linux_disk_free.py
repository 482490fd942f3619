"""What clients are told of the size of a share, and of what is free in it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.smb import disk_free
from tests.drivers.linux.backends import PASSWORDS
from tests.drivers.linux.lab import run
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.operations_lab import ALICE, ANYBODY, MIB, ref
from tests.drivers.linux.samba_lab import need_samba_modules
from tests.drivers.linux.smb_client import smb

if TYPE_CHECKING:
    from pathlib import Path

    from tests.drivers.linux.operations_lab import OperationsLab

_TOLD = re.compile(r"(\d+) blocks of size (\d+)\. (\d+) blocks available")


def told(lab: OperationsLab, share: str, commands: str = "ls") -> tuple[int, int]:
    """Return the size and what is free in bytes, as a new session of an SMB client is told them."""
    said = smb(lab.network.client, lab.host.ipv4, share, "alice", PASSWORDS["ALICE"], commands).text
    found = _TOLD.search(said)
    assert found is not None, said
    size, unit, free = (int(number) for number in found.groups())
    return size * unit, free * unit


def _fill(path: Path) -> None:
    """Write a file that is larger than the share, and have the kernel count all of it."""
    with path.open("wb", buffering=0) as file:
        for _ in range(17):
            file.write(os.urandom(MIB))
            os.fsync(file.fileno())


def test_smb_clients_are_told_the_size_of_the_share(backend: OperationsLab) -> None:
    """Also after a change of it, in a folder of the share, and whatever the name of that folder is."""
    share = backend.share("sized", ALICE, protocol="CIFS", size_bytes=64 * MIB)
    size, free = told(backend, "sized")
    assert size == 64 * MIB
    assert 60 * MIB < free <= 64 * MIB
    backend.driver.extend_share(ref(share), 96 * MIB)
    assert told(backend, "sized")[0] == 96 * MIB
    for name in ("inner", "-c", "$(reboot)", "`x`", "100%U"):
        assert told(backend, "sized", f'mkdir "{name}"; cd "{name}"; ls')[0] == 96 * MIB


def test_what_is_used_is_not_free(backend: OperationsLab) -> None:
    """As the kernel counts for the limit, once it has written what is new."""
    share = backend.share("used", ALICE, protocol="CIFS", size_bytes=64 * MIB)
    (backend.volume(share) / "file").write_bytes(os.urandom(40 * MIB))
    run("sync", "-f", str(backend.volume(share)))
    size, free = told(backend, "used")
    assert size == 64 * MIB
    assert 20 * MIB < free <= 24 * MIB


def test_no_more_is_free_than_in_the_pool(backend: OperationsLab) -> None:
    """Shares may be promised more than there is."""
    share = backend.share("promised", ALICE, protocol="CIFS", size_bytes=100 << 30)
    size, free = told(backend, "promised")
    assert size == 100 << 30
    told_of_pool = os.statvfs(backend.volume(share))
    assert 0 < free <= told_of_pool.f_blocks * told_of_pool.f_frsize


def test_the_log_of_smbd_says_nothing_of_it(backend: OperationsLab) -> None:
    """Its program is found and understood."""
    backend.share("quiet", ALICE, protocol="CIFS")
    told(backend, "quiet")
    log = (backend.folder / "root/servers/main/smb/log/smbd.log").read_text(encoding="utf-8")
    assert "disk_free" not in log
    assert "popen" not in log


def test_a_folder_without_a_limit_is_as_large_as_its_file_system(backend: OperationsLab, lab_directory: str) -> None:
    """A subvolume without one, and a folder that is on no btrfs."""
    backend.share("anchor")
    run("btrfs", "subvolume", "create", str(backend.folder / "pool/unlimited"))
    for folder in (str(backend.folder / "pool/unlimited"), lab_directory):
        size, free = disk_free.size_and_free(folder)
        told_of_folder = os.statvfs(folder)
        assert size == told_of_folder.f_blocks * told_of_folder.f_frsize
        assert 0 < free <= size


def test_a_setting_tells_the_size_of_the_pool(own_backend: OperationsLab) -> None:
    """Which is told as such, and comes to a server that runs."""
    own_backend.share("office", ALICE, protocol="CIFS")
    assert told(own_backend, "office")[0] == 16 * MIB
    users = {"alice": {"password": {"env": "ALICE"}}}
    driver = own_backend.open(smb={"diskFree": "pool", "users": users})
    (listed,) = driver.list_shares()
    assert listed.access == ()
    driver.update_access(ref(listed), [ALICE], [], [])
    (listed,) = driver.list_shares()
    assert dict(listed.export_settings or ())["diskFree"] == "pool"
    assert told(own_backend, "office")[0] > 900 * MIB


def test_a_program_that_was_changed_by_hand_is_not_trusted(own_backend: OperationsLab) -> None:
    """The server counts as down until it has the right one."""
    share = own_backend.share("office", ALICE, protocol="CIFS")
    program = own_backend.folder / "root/servers/main/disk-free"
    before = program.read_bytes()
    program.write_text("#!/bin/sh\necho 1 1 1\n", encoding="ascii")
    assert own_backend.access_of(share) == set()
    own_backend.allow(share, ALICE)
    assert program.read_bytes() == before
    assert told(own_backend, "office")[0] == 16 * MIB


def test_a_file_of_a_full_share_can_be_deleted(own_backend: OperationsLab) -> None:
    """Also where the share has a recycle bin: what cannot be moved there is gone, and nothing stays because of it."""
    need_samba_modules()
    driver = own_backend.open(smb={"recycleBin": {}, "users": {"alice": {"password": {"env": "ALICE"}}}})
    driver.prepare()
    share = driver.create_share(own_backend.request("full", "CIFS"))
    driver.update_access(ref(share), [ALICE], [], [])
    folder = own_backend.volume(share)
    for number in range(3):
        path = folder / f"f{number + 1}"
        path.write_bytes(os.urandom(MIB))
        os.chown(path, 65534, 65534)
    with pytest.raises(OSError, match="quota"):
        _fill(folder / "rest")
    client, secret = own_backend.network.client, PASSWORDS["ALICE"]
    assert smb(client, own_backend.host.ipv4, "full", "alice", secret, "del f1; del f2; del f3").is_ok
    assert not [name for name in ("f1", "f2", "f3") if (folder / name).exists()]


@pytest.mark.parametrize("pool_type", ["btrfs", "image"])
def test_nfs_clients_are_told_the_size_of_the_file_system(own_backend: OperationsLab, pool_type: str) -> None:
    """That of a share on an image pool is the share's own; no NFS server says more of a share on btrfs than of its pool."""
    image = {"type": "image", "path": f"{own_backend.folder}/images"}
    if pool_type == "image":
        (own_backend.folder / "images").mkdir()
    driver = own_backend.open(nfs={"versions": ["4.0"]}, **({"pools": {"fast": image}} if pool_type == "image" else {}))
    driver.prepare()
    share = driver.create_share(own_backend.request("data", size_bytes=64 * MIB))
    driver.update_access(ref(share), [ANYBODY], [], [])
    free = int(nfs(own_backend.network.client, own_backend.host.ipv4, "/shares/data", "free").text)
    assert (free > 64 * MIB) is (pool_type == "btrfs")
