"""Tenants' networks for tests: a namespace with the bridges of the storage host, and clients that are put on a tenant's bridge."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.host.tunnels import Tunnels
from tests.drivers.linux.lab import Host, need, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Switch:
    """A network namespace in which the storage host's bridges are; `mark` is in the names of all clients."""

    mark: str

    @property
    def namespace(self) -> str:
        """Its name."""
        return f"sw-{self.mark}"

    @property
    def path(self) -> str:
        """The file by which it is entered."""
        return f"/run/netns/{self.namespace}"

    def add_bridge(self, name: str) -> None:
        """Make a bridge, as an administrator does for flat networks and VLANs."""
        run("ip", "-n", self.namespace, "link", "add", name, "type", "bridge")
        run("ip", "-n", self.namespace, "link", "set", name, "up")

    def links(self) -> set[str]:
        """Return the names of all interfaces, those in the namespaces of its VXLANs too."""
        return {link for namespace in (self.namespace, *segments_of(self.path)) for link in links_in(namespace)}

    def add_client(self, name: str, bridge: str, address: str) -> Host:
        """Put a client with an address (with its prefix) on a bridge."""
        namespace = f"{name}-{self.mark}"
        place = segment_of(self.path, int(bridge.removeprefix("scb"))) if bridge.startswith("scb") else self.namespace
        run("ip", "netns", "add", namespace)
        run("ip", "-n", place, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "-n", place, "link", "set", name, "master", bridge, "up")
        run("ip", "-n", namespace, "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        plain = address.partition("/")[0]
        return Host(namespace, "" if ":" in plain else plain, plain if ":" in plain else "")


@pytest.fixture
def switch() -> Iterator[Switch]:
    """Give a storage host's network with a bridge for flat networks; everything that carries its mark is removed."""
    with switched() as switch:
        yield switch


@contextmanager
def switched() -> Iterator[Switch]:
    """Yield such a network."""
    need("ip", "nsenter")
    switch = Switch(uuid.uuid4().hex[:6])
    before = namespaces()
    run("ip", "netns", "add", switch.namespace)
    run("ip", "-n", switch.namespace, "link", "set", "lo", "up")
    run("ip", "-n", switch.namespace, "addr", "add", "192.0.2.10/24", "dev", "lo")
    switch.add_bridge("br-flat")
    yield switch
    left = segments_of(switch.path)
    for name in namespaces() - before:
        if name.endswith(switch.mark) or name in left:
            run("ip", "netns", "del", name, check=False)


def segment_of(underlay: str, vni: int) -> str:
    """Return the name of the namespace of a VXLAN."""
    return str(Tunnels({"local": "192.0.2.10"}, underlay).segment(vni).name)


def segments_of(underlay: str) -> list[str]:
    """Return the names of the namespaces of all VXLANs there."""
    mark = segment_of(underlay, 0).rpartition("-")[2]
    return sorted(name for name in namespaces() if name.startswith("sharectl-vxlan") and name.endswith(mark))


def links_in(namespace: str) -> set[str]:
    """Return the names of all interfaces in a namespace; none where it is just going."""
    lines = run("ip", "-n", namespace, "-o", "link", check=False).stdout.splitlines()
    return {line.split(": ")[1].partition("@")[0] for line in lines}


def namespaces() -> set[str]:
    """Return the names of all network namespaces."""
    return {line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines()}
