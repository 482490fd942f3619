"""Who watches over the servers on the storage host: a process of its own here, a unit where systemd runs."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux import FACTORY
from sharectl.drivers.linux.agent import watching
from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.watching import Place, Watch
from sharectl.drivers.linux.shipping import agent_archive
from sharectl.model.access import AccessRule
from sharectl.model.backends import BackendSpec
from sharectl.model.requests import ShareRef, ShareRequest
from tests.drivers.linux.agents import wait_for
from tests.drivers.linux.backends import PASSWORDS, config, environment
from tests.drivers.linux.lab import kill_processes_of, mounts_under, need, run
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.smb_client import smb

if TYPE_CHECKING:
    from sharectl.drivers.linux.driver import LinuxDriver
    from tests.drivers.linux.lab import Network

MIB = 1 << 20
ANYBODY = AccessRule("ip", "10.77.1.0/24", "rw")
ALICE = AccessRule("user", "alice", "rw")


class House:
    """A backend that is watched over, with an NFS share and an SMB share."""

    def __init__(self, folder: str, network: Network) -> None:
        """Make it; each driver has an agent of its own."""
        self.folder = folder
        self.network = network
        self.root = f"{folder}/root"
        self.place = Place(self.root)
        driver = self.open()
        driver.prepare()
        for number, (protocol, rule) in enumerate((("NFS", ANYBODY), ("CIFS", ALICE))):
            name = protocol.lower()
            request = ShareRequest(f"{number:08x}-0000-4000-8000-000000000000", name, 16 * MIB, protocol, "fast")
            share = driver.create_share(request)
            reference = ShareRef(request.resource_id, share.backend_id, name, "fast", protocol, 16 * MIB)
            driver.update_access(reference, [rule], [rule], [])
        driver.close()

    def open(self, supervisor: str = "process") -> LinuxDriver:
        """Open the backend."""
        pool = {"type": "loop", "path": f"{self.folder}/pool", "image": f"{self.folder}/pool.img", "size": "1 GiB"}
        more: dict[str, Any] = {"supervisor": supervisor, "nfs": {"versions": ["4.0", "4.1", "4.2"]}}
        spec = BackendSpec("nas", "linux", config(self.folder, self.network, pool, **more))
        driver: LinuxDriver = FACTORY.open(spec, environment(self.folder))  # type: ignore[assignment]
        return driver

    def is_served(self) -> bool:
        """Tell whether a client lists both shares."""
        client, server = self.network.client, self.network.server.ipv4
        return (
            nfs(client, server, "/shares/nfs", "ls").is_done
            and smb(client, server, "cifs", "alice", PASSWORDS["ALICE"], "ls").is_ok
        )

    def pid(self, name: str) -> int:
        """Return the process in a pid file of the servers."""
        return int(Path(self.root, "servers/main", name).read_text(encoding="ascii"))

    def watcher(self) -> int:
        """Return the process that watches."""
        return int(Path(self.place.lock).read_text(encoding="ascii"))


@pytest.fixture
def house(lab_directory: str, network: Network) -> House:
    """Give a backend that is watched over."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", "smbclient", file_system="btrfs")
    return House(lab_directory, network)


@pytest.mark.parametrize("pid_file", ["nfs/pid", "nfs/bus.pid", "smb/run/smbd.pid"])
def test_a_server_that_is_killed_is_back_in_a_moment(house: House, pid_file: str) -> None:
    """Nobody applies anything; and who looks in between waits for it rather than report that nobody has access."""
    assert house.is_served()
    driver = house.open()
    before = house.pid(pid_file)
    os.kill(before, signal.SIGKILL)
    assert {share.access for share in driver.list_shares()} == {(ANYBODY,), (ALICE,)}
    wait_for(house.is_served, "both shares being served")
    assert house.pid(pid_file) != before
    driver.close()


