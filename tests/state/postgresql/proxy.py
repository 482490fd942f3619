"""A way to the server that is cut when a transaction is committed: before the server hears of it, or before its answer is heard; or on which nothing is heard any more."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_COMMIT = b"COMMIT\0"
"""The statement as a message of its own, or at the end of one; a transaction begins with READ COMMITTED."""
_BYTES = 1 << 16


class CuttingProxy:
    """Listens on a socket in `folder` and passes everything on to the server's, but cuts the next `cuts` connections at COMMIT."""

    def __init__(self, folder: Path, server: Path, *, port: int = 5432) -> None:
        """Listen."""
        self.folder = folder
        self.cuts = 0
        self.hears_first = True
        self.leaves_server_waiting = False
        self.was_cut = 0
        self.muted_up_to = 0
        self._clients: list[socket.socket] = []
        self._server = str(server / f".s.PGSQL.{port}")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._guard = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more, and end what there is."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or who waits in accept takes one more
        self._listener.close()
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def cut(self, times: int, *, hears_first: bool) -> None:
        """Cut the next connections that commit; with `hears_first`, the server commits and nobody hears of it."""
        self.cuts, self.hears_first = times, hears_first

    def mute(self, *, later_ones_too: bool = True) -> None:
        """Let nothing be heard of the server any more on the connections that there are, and on later ones; all that is said to it arrives."""
        self.muted_up_to = sys.maxsize if later_ones_too else len(self._clients)

    @property
    def accepted(self) -> int:
        """How many connections were made so far."""
        return len(self._clients)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            cut = threading.Event()
            threading.Thread(target=self._forward, args=(client, server, cut), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client, cut, len(self._clients)), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError), client, server:
            while data := client.recv(_BYTES):
                if _COMMIT in data and self._is_cut():
                    if self.hears_first:
                        cut.set()
                        server.sendall(data)
                        continue
                    client.shutdown(socket.SHUT_RDWR)
                    if not self.leaves_server_waiting:
                        server.shutdown(socket.SHUT_RDWR)
                    return
                server.sendall(data)

    def _answer(self, server: socket.socket, client: socket.socket, cut: threading.Event, number: int) -> None:
        with suppress(OSError):
            while data := server.recv(_BYTES):
                if number <= self.muted_up_to:
                    continue
                if cut.is_set():
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)

    def _is_cut(self) -> bool:
        with self._guard:
            if not self.cuts:
                return False
            self.cuts -= 1
            self.was_cut += 1
            return True
