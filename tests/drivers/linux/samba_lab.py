"""A running SMB server with its clients, for the tests of what it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Instance, Section, SmbServer
from sharectl.drivers.linux.agent.smb.server import SambaServer
from tests.drivers.linux.lab import need
from tests.drivers.linux.smb_client import Answer, Session, smb, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.linux.lab import Host, Network

PASSWORDS = {"alice": "correct horse", "bob": 'Über, "quoted" & $HOME;#%\''}


def need_samba() -> None:
    """Skip the test where Samba is missing."""
    need("smbd", "pdbedit", "smbclient", "nsenter")


def need_samba_modules() -> None:
    """Skip the test where Samba's modules are missing."""
    need_samba()
    if not any(Path("/usr").glob("lib*/**/samba/vfs/recycle.so")):
        pytest.skip("needs Samba's modules (Debian package samba-vfs-modules)")


def whole(_section: Section) -> bool:
    """Every folder is ready."""
    return True


class Lab:
    """A server, its clients, and the folder of its shares."""

    def __init__(self, folder: str, network: Network, name: str = "nas") -> None:
        """Make the server's place; it is not started."""
        self.folder = folder
        self.network = network
        self.instance = Instance(
            name, f"{folder}/{name}", (network.server.ipv4, network.server.ipv6), network.server.namespace_path
        )
        self.server = SambaServer(self.instance)

    def volume(self, name: str) -> str:
        """Return the folder of a new volume."""
        path = Path(self.folder) / "pool" / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
        return str(path)

    def section(self, name: str, writers: str = "", readers: str = "", networks: str = "") -> Section:
        """Return a section of a volume of its own."""
        parts = (frozenset(words.split()) for words in (writers, readers, networks))
        return Section(name, self.volume(name), *parts)

    def put(self, name: str, writers: str = "", readers: str = "", networks: str = "") -> Section:
        """Put such a section in force."""
        section = self.section(name, writers, readers, networks)
        self.server.put(section)
        return section

    def write(
        self, share: str, user: str = "alice", password: str | None = None, host: Host | None = None, **options: str
    ) -> Answer:
        """Write into the share as a client."""
        address = options.pop("address", self.network.server.ipv4)
        secret = PASSWORDS[user] if password is None else password
        return write(host or self.network.client, address, share, user, secret, **options)

    def list(self, share: str, user: str) -> Answer:
        """List the share as a client."""
        return smb(self.network.client, self.network.server.ipv4, share, user, PASSWORDS[user], "ls")

    def session(self, share: str, user: str = "alice") -> Session:
        """Connect a client that stays."""
        return Session(self.network.client, self.network.server.ipv4, share, user, PASSWORDS[user])

    def path(self, name: str) -> Path:
        """Return the path of a file of the server."""
        return Path(self.instance.root) / "smb" / name

    def pid(self) -> int:
        """Return the process of smbd."""
        return int(self.path("run/smbd.pid").read_text())


@pytest.fixture(scope="module", name="lab")
def running_samba(module_directory: str, network: Network) -> Iterator[Lab]:
    """Give a running server with the users alice and bob; a test uses shares of its own."""
    need_samba()
    lab = Lab(module_directory, network)
    server: SmbServer = lab.server
    server.ensure_running(whole)
    for user, password in PASSWORDS.items():
        server.ensure_user(user, password)
    yield lab
    server.stop()


@pytest.fixture(name="own_lab")
def own_samba(lab_directory: str, network: Network) -> Iterator[Lab]:
    """Give a server that a test may stop, kill and edit: in the namespace of the second client, where no other listens."""
    need_samba()
    lab = Lab(lab_directory, network, "own")
    lab.instance = Instance(
        "own", f"{lab_directory}/own", (network.other_client.ipv4,), network.other_client.namespace_path
    )
    lab.server = SambaServer(lab.instance)
    lab.server.ensure_running(whole)
    lab.server.ensure_user("alice", PASSWORDS["alice"])
    yield lab
    lab.server.stop()


def write_own(lab: Lab, share: str, password: str = PASSWORDS["alice"]) -> Answer:
    """Write into a share of the server of `own_lab` as alice."""
    return write(lab.network.client, lab.network.other_client.ipv4, share, "alice", password)
