"""A share of both protocols through the command line: declared, planned, drifted, given up and taken back, with a client of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers.linux.lab import kill_processes_of, need, run
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.repository import PASSWORDS, Repository
from tests.drivers.linux.smb_client import smb, write
from tests.drivers.linux.test_linux_scenario import backend_config

if TYPE_CHECKING:
    from tests.drivers.linux.lab import Network

ALICE = ("alice", PASSWORDS["ALICE_PASSWORD"])


class Office:
    """The share `office` in a repository, seen by a client."""

    def __init__(self, repository: Repository, network: Network) -> None:
        """Write nothing yet."""
        self.repository = repository
        self.network = network

    def write(self, *protocols: str, people: bool = True, **more: Any) -> None:  # noqa: ANN401 - parts of documents have many types
        """Write its manifest."""
        access = [{"type": "ip", "to": self.network.client.ipv4, "level": "rw"}]
        access += [{"type": "user", "to": "alice", "level": "rw"}] if people else []
        spec = {"size": "16 MiB", "protocols": list(protocols), "deletionPolicy": "delete", "access": access, **more}
        self.repository.write("Share", "office", spec)

    @property
    def over(self) -> tuple[bool, bool]:
        """Tell whether the client writes over NFS, and over SMB."""
        client, server = self.network.client, self.network.server.ipv4
        return (
            nfs(client, server, "/shares/office", "put", "a", "x").is_done,
            write(client, server, "office", *ALICE, name="b").is_ok,
        )


@pytest.fixture
def office(lab_directory: str, network: Network) -> Office:
    """Give the share in a repository with one linux backend."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", "smbclient", file_system="btrfs")
    repository = Repository(f"{lab_directory}/repository")
    repository.write("Backend", "nas", {"driver": "linux", "config": backend_config(lab_directory, network)})
    return Office(repository, network)


def test_protocols_come_and_go_in_place_and_drift_of_each_is_repaired(office: Office) -> None:
    """Each plan says what it does, and the next one is empty."""
    repository, folder = office.repository, office.repository.folder.parent
    office.write("NFS", people=False)
    repository.apply()
    assert office.over == (True, False)
    office.write("NFS", "CIFS")
    planned = repository.run("plan").stdout
    assert "CIFS comes" in planned
    assert "export/squash  root → all" in planned
    repository.apply()
    assert repository.changes() == 0
    assert office.over == (True, True)
    kill_processes_of(f"{folder}/root/servers/main/nfs")
    assert repository.changes() == 1
    assert office.over == (False, True)
    repository.apply()
    assert (office.over, repository.changes()) == ((True, True), 0)
    kill_processes_of(f"{folder}/root/servers/main/smb")
    assert repository.changes() == 1
    assert office.over == (True, False)
    repository.apply()
    assert (office.over, repository.changes()) == ((True, True), 0)
    office.write("NFS", people=False)
    assert "CIFS goes" in repository.run("plan").stdout
    repository.apply()
    assert (office.over, repository.changes()) == ((True, False), 0)


def test_a_share_that_is_retained_is_closed_and_taken_back_with_both(office: Office) -> None:
    """Its data is there again for clients of both."""
    repository = office.repository
    office.write("CIFS", "NFS", deletionPolicy="retain")
    repository.apply()
    assert office.over == (True, True)
    repository.remove("Share", "office")
    repository.apply("--allow-empty")
    assert office.over == (False, False)
    office.write("NFS", "CIFS", deletionPolicy="retain")
    taken = repository.run("import", "share/office", "fast/office", "--yes")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    repository.apply()
    assert repository.changes() == 0
    assert office.over == (True, True)
    client, server = office.network.client, office.network.server.ipv4
    assert nfs(client, server, "/shares/office", "cat", "b").text == "content"
    assert smb(client, server, "office", *ALICE, "ls a").is_ok
    assert Path(repository.folder.parent, "pool/office").is_dir()


@pytest.mark.parametrize(
    ("options", "over", "said"),
    [
        ("rw,all_squash", (True, True), "its users come from where NFS clients may write"),
        ("rw", (True, False), "files that this client makes would have another owner (squash)"),
    ],
)
def test_a_folder_of_both_files_is_taken_over_as_one_share(
    office: Office, options: str, over: tuple[bool, bool], said: str
) -> None:
    """Where its NFS clients are one user already; else of NFS alone, with the reason."""
    repository, pool = office.repository, office.repository.folder.parent / "pool"
    repository.write("Share", "first", {"size": "8 MiB", "protocol": "NFS", "deletionPolicy": "delete"})
    repository.apply()
    run("btrfs", "subvolume", "create", str(pool / "office"))
    (pool / "office").chmod(0o777)
    exports, smb_conf = repository.folder / "exports", repository.folder / "smb.conf"
    exports.write_text(f"{pool}/office {office.network.client.ipv4}({options})\n", encoding="utf-8")
    section = f"[office]\npath = {pool}/office\nvalid users = alice\nread only = no\n"
    smb_conf.write_text(section, encoding="utf-8")
    files = ("--exports", str(exports), "--smb-conf", str(smb_conf))
    done = repository.run("import", "--backend", "nas", *files, "--write", str(repository.folder / "taken"), "--yes")
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stdout, done.stdout
    repository.apply()
    assert repository.changes() == 0
    assert office.over == over
