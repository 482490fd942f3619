"""A command on a terminal of its own: typed to, interrupted as from a keyboard, and read until it ends."""

from __future__ import annotations

import os
import pty
import select
import signal
import termios
import time
from subprocess import Popen
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


class Pseudoterminal:
    """Runs a command, and hands over what that writes."""

    def __init__(  # noqa: PLR0913 - what a command and its terminal have
        self,
        command: Sequence[str],
        take: Callable[[bytes], object],
        *,
        columns: int,
        rows: int,
        cwd: Path,
        environ: Mapping[str, str],
        patience_seconds: float,
    ) -> None:
        """Start the command; each wait for it lasts `patience_seconds` at most."""
        self._take = take
        self._patience_seconds = patience_seconds
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (rows, columns))
        self.process = Popen(  # noqa: S603 - sharectl itself
            command, cwd=cwd, env=dict(environ), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)

    def read_until(self, holds: Callable[[], object]) -> bool:
        """Read until the condition holds; False where the command ended before that, or took too long."""
        until = time.monotonic() + self._patience_seconds
        while not holds():
            if not self._read(until):
                return False
        return True

    def type(self, text: str) -> None:
        """Type a text and the enter key."""
        os.write(self._master, text.encode() + b"\n")

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        termios.tcsetwinsize(self._master, (rows, columns))

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Read until the command has ended, and return its exit code. Raises TimeoutError where it does not end."""
        until = time.monotonic() + self._patience_seconds
        while self._read(until):
            pass
        if time.monotonic() > until:
            message = f"the command has not ended within {self._patience_seconds:g} s"
            raise TimeoutError(message)
        os.close(self._master)
        return self.process.wait(self._patience_seconds)

    def _read(self, until: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other end is closed
            return False
        self._take(data)
        return bool(data)
