"""The console as its user has it: commands in this process, in processes of their own, and on a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharectl.cli import main
from tests.outputs import check_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

PATIENCE_SECONDS = 60.0
COMMAND = [sys.executable, "-m", "sharectl"]
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Console:
    """Runs commands in this process, from the folder `root`."""

    root: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Ended:
        """Run a command, and return what came of it."""
        self.capture.readouterr()
        code = main(["-C", str(self.root), *arguments])
        seen = self.capture.readouterr()
        check_outputs(seen.out)
        return Ended(code, seen.out, seen.err)

    def write(self, name: str, text: str) -> Path:
        """Write a file under the root."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of the tests without what would colour or widen the output."""
    unwanted = {
        "NO_COLOR",
        "FORCE_COLOR",
        "COLUMNS",
        "SHARECTL_DEBUG",
        "GITHUB_RUN_ID",
        "GITHUB_STEP_SUMMARY",
        "GITHUB_ACTIONS",
    }
    return {name: value for name, value in os.environ.items() if name not in unwanted} | changes


def run(*arguments: str, cwd: Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Ended:
    """Run a command in a process of its own."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        input=stdin,
        env=environment(**(env or {})),
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
    check_outputs(ended.out)
    return ended


class Terminal:
    """A command on a terminal of its own, typed to and watched; Ctrl-C reaches it as from a keyboard."""

    def __init__(self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        """Start the command."""
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 120))
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            env=environment(TERM="xterm", **(env or {})),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._seen = b""

    @property
    def text(self) -> str:
        """What has been shown until now, without colours."""
        return _ESCAPE.sub("", self._seen.decode(errors="replace")).replace("\r\n", "\n")

    @property
    def raw(self) -> str:
        """What has been shown until now."""
        return self._seen.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        """Read until `text` has been shown."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.text:
            if not self._read(deadline):
                message = f"{text!r} was not shown:\n{self.text}"
                raise AssertionError(message)

    def type(self, text: str) -> None:
        """Type a text and the enter key."""
        os.write(self._master, text.encode() + b"\n")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Wait until the command has ended, and return its exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._read(deadline):
            pass
        if time.monotonic() > deadline:
            message = f"the command did not end:\n{self.text}"
            raise AssertionError(message)
        os.close(self._master)
        return self.process.wait(PATIENCE_SECONDS)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other end is closed
            return False
        self._seen += data
        return bool(data)
