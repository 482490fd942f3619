"""Which addresses a port is listened on in a network namespace, and by whom, from the kernel's tables: proc(5)."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import system_calls

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_LISTENING: Final = "0A"
_TABLES: Final = ("tcp", "tcp6")
_KERNEL_PORTS: Final = frozenset({2049, 445})  # nfsd and ksmbd
_COMMAND_SECONDS: Final = 30.0


class Listener(NamedTuple):
    """A listening socket: its address as the kernel's table writes it, and its inode."""

    address: str
    inode: str


def listeners_of(pid: int, port: int) -> frozenset[str]:
    """Return the addresses on which the process itself listens at the port, in the kernel's form; none where it has ended."""
    own = set()
    text = ""
    with suppress(FileNotFoundError, ProcessLookupError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - paths are text everywhere in the agent
            with suppress(FileNotFoundError):
                own.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))  # noqa: PTH115 - as above
        text = "".join(Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii") for table in _TABLES)
    return frozenset(found.address for found in _listeners(text, port) if f"socket:[{found.inode}]" in own)


def is_taken(namespace: str | None, addresses: Collection[str], port: int) -> bool:
    """Tell whether somebody listens at the port on one of the addresses; no addresses stand for any.

    smbd shares its port (SO_REUSEPORT), so two of them would start and each get some of the clients. Raises TRANSIENT where
    the tables cannot be read in time.
    """
    there = {found.address for found in _listeners(_tables(namespace), port)}
    return not there.isdisjoint(kernel_form(address) for address in addresses) if addresses else bool(there)


def holder(namespace: str | None, port: int) -> str | None:
    """Return who listens at the port, for people: `smbd (process 123)`; None where nobody does, on whatever address."""
    inodes = {f"socket:[{found.inode}]" for found in _listeners(_tables(namespace), port)}
    if not inodes:
        return None
    holders = sorted(int(name) for name in os.listdir("/proc") if name.isdigit() and _has_any(int(name), inodes))  # noqa: PTH208 - as above
    if not holders:  # the kernel has sockets of its own, which no process holds
        return "the kernel's own server" if port in _KERNEL_PORTS else "a process that cannot be seen from here"
    with suppress(OSError):
        name = Path(f"/proc/{holders[0]}/comm").read_text(encoding="utf-8", errors="replace").strip()
        return f"{name!r} (process {holders[0]})"
    return f"process {holders[0]}"


def missing_address(namespace: str | None, addresses: Iterable[str]) -> Problem | None:
    """Return what to say where an address cannot be listened on, since no interface has it; the kernel is asked by trying.

    An IPv6 address that has just been added may be there and not usable yet: that passes.
    """

    def first_missing() -> str | None:
        if namespace is not None:
            system_calls.enter_network(namespace)
        return next((address for address in addresses if not _can_bind(address)), None)

    with ThreadPoolExecutor(1, "bind") as own_thread:  # which is in the namespace to its end
        address = own_thread.submit(first_missing).result()
    if address is None:
        return None
    where = f" of {namespace}" if namespace is not None else ""
    kind = ProblemKind.TRANSIENT if ":" in address and _comes(namespace, address) else ProblemKind.REFUSED
    return Problem(
        kind, f"no interface{where} has the address {address}; add it to one, or correct the server's addresses"
    )


def _can_bind(address: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as tried:
        try:
            tried.bind((address, 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
        return True


def _comes(namespace: str | None, address: str) -> bool:
    wanted = [socket.inet_pton(socket.AF_INET6, address).hex()]
    return any(line.split()[:1] == wanted for line in _read(namespace, "/proc/net/if_inet6").splitlines())


def _has_any(pid: int, links: Collection[str]) -> bool:
    with suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - as above
            with suppress(FileNotFoundError):
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") in links:  # noqa: PTH115 - as above
                    return True
    return False


def _tables(namespace: str | None) -> str:
    return _read(namespace, *(f"/proc/net/{table}" for table in _TABLES))


def _read(namespace: str | None, *paths: str) -> str:
    """Return files that are others in each network namespace, one after the other; a missing one is empty."""
    enter = ["nsenter", f"--net={namespace}", "--"] if namespace is not None else []
    argv = [*enter, "cat", *paths]
    try:
        result = subprocess.run(argv, capture_output=True, encoding="ascii", check=False, timeout=_COMMAND_SECONDS)  # noqa: S603 - a list of arguments, no shell
    except subprocess.TimeoutExpired:
        message = f"`{' '.join(argv)}` did not end within {_COMMAND_SECONDS:g} s"
        raise Problem(ProblemKind.TRANSIENT, message) from None
    return result.stdout


def kernel_form(address: str) -> str:
    """Return an address as the kernel's table writes it: words of 32 bits in the machine's own order."""
    packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))


def _listeners(tables: str, port: int) -> Iterable[Listener]:
    for line in tables.splitlines():
        fields = line.split()
        address, separator, listened = fields[1].partition(":")
        if separator and fields[3] == _LISTENING and int(listened, 16) == port:
            yield Listener(address, fields[9])
