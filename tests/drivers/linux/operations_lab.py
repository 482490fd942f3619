"""The driver with the agent's operations in this process, for tests that look into both; real pools, servers and mounts all the same."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import DriverError
from sharectl.drivers.linux.agent import protocols
from sharectl.drivers.linux.agent.contract import Problem
from sharectl.drivers.linux.agent.operations import open_backend
from sharectl.drivers.linux.driver import LinuxDriver
from sharectl.drivers.linux.session import error_of
from sharectl.drivers.linux.settings import read_settings
from sharectl.drivers.testing import shares_of
from sharectl.model.access import AccessRule
from sharectl.model.backends import BackendSpec
from sharectl.model.requests import ShareRef, ShareRequest, SnapshotRef
from tests.drivers.linux.backends import PASSWORDS, config
from tests.drivers.linux.lab import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sharectl.drivers.linux.settings import LinuxSettings
    from sharectl.model.observed import ObservedShare, ObservedSnapshot
    from sharectl.model.requests import RuleStatus
    from tests.drivers.linux.lab import Host, Network

MIB = 1 << 20
ANYBODY = AccessRule("ip", "10.77.1.0/24", "rw")
STRANGE = AccessRule(*protocols.STRANGE[:3])
"""What is listed where a server has a share open in another way than it was told."""
ALICE = AccessRule("user", "alice", "rw")
BOB = AccessRule("user", "bob", "ro")


class InProcess:
    """What the connection to an agent does, without the process between: values travel as JSON, problems as the driver's errors."""

    def __init__(self, settings: LinuxSettings) -> None:
        """Open the backend."""
        self.backend = open_backend(_travelled(settings.for_agent()))

    def call(self, method: str, params: Mapping[str, Any]) -> Any:  # noqa: ANN401 - parts of documents have many types
        """Ask the operations."""
        try:
            return _travelled(self.backend.call(method, _travelled(params)))
        except Problem as problem:
            raise error_of(problem.kind, str(problem)) from problem

    def close(self) -> None:
        """Let go of files."""
        self.backend.close()


def _travelled(value: Any) -> Any:  # noqa: ANN401 - parts of documents have many types
    return json.loads(json.dumps(value))


def new_id() -> str:
    """Return a resource id such as the engine makes."""
    return str(uuid.uuid4())


class OperationsLab:
    """A backend in a folder, opened as often as a test likes, with other settings where it says so."""

    def __init__(self, folder: str, network: Network, host: Host) -> None:
        """Touch nothing; the servers answer on `host`, which is in that network."""
        self.folder = Path(folder)
        self.network = network
        self.host = host
        self.passwords = dict(PASSWORDS)
        self._opened: list[LinuxDriver] = []
        self._prepared: LinuxDriver | None = None

    @property
    def pool(self) -> dict[str, Any]:
        """The settings of the pool `fast`."""
        return self.loop_pool("pool")

    def loop_pool(self, name: str, size: str = "1 GiB") -> dict[str, Any]:
        """Return the settings of a pool on an image."""
        return {"type": "loop", "path": f"{self.folder}/{name}", "image": f"{self.folder}/{name}.img", "size": size}

    def open(self, *, share_servers: bool = False, **changes: object) -> LinuxDriver:
        """Return a driver of its own on the same backend; `changes` are keys of its configuration, None where one is to be missing."""
        place = {"addresses": [self.host.ipv4, self.host.ipv6], "namespace": self.host.namespace_path}
        plain = config(str(self.folder), self.network, self.pool, **{**place, **changes})
        plain = {key: value for key, value in plain.items() if value is not None}
        settings = read_settings(BackendSpec("nas", "linux", plain, share_servers=share_servers), str(self.folder))
        self._opened.append(LinuxDriver(settings, InProcess(settings), self._resolve))
        return self._opened[-1]

    def _resolve(self, reference: Mapping[str, str]) -> str:
        name = reference["env"]
        if name not in self.passwords:
            message = f"the environment variable {name} is not set"
            raise DriverError(message)
        return self.passwords[name]

    @property
    def driver(self) -> LinuxDriver:
        """A driver on the backend, prepared; always the same."""
        if self._prepared is None:
            self._prepared = self.open()
            self._prepared.prepare()
        return self._prepared

    def close(self) -> None:
        """Close what was opened."""
        for driver in self._opened:
            driver.close()

    def request(self, name: str, protocol: str = "NFS", **changes: Any) -> ShareRequest:  # noqa: ANN401 - parts of documents have many types
        """Return a request for a share of 16 MiB."""
        values = {"resource_id": new_id(), "name": name, "size_bytes": 16 * MIB, "protocol": protocol, "pool": "fast"}
        return ShareRequest(**{**values, **changes})

    def share(self, name: str, *rules: AccessRule, protocol: str = "NFS", **changes: Any) -> ObservedShare:  # noqa: ANN401 - parts of documents have many types
        """Make a share and put rules in force."""
        share = self.driver.create_share(self.request(name, protocol, **changes))
        if rules:
            statuses = self.allow(share, *rules)
            assert {status.status for status in statuses.values()} == {"active"}, statuses
        return share

    def allow(self, share: ObservedShare, *rules: AccessRule) -> Mapping[AccessRule, RuleStatus]:
        """Make the rules the whole access of a share."""
        return self.driver.update_access(ref(share), rules, rules, ())

    def listed(self, share: ObservedShare) -> ObservedShare:
        """Return the share as it is listed now, but for what is used of it."""
        (found,) = shares_of(self.driver, [str(share.resource_id)])
        return found

    def access_of(self, share: ObservedShare) -> set[AccessRule]:
        """Return the access that is in force."""
        return set(self.listed(share).access)

    def snapshot(self, share: ObservedShare, name: str = "monday") -> ObservedSnapshot:
        """Take a snapshot."""
        return self.driver.create_snapshot(ref(share), new_id(), name)

    def volume(self, share: ObservedShare) -> Path:
        """Return the folder of the share's data."""
        return self.folder / share.backend_id.replace("fast/", "pool/", 1)

    def mount_point(self, share: ObservedShare) -> Path:
        """Return where the share's volume is bound for NFS."""
        return self.folder / "root/servers/main/exports" / str(share.resource_id)


def ref(share: ObservedShare) -> ShareRef:
    """Return the share as the state would know it; one that was adopted gets the protocol NFS."""
    protocol = share.protocol or "NFS"
    return ShareRef(str(share.resource_id), share.backend_id, share.name, share.pool, protocol, share.size_bytes or MIB)


def snapshot_ref(snapshot: ObservedSnapshot) -> SnapshotRef:
    """Return the snapshot as the state would know it; which share it is of the agent knows itself."""
    return SnapshotRef(
        str(snapshot.resource_id), snapshot.backend_id, snapshot.name, new_id(), str(snapshot.share_backend_id)
    )


def _needs() -> None:
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", file_system="btrfs")


@pytest.fixture(scope="module")
def backend(module_directory: str, network: Network) -> Iterator[OperationsLab]:
    """Give one backend, whose pool is mounted, to all tests of a module, which make shares of different names."""
    _needs()
    lab = OperationsLab(module_directory, network, network.server)
    assert lab.driver.pools()
    yield lab
    lab.close()


@pytest.fixture
def own_backend(lab_directory: str, network: Network) -> Iterator[OperationsLab]:
    """Give a backend to one test, on another host than that of the module's."""
    _needs()
    lab = OperationsLab(lab_directory, network, network.other_client)
    yield lab
    lab.close()
