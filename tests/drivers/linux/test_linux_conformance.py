"""The linux driver passes the suite that every driver must pass, on btrfs and on image files, for NFS and for SMB."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux import FACTORY
from sharectl.drivers.linux.driver import LinuxDriver
from sharectl.drivers.linux.settings import read_settings
from sharectl.drivers.share_checks import ChecksShares
from sharectl.drivers.testing import DriverConformance
from sharectl.model.access import AccessRule
from sharectl.model.backends import BackendSpec
from tests.drivers.linux.backends import config, environment
from tests.drivers.linux.lab import need, run
from tests.drivers.linux.operations_lab import InProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sharectl.drivers.base import Driver
    from sharectl.model.checks import ShareProblem, WantedShare
    from sharectl.model.observed import ObservedShare
    from tests.drivers.linux.lab import Network


class LinuxConformance(DriverConformance):
    """What all of them share; content is read and written on the host, for what clients see has tests of its own."""

    @pytest.fixture
    def pool(self, lab_directory: str) -> Mapping[str, Any]:
        """Return the settings of the pool."""
        need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", file_system="btrfs")
        return {
            "type": "loop",
            "path": f"{lab_directory}/pool",
            "image": f"{lab_directory}/pool.img",
            "size": "6 GiB",
        }

    @pytest.fixture
    def make_driver(
        self, lab_directory: str, network: Network, pool: Mapping[str, Any]
    ) -> Iterator[Callable[[], Driver]]:
        """Open the same backend, each time anew."""
        spec = self.spec = BackendSpec("nas", "linux", config(lab_directory, network, pool), lanes=16)
        opened: list[Driver] = []

        def make() -> Driver:
            opened.append(self.open_driver(spec, lab_directory))
            return opened[-1]

        yield make
        for driver in opened:
            driver.close()

    def share_problems(self, driver: Driver, share: WantedShare) -> Sequence[ShareProblem]:
        """Ask the factory."""
        assert isinstance(FACTORY, ChecksShares)
        return FACTORY.share_check(self.spec)(share)

    def open_driver(self, spec: BackendSpec, folder: str) -> Driver:
        """Return a driver with an agent of its own."""
        return FACTORY.open(spec, environment(folder))

    def write_content(self, driver: Driver, share: ObservedShare, text: str) -> None:
        """Write to the volume on the host."""
        Path(self.folder(driver, share), "file").write_text(text, encoding="utf-8")

    def read_content(self, driver: Driver, share: ObservedShare) -> str:
        """Read from the volume on the host."""
        return Path(self.folder(driver, share), "file").read_text(encoding="utf-8")

    def folder(self, driver: Driver, share: ObservedShare) -> str:
        """Return where the volume is."""
        pools: Any = driver._settings.pools  # type: ignore[attr-defined]
        return f"{pools[share.pool].path}/{share.backend_id.partition('/')[2]}"


class TestLinuxOnBtrfs(LinuxConformance):
    """btrfs subvolumes, exported by NFS-Ganesha."""

    other_export_settings: Mapping[str, str] = MappingProxyType({"squash": "all"})

    def make_unmanaged(self, driver: Driver) -> str:
        """Make a subvolume as an administrator would."""
        pools: Any = driver._settings.pools  # type: ignore[attr-defined]
        run("btrfs", "subvolume", "create", f"{pools['fast'].path}/legacy")
        return "fast/legacy"


class TestLinuxBySmb(TestLinuxOnBtrfs):
    """The same volumes, shared by Samba; the operations are in this process, which saves the start of many agents."""

    other_export_settings: Mapping[str, str] = MappingProxyType({"recycleBin": "Trash keepTree"})
    protocol = "CIFS"
    rules = (
        AccessRule("ip", "10.0.0.0/8", "rw"),
        AccessRule("user", "alice", "rw"),
        AccessRule("user", "bob", "ro"),
    )

    def open_driver(self, spec: BackendSpec, folder: str) -> Driver:
        """Return a driver without the process between."""
        settings = read_settings(spec, folder)
        return LinuxDriver(settings, InProcess(settings), environment(folder).resolve_secret)
