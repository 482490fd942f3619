"""Signs of life of a worker, for its supervisor: systemd's notifications, and a file for probes."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def notify(environ: Mapping[str, str], state: str) -> None:
    """Tell systemd, where it wants to be told (the protocol of sd_notify(3)); a listener that is gone is not waited for."""
    place = environ.get("NOTIFY_SOCKET", "")
    if place[:1] not in {"/", "@"}:
        return
    address = f"\0{place[1:]}" if place[0] == "@" else place
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
        client.settimeout(0)
        client.sendto(state.encode(), address)


class Heartbeat:
    """Beats as long as the worker asks for its claims, answered or not: the file's time is that of the last beat, and it is gone once the worker has ended."""

    def __init__(self, file: Path | None, environ: Mapping[str, str], tell: Callable[[str], object]) -> None:
        """Beat in `file`, unless that is None; `tell` is told once of one that cannot be written."""
        self._file = file
        self._environ = environ
        self._tell = tell
        self._has_told = False
        if file is not None:
            with suppress(OSError):
                file.unlink()  # an earlier worker's, which is no sign of this one

    def __call__(self) -> None:
        """Beat; with the first, systemd takes the unit for started."""
        notify(self._environ, "READY=1\nWATCHDOG=1")
        if self._file is None:
            return
        try:
            os.close(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
            os.utime(self._file)
        except OSError as problem:
            if not self._has_told:
                self._has_told = True
                self._tell(f"the heartbeat file cannot be written: {problem}")

    def stopping(self) -> None:
        """Say that the worker claims nothing more, and finishes what runs."""
        notify(self._environ, "STOPPING=1")

    def ended(self) -> None:
        """Leave no sign of a worker that is none any more."""
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink()
