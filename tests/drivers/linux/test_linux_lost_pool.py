"""A disk that does not come back after a restart: what is on it is out of reach, and all else is served."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import PoolError
from tests.drivers.linux.lab import kill_processes_of, mounts_under, need, run
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.operations_lab import ANYBODY, MIB, ref
from tests.drivers.linux.repository import PASSWORDS, Repository
from tests.drivers.linux.smb_client import smb
from tests.drivers.linux.test_linux_scenario import backend_config, nfs_share

if TYPE_CHECKING:
    from tests.drivers.linux.lab import Network
    from tests.drivers.linux.operations_lab import OperationsLab


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that an administrator mounts."""

    folder: str

    @property
    def pool(self) -> dict[str, str]:
        """The settings of the pool on it."""
        return {"type": "btrfs", "path": f"{self.folder}/disk"}

    def make(self) -> None:
        """Make its file system, and mount it."""
        image = Path(self.folder, "disk.img")
        with image.open("wb") as file:
            file.truncate(200 * MIB)
        run("mkfs.btrfs", "-q", str(image))
        Path(self.pool["path"]).mkdir()
        self.mount()

    def mount(self) -> None:
        """Mount it."""
        run("mount", "-o", "loop", f"{self.folder}/disk.img", self.pool["path"])


def _restart_without(folder: str) -> None:
    """Leave the host as it is after a start at which no disk came back."""
    kill_processes_of(folder)
    for point in mounts_under(folder):
        run("umount", "-l", point)


@pytest.mark.parametrize("words", [(), ("--target", "share/projects", "--target", "share/office")])
def test_a_dead_disk_takes_its_own_shares_alone(lab_directory: str, network: Network, words: tuple[str, ...]) -> None:
    """The others are exported again, and the exit code tells of it where the dead ones were asked for."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", "smbclient", file_system="btrfs")
    disk = Disk(lab_directory)
    disk.make()
    repository = Repository(f"{lab_directory}/repository")
    config = backend_config(lab_directory, network)
    config["pools"]["archive"] = disk.pool
    repository.write("Backend", "nas", {"driver": "linux", "config": config})
    for name, pool in (("projects", "fast"), ("old", "archive")):
        repository.write("Share", name, nfs_share(network, schedulerHints={"onlyHost": f"nas#{pool}"}))
    alice = [{"type": "user", "to": "alice", "level": "rw"}]
    office = {"size": "8 MiB", "protocol": "CIFS", "deletionPolicy": "delete", "access": alice}
    repository.write("Share", "office", {**office, "schedulerHints": {"onlyHost": "nas#fast"}})
    repository.apply()
    _restart_without(lab_directory)

    done = repository.run("apply", "--yes", *words)
    assert done.returncode == (0 if words else 1), done.stdout + done.stderr
    assert "is not mounted" in done.stdout + done.stderr
    server = network.server.ipv4
    assert nfs(network.client, server, "/shares/projects", "put", "a", "b").is_done
    assert smb(network.client, server, "office", "alice", PASSWORDS["ALICE_PASSWORD"], "ls").is_ok
    assert "NFS4ERR_NOENT" in nfs(network.client, server, "/shares/old", "ls").text
    assert list(Path(disk.pool["path"]).iterdir()) == []
    if words:
        return
    planned = repository.run("plan", "--output", "json")
    assert planned.returncode == 1, planned.stdout
    plan = json.loads(planned.stdout)
    assert (plan["steps"], plan["unreadable"]) == ([], [{"backend": "nas", "allowed": False}])
    assert repository.run("plan", "--allow-unreadable", "nas").returncode == 0
    disk.mount()
    repository.apply()
    assert nfs(network.client, server, "/shares/old", "put", "a", "b").is_done


def test_a_change_of_what_is_on_it_is_refused_and_a_new_share_goes_elsewhere(own_backend: OperationsLab) -> None:
    """Nobody waits for a disk that does not come back by itself."""
    disk = Disk(str(own_backend.folder))
    disk.make()
    driver = own_backend.open(pools={"fast": own_backend.pool, "archive": disk.pool})
    driver.prepare()
    share = driver.create_share(own_backend.request("old", pool="archive"))
    driver.update_access(ref(share), [ANYBODY], [], [])
    snapshot = driver.create_snapshot(ref(share), "11111111-1111-4111-8111-111111111111", "monday")
    _restart_without(str(own_backend.folder))

    driver = own_backend.open(pools={"fast": own_backend.pool, "archive": disk.pool})
    (listed,) = driver.list_shares()
    assert listed == share._replace(access=(ANYBODY,), export_settings=listed.export_settings), "as it is stored"
    assert list(driver.list_snapshots()) == [snapshot]
    assert dict(driver.report().unreadable_pools).keys() == {"archive"}
    assert {pool.name: pool.total_bytes for pool in driver.pools()}["archive"] == 0
    for change in (
        lambda: driver.update_access(ref(share), [ANYBODY], [], []),
        lambda: driver.delete_share(ref(share)),
        lambda: driver.create_share(own_backend.request("new", pool="archive")),
    ):
        with pytest.raises(PoolError, match=r"is not there: .*; mount its btrfs"):
            change()
    driver.update_access(ref(share), [], [], [ANYBODY])
    disk.mount()
    assert driver.list_shares()[0].access == ()
    assert driver.used_bytes(ref(share)) > 0
