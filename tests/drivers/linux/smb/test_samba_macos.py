"""What Macs keep beside the content of a file, and their backups, as far as smbclient can ask for it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux.agent.contract import Instance
from sharectl.drivers.linux.agent.smb.host import ServerOptions
from sharectl.drivers.linux.agent.smb.server import SambaServer
from sharectl.drivers.linux.agent.smb.treatment import RecycleBin, SmbTreatment, TimeMachine
from tests.drivers.linux.lab import run
from tests.drivers.linux.samba_lab import PASSWORDS, Lab, need_samba_modules, whole
from tests.drivers.linux.smb_client import smb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.linux.lab import Network


@pytest.fixture(scope="module")
def for_macs(module_directory: str, network: Network) -> Iterator[Lab]:
    """Give a server that speaks with Macs."""
    need_samba_modules()
    lab = Lab(module_directory, network, "macs")
    lab.instance = Instance("macs", f"{module_directory}/macs", (network.server.ipv4,), network.server.namespace_path)
    lab.server = SambaServer(lab.instance, options=ServerOptions(disk_free="share", macos=True))
    lab.server.ensure_running(whole)
    lab.server.ensure_user("alice", PASSWORDS["alice"])
    yield lab
    lab.server.stop()


def share_with(lab: Lab, name: str, **offered: Any) -> Path:  # noqa: ANN401 - parts have many types
    """Put a share in force that alice may write to; return its folder."""
    section = replace(lab.section(name, writers="alice"), treatment=SmbTreatment(macos=True, **offered))
    lab.server.put(section)
    assert lab.server.live()[name] == section
    return Path(section.path)


def do(lab: Lab, share: str, commands: str) -> str:
    """Return what smbclient says to commands; its folder holds a file, `client.conf`."""
    return smb(lab.network.client, lab.network.server.ipv4, share, "alice", PASSWORDS["alice"], commands).text


def test_what_belongs_to_a_file_stays_with_it(for_macs: Lab, tmp_path: Path) -> None:
    """Its resource fork, larger than an extended attribute can be, and streams of any name; the fork comes back from the bin too."""
    share_with(for_macs, "office", recycle_bin=RecycleBin())
    fork = tmp_path / "fork"
    fork.write_bytes(os.urandom(100_000))
    do(for_macs, "office", f'put client.conf f; put {fork} "f:AFP_Resource"; put client.conf "f:mine"')
    said = do(for_macs, "office", f'rename f g; get "g:AFP_Resource" {tmp_path}/moved; get "g:mine" {tmp_path}/mine')
    assert (tmp_path / "moved").read_bytes() == fork.read_bytes(), said
    assert (tmp_path / "mine").stat().st_size > 0
    said = do(for_macs, "office", f'del g; rename .recycle/g h; get "h:AFP_Resource" {tmp_path}/back')
    assert (tmp_path / "back").read_bytes() == fork.read_bytes(), said


def test_names_of_macs_are_the_same_for_others(for_macs: Lab) -> None:
    """A Mac sends a colon as a character of its own, since Windows has none in names; on the disk, and over NFS, it is a colon."""
    folder = share_with(for_macs, "names")
    do(for_macs, "names", 'put client.conf "a\uf022b"')
    assert [path.name for path in folder.iterdir()] == ["a:b"]


def test_a_share_for_backups_is_as_large_as_it_is_to_be(for_macs: Lab) -> None:
    """As it is, or what it pretends to be: then smbd asks the module, and not the program that tells the size of a share."""
    share_with(for_macs, "whole", time_machine=TimeMachine())
    share_with(for_macs, "part", time_machine=TimeMachine(10 << 20))
    assert "10240 blocks of size 1024. 10240 blocks available" in do(for_macs, "part", "ls")
    assert "10240 blocks of size 1024." not in do(for_macs, "whole", "ls")


def test_samba_takes_all_of_it(for_macs: Lab) -> None:
    """And says nothing of it in its log."""
    share_with(for_macs, "all", recycle_bin=RecycleBin(), time_machine=TimeMachine(10 << 20))
    shown = run("testparm", "-s", "--suppress-prompt", str(for_macs.path("smb.conf"))).stdout
    for line in ("fruit:aapl = yes", "fruit:nfs_aces = no", "vfs objects = catia fruit streams_xattr recycle"):
        assert line in shown
    assert "fruit:time machine = yes" in shown
    do(for_macs, "all", "put client.conf f; del f")
    assert "fruit" not in for_macs.path("log/smbd.log").read_text(encoding="utf-8")
