"""Shares under names for clients, through the command line, with real servers and real clients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers.linux.lab import kill_processes_of, need
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.repository import PASSWORDS, Repository
from tests.drivers.linux.smb_client import Session, smb
from tests.drivers.linux.test_linux_scenario import backend_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.linux.lab import Network

ALICE = ("alice", PASSWORDS["ALICE_PASSWORD"])
ODD_NAMES = ("Sales Team", "Scans$", "\u5171\u6709", "R&D (old) #2 {x} 'y'", "x" * 80)
ODD_PATHS = ("Donn\u00e9es 2024", "archive/data", "archive/R&D (old) #3 {x} 'y'", "homes")


@pytest.fixture(scope="module")
def repository(module_directory: str, network: Network) -> Iterator[Repository]:
    """Give a repository with one linux backend."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", "smbclient", file_system="btrfs")
    repository = Repository(f"{module_directory}/repository")
    repository.write("Backend", "nas", {"driver": "linux", "config": backend_config(module_directory, network)})
    yield repository
    kill_processes_of(module_directory)


def windows(name: str | None = None, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of documents have many types
    """Return a share of 8 MiB that alice may write."""
    access = [{"type": "user", "to": "alice", "level": "rw"}]
    named = {} if name is None else {"exportName": name}
    return {"size": "8 MiB", "protocol": "CIFS", "deletionPolicy": "delete", "access": access, **named, **changes}


def unix(network: Network, name: str | None = None, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return a share of 8 MiB that the client may write."""
    access = [{"type": "ip", "to": network.client.ipv4, "level": "rw"}]
    return windows(name, protocol="NFS", access=access, **changes)


def locations(repository: Repository, name: str) -> list[str]:
    """Return the export locations that `show` tells."""
    shown = json.loads(repository.run("show", f"share/{name}", "--output", "json").stdout)
    return [export["location"] for export in shown["export_locations"]]


def test_clients_find_shares_under_odd_names(repository: Repository, network: Network) -> None:
    """Spaces, a dollar, other scripts, 80 characters, and for NFS paths below what is no export itself; nothing is left to change."""
    address = network.server.ipv4
    for number, name in enumerate(ODD_NAMES):
        repository.write("Share", f"s{number}", windows(name))
    for number, name in enumerate(ODD_PATHS):
        repository.write("Share", f"n{number}", unix(network, name))
    repository.apply()
    assert repository.changes() == 0
    for number, name in enumerate(ODD_NAMES):
        assert locations(repository, f"s{number}")[0] == f"\\\\{address}\\{name}"
        done = smb(network.client, address, name, *ALICE, "mkdir made; ls")
        assert done.is_ok, (name, done.text)
        assert "made" in done.text
    for number, name in enumerate(ODD_PATHS):
        assert locations(repository, f"n{number}")[0] == f"{address}:/shares/{name}"
        assert nfs(network.client, address, f"/shares/{name}", "put", "file", name).is_done, name
        assert nfs(network.client, address, f"/shares/{name}", "cat", "file").text == name
    assert not smb(network.client, address, "s0", *ALICE, "ls").is_ok
    assert not nfs(network.client, address, "/shares/n0", "ls").is_done


def test_a_change_of_name_cuts_the_old_one_and_keeps_the_data(repository: Repository, network: Network) -> None:
    """The plan says that clients have to mount anew; the session under the old name ends."""
    address = network.server.ipv4
    repository.write("Share", "office", windows("Marketing Team"))
    repository.write("Share", "lab", unix(network))
    repository.apply()
    with Session(network.client, address, "Marketing Team", *ALICE) as alice:
        assert alice.do("mkdir made").is_ok
        repository.write("Share", "office", windows("marketing"))
        repository.write("Share", "lab", unix(network, "lab/data"))
        planned = repository.run("plan").stdout
        assert "clients have to mount it anew, as 'marketing'" in " ".join(planned.split())
        repository.apply()
        assert not alice.do("ls").is_ok
    assert repository.changes() == 0
    assert "made" in smb(network.client, address, "marketing", *ALICE, "ls").text
    assert not smb(network.client, address, "Marketing Team", *ALICE, "ls").is_ok
    assert nfs(network.client, address, "/shares/lab/data", "ls").is_done
    assert not nfs(network.client, address, "/shares/lab", "cat", "x").is_done
    repository.write("Share", "office", windows())  # back to its own
    repository.apply()
    assert "made" in smb(network.client, address, "office", *ALICE, "ls").text
    assert repository.changes() == 0


def test_a_section_renamed_by_hand_is_renamed_back(
    repository: Repository, network: Network, module_directory: str
) -> None:
    """It counts as access that was changed, and nobody is let in under the other name afterwards."""
    repository.write("Share", "by-hand", windows("Press Office"))
    repository.apply()
    path = Path(module_directory, "root/servers/main/smb/shares.conf")
    path.write_text(path.read_text(encoding="utf-8").replace("[Press Office]", "[Mine]"), encoding="utf-8")
    assert repository.changes() == 1
    repository.apply()
    assert repository.changes() == 0
    assert smb(network.client, network.server.ipv4, "Press Office", *ALICE, "ls").is_ok
    assert not smb(network.client, network.server.ipv4, "Mine", *ALICE, "ls").is_ok


def test_a_name_on_the_same_server_is_refused_with_both_places(repository: Repository, network: Network) -> None:
    """Whatever its case; and so is a path above or below another one."""
    repository.write("Share", "reception", windows("Front Desk"))
    repository.write("Share", "tests", unix(network, "tests/data"))
    repository.apply()
    repository.write("Share", "other", windows("FRONT desk"))
    repository.write("Share", "inner", unix(network, "tests/data/2024"))
    repository.write("Share", "outer", unix(network, "TESTS"))
    planned = repository.run("plan")
    said = " ".join((planned.stdout + planned.stderr).split())
    assert planned.returncode == 1
    assert "share/other cannot be exported as 'FRONT desk' on backend nas: share/reception (" in said
    assert "share-reception.yaml:" in said
    assert said.count("no server exports a path below another export") == 2
    for name in ("other", "inner", "outer"):
        repository.remove("Share", name)
    assert repository.changes() == 0
