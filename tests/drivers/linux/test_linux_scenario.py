"""The whole life of shares on a Linux host, through the command line, with real servers and real clients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers.linux.lab import kill_processes_of, mounts_under, need, run
from tests.drivers.linux.nfs_client import held, nfs
from tests.drivers.linux.repository import PASSWORDS, Repository
from tests.drivers.linux.smb_client import smb, write

if TYPE_CHECKING:
    from tests.drivers.linux.lab import Network

MIB = 1 << 20
ALICE = ("alice", PASSWORDS["ALICE_PASSWORD"])
BOB = ("bob", PASSWORDS["BOB_PASSWORD"])


def backend_config(folder: str, network: Network, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of documents have many types
    """Return the configuration of a backend whose servers answer in the server's namespace."""
    return {
        "root": f"{folder}/root",
        "addresses": [network.server.ipv4, network.server.ipv6],
        "namespace": network.server.namespace_path,
        "pools": {
            "fast": {"type": "loop", "path": f"{folder}/pool", "image": f"{folder}/pool.img", "size": "2 GiB"},
        },
        "supervisor": "none",  # what a test ends stays down
        "nfs": {"versions": ["4.0", "4.1", "4.2"]},  # libnfs speaks 4.0
        "smb": {
            "users": {
                "alice": {"password": {"env": "ALICE_PASSWORD"}},
                "bob": {"password": {"env": "BOB_PASSWORD"}},
            }
        },
        **more,
    }


