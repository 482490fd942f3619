"""Ganesha servers for tests: made, told something by hand, killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Client, Export, Instance
from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.nfs.ganesha.bus import GaneshaBus
from sharectl.drivers.linux.agent.nfs.ganesha.process import Layout
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from tests.drivers.linux.lab import Host, Network, need

if TYPE_CHECKING:
    from collections.abc import Iterator

MakeGanesha = Callable[..., GaneshaServer]


def always(_export: Export) -> bool:
    """Every folder is ready."""
    return True


def export_of(folder: str, number: int = 1, *clients: tuple[str, str]) -> Export:
    """Return an export of a new folder, or of the one with that number that is there."""
    path = Path(folder, f"data-{number}")
    path.mkdir(exist_ok=True)
    path.chmod(0o777)
    return Export(
        number,
        str(path),
        f"/shares/s{number}",
        frozenset(Client(*client) for client in clients or [("0.0.0.0/0", "rw")]),
    )


@pytest.fixture
def make_ganesha(lab_directory: str, network: Network) -> Iterator[MakeGanesha]:
    """Give a function that makes a server, which is stopped later; by default in the server's namespace, on its IPv4 address.

    It speaks NFSv4.0 too, for libnfs does not speak another.
    """
    need("ganesha.nfsd", "dbus-daemon")
    made: list[GaneshaServer] = []

    def server(
        name: str = "main", *, host: Host = network.server, address: str | None = None, port: int = 2049
    ) -> GaneshaServer:
        instance = Instance(name, f"{lab_directory}/{name}", (address or host.ipv4,), host.namespace_path)
        made.append(GaneshaServer(instance, port, minor_versions=(0, 1, 2)))
        return made[-1]

    yield server
    for each in made:
        each.stop()


@pytest.fixture
def ganesha(make_ganesha: MakeGanesha) -> GaneshaServer:
    """Give a running server without exports."""
    started = make_ganesha()
    started.ensure_running(always)
    return started


def layout_of(folder: str, name: str = "main") -> Layout:
    """Return where the server's files are."""
    return Layout(f"{folder}/{name}/nfs")


def kill(pid_file: str) -> None:
    """Kill a daemon as the kernel would for want of memory, and wait for its end."""
    pid = int(Path(pid_file).read_text(encoding="ascii"))
    os.kill(pid, signal.SIGKILL)
    daemons.wait_until(lambda: not daemons.is_process(pid, "/"), "it does not end")


def by_hand(folder: str, method: str, signature: str, *arguments: object) -> None:
    """Tell the server something as an admin would, past sharectl."""
    bus = GaneshaBus(layout_of(folder).socket)
    bus.call(method, signature, *arguments)
    bus.close()
