"""Look host names and netgroups up, for a ClientList that keeps their addresses."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.manifests.access import AccessError, canonical_client
from sharectl.model.diagnostics import error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic

_AT_ONCE: Final = 16
_NETGROUP_SECONDS: Final = 60.0
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")
_TRIPLE: Final = re.compile(r"\(([^,()]*),([^,()]*),([^,()]*)\)")
_NO_HOST: Final = "-"


class Found(NamedTuple):
    """The addresses of each name, sorted, in the order of the names; and an error for each that has none."""

    addresses: Mapping[str, list[str]]
    problems: tuple[Diagnostic, ...]


class UnresolvedError(Exception):
    """A name has no address that a client can have: why, and what to do."""

    def __init__(self, why: str, remedy: str = "") -> None:
        """Carry both."""
        super().__init__(why)
        self.remedy = remedy


def look_up(names: Iterable[str]) -> Found:
    """Ask the name service of this machine for each name, several at a time."""
    wanted = list(dict.fromkeys(names))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(_answer, wanted))
    problems = [
        error("clients.unresolved", f"{name}: {answer}", remedy=answer.remedy)
        for name, answer in zip(wanted, answers, strict=True)
        if isinstance(answer, UnresolvedError)
    ]
    found = {
        name: answer for name, answer in zip(wanted, answers, strict=True) if not isinstance(answer, UnresolvedError)
    }
    return Found(found, tuple(problems))


def _answer(name: str) -> list[str] | UnresolvedError:
    try:
        hosts = _hosts_of_netgroup(name[1:]) if name.startswith("@") else [name]
        found = {address for host in hosts for address in _addresses_of_host(host)}
    except UnresolvedError as problem:
        return problem
    return [str(address) for address in sorted(found, key=lambda address: (address.version, int(address)))]


def _addresses_of_host(host: str) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    if _is_client(host):
        why, remedy = "that is an address or a network, and no name", "write it under spec.clients of the list"
        raise UnresolvedError(why, remedy)
    if not _HOST.fullmatch(host):
        why, remedy = "that is no host name", "name hosts one by one, or write their network under spec.clients"
        raise UnresolvedError(why, remedy)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as failure:
        why = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
        why, remedy = f"{host} does not resolve: {why}", "correct the name, or take it out of the list"
        raise UnresolvedError(why, remedy) from None
    for family, _, _, _, place in found:
        if family in {socket.AF_INET, socket.AF_INET6}:
            yield _client(host, str(place[0]).partition("%")[0])


def _client(host: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address under which a server may see the host. Raises UnresolvedError for one that means another host there, or nobody."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    why = "which is this machine itself" if address.is_loopback else ""
    if address.is_link_local:
        why = "which nobody beyond its own wire sees"
    elif not why:
        try:
            canonical_client(str(address))
        except AccessError as failure:
            why = f"which {failure.summary.partition(' ')[2]}"
    if why:
        remedy = "look it up where the name service gives its address on the network; /etc/hosts may say otherwise"
        why = f"{host} resolves to {address}, {why}"
        raise UnresolvedError(why, remedy)
    return address


def _is_client(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _hosts_of_netgroup(group: str) -> Sequence[str]:
    """Return the hosts of a netgroup and of those in it, as the name service lists them."""
    if not _HOST.fullmatch(group):
        why = "that is no name of a netgroup"
        raise UnresolvedError(why)
    program = shutil.which("getent")
    if program is None:
        why = "netgroups are looked up by `getent`, which is not on this machine"
        raise UnresolvedError(why)
    command, environment = [program, "netgroup", group], {"PATH": os.defpath, "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603 - a list of arguments, and the name of the group is checked
            command, env=environment, capture_output=True, text=True, timeout=_NETGROUP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        why = f"`getent netgroup` said nothing for {_NETGROUP_SECONDS:g} s"
        raise UnresolvedError(why) from None
    triples = _TRIPLE.findall(done.stdout) if done.returncode == 0 else []
    hosts = sorted({host.strip() for host, _, _ in triples} - {_NO_HOST})
    if "" in hosts:
        why, remedy = "it has an entry for any host", "write the networks of its hosts under spec.clients"
        raise UnresolvedError(why, remedy)
    if not hosts:
        why, remedy = "there is no such netgroup, or no host in it", "see `getent netgroup` and /etc/nsswitch.conf"
        raise UnresolvedError(why, remedy)
    return hosts
