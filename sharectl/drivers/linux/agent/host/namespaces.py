"""Network namespaces of share servers: made with their port on the tenant's network, checked, mended and removed; by ip(8)."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NETNS_ROOT: Final = "/run/netns"
_INTERFACE: Final = "eth0"
_TIMEOUT_SECONDS: Final = 30
_ID_LENGTH: Final = 10
_MAX_INTERFACE_NAME: Final = 15
_VXLAN_PORT: Final = 4789


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


class TenantNetworks:
    """The host's side of tenants' networks.

    `settings` has `flat` and `vlan` with the name of a bridge (a VLAN's with `{id}` in it), and `vxlan` with the local address, the
    other ends and the port. `switch` is the network namespace in which bridges and tunnels are, None for the host's own.
    """

    def __init__(self, settings: Mapping[str, Any], switch: str | None) -> None:
        """Touch nothing."""
        self._settings = settings
        self._switch = switch

    def ensure(self, server_id: str, segment: Segment, addresses: Sequence[Address]) -> None:
        """Make the namespace of the share server with its port and addresses, or mend it. Idempotent; raises Problem."""
        name = namespace_name(server_id)
        if not _is_namespace(name):
            _remove_namespace(name)  # a name that is left of a namespace that is gone
            _ip("netns", "add", name)
        bridge = self._ensure_bridge(segment)
        self._ensure_port(name, port_name(server_id), bridge, segment)
        _ip("-n", name, "link", "set", "lo", "up")
        link = ["-n", name, "link", "set", _INTERFACE, "mtu", str(segment.mtu)]
        _ip(*link, "address", segment.mac_address or _mac_address(server_id), "up")
        wanted = {address.with_prefix for address in addresses}
        found = _addresses(name)
        for extra in sorted(found - wanted):
            _ip("-n", name, "addr", "del", extra, "dev", _INTERFACE)
        for missing in sorted(wanted - found):
            # Without nodad the servers could not bind to an IPv6 address for the second or two of its detection of duplicates.
            _ip("-n", name, "addr", "add", missing, "dev", _INTERFACE, *(["nodad"] if ":" in missing else []))
        for address in addresses:
            if address.gateway is not None:
                _ip("-n", name, "route", "replace", "default", "via", address.gateway, "dev", _INTERFACE)
        _announce(name, segment.mac_address or _mac_address(server_id))

    def has_namespace(self, server_id: str) -> bool:
        """Tell whether the share server's namespace is there."""
        return _is_namespace(namespace_name(server_id))

    def problem(self, server_id: str, segment: Segment, addresses: Sequence[Address]) -> str:
        """Return what the namespace or its way to the tenant's network lacks, empty where it is whole. Changes nothing."""
        name = namespace_name(server_id)
        if not _is_namespace(name):
            return "its network namespace is gone"
        missing = {address.with_prefix for address in addresses} - _addresses(name)
        if missing:
            return f"its network lacks the address {', '.join(sorted(missing))}"
        if not _has_link(self._prefix, port_name(server_id)):
            return "its port on the tenant's network is gone"
        if segment.network_type == "vxlan":
            bridge, tunnel = _tunnel_names(segment.segmentation_id or 0)
            if not {port_name(server_id), tunnel} <= self._ports_of(bridge):
                return f"the bridge or the tunnel of its VXLAN {segment.segmentation_id} is gone"
        return ""

    def remove(self, server_id: str, segment: Segment) -> None:
        """Remove the namespace and the port, and the bridge and tunnel that sharectl made if nothing else is on them."""
        if _has_link(self._prefix, port_name(server_id)):
            _run([*self._prefix, "link", "del", port_name(server_id)])
        _remove_namespace(namespace_name(server_id))
        if segment.network_type == "vxlan":
            self._remove_unused_tunnel(segment)

    @property
    def _prefix(self) -> list[str]:
        """The command that works on the bridges."""
        return ["ip"] if self._switch is None else ["nsenter", f"--net={self._switch}", "--", "ip"]

    def _ensure_bridge(self, segment: Segment) -> str:
        if segment.network_type == "vxlan":
            return self._ensure_tunnel(segment)
        if segment.network_type not in self._settings:
            message = (
                f"the backend has no tenant network of the type {segment.network_type!r}; its settings have "
                f"{', '.join(sorted(self._settings)) or 'none'} (tenantNetworks)"
            )
            raise Problem(ProblemKind.REFUSED, message)
        bridge = str(self._settings[segment.network_type]["bridge"])
        bridge = bridge.replace("{id}", str(segment.segmentation_id))
        if not _has_link(self._prefix, bridge):
            message = f"the host has no bridge {bridge!r} for tenants' networks of the type {segment.network_type}; make it, then apply again"
            raise Problem(ProblemKind.REFUSED, message)
        return bridge

    def _ensure_tunnel(self, segment: Segment) -> str:
        vxlan = self._settings.get("vxlan")
        if vxlan is None or segment.segmentation_id is None:
            message = "a VXLAN needs a segmentation id, and tenantNetworks.vxlan in the settings of the backend"
            raise Problem(ProblemKind.REFUSED, message)
        bridge, tunnel = _tunnel_names(segment.segmentation_id)
        if not _has_link(self._prefix, bridge):
            self._add("link", "add", bridge, "type", "bridge")
        if not _has_link(self._prefix, tunnel):
            self._add(
                *("link", "add", tunnel, "type", "vxlan", "id", str(segment.segmentation_id)),
                *("local", vxlan["local"], "dstport", str(vxlan.get("port", _VXLAN_PORT))),
            )
        self._do("link", "set", tunnel, "mtu", str(segment.mtu), "master", bridge, "up")
        self._do("link", "set", bridge, "mtu", str(segment.mtu), "up")
        self._flood(tunnel, vxlan.get("remotes", ()))
        return bridge

    def _flood(self, tunnel: str, remotes: Sequence[str]) -> None:
        """Send what has no known place to all other ends of the tunnel."""
        listed = json.loads(_run([*self._bridge_command(), "-j", "fdb", "show", "dev", tunnel]) or "[]")
        known = {entry.get("dst") for entry in listed if entry.get("mac") == "00:00:00:00:00:00"}
        for remote in remotes:
            if remote not in known:
                _run([*self._bridge_command(), "fdb", "append", "00:00:00:00:00:00", "dev", tunnel, "dst", remote])

    def _bridge_command(self) -> list[str]:
        return [*self._prefix[:-1], "bridge"]

    def _remove_unused_tunnel(self, segment: Segment) -> None:
        bridge, tunnel = _tunnel_names(segment.segmentation_id or 0)
        if self._ports_of(bridge) <= {tunnel}:
            for link in (tunnel, bridge):
                if _has_link(self._prefix, link):
                    self._do("link", "del", link)

    def _ports_of(self, bridge: str) -> set[str]:
        """Return the names of the interfaces on a bridge; none where there is no such bridge."""
        if not _has_link(self._prefix, bridge):
            return set()
        ports = json.loads(_run([*self._prefix, "-j", "link", "show", "master", bridge]) or "[]")
        return {port["ifname"] for port in ports}

    def _ensure_port(self, name: str, port: str, bridge: str, segment: Segment) -> None:
        there = _has_link(self._prefix, port), _has_link(["ip", "-n", name], _INTERFACE)
        if there != (True, True):
            if there[0]:
                self._do("link", "del", port)
            if there[1]:
                _ip("-n", name, "link", "del", _INTERFACE)
            self._do("link", "add", port, "type", "veth", "peer", "name", _INTERFACE, "netns", name)
        self._do("link", "set", port, "mtu", str(segment.mtu), "master", bridge, "up")

    def _do(self, *words: str) -> None:
        _run([*self._prefix, *words])

    def _add(self, *words: str) -> None:
        """Add a link; that another process added it a moment ago is not an error."""
        try:
            self._do(*words)
        except Problem:
            if not _has_link(self._prefix, words[2]):
                raise


def namespace_name(server_id: str) -> str:
    """Return the name of a share server's network namespace."""
    return f"sharectl-{server_id}"


def namespace_path(server_id: str) -> str:
    """Return the file by which the namespace of a share server is entered."""
    return os.path.join(_NETNS_ROOT, namespace_name(server_id))  # noqa: PTH118 - paths are text everywhere in the agent


def port_name(server_id: str) -> str:
    """Return the name of the host's end of a share server's port: an interface's name has at most 15 characters."""
    return f"scp{server_id.replace('-', '')[:_ID_LENGTH]}"


def _mac_address(server_id: str) -> str:
    """Return the MAC address of a share server whose network service gave it none: a locally administered one, the same after each repair.

    With another one, clients that know the former would not find the server until their neighbour tables forget it, most of a minute later.
    """
    digits = server_id.replace("-", "")[:_ID_LENGTH]
    return ":".join(["02", *(digits[place : place + 2] for place in range(0, _ID_LENGTH, 2))])


def _tunnel_names(segmentation_id: int) -> tuple[str, str]:
    return f"scb{segmentation_id}"[:_MAX_INTERFACE_NAME], f"scx{segmentation_id}"[:_MAX_INTERFACE_NAME]


def _is_namespace(name: str) -> bool:
    """Tell whether the name is that of a namespace; after a reboot or a crash an empty file may be left."""
    return _has_link(["ip", "-n", name], "lo")


def _remove_namespace(name: str) -> None:
    path = os.path.join(_NETNS_ROOT, name)  # noqa: PTH118 - as above
    if os.path.lexists(path):
        _ip("netns", "del", name)


def _addresses(name: str) -> set[str]:
    """Return the global addresses of a share server's interface, with their prefixes; none where there is no such interface."""
    if not _has_link(["ip", "-n", name], _INTERFACE):
        return set()
    links = json.loads(_run(["ip", "-n", name, "-j", "addr", "show", "dev", _INTERFACE]) or "[]")
    return {
        f"{info['local']}/{info['prefixlen']}"
        for link in links
        for info in link.get("addr_info", ())
        if info.get("scope") == "global"
    }


def _announce(name: str, mac_address: str) -> None:
    """Tell the tenant's network which MAC the addresses are at; clients that knew another would look for them there for a minute.

    The kernel does so when a MAC is set (Documentation/networking/ip-sysctl.rst, arp_notify and ndisc_notify), be it the same.
    """
    switches = [f"/proc/sys/net/ipv4/conf/{_INTERFACE}/arp_notify"]
    if os.path.isdir("/proc/sys/net/ipv6"):  # noqa: PTH112 - as above
        switches.append(f"/proc/sys/net/ipv6/conf/{_INTERFACE}/ndisc_notify")
    # Whoever opens these files sees the interfaces of its own network namespace.
    _run(["nsenter", f"--net={os.path.join(_NETNS_ROOT, name)}", "--", "tee", *switches], "1")  # noqa: PTH118 - as above
    _ip("-n", name, "link", "set", _INTERFACE, "address", mac_address)


def _has_link(prefix: Sequence[str], link: str) -> bool:
    return _completed([*prefix, "link", "show", link]).returncode == 0


def _ip(*words: str) -> str:
    return _run(["ip", *words])


def _run(argv: Sequence[str], text: str = "") -> str:
    result = _completed(argv, text)
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or ["no reason given"]
        message = f"`{' '.join(argv)}` failed: {lines[-1]}"
        raise Problem(ProblemKind.REFUSED, message)
    return result.stdout


def _completed(argv: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Return how the command ended, whatever its exit code; raises Problem where it cannot be run, or does not end."""
    try:
        return subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS)  # noqa: S603 - a list of arguments
    except FileNotFoundError:
        message = f"{argv[0]} is not on the storage host; install iproute2 and util-linux"
        raise Problem(ProblemKind.REFUSED, message) from None
    except subprocess.TimeoutExpired:
        message = f"`{' '.join(argv)}` did not end within {_TIMEOUT_SECONDS} s"
        raise Problem(ProblemKind.TRANSIENT, message) from None
