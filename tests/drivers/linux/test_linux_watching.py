"""Who watches over the servers on the storage host: a process of its own here, a unit where systemd runs."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux import FACTORY
from sharectl.drivers.linux.agent import watching
from sharectl.drivers.linux.agent.due_times import INTERVALS
from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.watching import Place, Watch
from sharectl.drivers.linux.settings import read_settings
from sharectl.drivers.linux.shipping import agent_archive
from sharectl.model.access import AccessRule
from sharectl.model.backends import BackendSpec
from sharectl.model.requests import ShareRef, ShareRequest
from sharectl.model.specs import MonthlySnapshots, SnapshotPolicy
from tests.drivers.linux.agents import lives, wait_for
from tests.drivers.linux.backends import PASSWORDS, config, environment
from tests.drivers.linux.lab import need, processes_in, restart_host, run
from tests.drivers.linux.nfs_client import V3, nfs
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
        more: dict[str, Any] = {"supervisor": supervisor, "nfs": {"versions": ["3", "4.0", "4.1", "4.2"]}}
        spec = BackendSpec("nas", "linux", config(self.folder, self.network, pool, **more))
        driver: LinuxDriver = FACTORY.open(spec, environment(self.folder))  # type: ignore[assignment]
        return driver

    def is_served(self) -> bool:
        """Tell whether a client lists both shares, the one of NFS by an old and a new version."""
        client, server = self.network.client, self.network.server.ipv4
        return (
            nfs(client, server, "/shares/nfs", "ls").is_done
            and nfs(client, server, "/shares/nfs", "ls", port=V3).is_done
            and smb(client, server, "cifs", "alice", PASSWORDS["ALICE"], "ls").is_ok
        )

    def pid(self, name: str) -> int:
        """Return the process in a pid file of the servers."""
        return int(Path(self.root, "servers/main", name).read_text(encoding="ascii"))

    def watcher(self) -> int:
        """Return the process that watches."""
        return int(Path(self.place.lock).read_text(encoding="ascii").split()[0])


@pytest.fixture
def house(lab_directory: str, network: Network) -> House:
    """Give a backend that is watched over."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "rpcbind", "smbd", "pdbedit", "smbclient", file_system="btrfs")
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


def test_a_killed_rpcbind_is_back_in_a_moment(house: House) -> None:
    """Without it clients of NFSv3 find nothing."""
    assert house.is_served()
    folder = f"{house.root}/servers/main/nfs/rpcbind"
    (before,) = processes_in(folder)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: processes_in(folder) not in ([], [before]), "another rpcbind")
    wait_for(house.is_served, "both shares being served")


