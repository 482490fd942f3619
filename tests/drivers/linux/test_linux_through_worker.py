"""Linux backends behind workers: the coordinator is in a network of its own, sees nothing of the storage and has no password; clients are real."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from sharectl.manifests.project import find_project
from sharectl.workspace.remote import prepare_tables
from tests.cli.team import ends_well, kill, wait_until
from tests.drivers.linux.lab import kill_processes_of, need
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.repository import PASSWORDS, Repository
from tests.drivers.linux.smb_client import smb, write
from tests.drivers.linux.tenants import namespaces, switched
from tests.drivers.linux.test_linux_scenario import MIB, backend_config, nfs_share
from tests.namespaces import WITHOUT_LABS
from tests.postgresql import DATABASE, USER, new_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.drivers.linux.lab import Network
    from tests.drivers.linux.tenants import Switch
    from tests.postgresql import Server

ALICE = ("alice", PASSWORDS["ALICE_PASSWORD"])
LEASE, SHORT_LEASE = "60s", "5s"
PROJECTS = "/shares/projects"
TENANT = "10.20.0.10"
"""The address of the tenant's share server."""
_ALONE = WITHOUT_LABS + 'mount -t tmpfs none "$0" && exec "$@"'


class Coordinator(Repository):
    """A repository whose commands run without a network, without the passwords, and with an empty folder where the storage is."""

    def __init__(self, folder: str, storage: str) -> None:
        """Hide the folder `storage`."""
        super().__init__(folder)
        self._storage = storage
        for name in PASSWORDS:
            del self.environment[name]

    def _alone(self, *words: str) -> list[str]:
        command = [sys.executable, "-m", "sharectl", *words, "-C", str(self.folder)]
        return ["unshare", "--net", "--mount", "sh", "-c", _ALONE, self._storage, *command]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """See Repository."""
        return subprocess.run(
            self._alone(*words), check=False, capture_output=True, text=True, timeout=500, env=self.environment
        )

    def start(self, *words: str) -> subprocess.Popen[Any]:
        """See Repository; what it prints are bytes."""
        return subprocess.Popen(
            self._alone(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment
        )

    def only(self, *documents: tuple[str, str, dict[str, Any]]) -> None:
        """Write these, and remove all others but the backends."""
        for file in self.folder.glob("*-*.yaml"):
            if not file.name.startswith("backend-"):
                file.unlink()
        for document in documents:
            self.write(*document)


class House:
    """A storage host with two backends, each with a worker, and a coordinator elsewhere."""

    def __init__(self, root: Path, storage: str, network: Network, switch: Switch, server: Server) -> None:
        """Write the manifests: the backends are in three folders, all else is the coordinator's."""
        self.storage, self.network, self.switch = storage, network, switch
        self._name, self._server = new_name(), server
        self._seen: set[str] = set()
        self.coordinator = Coordinator(str(root / "coordinator"), storage)
        self._folders = {name: Repository(str(root / name)) for name in ("nas", "tenants")}
        plain = backend_config(storage, network)
        pool = {"type": "loop", "path": f"{storage}/q", "image": f"{storage}/q.img", "size": "1 GiB"}
        tenants = {
            **{key: plain[key] for key in ("supervisor", "nfs", "smb")},
            "root": f"{storage}/t",  # short, for the servers' sockets are below
            "namespace": switch.path,
            "pools": {"fast": pool},
            "tenantNetworks": {"flat": {"bridge": "br-flat"}},
        }
        for repository in (self.coordinator, *self._folders.values()):
            self.write_project(repository)
            repository.write("Backend", "nas", {"driver": "linux", "config": plain})
            servers = {"shareServers": True, "network": {"plugin": "standalone"}}
            repository.write("Backend", "tenants", {"driver": "linux", **servers, "config": tenants})

    def write_project(self, repository: Repository, lease: str = LEASE) -> None:
        """Say where the state is, and which backends have workers."""
        url = f"postgresql://{USER}@/{DATABASE}?host={self._server.folder}"
        execution = {"executor": "queue", "lease": lease, "backends": {"nas": "remote", "tenants": "remote"}}
        spec = {"manifests": ["."], "state": {"url": url}, "execution": execution}
        project = {"apiVersion": "sharectl/v1", "kind": "Project", "metadata": {"name": self._name}, "spec": spec}
        (repository.folder / "sharectl.yaml").write_text(json.dumps(project), encoding="utf-8")

    @contextmanager
    def worker(self, backend: str, lease: str = LEASE) -> Iterator[subprocess.Popen[bytes]]:
        """Start a worker, wait until it serves, and kill it in the end."""
        repository = self._folders[backend]
        self.write_project(repository, lease)
        argv = [sys.executable, "-m", "sharectl", "worker", "--backend", backend, "-C", str(repository.folder)]
        known = self._alive()
        with subprocess.Popen(
            argv,
            env=repository.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                wait_until(lambda: self._alive() - known or process.poll() is not None)
                assert process.poll() is None, process.stdout and process.stdout.read()
                yield process
            finally:
                process.kill()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database, in which `s.` stands for the schema."""
        with closing(psycopg.connect(host=str(self._server.folder), user=USER, dbname=DATABASE)) as connection:
            return connection.execute(statement.replace("s.", f'"sharectl_{self._name}".').encode()).fetchall()

    def _alive(self) -> set[str]:
        return {name for (name,) in self.query("SELECT worker_id FROM s.worker WHERE left_at IS NULL")}

    def servers(self) -> list[str]:
        """Return the ids of the share servers in the state."""
        return [each for (each,) in self.query("SELECT resource_id FROM s.resource WHERE kind = 'share_server'")]

    def own_namespaces(self) -> set[str]:
        """Return the network namespaces of share servers that the storage host has on record or is making."""
        return {name for name in namespaces() if name.removeprefix("sharectl-") in self._known_to_host()}

    def _known_to_host(self) -> set[str]:
        try:
            with closing(sqlite3.connect(f"file:{self.storage}/t/records.sqlite?mode=ro", uri=True)) as connection:
                self._seen |= {each for (each,) in connection.execute("SELECT resource_id FROM share_server")}
        except sqlite3.OperationalError:  # it is not there yet, or has no tables
            pass
        return self._seen

    def check_nothing_is_left(self) -> None:
        """Expect no row but those of the backends, no open intent, and no call."""
        assert self.query("SELECT address FROM s.resource WHERE kind <> 'backend'") == []
        assert self.query("SELECT address FROM s.operation") == []
        assert self.query("SELECT backend FROM s.call") == []


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, module_directory: str, network: Network, postgresql: Server
) -> Iterator[House]:
    """Give the house with a worker of the backend without share servers."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", "smbclient", file_system="btrfs")
    with switched() as switch:
        made = House(tmp_path_factory.mktemp("house"), module_directory, network, switch, postgresql)
        prepare_tables(find_project(made.coordinator.folder))
        with made.worker("nas") as worker:
            yield made
            worker.terminate()
            ends_well(worker)


@pytest.fixture
def served(house: House) -> Iterator[House]:
    """Give it with a worker of the other backend as well."""
    with house.worker("tenants") as worker:
        yield house
        worker.terminate()
        ends_well(worker)


def test_the_life_of_shares(served: House) -> None:
    """Made, limited, kept, cloned, turned back and removed, of both protocols, as on a backend of this host."""
    coordinator, network = served.coordinator, served.network
    server, client = network.server.ipv4, network.client
    user = {"size": "8 MiB", "protocol": "CIFS", "deletionPolicy": "delete"}
    office = {**user, "access": [{"type": "user", "to": "alice", "level": "rw"}]}
    scheduled = nfs_share(network, snapshotPolicy={"hourly": {"keep": 3}})
    coordinator.only(("Share", "projects", scheduled), ("Share", "office", office))
    coordinator.apply()
    assert coordinator.changes() == 0
    assert nfs(client, server, PROJECTS, "put", "plan.txt", "old").is_done
    assert "NFS4ERR_ROFS" in nfs(network.other_client, server, PROJECTS, "put", "mine", "no").text
    assert "NFS4ERR_DQUOT" in nfs(client, server, PROJECTS, "write", "big", str(10 * MIB)).text
    assert write(client, server, "office", *ALICE).is_ok
    assert not smb(client, server, "office", "alice", "wrong", "ls").is_ok
    assert f"{server}:{PROJECTS}" in coordinator.run("show", "share/projects").stdout

    monday = ("Snapshot", "monday", {"share": "projects", "deletionPolicy": "delete"})
    wide = nfs_share(network, size="16 MiB")
    clone = nfs_share(network, size="16 MiB", sourceSnapshot="monday")
    coordinator.only(("Share", "projects", wide), monday, ("Share", "copy", clone))
    coordinator.apply()
    assert nfs(client, server, "/shares/copy", "cat", "plan.txt").text == "old"
    assert not write(client, server, "office", *ALICE).is_ok
    assert nfs(client, server, PROJECTS, "put", "plan.txt", "new").is_done
    back = {**wide, "revertTo": {"snapshot": "monday", "request": "ticket 4711"}}
    coordinator.only(("Share", "projects", back), monday, ("Share", "copy", clone))
    coordinator.apply()
    assert nfs(client, server, PROJECTS, "cat", "plan.txt").text == "old"
    assert nfs(client, server, "/shares/copy", "cat", "plan.txt").text == "old"


def test_drift_and_the_trash_are_seen_from_afar(served: House) -> None:
    """A server that died is mended, and a share comes back from the trash with its data."""
    coordinator, network = served.coordinator, served.network
    server, client = network.server.ipv4, network.client
    coordinator.only(("Share", "kept", nfs_share(network, deletionPolicy="trash")))
    coordinator.apply("--allow-deletions", "9")
    assert "NFS4ERR_NOENT" in nfs(client, server, PROJECTS, "ls").text
    assert nfs(client, server, "/shares/kept", "put", "f", "mine").is_done
    kill_processes_of(f"{served.storage}/root/servers/main")
    assert coordinator.changes() == 1
    coordinator.apply()
    assert nfs(client, server, "/shares/kept", "cat", "f").text == "mine"
    coordinator.only()
    coordinator.apply("--allow-empty")
    assert "NFS4ERR_NOENT" in nfs(client, server, "/shares/kept", "ls").text
    (trashed,) = json.loads(coordinator.run("trash", "list", "--output", "json").stdout)["shares"]
    coordinator.only(("Share", "kept", nfs_share(network)))
    taken = coordinator.run("import", "share/kept", trashed["backend_id"], "--yes")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    coordinator.apply()
    assert nfs(client, server, "/shares/kept", "cat", "f").text == "mine"


def share_of_tenant(protocol: str = "NFS") -> dict[str, Any]:
    """Return a share on the tenant's network, for its machines or for alice."""
    to = {"type": "ip", "to": "10.20.0.0/24"} if protocol == "NFS" else {"type": "user", "to": "alice"}
    common = {"size": "8 MiB", "protocol": protocol, "shareNetwork": "red", "deletionPolicy": "delete"}
    return {**common, "access": [{**to, "level": "rw"}]}


RED = (
    "ShareNetwork",
    "red",
    {"subnets": [{"cidr": "10.20.0.0/24", "networkType": "flat", "allocationRanges": [f"{TENANT}-10.20.0.19"]}]},
)


def test_a_tenant_has_a_share_server(served: House) -> None:
    """With an address that the run has given it, in the tenant's network alone; it goes with its last share."""
    coordinator = served.coordinator
    machine = served.switch.add_client("m1", "br-flat", "10.20.0.100/24")
    coordinator.only(RED, ("Share", "projects", share_of_tenant()), ("Share", "office", share_of_tenant("CIFS")))
    coordinator.apply("--allow-deletions", "9")
    assert coordinator.changes() == 0
    assert nfs(machine, TENANT, PROJECTS, "put", "f", "mine").is_done
    assert write(machine, TENANT, "office", *ALICE).is_ok
    assert f"{TENANT}:{PROJECTS}" in coordinator.run("show", "share/projects").stdout
    (server,) = served.servers()
    coordinator.only()
    coordinator.apply("--allow-empty")
    assert f"sharectl-{server}" not in namespaces()
    served.check_nothing_is_left()


def test_a_worker_that_is_killed_while_it_makes_a_share_server_leaves_nothing_over(house: House) -> None:
    """The next one makes the same server, at the same address."""
    coordinator = house.coordinator
    machine = house.switch.add_client("m2", "br-flat", "10.20.0.101/24")
    links = house.switch.links()
    coordinator.only(RED, ("Share", "projects", share_of_tenant()))
    with house.worker("tenants", SHORT_LEASE) as first, coordinator.start("apply", "--yes") as apply:
        wait_until(lambda: house.own_namespaces() or first.poll() is not None)
        kill(first)
        with house.worker("tenants"):
            ends_well(apply)
            (server,) = house.servers()
            assert house.own_namespaces() == {f"sharectl-{server}"}
            assert nfs(machine, TENANT, PROJECTS, "put", "f", "mine").is_done
            assert coordinator.changes() == 0
            coordinator.only()
            coordinator.apply("--allow-empty")
    assert house.own_namespaces() == set()
    assert house.switch.links() == links
    house.check_nothing_is_left()
