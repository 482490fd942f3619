"""Which addresses a port is listened on in a network namespace, and by whom, from the kernel's tables: proc(5)."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_LISTENING: Final = "0A"
_TABLES: Final = ("tcp", "tcp6")
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
    enter = ["nsenter", f"--net={namespace}", "--"] if namespace is not None else []
    argv = [*enter, "cat", *(f"/proc/net/{table}" for table in _TABLES)]
    try:
        result = subprocess.run(argv, capture_output=True, encoding="ascii", check=False, timeout=_COMMAND_SECONDS)  # noqa: S603 - a list of arguments, no shell
    except subprocess.TimeoutExpired:
        message = f"`{' '.join(argv)}` did not end within {_COMMAND_SECONDS:g} s"
        raise Problem(ProblemKind.TRANSIENT, message) from None
    there = {found.address for found in _listeners(result.stdout, port)}
    return not there.isdisjoint(kernel_form(address) for address in addresses) if addresses else bool(there)


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