def test_after_a_restart_of_everything_clients_go_on(house: House) -> None:
    """What the unit, or whoever starts programs on this host, starts is enough."""
    unit = watching.unit_text(house.place)
    restart_host(house.folder)
    (line,) = [line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart=")]
    with subprocess.Popen(shlex.split(line), stderr=subprocess.DEVNULL) as watcher:
        try:
            wait_for(house.is_served, "both shares being served")
            driver = house.open()
            assert {share.access for share in driver.list_shares()} == {(ANYBODY,), (ALICE,)}
            driver.close()
        finally:
            watcher.terminate()
        assert watcher.wait(300) == 0
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
        watcher.wait(300)


def has_open(pid: int, path: str) -> bool:
    """Tell whether a process has a file open."""
    with suppress(FileNotFoundError):  # one that was closed meanwhile
        return any(link.readlink() == Path(path) for link in Path(f"/proc/{pid}/fd").iterdir())
    return False


class Systemd:
    """A stand-in for systemd, where the tests have none: it notes what it is told, and runs the one unit."""

    def __init__(self, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put its command in the place of the real one."""
        self.folder = Path(folder, "systemd")
        self.units = self.folder / "units"
        self.units.mkdir(parents=True)
        program = self.folder / "systemctl"
        program.write_text(
            f"""#!/bin/sh
cd {self.folder}
echo "$@" >>calls
if [ -e is-broken ]; then exit 1; fi
case "$1 $2" in "restart "*|"disable --now")
    if [ -e pid ]; then kill $(cat pid); while kill -0 $(cat pid); do :; done; rm pid; fi
esac
if [ "$1" = restart ]; then
    echo 'echo $$ >pid' >start
    sed -n 's/^ExecStart=/exec /p' units/"$2" >>start
    setsid --fork sh start >log 2>&1
fi
""",
            encoding="utf-8",
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{self.folder}:{os.environ['PATH']}")
        monkeypatch.setattr(watching, "_UNITS", str(self.units))
        monkeypatch.setattr(watching, "_SYSTEMD", folder)

    def calls(self) -> list[str]:
        """Return what it was told since this was last asked."""
        path = self.folder / "calls"
        found = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return found


class Told:
    """The watch over a backend without servers, by settings that change."""

    def __init__(self, folder: str) -> None:
        """Make the code that is left on the host."""
        self.folder = folder
        self.place = Place(f"{folder}/root")
        self._archive = Path(folder, "agent.zip")
        self._archive.write_bytes(agent_archive())

    def watch(self, supervisor: str, **changes: Any) -> Watch:  # noqa: ANN401 - settings have many types
        """Return a watch by these settings, as an agent of its own has it."""
        pools = {"fast": {"type": "btrfs", "path": f"{self.folder}/pool"}}
        plain = {
            "root": self.place.root,
            "addresses": ["10.0.0.9"],
            "pools": pools,
            "supervisor": supervisor,
            **changes,
        }
        settings = read_settings(BackendSpec("nas", "linux", plain), "/").for_agent()
        return Watch(settings, str(self._archive))

    def process(self) -> int:
        """Wait until somebody watches by the settings that are there, and return the process."""
        wait_for(lambda: self._said()[1:] == [watching.loaded_digest(self.place)], "a watch by the present settings")
        return int(self._said()[0])

    def _said(self) -> list[str]:
        path = Path(self.place.lock)
        return path.read_text(encoding="ascii").split() if daemons.is_locked(str(path)) else []


@pytest.fixture
def systemd(lab_directory: str, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """Give a host that runs systemd."""
    return Systemd(lab_directory, monkeypatch)


def test_where_systemd_runs_it_is_a_unit(lab_directory: str, systemd: Systemd) -> None:
    """Enabled, so that it is there after a restart, and started anew only where something of it has changed."""
    told = Told(lab_directory)
    told.watch("auto").ensure()
    (unit,) = systemd.units.iterdir()
    assert unit.name == told.place.unit
    started = ["daemon-reload", f"enable {unit.name}", f"restart {unit.name}"]
    assert systemd.calls() == started
    text = unit.read_text()
    for line in ("KillMode=process", "Restart=always", "WantedBy=multi-user.target", "After=local-fs.target"):
        assert line in text
    assert '"/lab/my root%%s"' in watching.unit_text(Place("/lab/my root%s"))
    assert json.loads(Path(told.place.settings).read_text())["supervisor"] == "auto"
    assert Path(told.place.archive).stat().st_mode & 0o077 == 0
    first = told.process()
    told.watch("auto").ensure()
    assert systemd.calls() == [], "it runs, and nothing has changed"
    told.watch("auto", addresses=["10.0.0.1"]).ensure()
    assert systemd.calls() == started
    assert told.process() != first


def test_who_watches_changes_with_the_supervisor(lab_directory: str, systemd: Systemd) -> None:
    """A process of its own is not in the unit's way, nor the unit in that of a process."""
    told = Told(lab_directory)
    told.watch("process").ensure()
    first = told.process()
    told.watch("systemd").ensure()
    unit = told.process()
    assert unit == int((systemd.folder / "pid").read_text())
    wait_for(lambda: not lives(first), "the end of the first")
    systemd.calls()

    told.watch("process").ensure()
    assert systemd.calls() == [f"disable --now {told.place.unit}"]
    assert list(systemd.units.iterdir()) == []
    wait_for(lambda: not lives(unit), "the end of the unit")
    last = told.process()
    told.watch("process").ensure()
    assert (told.process(), systemd.calls()) == (last, [])
    told.watch("none").ensure()
    assert not daemons.is_locked(told.place.lock)


def test_an_update_that_failed_is_told_and_tried_again(lab_directory: str, systemd: Systemd) -> None:
    """Its files are there, and who watches has not read them."""
    told = Told(lab_directory)
    told.watch("systemd").ensure()
    told.process()
    (systemd.folder / "is-broken").touch()
    told.watch("systemd", addresses=["10.0.0.1"]).ensure()
    (hindrance,) = told.watch("systemd", addresses=["10.0.0.1"]).hindrances()
    assert "its servers" in hindrance.summary
    (systemd.folder / "is-broken").unlink()
    systemd.calls()
    told.watch("systemd", addresses=["10.0.0.1"]).ensure()
    assert systemd.calls()[-1:] == [f"restart {told.place.unit}"]
    told.process()
    assert told.watch("systemd", addresses=["10.0.0.1"]).hindrances() == []


def test_files_that_who_watches_has_not_read_are_told_and_read(lab_directory: str) -> None:
    """The agent that left them ended before it could start who watches anew."""
    told = Told(lab_directory)
    told.watch("process").ensure()
    first = told.process()
    other = told.watch("process", addresses=["10.0.0.1"])
    Path(told.place.settings).write_text(json.dumps(other._settings, sort_keys=True), encoding="utf-8")
    (hindrance,) = other.hindrances()
    assert "goes by earlier settings" in hindrance.summary
    other.ensure()
    assert told.process() != first
    assert other.hindrances() == []


def test_a_unit_that_was_stopped_is_removed_where_nobody_is_to_watch(lab_directory: str, systemd: Systemd) -> None:
    """It would be back after a restart of the host."""
    told = Told(lab_directory)
    told.watch("systemd").ensure()
    os.kill(told.process(), signal.SIGKILL)
    wait_for(lambda: not daemons.is_locked(told.place.lock), "the end of who watched")
    systemd.calls()
    told.watch("none").ensure()
    assert systemd.calls() == [f"disable --now {told.place.unit}"]
    assert list(systemd.units.iterdir()) == []


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


def scheduled(driver: LinuxDriver) -> int:
    """Return how many scheduled snapshots the NFS share has."""
    found = next(share for share in driver.list_shares() if share.protocol == "NFS").scheduled_snapshots
    return 0 if found is None else found.number


def expect_scheduled(driver: LinuxDriver, number: int) -> None:
    """Wait until the NFS share has so many scheduled snapshots."""
    wait_for(lambda: scheduled(driver) == number, "the snapshot")


def says_that_nobody_takes_them(driver: LinuxDriver) -> bool:
    """Tell whether that is among what each plan says of the backend."""
    return any("the snapshots that are due" in hindrance.summary for hindrance in driver.report().hindrances)


def make_due(house: House) -> None:
    """Let it look as if nobody had watched for long."""
    with closing(sqlite3.connect(f"{house.root}/records.sqlite", isolation_level=None, timeout=300)) as connection:
        handled = json.dumps(dict.fromkeys(INTERVALS, 0))
        connection.execute("UPDATE schedule SET handled = ?", (handled,))


def test_who_watches_takes_the_snapshots_that_are_due(house: House) -> None:
    """Also what came due while nobody watched, once; killed and started again, it goes on without taking one twice."""
    with closing(house.open()) as driver:
        share = next(share for share in driver.list_shares() if share.protocol == "NFS")
        reference = ShareRef(str(share.resource_id), share.backend_id, "nfs", "fast", "NFS", 16 * MIB)
        driver.schedule_snapshots(reference, SnapshotPolicy(monthly=MonthlySnapshots(keep=5)))
    for number in (1, 2):
        os.kill(house.watcher(), signal.SIGKILL)
        wait_for(lambda: not daemons.is_locked(house.place.lock), "the end of who watched")
        make_due(house)
        with closing(house.open()) as driver:
            assert says_that_nobody_takes_them(driver)
            driver.schedule_snapshots(reference, SnapshotPolicy(monthly=MonthlySnapshots(keep=6)))  # starts who watches
            expect_scheduled(driver, number)
            assert not says_that_nobody_takes_them(driver)
