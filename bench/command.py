"""One run of a command of sharectl, and what it used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launcher.py")
HERE = Path(__file__).resolve().parent.parent
BYTECODE = Path(tempfile.gettempdir(), "sharectl-bench-bytecode")
"""Compiled modules are kept here, whatever the environment says: an installed sharectl compiles nothing when it starts."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run used, with its children: wall and CPU time in seconds, the peak of memory in bytes, and what it printed."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: bytes


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout of sharectl, and the Python that runs it."""

    path: Path
    python: str

    @classmethod
    def at(cls, path: Path) -> Tree:
        """Return the checkout at `path` with the Python of its own `.venv`."""
        python = path / ".venv" / "bin" / "python"
        if not python.exists():
            message = f"{path} has no .venv: python3 -m venv {path}/.venv && {path}/.venv/bin/pip install -e {path}"
            raise SystemExit(message)
        return cls(path.resolve(), str(python))

    def measured(
        self,
        root: Path,
        *arguments: str,
        exit_code: int = 0,
        environment: dict[str, str] | None = None,
        keep_output: bool = False,
    ) -> Cost:
        """Run sharectl in `root`, which has to end with `exit_code`; what it prints is dropped unless it is to be kept."""
        command = [self.python, "-m", "sharectl", *arguments]
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder, "result.json")
            output = Path(folder, "output") if keep_output else Path(os.devnull)
            with output.open("wb") as stdout:
                subprocess.run(
                    [sys.executable, "-I", "-S", str(LAUNCHER), str(result), *command],
                    cwd=root,
                    stdout=stdout,
                    stderr=subprocess.DEVNULL,
                    env=_environment(environment or {}),
                    check=True,
                )
            found = json.loads(result.read_bytes())
            if found["exit_code"] != exit_code:
                message = f"{' '.join(command)} in {root} ended with {found['exit_code']} instead of {exit_code}"
                raise SystemExit(message)
            return Cost(found["seconds"], found["cpu_seconds"], found["peak_bytes"], output.read_bytes())

    def least_seconds(self, root: Path, *arguments: str, rounds: int = 3) -> float:
        """Return the least wall time of some runs."""
        return min(self.measured(root, *arguments).seconds for _ in range(rounds))


def _environment(more: dict[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**own, "PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": str(BYTECODE), **more}


THIS: Tree = Tree(HERE, sys.executable)
"""The checkout that these benchmarks are part of, run by the Python that runs them."""
