"""Both built-in drivers pass the suite that third-party drivers are held to."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from sharectl.drivers.base import Capability
from sharectl.drivers.share_servers import HandlesShareServers
from sharectl.drivers.testing import DriverConformance
from sharectl.drivers.testing_share_servers import ShareServerConformance
from sharectl.model.access import AccessRule
from sharectl.model.requests import ShareServerRequest

from .opening import open_driver, share_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sharectl.drivers.base import Driver
    from sharectl.drivers.testing_share_servers import ServerDriver
    from sharectl.model.checks import ShareProblem, WantedShare
    from sharectl.model.observed import ObservedShare
    from sharectl.model.requests import ShareRequest, SnapshotRef


class TestDirectory(DriverConformance):
    """The directory driver with its one pool; folders are exported over NFS under their own paths."""

    export_names = ()
    config: dict[str, object] = {"root": "shares", "exportHost": "nas"}  # noqa: RUF012 - read only

    @pytest.fixture
    def make_driver(self, tmp_path: Path) -> Callable[[], Driver]:
        """Open the backend under the test's folder."""
        self.root = tmp_path / "shares"
        return lambda: open_driver("directory", self.config, tmp_path)

    def share_problems(self, driver: Driver, share: WantedShare) -> Sequence[ShareProblem]:
        """Ask the factory."""
        return share_problems("directory", self.config, share)

    def file_of(self, share: ObservedShare) -> Path:
        """Return a file in the share."""
        return self.root / share.backend_id / "file"

    def write_content(self, driver: Driver, share: ObservedShare, text: str) -> None:
        """Write a file."""
        self.file_of(share).write_text(text)

    def read_content(self, driver: Driver, share: ObservedShare) -> str:
        """Read the file."""
        return self.file_of(share).read_text()

    def make_unmanaged(self, driver: Driver) -> str:
        """Make a directory by hand."""
        (self.root / "legacy").mkdir()
        return "legacy"


class TestDirectoryPools(TestDirectory):
    """The directory driver with two pools by name."""

    config: dict[str, object] = {"root": "shares", "pools": {"fast": "fast", "slow": "slow"}}  # noqa: RUF012 - read only

    def make_unmanaged(self, driver: Driver) -> str:
        """Make a directory by hand in the second pool."""
        (self.root / "slow" / "legacy").mkdir()
        return "slow/legacy"


class TestDirectorySamba(TestDirectory):
    """The directory driver with shares for Windows clients."""

    protocol = "CIFS"
    export_names = ("Marketing Team", "Donn\u00e9es 2024")
    rules = (
        AccessRule("user", "CORP\\alice", "rw"),
        AccessRule("user", "bob@corp.example", "ro"),
        AccessRule("ip", "10.0.0.0/8", "rw"),
    )


class TestSimulated(DriverConformance):
    """The simulated driver with everything."""

    without: tuple[Capability, ...] = ()
    more: dict[str, object] = {}  # noqa: RUF012 - read only

    @pytest.fixture
    def make_driver(self, tmp_path: Path) -> Callable[[], Driver]:
        """Open the backend in a file of the test's folder."""
        self.path = tmp_path / "state" / "backend.db"
        return lambda: open_driver("simulated", self.config, tmp_path)

    @property
    def config(self) -> dict[str, object]:
        """The configuration of the backend."""
        return {"stateFile": "state/backend.db", "without": [str(name) for name in self.without], **self.more}

    def share_problems(self, driver: Driver, share: WantedShare) -> Sequence[ShareProblem]:
        """Ask the factory."""
        return share_problems("simulated", self.config, share)

    def write_content(self, driver: Driver, share: ObservedShare, text: str) -> None:
        """Write to the table of shares from outside."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            change = "UPDATE shares SET content = ?, used_bytes = length(?) WHERE resource_id = ?"
            connection.execute(change, (text, text, share.resource_id))

    def read_content(self, driver: Driver, share: ObservedShare) -> str:
        """Read from the table of shares from outside."""
        with closing(sqlite3.connect(self.path)) as connection:
            query = "SELECT content FROM shares WHERE resource_id = ?"
            (content,) = connection.execute(query, (share.resource_id,)).fetchone()
        return str(content)

    def make_unmanaged(self, driver: Driver) -> str:
        """Insert a share from outside."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("INSERT INTO shares(backend_id, name, pool) VALUES ('pool/legacy', 'legacy', 'pool')")
        return "pool/legacy"


class TestSimulatedBare(TestSimulated):
    """The simulated driver without any optional capability: their tests are skipped."""

    without = tuple(Capability)


class TestSimulatedOnServers(TestSimulated):
    """The simulated driver with every share on a share server."""

    @pytest.fixture
    def make_driver(self, tmp_path: Path) -> Callable[[], Driver]:
        """Open the backend in a file of the test's folder."""
        self.path = tmp_path / "state" / "backend.db"
        return lambda: open_driver("simulated", {"stateFile": "state/backend.db"}, tmp_path, share_servers=True)

    def request(self, driver: Driver, name: str, snapshot: SnapshotRef | None = None) -> ShareRequest:
        """Return a request for a share on the one server."""
        assert isinstance(driver, HandlesShareServers)
        driver.create_share_server(ShareServerRequest("the-server", "red-default", "red", ()))
        return replace(super().request(driver, name, snapshot), share_server_id="the-server")


class TestSimulatedWithLimits(TestSimulated):
    """The simulated driver with everything that it can refuse."""

    more: dict[str, object] = {  # noqa: RUF012 - read only
        "protocols": ["NFS"],
        "limits": {"minSize": "64MiB", "sizeMultiple": "512B", "maxRules": 12, "users": ["alice"]},
    }


class TestSimulatedShareServers(ShareServerConformance):
    """The share servers of the simulated driver."""

    @pytest.fixture
    def make_driver(self, tmp_path: Path) -> Callable[[], ServerDriver]:
        """Open the backend in a file of the test's folder; each server has two addresses."""
        config = {"stateFile": "backend.db", "shareServers": {"addresses": 2}}
        return lambda: cast("ServerDriver", open_driver("simulated", config, tmp_path, share_servers=True))