@pytest.fixture
def repository(lab_directory: str, network: Network) -> Repository:
    """Give a repository with one linux backend."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", "smbclient", file_system="btrfs")
    repository = Repository(f"{lab_directory}/repository")
    repository.write("Backend", "nas", {"driver": "linux", "config": backend_config(lab_directory, network)})
    return repository


def nfs_share(network: Network, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of documents have many types
    """Return a share of 8 MiB that the client may write and its network may read."""
    return {
        "size": "8 MiB",
        "protocol": "NFS",
        "deletionPolicy": "delete",
        "access": [
            {"type": "ip", "to": "10.77.1.0/24", "level": "ro"},
            {"type": "ip", "to": network.client.ipv4, "level": "rw"},
            {"type": "ip", "to": network.client.ipv6, "level": "rw"},
        ],
        **changes,
    }


def test_without_the_password_of_a_user_only_the_access_of_users_is_held(
    repository: Repository, network: Network
) -> None:
    """Shares are made, others get their access, and all of it can be destroyed."""
    del repository.environment["ALICE_PASSWORD"]
    repository.write("Share", "projects", nfs_share(network))
    users = [{"type": "user", "to": name, "level": "rw"} for name in ("alice", "bob")]
    repository.write(
        "Share", "office", {"size": "8 MiB", "protocol": "CIFS", "deletionPolicy": "delete", "access": users}
    )
    done = repository.run("apply", "--yes")
    assert done.returncode == 1
    assert "backend nas cannot give a user access: the secret {env: ALICE_PASSWORD} is not there" in done.stderr
    assert nfs(network.client, network.server.ipv4, "/shares/projects", "put", "f", "mine").is_done
    assert not write(network.client, network.server.ipv4, "office", *BOB).is_ok
    done = repository.run("destroy", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 deleted" in done.stdout


def test_the_life_of_an_nfs_share(repository: Repository, network: Network) -> None:
    """Made, written, limited, extended, kept in a snapshot, cloned, turned back, withdrawn and deleted, seen by its clients."""
    server, client = network.server, network.client
    repository.write("Share", "projects", nfs_share(network))
    repository.apply()
    path = "/shares/projects"
    # Who may do what; the longest prefix wins over the network's read-only rule.
    assert nfs(client, server.ipv4, path, "put", "plan.txt", "old").is_done
    assert nfs(client, server.ipv6, path, "cat", "plan.txt").text == "old"
    assert nfs(network.other_client, server.ipv4, path, "cat", "plan.txt").text == "old"
    refused = nfs(network.other_client, server.ipv4, path, "put", "mine.txt", "no")
    assert "NFS4ERR_ROFS" in refused.text
    assert "NFS4ERR_NOENT" in nfs(network.other_client, server.ipv6, path, "ls").text
    # The size is a limit, and more of it is room at once.
    assert "NFS4ERR_DQUOT" in nfs(client, server.ipv4, path, "write", "big", str(10 * MIB)).text
    assert nfs(client, server.ipv4, path, "rm", "big").is_done
    repository.write("Share", "projects", nfs_share(network, size="16 MiB"))
    repository.apply()
    assert nfs(client, server.ipv4, path, "write", "big", str(10 * MIB)).is_done
    assert nfs(client, server.ipv4, path, "rm", "big").is_done
    # A snapshot keeps, a clone diverges.
    repository.write("Snapshot", "monday", {"share": "projects", "deletionPolicy": "delete"})
    repository.apply()
    assert nfs(client, server.ipv4, path, "put", "plan.txt", "new").is_done
    repository.write("Share", "trial", nfs_share(network, size="16 MiB", sourceSnapshot="monday"))
    repository.apply()
    assert nfs(client, server.ipv4, "/shares/trial", "cat", "plan.txt").text == "old"
    assert nfs(client, server.ipv4, "/shares/trial", "put", "plan.txt", "trial").is_done
    assert nfs(client, server.ipv4, path, "cat", "plan.txt").text == "new"
    # Turned back to the snapshot, with its access and its size.
    wanted = nfs_share(network, size="16 MiB", revertTo={"snapshot": "monday", "request": "ticket 4711"})
    repository.write("Share", "projects", wanted)
    repository.apply()
    assert nfs(client, server.ipv4, path, "cat", "plan.txt").text == "old"
    assert nfs(client, server.ipv4, "/shares/trial", "cat", "plan.txt").text == "trial"
    assert repository.changes() == 0
    # Withdrawn from a client that holds a file open.
    with held(client, server.ipv4, path, "open.txt") as file:
        assert file.write().is_done
        repository.write("Share", "projects", {**wanted, "access": wanted["access"][:1]})
        repository.apply()
        assert not file.write().is_done
    # Deleted, with everything that belonged to it.
    repository.remove("Share", "projects")
    repository.remove("Share", "trial")
    repository.remove("Snapshot", "monday")
    repository.apply("--allow-empty")
    assert "NFS4ERR_NOENT" in nfs(client, server.ipv4, path, "ls").text
    assert_nothing_is_left(repository.folder.parent)


def test_the_life_of_an_smb_share(repository: Repository, network: Network) -> None:
    """Users with rights of their own, from where they may come, cut off as soon as they may not."""
    server, client = network.server, network.client
    access = [
        {"type": "user", "to": "alice", "level": "rw"},
        {"type": "user", "to": "bob", "level": "ro"},
        {"type": "ip", "to": "10.77.1.16/28", "level": "rw"},
    ]
    share = {"size": "32 MiB", "protocol": "CIFS", "deletionPolicy": "delete", "access": access}
    repository.write("Share", "office", share)
    repository.apply()
    assert write(client, server.ipv4, "office", *ALICE).is_ok
    assert "written" in smb(network.other_client, server.ipv4, "office", *BOB, "ls").text
    assert "NT_STATUS_ACCESS_DENIED" in write(client, server.ipv4, "office", *BOB, name="mine").text
    assert "NT_STATUS_ACCESS_DENIED" in smb(network.stranger, server.ipv4, "office", *ALICE, "ls").text
    assert "NT_STATUS_LOGON_FAILURE" in smb(client, server.ipv4, "office", "alice", "guess", "ls").text
    repository.write("Share", "office", {**share, "access": access[1:]})
    repository.apply()
    assert "NT_STATUS_LOGON_FAILURE" in smb(client, server.ipv4, "office", *ALICE, "ls").text
    assert repository.changes() == 0
    repository.remove("Share", "office")
    repository.apply("--allow-empty")
    assert "office" not in Path(repository.folder.parent, "root/servers/main/smb/shares.conf").read_text(
        encoding="utf-8"
    )
    assert_nothing_is_left(repository.folder.parent)


def test_what_somebody_changed_by_hand_is_drift_and_repaired(repository: Repository, network: Network) -> None:
    """A limit, a server, a subvolume, a mount: each shows in the plan, and one apply brings it back."""
    folder = repository.folder.parent
    repository.write("Share", "projects", nfs_share(network))
    repository.apply()
    assert repository.changes() == 0
    pool = folder / "pool"
    run("btrfs", "qgroup", "limit", "4M", str(pool / "projects"))
    assert "4MiB" in repository.run("plan").stdout
    repository.apply()
    assert repository.changes() == 0
    kill_processes_of(f"{folder}/root/servers/main/nfs")
    assert "10.77.1.0/24" in repository.run("plan").stdout
    repository.apply()
    assert nfs(network.client, network.server.ipv4, "/shares/projects", "put", "f", "kept").is_done
    run("btrfs", "subvolume", "delete", str(pool / "projects"))
    assert "gone" in repository.run("plan").stdout
    repository.apply("--allow-recreations", "1")
    assert nfs(network.client, network.server.ipv4, "/shares/projects", "ls").is_done
    assert repository.changes() == 0


def test_after_a_reboot_one_apply_brings_everything_back(repository: Repository, network: Network) -> None:
    """Nothing runs and nothing is mounted; the data, the limit and the access are as before, and no empty folder is exported."""
    folder = repository.folder.parent
    repository.write("Share", "projects", nfs_share(network))
    repository.apply()
    assert nfs(network.client, network.server.ipv4, "/shares/projects", "put", "f", "kept").is_done
    kill_processes_of(f"{folder}/root/servers/main")
    for point in mounts_under(str(folder)):
        run("umount", point)
    planned = repository.run("plan")
    assert planned.returncode == 0, planned.stderr
    assert mounts_under(str(folder)) == [], "a plan changes nothing"
    repository.apply()
    assert nfs(network.client, network.server.ipv4, "/shares/projects", "cat", "f").text == "kept"
    assert repository.changes() == 0


def test_a_server_with_other_settings_is_started_anew(repository: Repository, network: Network) -> None:
    """A change of the manifest shows in the plan, and holds after one apply."""
    folder = str(repository.folder.parent)
    repository.write("Share", "projects", nfs_share(network))
    repository.apply()
    assert nfs(network.client, network.server.ipv4, "/shares/projects", "ls").is_done
    config = backend_config(folder, network, nfs={"versions": ["4.1", "4.2"]})
    repository.write("Backend", "nas", {"driver": "linux", "config": config})
    assert "versions 4.0,4.1,4.2 → 4.1,4.2" in repository.run("plan").stdout
    repository.apply()
    assert "NFS4ERR_MINOR_VERS_MISMATCH" in nfs(network.client, network.server.ipv4, "/shares/projects", "ls").text
    assert repository.changes() == 0


def test_show_and_mounts_tell_a_client_how_to_mount(repository: Repository, network: Network) -> None:
    """Only for shares that the client may reach."""
    repository.write("Share", "projects", nfs_share(network))
    repository.apply()
    shown = json.loads(repository.run("show", "share/projects", "--output", "json").stdout)
    assert f"{network.server.ipv4}:/shares/projects" in json.dumps(shown)
    assert "/shares/projects" in repository.run("mounts", "--for", network.client.ipv4).stdout
    assert "/shares/projects" not in repository.run("mounts", "--for", "192.0.2.1").stdout


def assert_nothing_is_left(folder: Path) -> None:
    """No volume, snapshot, qgroup, mount or export."""
    pool = folder / "pool"
    assert [entry.name for entry in pool.iterdir()] == [".sharectl"]
    assert list((pool / ".sharectl" / "snapshots").iterdir()) == []
    assert mounts_under(str(folder)) == [str(pool)]
    assert list((folder / "root/servers/main/nfs/exports.d").glob("*")) == []
    run("btrfs", "filesystem", "sync", str(pool))  # wakes the cleaner, which else comes every 30 s
    run("btrfs", "subvolume", "sync", str(pool))
    shown = run("btrfs", "qgroup", "show", str(pool)).stdout
    assert [line.split()[0] for line in shown.splitlines()[2:]] == ["0/5"]
