"""Gates at each step of the protocol, at which a process asks whether it may go on; whoever holds them may kill it there, or others."""

from __future__ import annotations

import os
import socket
import socketserver
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VARIABLE = "SHARECTL_TESTS_GATES"
WORKER_POINTS = ("claimed", "begun", "made", "finished", "acknowledged", "renewed")
COORDINATOR_POINTS = ("offered", "hinted", "answered", "recording", "recorded")


def pass_gate(point: str, subject: str = "-") -> None:
    """Ask at a point whether to go on with what is about `subject`; without anybody to ask, go on."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(f"{point} {os.getpid()} {subject}\n".encode())
            connection.recv(1)
    except OSError:
        return


class Gates:
    """Open all of them, but for the one that `arm` names: what comes to that one first meets its fault, and goes on then."""

    def __init__(self, path: Path) -> None:
        """Listen at `path`."""
        self._mutex = threading.Lock()
        self._point = ""
        self._fault: Callable[[int, str], None] | None = None
        self._met = threading.Event()
        self.seen: Callable[[str, int, str], object] = lambda _point, _process_id, _subject: None
        gates = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                told = self.rfile.readline().decode().split()
                if len(told) != 3:
                    return  # whoever asked was killed
                gates.passed(told[0], int(told[1]), told[2])
                try:
                    self.wfile.write(b".")
                except OSError:
                    return

        class Listener(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

        self._listener = Listener(str(path), Handler)
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Let everybody through."""
        self._listener.shutdown()
        self._listener.server_close()

    def passed(self, point: str, process_id: int, subject: str) -> None:
        """Hold whoever comes to the armed point until its fault is over; `seen` is told of all."""
        self.seen(point, process_id, subject)
        with self._mutex:
            if point != self._point or self._fault is None:
                return
            fault, self._fault = self._fault, None
        try:
            fault(process_id, subject)
        finally:
            self._met.set()

    def arm(self, point: str, fault: Callable[[int, str], None]) -> threading.Event:
        """Let `fault` befall the process that comes to `point` next; the event tells that it is over."""
        with self._mutex:
            self._point, self._fault, self._met = point, fault, threading.Event()
            return self._met

    def disarm(self) -> bool:
        """Open the armed gate; False where somebody is at it already."""
        with self._mutex:
            was_armed = self._fault is not None
            self._fault = None
            return was_armed
