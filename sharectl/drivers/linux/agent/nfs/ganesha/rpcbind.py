"""The rpcbind of a Ganesha that speaks NFSv3: a process of its own, which tells clients the ports of this server and of no other."""

from __future__ import annotations

import os
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import daemons, own_mounts, sockets

if TYPE_CHECKING:
    from collections.abc import Iterable

PORT: Final = 111
"""The one at which clients ask; there is no other."""

_PROGRAM: Final = "rpcbind"
_SOCKET: Final = "rpcbind.sock"
_SECONDS: Final = 10.0
_PEER: Final = struct.Struct("=iII")  # struct ucred
_NETCONFIG: Final = (
    "tcp tpi_cots_ord v inet tcp - -\ntcp6 tpi_cots_ord v inet6 tcp - -\nlocal tpi_cots_ord - loopback - - -\n"
)
"""No UDP, over which anybody could have it answer at length to somebody else's address."""


class Rpcbind:
    """One rpcbind, which a server finds in a /run of its own. Who starts or stops it holds the lock of the server."""

    def __init__(self, folder: str) -> None:
        """Start nothing; `folder` is private to root."""
        self._folder = folder
        self._run = os.path.join(folder, "run")  # noqa: PTH118 - paths are text everywhere in the agent

    @property
    def shown(self) -> tuple[tuple[str, str], ...]:
        """What the server has to see in place of the host's (see `own_mounts.enter`)."""
        return ((self._run, "/run"),)

    def is_alive(self) -> bool:
        """Tell whether it lives."""
        return self._pid() is not None

    def start(self, program: str, namespace: str | None) -> None:
        """Start it anew in the network namespace; raises CONFLICT where somebody else listens at its port."""
        self.stop()
        self._check_port(namespace)
        os.makedirs(self._run, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        netconfig, output = (os.path.join(self._folder, name) for name in ("netconfig", "output"))  # noqa: PTH118 - as above
        daemons.write_atomically(netconfig, _NETCONFIG, 0o644)
        for name in (_SOCKET, "rpcbind.lock"):
            Path(self._run, name).unlink(missing_ok=True)
        daemons.start(
            ("env", f"--chdir={self._folder}", program, "-f"),
            namespace=namespace,
            output_path=output,
            enter_mounts=lambda: own_mounts.enter([self._folder], (*self.shown, (netconfig, "/etc/netconfig"))),
        )
        if not daemons.holds_within(lambda: self.is_alive() and sockets.is_taken(namespace, (), PORT), _SECONDS):
            self._check_port(namespace)
            told = Path(output).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            message = (
                f"rpcbind does not start, without which there is no NFSv3: {told[-1] if told else 'it says nothing'}"
            )
            raise Problem(ProblemKind.UNAVAILABLE, message)

    def stop(self) -> None:
        """Stop it; one that does not run is not an error."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            found = list(self._processes())
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if not found or daemons.holds_within(lambda: not any(self._processes()), _SECONDS):
                return
        message = f"the rpcbind of {self._folder} does not end"
        raise Problem(ProblemKind.TRANSIENT, message)

    def _pid(self) -> int | None:
        """Return the process that listens at its socket."""
        try:
            folder = os.open(self._run, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
                asked.settimeout(_SECONDS)
                asked.connect(f"/proc/self/fd/{folder}/{_SOCKET}")  # the path itself may be too long for a socket
                pid, _user, _group = _PEER.unpack(asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
                return int(pid)
        except OSError:
            return None
        finally:
            os.close(folder)

    def _processes(self) -> Iterable[int]:
        """Yield who listens at its socket, and who works in its folder, into which root alone can put one; it is not root's for long."""
        pid = self._pid()
        if pid is not None:
            yield pid
        try:
            here = os.stat(self._folder)  # noqa: PTH116 - as above
        except FileNotFoundError:
            return
        for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):  # noqa: PTH208 - as above
            with suppress(OSError):
                there = os.stat(f"/proc/{pid}/cwd")  # noqa: PTH116 - as above
                name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
                if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) and name in {_PROGRAM, "env"}:
                    yield pid

    @staticmethod
    def _check_port(namespace: str | None) -> None:
        holder = sockets.holder(namespace, PORT)
        if holder is None:
            return
        where = f" of {namespace}" if namespace is not None else ""
        message = (
            f"NFSv3 needs a port {PORT}{where} of its own, which is in use by {holder}; stop that (on Debian: "
            "systemctl disable --now rpcbind.service rpcbind.socket), give the backend a network namespace or share servers, or take 3 out of nfs.versions"
        )
        raise Problem(ProblemKind.CONFLICT, message)
