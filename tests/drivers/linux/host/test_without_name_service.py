"""Servers on a host that does not know its own name, and whose name service is out of order: as after a power failure of a whole site."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.host import system_calls
from sharectl.drivers.linux.agent.nfs.ganesha.process import Layout
from tests.drivers.linux.lab import Host, Network, need, run
from tests.namespaces import WITHOUT_LABS

if TYPE_CHECKING:
    from collections.abc import Iterator

_RESOLVER = "127.9.9.9"

_START = f"""
import sys
from pathlib import Path
from sharectl.drivers.linux.agent.contract import Instance, Section
from sharectl.drivers.linux.agent.host import system_calls
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from sharectl.drivers.linux.agent.smb.server import SambaServer

folder, namespace = sys.argv[1:]
for name, text in (("hosts", "127.0.0.1 localhost\\n"), ("resolv.conf", "nameserver {_RESOLVER}\\n")):
    Path(folder, name).write_text(text)
    system_calls.mount(f"{{folder}}/{{name}}", f"/etc/{{name}}", None, system_calls.BIND)
instance = Instance("main", f"{{folder}}/main", (), namespace)
GaneshaServer(instance).ensure_running(lambda _: True)
samba = SambaServer(instance)
samba.ensure_running(lambda _: True)
samba.ensure_user("alice", "one-Secret")
samba.put(Section("data", folder, frozenset({{"alice"}})))
"""


@contextmanager
def _deaf_resolver(host: Host) -> Iterator[socket.socket]:
    """Give the socket of a name server of the host that answers nothing."""
    found: list[socket.socket] = []

    def listen() -> None:
        system_calls.enter_network(host.namespace_path)
        found.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
        found[0].bind((_RESOLVER, 53))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    with found[0] as resolver:
        yield resolver


def test_no_server_asks_for_a_name_as_it_starts(lab_directory: str, network: Network) -> None:
    """So that none waits for an answer; Ganesha waited for four, of five seconds each."""
    need("ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit")
    host = network.stranger
    with _deaf_resolver(host) as resolver:
        run(
            *("nsenter", f"--net={host.namespace_path}", "--", "unshare", "--mount", "--propagation", "private"),
            *("sh", "-c", WITHOUT_LABS + 'exec "$@"', "sh"),
            *(sys.executable, "-c", _START, lab_directory, host.namespace_path),
        )
        with pytest.raises(BlockingIOError):
            resolver.recv(512)


def test_no_two_servers_are_one_to_their_clients(lab_directory: str) -> None:
    """Although they have one name for their host: a client that took two for one would read from one what is on the other."""
    owners = {Layout(f"{root}/nfs").owner() for root in (f"{lab_directory}/main", f"{lab_directory}/other")}
    assert len(owners) == 2
    assert Layout(f"{lab_directory}/main/nfs").owner() in owners  # the same after a restart
