"""The life of a share on a storage host that is reached by SSH: the same code, the same results, and logins that are cut off."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.drivers.linux.agents import wait_for
from tests.drivers.linux.lab import kill_processes_of, mounts_under, need
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.repository import Repository
from tests.drivers.linux.test_linux_scenario import MIB, assert_nothing_is_left, backend_config, nfs_share

if TYPE_CHECKING:
    from tests.drivers.linux.ssh_server import SshHost


@pytest.fixture
def repository(lab_directory: str, ssh_host: SshHost) -> Repository:
    """Give a repository with a backend on the storage host."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", file_system="btrfs")
    repository = Repository(f"{lab_directory}/repository")
    host = {"ssh": ssh_host.ssh_config(), "python": sys.executable}
    plain = backend_config(lab_directory, ssh_host.network, host=host)
    repository.write("Backend", "nas", {"driver": "linux", "config": plain})
    return repository


def test_the_life_of_a_share_on_another_host(repository: Repository, ssh_host: SshHost) -> None:
    """Made, limited, extended, kept, turned back, repaired and deleted."""
    network = ssh_host.network
    server, client = network.server.ipv4, network.client
    repository.write("Share", "projects", nfs_share(network))
    repository.apply()
    assert nfs(client, server, "/shares/projects", "put", "plan.txt", "old").is_done
    assert "NFS4ERR_ROFS" in nfs(network.other_client, server, "/shares/projects", "put", "mine", "no").text
    assert "NFS4ERR_DQUOT" in nfs(client, server, "/shares/projects", "write", "big", str(10 * MIB)).text
    repository.write("Share", "projects", nfs_share(network, size="16 MiB"))
    repository.write("Snapshot", "monday", {"share": "projects", "deletionPolicy": "delete"})
    repository.apply()
    assert nfs(client, server, "/shares/projects", "put", "plan.txt", "new").is_done
    wanted = nfs_share(network, size="16 MiB", revertTo={"snapshot": "monday", "request": "ticket 4711"})
    repository.write("Share", "projects", wanted)
    repository.apply()
    assert nfs(client, server, "/shares/projects", "cat", "plan.txt").text == "old"
    kill_processes_of(f"{repository.folder.parent}/root/servers/main")
    repository.apply()
    assert nfs(client, server, "/shares/projects", "cat", "plan.txt").text == "old"
    assert repository.changes() == 0
    repository.remove("Share", "projects")
    repository.remove("Snapshot", "monday")
    repository.apply("--allow-empty")
    assert_nothing_is_left(repository.folder.parent)


@pytest.mark.parametrize("victim", ["login", "sshd"])
def test_a_login_that_is_cut_off_in_the_middle_of_an_apply(
    repository: Repository, ssh_host: SshHost, victim: str
) -> None:
    """The apply goes on with another or says what failed; the next one ends with everything there once.

    On a busy machine it may have come to its end by then.
    """
    names = {f"share-{number:02}" for number in range(20)}
    for name in names:
        repository.write("Share", name, nfs_share(ssh_host.network))
    process = repository.start("apply", "--yes")
    exports = Path(repository.folder.parent, "root/servers/main/nfs/exports.d")
    wait_for(lambda: len(list(exports.glob("*"))) >= 3 or process.poll() is not None, "some exports")
    if victim == "login":
        for session in ssh_host.session_pids():
            with suppress(ProcessLookupError):
                os.kill(session, signal.SIGKILL)
    else:
        ssh_host.stop()
    said, _ = process.communicate(timeout=500)
    assert process.returncode in {0, 1}, said
    if victim == "sshd":
        assert process.returncode == 0 or "Connection refused" in " ".join(said.split())
        ssh_host.start()
    repository.apply()
    assert repository.changes() == 0
    folder = repository.folder.parent
    assert {entry.name for entry in (folder / "pool").iterdir()} == {*names, ".sharectl"}
    assert len(mounts_under(f"{folder}/root")) == len(list(exports.glob("*"))) == len(names)
