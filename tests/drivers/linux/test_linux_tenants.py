"""The tenants of `examples/tenants`, through the command line: equal addresses on VXLANs of their own, with real servers and real clients."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers.linux.agents import wait_for
from tests.drivers.linux.lab import Host, need, run
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.repository import Repository
from tests.drivers.linux.smb_client import smb, write
from tests.drivers.linux.tenants import links_in, namespaces, segment_of, segments_of
from tests.drivers.linux.test_linux_lost_records import commands_of_guide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLE = Path(__file__).parents[3] / "examples" / "tenants"
PASSWORDS = {"RUTH_PASSWORD": "one-Secret", "BELA_PASSWORD": "two-Secret"}
RUTH = ("ruth", PASSWORDS["RUTH_PASSWORD"])
BELA = ("bela", PASSWORDS["BELA_PASSWORD"])
ADDRESS = "10.20.0.10"
"""That of the share server of either tenant."""

RED, BLUE = "share_server/red-default@tenants", "share_server/blue-default@tenants"


@dataclass(frozen=True, slots=True)
class House:
    """The example's repository in the example's data centre, both under names of their own."""

    repository: Repository
    mark: str

    @property
    def red(self) -> Host:
        """A machine of the tenant red."""
        return Host(f"{self.mark}-red", "10.20.0.100", "")

    @property
    def blue(self) -> Host:
        """A machine of the tenant blue, with the same address."""
        return Host(f"{self.mark}-blue", "10.20.0.100", "")

    @property
    def hosts(self) -> Host:
        """The host that both machines are on."""
        return Host(f"{self.mark}-hosts", "192.0.2.20", "")

    @property
    def root(self) -> str:
        """What the storage host keeps of the backend with share servers."""
        return f"{self.repository.folder.parent}/t"

    def records(self, query: str, *values: str) -> list[Any]:
        """Return the first column of what the storage host has on record; nothing before it has a table."""
        try:
            with closing(sqlite3.connect(f"file:{self.root}/records.sqlite?mode=ro", uri=True)) as connection:
                return [row[0] for row in connection.execute(query, values)]
        except sqlite3.OperationalError:
            return []

    def server_id(self, network: str) -> str:
        """Return the id of the share server of a share network, empty where there is none."""
        return next(iter(self.records("SELECT resource_id FROM share_server WHERE share_network = ?", network)), "")

    def planned(self) -> dict[str, str]:
        """Return the actions that the next apply would take, by step."""
        done = self.repository.run("plan", "--output", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        return {step["id"]: step["reason"] for step in json.loads(done.stdout)["steps"]}

    def rows(self) -> str:
        """Return what the state knows."""
        return self.repository.run("state", "list").stdout

    def links(self) -> set[str]:
        """Return the names of the tunnels, bridges and ports on the storage host."""
        places = (f"{self.mark}-storage", *segments_of(f"/run/netns/{self.mark}-storage"))
        return {name for place in places for name in links_in(place) if name.startswith("sc")}

    def own_namespaces(self) -> set[str]:
        """Return the network namespaces of share servers that are on record, or were when the test asked."""
        return {
            f"sharectl-{server_id}" for server_id in self.records("SELECT resource_id FROM share_server")
        } & namespaces()


@pytest.fixture
def house(lab_directory: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Give the example with its data centre, all of it under names and paths that no other test has; cleaned afterwards."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", "smbclient", "ip", file_system="btrfs")
    for name, value in PASSWORDS.items():
        monkeypatch.setenv(name, value)
    mark = f"tn{uuid.uuid4().hex[:5]}"
    repository = Repository(f"{lab_directory}/repository")
    shutil.copytree(EXAMPLE, repository.folder, dirs_exist_ok=True)
    backends = repository.folder / "backends.yaml"
    text = backends.read_text(encoding="utf-8")
    for old, new in (
        ("/run/netns/tenants-", f"/run/netns/{mark}-"),
        ("/var/lib/sharectl/tenants\n", f"{lab_directory}/t\n"),  # short, for the servers' sockets are below
        ("/var/lib/sharectl/house\n", f"{lab_directory}/h\n"),
        ("/var/lib/", f"{lab_directory}/"),
        ("/srv/", f"{lab_directory}/"),
        # libnfs speaks 4.0, and what a test ends stays down.
        ("    pools:\n", '    nfs: {versions: ["4.0", "4.1", "4.2"]}\n    supervisor: none\n    pools:\n'),
    ):
        assert old in text, f"the example has no {old!r} any more"
        text = text.replace(old, new)
    backends.write_text(text, encoding="utf-8")
    house = House(repository, mark)
    lab = str(EXAMPLE / "lab.sh")
    run(lab, "up", mark)
    yield house
    left = house.own_namespaces() | set(segments_of(f"/run/netns/{mark}-storage"))
    kill(f"{house.root}/servers/")
    for namespace in left:
        run("ip", "netns", "del", namespace, check=False)
    run(lab, "down", mark)
    assert not {name for name in namespaces() if name.startswith(mark)}


def test_the_life_of_two_tenants_with_equal_addresses(house: House) -> None:
    """Made beside a plain backend in one plan, kept apart, one more share on a server that is there, and nothing left of a tenant who goes."""
    repository = house.repository
    repository.apply()
    assert house.planned() == {}
    # Each under the same address reaches its own, and finds no trace of the other's.
    for machine, tenant, other, user, stranger in (
        (house.red, "red", "blue", RUTH, BELA),
        (house.blue, "blue", "red", BELA, RUTH),
    ):
        assert nfs(machine, ADDRESS, f"/shares/{tenant}-projects", "put", "whose", tenant).is_done
        assert "NFS4ERR_NOENT" in nfs(machine, ADDRESS, f"/shares/{other}-projects", "ls").text
        assert write(machine, ADDRESS, f"{tenant}-office", *user).is_ok
        assert "NT_STATUS_LOGON_FAILURE" in smb(machine, ADDRESS, f"{tenant}-office", *stranger, "ls").text
        assert "NT_STATUS_BAD_NETWORK_NAME" in smb(machine, ADDRESS, f"{other}-office", *user, "ls").text
    assert nfs(house.red, ADDRESS, "/shares/red-projects", "cat", "whose").text == "red"
    # The backend without share servers, on the host's own address.
    assert nfs(house.hosts, "192.0.2.10", "/shares/tools", "put", "f", "for all").is_done
    assert "NFS4ERR_NOENT" in nfs(house.hosts, "192.0.2.10", "/shares/red-projects", "ls").text
    # One more share is made on the server that is there.
    servers = house.records("SELECT resource_id FROM share_server ORDER BY resource_id")
    more = {"size": "50MiB", "protocol": "NFS", "type": "tenant", "shareNetwork": "red", "deletionPolicy": "delete"}
    repository.write("Share", "red-more", {**more, "access": [{"type": "ip", "to": "10.20.0.100", "level": "rw"}]})
    shutil.move(repository.folder / "share-red-more.yaml", repository.folder / "shares/red-more.yaml")
    assert {step.partition(":")[0] for step in house.planned()} == {"create-share", "update-access"}
    repository.apply()
    assert nfs(house.red, ADDRESS, "/shares/red-more", "put", "f", "more").is_done
    assert house.records("SELECT resource_id FROM share_server ORDER BY resource_id") == servers
    # The tenant red goes: server, address, namespace and tunnel with the last share, in one apply; blue notices nothing.
    (red_namespace,) = house.own_namespaces() - {f"sharectl-{house.server_id('blue')}"}
    assert {"scb5001", "scx5001"} <= house.links()
    for name in ("red", "red-more"):
        (repository.folder / f"shares/{name}.yaml").unlink()
    repository.apply("--allow-deletions", "3")
    assert RED not in house.rows()
    assert "vxlan:5001" not in house.rows()
    assert red_namespace not in namespaces()
    assert {name for name in house.links() if "5001" in name} == set()
    assert "scb5002" in house.links()
    assert nfs(house.blue, ADDRESS, "/shares/blue-projects", "cat", "whose").text == "blue"
    # And then the rest.
    done = repository.run("destroy", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_nothing_is_left(house)


def test_tenants_come_back_as_the_guide_says_where_the_records_are_lost(house: House) -> None:
    """Their servers are ended with all of their network, made anew with their rules in force, and have their files again."""
    repository, pool = house.repository, Path(house.root).parent / "sharectl-tenants"
    repository.apply()
    tenants = (("red", house.red), ("blue", house.blue))
    for tenant, machine in tenants:
        assert nfs(machine, ADDRESS, f"/shares/{tenant}-projects", "put", "whose", tenant).is_done
    shares = [f"{tenant}-{what}" for tenant, _ in tenants for what in ("projects", "office")]
    networks = {Path("/run/netns", name).stat().st_ino for name in house.own_namespaces()}
    for leftover in Path(house.root).glob("records.sqlite*"):
        leftover.unlink()
    assert "is not the storage that the state knows" in repository.run("plan").stderr
    done = run("/bin/bash", "-c", commands_of_guide(house.root), check=False)
    assert done.returncode == 0, done.stderr
    assert not Path(house.root, "servers").exists()
    assert len(networks) == len(tenants)
    assert networks.isdisjoint(networks_in_use())  # one that is would answer for the new server's address
    for share in shares:
        (pool / share).rename(pool / f"{share}.old")
    for address in ("backend/tenants", *(f"share/{share}" for share in shares), RED, BLUE):
        done = repository.run("state", "rm", address)
        assert done.returncode == 0, done.stdout + done.stderr
    repository.apply()
    for share in shares:
        run("cp", "-a", "--reflink=always", f"{pool}/{share}.old/.", f"{pool}/{share}/")
        run("btrfs", "subvolume", "delete", f"{pool}/{share}.old")
    assert house.planned() == {}
    for tenant, _ in tenants:
        assert (pool / f"{tenant}-projects" / "whose").read_text(encoding="utf-8") == tenant


def test_a_share_server_that_died_is_in_the_plan_and_one_apply_brings_it_back(house: House) -> None:
    """Its processes, its namespace under processes that live on, both as after a reboot, its tunnel; the other tenant's is not touched."""
    house.repository.apply()
    assert nfs(house.red, ADDRESS, "/shares/red-projects", "put", "f", "kept").is_done
    server = house.server_id("red")
    for lost, said in (
        ({"servers"}, "its NFS and SMB servers do not run"),
        ({"namespace"}, "its network namespace is gone"),
        ({"servers", "namespace"}, "its network namespace is gone"),
        ({"tunnel"}, "the tunnel of its VXLAN 5001 is gone"),
    ):
        if "servers" in lost:
            kill(f"{house.root}/servers/{server}/")
        if "namespace" in lost:
            run("ip", "netns", "del", f"sharectl-{server}")
        if "tunnel" in lost:
            run("ip", "-n", segment_of(f"/run/netns/{house.mark}-storage", 5001), "link", "del", "scx5001")
        planned = house.planned()
        assert said in planned[f"repair-share-server:{RED}"]
        assert not any("blue" in step for step in planned)
        house.repository.apply()
        # The client that had it mounted before finds it at once: the server has the same hardware address again.
        assert nfs(house.red, ADDRESS, "/shares/red-projects", "cat", "f").text == "kept"
        assert write(house.red, ADDRESS, "red-office", *RUTH).is_ok
    assert nfs(house.blue, ADDRESS, "/shares/blue-projects", "ls").is_done
    assert house.planned() == {}