def test_after_a_restart_of_everything_clients_go_on(house: House) -> None:
    """What the unit, or whoever starts programs on this host, starts is enough."""
    unit = watching.unit_text(house.place)
    kill_processes_of(house.folder)
    for point in mounts_under(house.folder):
        run("umount", "-l", point)
    (line,) = [line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart=")]
    with subprocess.Popen(shlex.split(line), stderr=subprocess.DEVNULL) as watcher:
        try:
            wait_for(house.is_served, "both shares being served")
            driver = house.open()
            assert {share.access for share in driver.list_shares()} == {(ANYBODY,), (ALICE,)}
            driver.close()
        finally:
            watcher.terminate()
        assert watcher.wait(20) == 0
    assert house.is_served(), "the servers outlive it"


def test_who_watches_is_replaced_with_its_settings_and_ends_where_they_say_so(house: House) -> None:
    """One process for a backend, by what the manifest says last; that none is there where one should be is told."""
    first = house.watcher()
    driver = house.open()
    driver.raise_fence("lineage", 1)
    assert house.watcher() == first, "nothing has changed"
    assert driver.report().hindrances == ()
    driver.close()

    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not daemons.is_locked(house.place.lock), "the end of who watched")
    driver = house.open()
    (hindrance,) = driver.report().hindrances
    assert "nobody watches over its servers" in hindrance.summary
    driver.raise_fence("lineage", 2)
    assert house.watcher() != first
    assert driver.report().hindrances == ()
    driver.close()

    driver = house.open("none")
    driver.raise_fence("lineage", 3)
    assert not daemons.is_locked(house.place.lock)
    assert driver.report().hindrances == ()
    driver.close()
    assert house.is_served()


def test_who_looks_whether_somebody_watches_keeps_nobody_from_it(house: House) -> None:
    """Neither another who looks, nor who is about to watch."""
    os.kill(house.watcher(), signal.SIGKILL)
    wait_for(lambda: not daemons.is_locked(house.place.lock), "the end of who watched")
    with daemons.locked(house.place.lock, shared=True):
        assert not daemons.is_locked(house.place.lock)
        driver = house.open()
        (hindrance,) = driver.report().hindrances
        assert "nobody watches over its servers" in hindrance.summary
        driver.close()
        watcher = subprocess.Popen(watching.command(house.place), stderr=subprocess.DEVNULL)
        wait_for(lambda: watcher.poll() is not None or has_open(watcher.pid, house.place.lock), "a start of the watch")
    try:
        wait_for(lambda: watcher.poll() is not None or daemons.is_locked(house.place.lock), "the watch")
        assert watcher.poll() is None
    finally:
        watcher.terminate()
        watcher.wait(20)


def has_open(pid: int, path: str) -> bool:
    """Tell whether a process has a file open."""
    with suppress(FileNotFoundError):  # one that was closed meanwhile
        return any(link.readlink() == Path(path) for link in Path(f"/proc/{pid}/fd").iterdir())
    return False


def test_where_systemd_runs_it_is_a_unit(lab_directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enabled, so that it is there after a restart, and started anew only where something of it has changed."""
    calls = Path(lab_directory, "calls")
    systemctl = Path(lab_directory, "bin", "systemctl")
    systemctl.parent.mkdir()
    systemctl.write_text(f'#!/bin/sh\necho "$@" >>{calls}\n', encoding="utf-8")
    systemctl.chmod(0o755)
    units = Path(lab_directory, "units")
    units.mkdir()
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(watching, "_UNITS", str(units))
    monkeypatch.setattr(watching, "_SYSTEMD", lab_directory)
    archive = Path(lab_directory, "agent.zip")
    archive.write_bytes(agent_archive())
    root = f"{lab_directory}/my root%s"
    settings = {"root": root, "supervisor": "auto"}
    Watch(settings, str(archive)).ensure()

    (unit,) = units.iterdir()
    assert unit.name == Place(root).unit
    assert calls.read_text().split("\n")[:3] == ["daemon-reload", f"enable {unit.name}", f"restart {unit.name}"]
    text = unit.read_text()
    assert f'"{root.replace("%", "%%")}"' in text
    for line in ("KillMode=process", "Restart=always", "WantedBy=multi-user.target", "After=local-fs.target"):
        assert line in text
    assert json.loads(Path(Place(root).settings).read_text()) == settings
    assert Path(Place(root).archive).stat().st_mode & 0o077 == 0
    calls.unlink()
    with daemons.locked(Place(root).lock):
        Watch(settings, str(archive)).ensure()
        assert not calls.exists(), "it runs, and nothing has changed"
        Watch({**settings, "addresses": ["10.0.0.1"]}, str(archive)).ensure()
    assert f"restart {unit.name}" in calls.read_text()


def test_the_unit_is_one_to_systemd(lab_directory: str) -> None:
    """Its own check finds nothing wrong with it."""
    need("systemd-analyze")
    place = Place(f"{lab_directory}/nas")
    unit = Path(lab_directory, place.unit)
    unit.write_text(watching.unit_text(place), encoding="utf-8")
    done = run("systemd-analyze", "verify", str(unit), check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_code_at_hand_nobody_is_started(lab_directory: str) -> None:
    """As in a process of sharectl itself, such as a test's."""
    Watch({"root": lab_directory, "supervisor": "process"}, None).ensure()
    assert not list(Path(lab_directory).iterdir())
