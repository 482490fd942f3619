"""A repository of manifests in a temporary folder, on which the program itself is run."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.cli.console import environment

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and all that it wrote."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with one simulated backend, whose state file is beside the manifests."""

    path: Path

    def write_backend(self, **config: object) -> None:
        """Write the manifest of backend `sim`; `config` is added to the driver's settings."""
        settings = {"stateFile": "sim.db", "log": True, **config}
        self.write("backend.yaml", "Backend", "sim", {"driver": "simulated", "config": settings, "attempts": 1})

    def write_share(self, name: str, **spec: object) -> None:
        """Write the manifest of a share of one GiB."""
        self.write(f"share-{name}.yaml", "Share", name, {"size": "1GiB", "protocol": "NFS", **spec})

    def write(self, file: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        """Write a manifest; JSON is YAML."""
        document = {"apiVersion": "sharectl/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        (self.path / file).write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))

    def remove(self, name: str) -> None:
        """Remove the manifest of a share."""
        (self.path / f"share-{name}.yaml").unlink()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the program."""
        return subprocess.Popen(
            [sys.executable, "-m", "sharectl", *arguments],
            cwd=self.path,
            env=environment(NO_COLOR="1", PYTHONPATH=str(ROOT)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> Ended:
        """Run the program to its end."""
        with self.start(*arguments) as process:
            text, _ = process.communicate(timeout=300)
        return Ended(process.returncode, text)

    def applied(self) -> None:
        """Apply the manifests."""
        ended = self.run("apply", "--yes")
        assert ended.code == 0, ended.text

    def on_backend(self, query: str) -> list[Any]:
        """Return the first column of a query to the simulated backend; nothing where it was never prepared."""
        if not (self.path / "sim.db").exists():
            return []
        with closing(sqlite3.connect(self.path / "sim.db")) as connection:
            try:
                return [row[0] for row in connection.execute(query)]
            except sqlite3.OperationalError:  # its tables are not there yet
                return []

    def change_backend(self, statement: str) -> None:
        """Change the simulated backend behind the program's back."""
        with closing(sqlite3.connect(self.path / "sim.db")) as connection, connection:
            connection.execute(statement)

    def shares(self) -> list[str]:
        """Return the names of the shares on the backend that are in reach of clients."""
        return self.on_backend("SELECT name FROM shares WHERE trashed_at IS NULL ORDER BY name")
