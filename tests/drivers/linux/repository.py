"""A repository of manifests for a linux backend, and the command line that works on it, as a user has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PASSWORDS = {"ALICE_PASSWORD": "one-Secret", "BOB_PASSWORD": "two-Secret"}


class Repository:
    """Manifests in a folder; every document is a file of its own, written as JSON, which is YAML too."""

    def __init__(self, folder: str, search_path: str = "") -> None:
        """Make the folder; `search_path` is put before PATH."""
        self.folder = Path(folder)
        self.folder.mkdir()
        self.environment = {
            **os.environ,
            **PASSWORDS,
            "PATH": os.pathsep.join(part for part in (search_path, os.environ["PATH"]) if part),
            "NO_COLOR": "1",
        }

    def write(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        """Write or replace a document."""
        document = {"apiVersion": "sharectl/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self._file(kind, name).write_text(json.dumps(document, indent=2), encoding="utf-8")

    def remove(self, kind: str, name: str) -> None:
        """Remove a document."""
        self._file(kind, name).unlink()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run sharectl in the repository, whatever its exit code."""
        argv = [sys.executable, "-m", "sharectl", *words, "-C", str(self.folder)]
        return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=500, env=self.environment)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start sharectl in the repository, for tests that kill it."""
        argv = [sys.executable, "-m", "sharectl", *words, "-C", str(self.folder)]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment)

    def apply(self, *words: str) -> str:
        """Apply, which must succeed; return what was printed."""
        done = self.run("apply", "--yes", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def changes(self) -> int:
        """Return how many steps the next apply would take; planning must succeed."""
        done = self.run("plan", "--output", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        return len(json.loads(done.stdout)["steps"])

    def _file(self, kind: str, name: str) -> Path:
        return self.folder / f"{kind.lower()}-{name}.yaml"
