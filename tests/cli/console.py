"""The console as its user has it: commands in this process, in processes of their own, and on a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharectl.cli import main
from tests.outputs import check_outputs
from tools.pseudoterminal import Pseudoterminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pytest

PATIENCE_SECONDS = 300.0
COMMAND = [sys.executable, "-m", "sharectl"]
GATED = """\
import importlib, sys, time
from pathlib import Path
from sharectl.cli import main

name = sys.argv.pop(1)
driver = getattr(importlib.import_module(f"sharectl.drivers.{name}.driver"), name.capitalize() + "Driver")
make = driver.create_share

def held(self, request):
    Path("at-" + request.name).touch()
    while not Path("go").exists():
        time.sleep(0.02)
    return make(self, request)

driver.create_share = held
raise SystemExit(main(sys.argv[1:]))
"""
"""A sharectl that makes no share before there is a file `go`."""
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

    def __init__(
        self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, command: Sequence[str] = COMMAND
    ) -> None:
        """Start the command."""
        self._seen = bytearray()
        self._pseudoterminal = Pseudoterminal(
            [*command, *arguments],
            self._seen.extend,
            columns=120,
            rows=40,
            cwd=cwd,
            environ=environment(TERM="xterm", **(env or {})),
            patience_seconds=PATIENCE_SECONDS,
        )
        self.process = self._pseudoterminal.process
        self.type = self._pseudoterminal.type
        self.interrupt = self._pseudoterminal.interrupt

    @property
    def text(self) -> str:
        """What has been shown until now, without colours."""
        return _ESCAPE.sub("", self.raw).replace("\r\n", "\n")

    @property
    def raw(self) -> str:
        """What has been shown until now."""
        return self._seen.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        """Read until `text` has been shown."""
        assert self._pseudoterminal.read_until(lambda: text in self.text), f"{text!r} was not shown:\n{self.text}"

    def end(self) -> int:
        """Wait until the command has ended, and return its exit code."""
        try:
            return self._pseudoterminal.end()
        except TimeoutError as error:
            error.add_note(self.text)
            raise
