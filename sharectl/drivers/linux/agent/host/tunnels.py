"""VXLANs of tenants on this host: each with a bridge and its end of the tunnels in a namespace of its own, and packets from known hosts alone."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host.daemons import locked
from sharectl.drivers.linux.agent.host.links import NETNS_ROOT, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sharectl.drivers.linux.agent.host.links import Link

_LOCKS: Final = "/run/sharectl"
_PORT: Final = 4789
_ANY_MAC: Final = "00:00:00:00:00:00"
_MAX_INTERFACE_NAME: Final = 15

# The weakest there are, so that policies of IPsec for these packets go before them.
_ALLOW_PRIORITY: Final = "4000000000"
_BLOCK_PRIORITY: Final = "4000000001"
_POLICY: Final = re.compile(
    r"^src (?P<source>\S+) dst \S+ proto udp dport (?P<port>[0-9]+) *\n\s+dir in .*\bpriority (?P<priority>[0-9]+)\b",
    re.MULTILINE,
)


class Tunnels:
    """The VXLANs whose packets travel in one network of the host, the underlay, to and from one UDP port.

    Nothing of a tenant is in the host's own namespace: the kernel would take what a tenant sends to the bridge for its own,
    whatever address it has. The device alone knows the underlay, in whose namespace it was made.
    """

    def __init__(self, settings: Mapping[str, Any], underlay: str | None) -> None:
        """Touch nothing. `settings` have the local address, the other ends and the port; `underlay` is the path of a namespace."""
        self._local = str(ipaddress.ip_address(settings["local"]))
        self._remotes = {str(ipaddress.ip_address(remote)) for remote in settings.get("remotes", ())}
        self._port = str(settings.get("port", _PORT))
        self._underlay = Namespace(path=underlay)
        self._digest = hashlib.sha256(f"{underlay or ''} {self._port}".encode()).hexdigest()[:8]

    def segment(self, vni: int) -> Namespace:
        """Return the namespace of a VXLAN; other backends that have the same on this host share it."""
        return Namespace(f"sharectl-vxlan{vni}-{self._digest}")

    @contextmanager
    def changing(self, vni: int) -> Iterator[None]:
        """Keep others from changing the VXLAN meanwhile."""
        with self._locked(str(vni)):
            yield

    def ensure(self, vni: int, mtu: int) -> tuple[Namespace, str]:
        """Make the VXLAN, or mend it; return its namespace and its bridge. Precondition: within `changing`."""
        segment, (bridge, tunnel) = self.segment(vni), names_of(vni)
        links = segment.make()
        segment.close()
        segment.silence()
        if bridge not in links:
            segment.ip("link", "add", bridge, "type", "bridge")
        self._carry_over(vni, segment)
        self._filter(forgets=False)
        if tunnel in links and self._differs(links[tunnel], vni):
            segment.ip("link", "del", tunnel)
            del links[tunnel]
        if tunnel not in links:
            ends = ("id", str(vni), "local", self._local, "dstport", self._port)
            self._underlay.ip("link", "add", tunnel, "netns", str(segment.name), "type", "vxlan", *ends)
        segment.ip("link", "set", tunnel, "mtu", str(mtu), "master", bridge, "up")
        segment.ip("link", "set", bridge, "mtu", str(mtu), "up")
        known = self._known(segment, tunnel)
        for word, remotes in (("append", self._remotes - known), ("del", known - self._remotes)):
            for remote in sorted(remotes):
                segment.run("bridge", "fdb", word, _ANY_MAC, "dev", tunnel, "dst", remote)
        if known - self._remotes:
            self._filter(forgets=True)
        return segment, bridge

    def problem(self, vni: int, port: str) -> str:
        """Return what the VXLAN lacks for a share server with this port, empty where it is whole. Changes nothing."""
        segment, (bridge, tunnel) = self.segment(vni), names_of(vni)
        if self._underlay.has(bridge):
            return f"its VXLAN {vni} is in the host's own network, as an older sharectl made it, where tenants reach the host"
        links = segment.links()
        if not {port, tunnel} <= {name for name, link in links.items() if link.master == bridge}:
            return f"the bridge or the tunnel of its VXLAN {vni} is gone"
        if self._differs(links[tunnel], vni) or self._known(segment, tunnel) != self._remotes:
            return f"the tunnel of its VXLAN {vni} has other ends than the settings say"
        if not self._wanted_policies().items() <= self._policies().items():
            return f"the host takes packets for its VXLAN {vni} from anybody"
        return ""

    def remove_unused(self, vni: int) -> None:
        """Remove the VXLAN unless a share server is on it; with the last one goes the filter. Precondition: within `changing`."""
        segment, names = self.segment(vni), names_of(vni)
        found = [(place, place.links()) for place in (segment, self._underlay)]
        if any(link.master == names[0] and name not in names for _, links in found for name, link in links.items()):
            return
        # Not left to the end of the namespace: the kernel comes to that later, and until then the number is taken.
        for place, links in found:
            for name in reversed(names):
                if name in links:
                    place.remove_link(name)
        segment.remove()
        with self._locked("filter"):
            if not self._segments():
                for source in self._policies():
                    self._underlay.ip("xfrm", "policy", "delete", *self._selector(source))

    def _carry_over(self, vni: int, segment: Namespace) -> None:
        """Take what an older sharectl made in the host's own namespace out of it: the ports move, bridge and tunnel are made anew."""
        bridge, tunnel = names_of(vni)
        if not self._underlay.has(bridge):
            return
        old = self._underlay.links()
        for port in sorted(name for name, link in old.items() if link.master == bridge and name != tunnel):
            self._underlay.ip("link", "set", port, "netns", str(segment.name))
        for port in sorted(name for name in segment.links() if name.startswith("scp")):
            segment.ip("link", "set", port, "master", bridge, "up")
        for link in (tunnel, bridge):
            if link in old:
                self._underlay.ip("link", "del", link)

    def _differs(self, tunnel: Link, vni: int) -> bool:
        found = tunnel.tunnel
        return (found.get("id"), found.get("local", found.get("local6")), str(found.get("port"))) != (
            vni,
            self._local,
            self._port,
        )

    @staticmethod
    def _known(segment: Namespace, tunnel: str) -> set[str]:
        """Return the other ends to which the tunnel sends what has no known place."""
        listed = segment.read("bridge", "fdb", "show", "dev", tunnel)
        return {str(entry["dst"]) for entry in listed if entry.get("mac") == _ANY_MAC and "dst" in entry}

    def _filter(self, *, forgets: bool) -> None:
        """Let packets of tunnels in from the other ends alone, by policies of the kernel that every host has (ip-xfrm(8)).

        A tunnel proves nothing: whoever gets a packet to its port is in any tenant's network that the packet names. With `forgets`,
        what is no other end any more is shut out, unless it is one of another backend with the same underlay.
        """
        with self._locked("filter"):
            wanted, found = self._wanted_policies(), self._policies()
            for source in sorted(
                wanted.keys() - found.keys(), key=lambda source: source != self._anybody
            ):  # the block first
                action = "block" if source == self._anybody else "allow"
                words = (*self._selector(source), "priority", wanted[source], "action", action)
                self._underlay.ip("xfrm", "policy", "add", *words)
            former = found.keys() - wanted.keys() if forgets else set()
            others = self._remotes_of_all() if former else set()
            for source in sorted(former):
                if source.partition("/")[0] not in others:
                    self._underlay.ip("xfrm", "policy", "delete", *self._selector(source))

    @property
    def _anybody(self) -> str:
        return "::/0" if ":" in self._local else "0.0.0.0/0"

    def _wanted_policies(self) -> dict[str, str]:
        """Return the priorities of policies by their source."""
        bits = "128" if ":" in self._local else "32"
        return {self._anybody: _BLOCK_PRIORITY, **{f"{remote}/{bits}": _ALLOW_PRIORITY for remote in self._remotes}}

    def _policies(self) -> dict[str, str]:
        """Return those of sharectl's policies that are in force, likewise."""
        listed = self._underlay.ip("xfrm", "policy", "list")
        return {
            match["source"]: match["priority"]
            for match in _POLICY.finditer(listed)
            if match["port"] == self._port
            and match["priority"] in {_ALLOW_PRIORITY, _BLOCK_PRIORITY}
            and (":" in match["source"]) == (":" in self._local)
        }

    def _selector(self, source: str) -> tuple[str, ...]:
        return ("dir", "in", "src", source, "dst", self._anybody, "proto", "udp", "dport", self._port)

    def _remotes_of_all(self) -> set[str]:
        """Return the other ends of all tunnels of this underlay."""
        found = set()
        for segment in self._segments():
            for tunnel in (name for name in segment.links() if name.startswith("scx")):
                found |= self._known(segment, tunnel)
        return found

    def _segments(self) -> list[Namespace]:
        names = os.listdir(NETNS_ROOT) if os.path.isdir(NETNS_ROOT) else []  # noqa: PTH112, PTH208 - paths are text everywhere in the agent
        mine = [name for name in names if re.fullmatch(rf"sharectl-vxlan[0-9]+-{self._digest}", name)]
        return [segment for segment in map(Namespace, sorted(mine)) if segment.links()]

    @contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        os.makedirs(_LOCKS, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        with locked(os.path.join(_LOCKS, f"vxlan-{what}-{self._digest}.lock")):  # noqa: PTH118 - as above
            yield


def tunnels_of(settings: Mapping[str, Any] | None, underlay: str | None) -> Tunnels:
    """Return the tunnels that the settings describe; raises REFUSED where there are none."""
    if settings is None:
        message = "a VXLAN needs tenantNetworks.vxlan in the settings of the backend"
        raise Problem(ProblemKind.REFUSED, message)
    return Tunnels(settings, underlay)


def names_of(vni: int) -> tuple[str, str]:
    """Return the names of the bridge and of the tunnel of a VXLAN."""
    return f"scb{vni}"[:_MAX_INTERFACE_NAME], f"scx{vni}"[:_MAX_INTERFACE_NAME]
