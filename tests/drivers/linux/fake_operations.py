"""Stands in for the agent's operations: its source is put into the zip that is shipped, and what it does the tests ask for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind


def open_backend(settings: dict[str, Any], _archive: str | None = None) -> FakeBackend:
    """Return the stand-in; refuse where the settings say so."""
    if "refusal" in settings:
        raise Problem(ProblemKind(settings["refusal"]), "the backend cannot be opened")
    return FakeBackend(settings)


class FakeBackend:
    """Methods are requests."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Keep the settings."""
        self.settings = settings

    def call(self, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - parts of documents have many types
        """Do what is asked."""
        return getattr(self, method)(**params)

    def close(self) -> None:
        """Leave a trace where the settings name a file."""
        if "closed" in self.settings:
            Path(self.settings["closed"]).touch()

    def echo(self, value: Any) -> Any:  # noqa: ANN401 - parts of documents have many types
        """Return what was sent."""
        return value

    def fail(self, kind: str, message: str) -> None:
        """Have a problem."""
        raise Problem(ProblemKind(kind), message)

    def crash(self, message: str) -> None:
        """Have a programming error."""
        raise RuntimeError(message)

    def leave(self) -> None:
        """Try to end the process in the middle of a call."""
        raise SystemExit(3)

    def unspeakable(self) -> object:
        """Return what JSON cannot say."""
        return object()

    def wait(self, started: str, until: str) -> str:
        """Make the file `started`, and return once the file `until` is there; then the file `until`.done is there too."""
        Path(started).touch()
        while not Path(until).exists():
            time.sleep(0.002)
        Path(f"{until}.done").touch()
        return "waited"

    def touch(self, path: str) -> None:
        """Make a file."""
        Path(path).touch()

    def text(self, size: int) -> str:
        """Return so many characters."""
        return "x" * size

    def chatter(self) -> str:
        """Print, let a child print, and return what a child reads from its standard input."""
        print("printed by the agent")  # noqa: T201 - a program prints
        sys.stdout.flush()
        subprocess.run(["echo", "printed by a child"], check=True)  # noqa: S607 - found by PATH, as in the agent
        return subprocess.run(["cat"], check=True, capture_output=True, text=True).stdout  # noqa: S607 - found by PATH, as in the agent

    def facts(self) -> dict[str, Any]:
        """Return what the process is like."""
        return {
            "pid": os.getpid(),
            "session": os.getsid(0),
            "environment": dict(os.environ),
            "folder": os.getcwd(),  # noqa: PTH109 - text as in the agent
            "path": sys.path[0],
            "threads": threading.active_count(),
            "settings": self.settings,
        }
