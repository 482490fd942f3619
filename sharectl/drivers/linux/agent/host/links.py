"""Commands of iproute2, run in the network namespace that they are about: links, their addresses, and what the kernel does with packets."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import system_calls
from sharectl.drivers.linux.agent.host.system_errors import told_as

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NETNS_ROOT: Final = "/run/netns"
_TIMEOUT_SECONDS: Final = 30

# Of all interfaces, of those to come, and of some by name: what would let a machine on the network change routes or pass through.
_CLOSED_IPV4: Final = ("accept_redirects", "secure_redirects", "send_redirects", "accept_source_route", "forwarding")
_CLOSED_IPV6: Final = ("accept_ra", "autoconf", "accept_redirects", "accept_source_route", "forwarding")


class Link(NamedTuple):
    """An interface: its global addresses with their prefixes, the bridge that it is on, and what a tunnel has for its kind."""

    addresses: frozenset[str]
    master: str | None
    tunnel: Mapping[str, Any]

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Link:
        """Return an interface as ip(8) tells it in JSON."""
        infos = plain.get("addr_info", ())
        addresses = {f"{info['local']}/{info['prefixlen']}" for info in infos if info.get("scope") == "global"}
        return cls(frozenset(addresses), plain.get("master"), plain.get("linkinfo", {}).get("info_data", {}))


class Namespace:
    """A network namespace: one with a name of /run/netns, one by its path, or the agent's own (neither)."""

    def __init__(self, name: str | None = None, path: str | None = None) -> None:
        """Touch nothing."""
        self.name = name
        self.path = path if name is None else os.path.join(NETNS_ROOT, name)  # noqa: PTH118 - paths are text everywhere in the agent

    def ip(self, *words: str) -> str:
        """Return what a command of iproute2's main program prints, run there; it must succeed."""
        return self.run("ip", *words)

    def run(self, program: str, *words: str, text: str = "") -> str:
        """Return what a program prints, run there; it must succeed."""
        return _run([*self._entry, program, *words], text)

    def read(self, program: str, *words: str) -> list[dict[str, Any]]:
        """Return what a program of iproute2 prints as JSON."""
        listed: list[dict[str, Any]] = json.loads(self.run(program, "-j", *words) or "[]")
        return listed

    def links(self) -> dict[str, Link]:
        """Return all interfaces by name; none where the namespace is gone. A namespace that is there has at least `lo`."""
        result = _completed([*self._entry, "ip", "-j", "-d", "addr", "show"])
        listed = json.loads(result.stdout or "[]") if result.returncode == 0 else []
        return {str(link["ifname"]): Link.read(link) for link in listed if "ifname" in link}

    def has(self, link: str) -> bool:
        """Tell whether there is an interface of this name."""
        return _completed([*self._entry, "ip", "link", "show", link]).returncode == 0

    def remove_link(self, link: str) -> None:
        """Remove an interface; one that is gone already is not an error.

        A veth goes with its other end, and that with its namespace, at a moment of the kernel's choice.
        """
        result = _completed([*self._entry, "ip", "link", "del", link])
        if result.returncode != 0 and self.has(link):
            self.ip("link", "del", link)  # which says why it stays

    def make(self) -> dict[str, Link]:
        """Make the namespace unless it is there; return its interfaces."""
        if self.name is None or "lo" in (links := self.links()):
            return self.links() if self.name is None else links
        self.remove()  # a name that is left of a namespace that is gone; after a reboot or a crash that is an empty file
        Namespace().ip("netns", "add", self.name)
        return {}

    def remove(self) -> None:
        """Take its name away, with which the namespace ends where nothing runs in it; a missing one is not an error."""
        if self.name is not None and self.path is not None and os.path.lexists(self.path):
            Namespace().ip("netns", "del", self.name)

    def close(self, *links: str) -> None:
        """Believe no router, follow no redirect, pass nothing on: for the namespace as a whole, or for some interfaces alone."""
        scopes = links or ("all", "default")
        found = [f"ipv4/conf/{scope}/{switch}" for scope in scopes for switch in _CLOSED_IPV4]
        self.switch(dict.fromkeys([*found, *_ipv6(scopes, _CLOSED_IPV6)], 0))

    def silence(self, *links: str) -> None:
        """Let interfaces carry frames without any being for the host itself: no IPv6, no answer to ARP, no packet taken in."""
        scopes = links or ("all", "default")
        values = {
            f"ipv4/conf/{scope}/{switch}": value
            for scope in scopes
            for switch, value in (("arp_ignore", 8), ("rp_filter", 1))
        }
        self.switch(values | dict.fromkeys(_ipv6(scopes, ("disable_ipv6",)), 1))

    def switch(self, values: Mapping[str, int]) -> None:
        """Set what the kernel does with packets: numbers by their path below /proc/sys/net (ip-sysctl.rst of the kernel's documentation)."""

        def write() -> None:
            if self.path is not None:
                system_calls.enter_network(self.path)
            # Whoever opens these files sees the interfaces of its own network namespace.
            for path, value in values.items():
                Path("/proc/sys/net", path).write_text(str(value), encoding="ascii")

        with (
            told_as(f"the network namespace {self.path or 'of the host'} cannot be changed"),
            ThreadPoolExecutor(1) as alone,
        ):
            alone.submit(write).result()

    @property
    def _entry(self) -> list[str]:
        return [] if self.path is None else ["nsenter", f"--net={self.path}", "--"]


def _ipv6(scopes: Iterable[str], switches: Sequence[str]) -> list[str]:
    """Return the paths of switches of IPv6, none on a host without it."""
    if not os.path.isdir("/proc/sys/net/ipv6"):  # noqa: PTH112 - as above
        return []
    return [f"ipv6/conf/{scope}/{switch}" for scope in scopes for switch in switches]


def _run(argv: Sequence[str], text: str = "") -> str:
    result = _completed(argv, text)
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or ["no reason given"]
        message = f"`{' '.join(argv)}` failed: {lines[-1]}"
        raise Problem(ProblemKind.REFUSED, message)
    return result.stdout


def _completed(argv: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Return how the command ended, whatever its exit code; raises Problem where it cannot be run, or does not end."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        return subprocess.run(  # noqa: S603 - a list of arguments
            argv, input=text, capture_output=True, text=True, check=False, env=environment, timeout=_TIMEOUT_SECONDS
        )
    except FileNotFoundError:
        package = "util-linux" if argv[0] == "nsenter" else "iproute2"
        message = f"{argv[0]} is not installed on the storage host; install the package {package}"
        raise Problem(ProblemKind.REFUSED, message) from None
    except subprocess.TimeoutExpired:
        message = f"`{' '.join(argv)}` did not end within {_TIMEOUT_SECONDS} s"
        raise Problem(ProblemKind.TRANSIENT, message) from None
