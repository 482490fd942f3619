"""The configuration of a linux backend for tests: a pool, servers in the server's namespace, and users with passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharectl.drivers.base import DriverEnvironment
from sharectl.drivers.linux.settings import read_settings
from sharectl.model.backends import BackendSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.drivers.linux.lab import Network

PASSWORDS = {"ALICE": "one-Secret", "BOB": "two-Secret"}


def environment(folder: str) -> DriverEnvironment:
    """Return a world in which the passwords of the users are known."""
    return DriverEnvironment(folder, lambda reference: PASSWORDS[reference["env"]])


def config(folder: str, network: Network, pool: Mapping[str, Any], **more: object) -> dict[str, Any]:
    """Return the configuration of a backend in the folder, whose servers answer in the server's namespace."""
    return {
        "root": f"{folder}/root",
        "addresses": [network.server.ipv4, network.server.ipv6],
        "namespace": network.server.namespace_path,
        "pools": {"fast": dict(pool)},
        "supervisor": "none",  # what a test ends stays down
        "smb": {"users": {name.lower(): {"password": {"env": name}} for name in PASSWORDS}},
        **more,
    }


def agent_settings(folder: str, root: str, network: Network) -> dict[str, Any]:
    """Return what a driver tells its agent of a small backend with NFS and SMB, for tests that run the agent's operations themselves."""
    plain = {
        "root": root,
        "addresses": [network.server.ipv4],
        "namespace": network.server.namespace_path,
        "pools": {"fast": {"type": "loop", "path": f"{folder}/pool", "image": f"{folder}/pool.img", "size": "512MiB"}},
        "nfs": {"squash": "none"},
        "smb": {"diskFree": "pool"},
        "supervisor": "none",
    }
    return read_settings(BackendSpec("nas", "linux", plain), folder).for_agent()
