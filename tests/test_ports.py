"""Ports for servers that are told theirs when they start: nobody has them, and no connection is given one."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tests import ports
from tests.ports import free_ports

if TYPE_CHECKING:
    import pytest


def test_they_differ_and_can_be_listened_on() -> None:
    """All at once."""
    found = free_ports(40)
    servers = [socket.create_server(("127.0.0.1", port)) for port in found]
    for server in servers:
        server.close()
    assert len({*found}) == 40


def test_one_that_is_taken_is_not_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few there are."""
    taken, free = free_ports(2)
    monkeypatch.setattr(ports, "_RANGE", [taken, free])
    with socket.create_server(("127.0.0.1", taken)):
        assert free_ports(2) == [free]


def test_the_kernel_gives_them_to_no_client() -> None:
    """Its own begin above."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(free_ports(40)) < first