def test_an_apply_that_is_killed_while_it_makes_a_share_server_is_finished_by_the_next(house: House) -> None:
    """Killed at several moments, alone or with its agent, each time with one network more; nothing is made twice, nothing is left."""
    repository = house.repository
    for name in ("red", "blue", "house"):
        (repository.folder / f"shares/{name}.yaml").unlink()
    moments = creation_moments(house)
    for number, (name, reached) in enumerate(moments.items()):
        add_network(repository, name, 6000 + number)
        with start_apply(repository) as process:
            wait_for(lambda reached=reached: reached() or process.poll() is not None, f"the moment {name}")
            if process.poll() is None:  # on a busy machine it may have come to its end by then
                (os.kill if number % 2 else os.killpg)(process.pid, signal.SIGKILL)
        assert process.returncode in {0, -signal.SIGKILL}, name
    repository.apply()
    assert house.planned() == {}
    assert len(house.records("SELECT 1 FROM share_server")) == len(moments)
    assert len(house.own_namespaces()) == len(moments)
    assert re.findall(r"vxlan:(\d+)", house.rows()) == [str(6000 + number) for number in range(len(moments))]
    assert len([name for name in house.links() if name.startswith("scp")]) == len(moments)
    for name in moments:
        inside = Host(f"sharectl-{house.server_id(name)}", ADDRESS, "")
        assert nfs(inside, ADDRESS, f"/shares/{name}", "ls").is_done
    done = repository.run("destroy", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_nothing_is_left(house)


def creation_moments(house: House) -> dict[str, Callable[[], object]]:
    """Return what shows that the creation of a share server has come to a point, by the name of its network."""

    def works(network: str, what: str) -> bool:
        return bool(server := house.server_id(network)) and bool(
            processes_with(f"{house.root}/servers/{server}/{what}")
        )

    return {
        "recorded": lambda: house.server_id("recorded"),
        "named": lambda: house.own_namespaces() & {f"sharectl-{house.server_id('named')}"},
        "serving-nfs": lambda: works("serving-nfs", "nfs/ganesha.conf"),
        "serving-smb": lambda: works("serving-smb", "smb/"),
        "used": lambda: house.records("SELECT 1 FROM share WHERE export_name = 'used'"),
    }


def add_network(repository: Repository, name: str, segmentation_id: int) -> None:
    """Write a share network of the tenants' addresses, and a share on it."""
    subnet = {
        "cidr": "10.20.0.0/24",
        "gateway": "10.20.0.1",
        "allocationRanges": [f"{ADDRESS}-10.20.0.19"],
        "networkType": "vxlan",
        "segmentationId": segmentation_id,
        "mtu": 1450,
    }
    share = {
        "size": "20MiB",
        "protocol": "NFS",
        "shareNetwork": name,
        "deletionPolicy": "delete",
        "access": [{"type": "ip", "to": "10.20.0.0/24", "level": "rw"}],
    }
    repository.write("ShareNetwork", name, {"subnets": [subnet]})
    repository.write("Share", name, share)
    for kind in ("sharenetwork", "share"):
        shutil.move(repository.folder / f"{kind}-{name}.yaml", repository.folder / f"shares/{kind}-{name}.yaml")


def start_apply(repository: Repository) -> subprocess.Popen[bytes]:
    """Start an apply in a process group that the agent is in as well, and the servers on the storage host are not."""
    argv = [sys.executable, "-m", "sharectl", "apply", "--yes", "-C", str(repository.folder)]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def processes_with(path: str) -> list[int]:
    """Return the processes that have the path among their arguments, or something below it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if any(path.encode() in word for word in arguments):
                found.append(int(entry.name))
    return found


def networks_in_use() -> set[int]:
    """Return the network namespaces that processes are in."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended
                found.add((entry / "ns/net").stat().st_ino)
    return found


def kill(path: str) -> None:
    """Kill these processes, and wait until they are gone."""
    for pid in processes_with(path):
        with suppress(ProcessLookupError):  # a child that ended with its parent
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not processes_with(path), "the end of the servers")


def assert_nothing_is_left(house: House) -> None:
    """No share server on record or in the state, no namespace, port or tunnel, no process, no folder of one."""
    assert house.records("SELECT resource_id FROM share_server") == []
    assert re.findall("share_server|network_allocation|share/", house.rows()) == []
    assert house.links() == set()
    assert not any(Path(f"{house.root}/servers").iterdir())
    assert processes_with(f"{house.root}/servers/") == []
