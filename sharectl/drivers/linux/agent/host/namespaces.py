"""Network namespaces of share servers: made with their port on the tenant's network, checked, mended and removed."""

from __future__ import annotations

import ipaddress
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host.links import NETNS_ROOT, Namespace
from sharectl.drivers.linux.agent.host.tunnels import tunnels_of
from sharectl.drivers.linux.agent.tenant_checks import network_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.drivers.linux.agent.host.tunnels import Tunnels

_INTERFACE: Final = "eth0"
_ID_LENGTH: Final = 10


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a share server, with its subnet and gateway."""

    ip_address: str
    cidr: str
    gateway: str | None

    @property
    def with_prefix(self) -> str:
        """`10.0.0.5/24`, as ip(8) writes it."""
        return f"{self.ip_address}/{ipaddress.ip_network(self.cidr).prefixlen}"


@dataclass(frozen=True, slots=True)
class Segment:
    """The tenant's network on this host: `flat`, `vlan` or `vxlan` with its segmentation id."""

    network_type: str
    segmentation_id: int | None
    mtu: int
    mac_address: str | None = None

    @property
    def vni(self) -> int:
        """The number of a VXLAN; raises REFUSED where there is none."""
        if self.segmentation_id is None:
            raise Problem(ProblemKind.REFUSED, "a VXLAN needs a segmentation id")
        return self.segmentation_id


class TenantNetworks:
    """The host's side of tenants' networks.

    `settings` has `flat` and `vlan` with the name of a bridge (a VLAN's with `{id}` in it), and `vxlan` with the local address, the
    other ends and the port. `switch` is the network namespace in which those bridges are, and the addresses of the tunnels' ends;
    None for the host's own.
    """

    def __init__(self, settings: Mapping[str, Any], switch: str | None) -> None:
        """Touch nothing."""
        self._settings = settings
        self._switch = switch

    def ensure(self, server_id: str, segment: Segment, addresses: Sequence[Address]) -> None:
        """Make the namespace of the share server with its port and addresses, or mend it. Idempotent; raises Problem."""
        server, port = _namespace(server_id), port_name(server_id)
        links = server.make()
        server.close()
        with self._bridge(segment) as (place, bridge):
            if not (place.has(port) and _INTERFACE in links):
                _make_port(server, place, port, has_interface=_INTERFACE in links)
            place.silence(port)
            place.ip("link", "set", port, "mtu", str(segment.mtu), "master", bridge, "up")
        server.ip("link", "set", "lo", "up")
        mac_address = segment.mac_address or _mac_address(server_id)
        server.close(_INTERFACE)
        server.ip("link", "set", _INTERFACE, "mtu", str(segment.mtu), "address", mac_address, "up")
        wanted = {address.with_prefix for address in addresses}
        found = server.links()[_INTERFACE].addresses
        for extra in sorted(found - wanted):
            server.ip("addr", "del", extra, "dev", _INTERFACE)
        for missing in sorted(wanted - found):
            # Without nodad the servers could not bind to an IPv6 address for the second or two of its detection of duplicates.
            server.ip("addr", "add", missing, "dev", _INTERFACE, *(["nodad"] if ":" in missing else []))
        for address in addresses:
            if address.gateway is not None:
                server.ip("route", "replace", "default", "via", address.gateway, "dev", _INTERFACE)
        _announce(server, mac_address)

    def has_namespace(self, server_id: str) -> bool:
        """Tell whether the share server's namespace is there."""
        return bool(_namespace(server_id).links())

    def problem(self, server_id: str, segment: Segment, addresses: Sequence[Address]) -> str:
        """Return what the namespace or its way to the tenant's network lacks, empty where it is whole. Changes nothing."""
        links = _namespace(server_id).links()
        if not links:
            return "its network namespace is gone"
        found = links[_INTERFACE].addresses if _INTERFACE in links else frozenset()
        missing = {address.with_prefix for address in addresses} - found
        if missing:
            return f"its network lacks the address {', '.join(sorted(missing))}"
        if segment.network_type == "vxlan":
            return self._tunnels().problem(segment.vni, port_name(server_id))
        if not Namespace(path=self._switch).has(port_name(server_id)):
            return "its port on the tenant's network is gone"
        return ""

    def remove(self, server_id: str, segment: Segment) -> None:
        """Remove the namespace and the port, and the VXLAN with its tunnel if nothing else is on it."""
        server, port = _namespace(server_id), port_name(server_id)
        if segment.network_type != "vxlan":
            _remove_port(Namespace(path=self._switch), port)
            server.remove()
            return
        tunnels = self._tunnels()
        with tunnels.changing(segment.vni):
            for place in (tunnels.segment(segment.vni), Namespace(path=self._switch)):
                _remove_port(place, port)
            server.remove()
            tunnels.remove_unused(segment.vni)

    def _tunnels(self) -> Tunnels:
        return tunnels_of(self._settings.get("vxlan"), self._switch)

    @contextmanager
    def _bridge(self, segment: Segment) -> Iterator[tuple[Namespace, str]]:
        """Give the bridge of the tenant's network and its namespace; of a VXLAN, which nobody else removes meanwhile, they are made."""
        if segment.network_type == "vxlan":
            tunnels = self._tunnels()
            with tunnels.changing(segment.vni):
                yield tunnels.ensure(segment.vni, segment.mtu)
        else:
            yield Namespace(path=self._switch), self._bridge_of_host(segment)

    def _bridge_of_host(self, segment: Segment) -> str:
        """Return the bridge that an administrator made, closed where the host itself has no address on it; raises REFUSED."""
        refused = network_problem(self._settings, segment.network_type)
        if refused is not None:
            raise Problem(ProblemKind.REFUSED, refused.summary)
        place = Namespace(path=self._switch)
        bridge = str(self._settings[segment.network_type]["bridge"])
        bridge = bridge.replace("{id}", str(segment.segmentation_id))
        found = place.links().get(bridge)
        if found is None:
            message = f"the host has no bridge {bridge!r} for tenants' networks of the type {segment.network_type}; make it, then apply again"
            raise Problem(ProblemKind.REFUSED, message)
        if not found.addresses:
            place.close(bridge)
            place.silence(bridge)
        elif segment.network_type == "vlan":
            message = (
                f"the host has the address {', '.join(sorted(found.addresses))} on {bridge}, at which the tenant of VLAN {segment.segmentation_id} "
                "would reach the host; take it off, or put the bridge into a network namespace and name that in `namespace`"
            )
            raise Problem(ProblemKind.REFUSED, message)
        return bridge


def _make_port(server: Namespace, place: Namespace, port: str, *, has_interface: bool) -> None:
    _remove_port(place, port)
    if has_interface:
        server.remove_link(_INTERFACE)
    place.ip("link", "add", port, "type", "veth", "peer", "name", _INTERFACE, "netns", str(server.name))


def _remove_port(place: Namespace, port: str) -> None:
    if place.has(port):
        place.remove_link(port)


def namespace_name(server_id: str) -> str:
    """Return the name of a share server's network namespace."""
    return f"sharectl-{server_id}"


def namespace_path(server_id: str) -> str:
    """Return the file by which the namespace of a share server is entered."""
    return os.path.join(NETNS_ROOT, namespace_name(server_id))  # noqa: PTH118 - paths are text everywhere in the agent


def _namespace(server_id: str) -> Namespace:
    return Namespace(namespace_name(server_id))


def port_name(server_id: str) -> str:
    """Return the name of the host's end of a share server's port: an interface's name has at most 15 characters."""
    return f"scp{server_id.replace('-', '')[:_ID_LENGTH]}"


def _mac_address(server_id: str) -> str:
    """Return the MAC address of a share server whose network service gave it none: a locally administered one, the same after each repair.

    With another one, clients that know the former would not find the server until their neighbour tables forget it, most of a minute later.
    """
    digits = server_id.replace("-", "")[:_ID_LENGTH]
    return ":".join(["02", *(digits[place : place + 2] for place in range(0, _ID_LENGTH, 2))])


def _announce(server: Namespace, mac_address: str) -> None:
    """Tell the tenant's network which MAC the addresses are at; clients that knew another would look for them there for a minute.

    The kernel does so when a MAC is set (Documentation/networking/ip-sysctl.rst, arp_notify and ndisc_notify), be it the same.
    """
    switches = {f"ipv4/conf/{_INTERFACE}/arp_notify": 1}
    if os.path.isdir("/proc/sys/net/ipv6"):  # noqa: PTH112 - as above
        switches[f"ipv6/conf/{_INTERFACE}/ndisc_notify"] = 1
    server.switch(switches)
    server.ip("link", "set", _INTERFACE, "address", mac_address)
