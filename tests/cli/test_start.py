"""How little a command loads before it does anything: every command waits for that, and so does whoever runs it in a loop."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.console import COMMAND, environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NEVER = "pydantic", "networkx", "asyncio", "opentelemetry", "requests"
"""Modules that no command of a small, sound repository has a use for."""

DRAWING = ("rich",)
YAML = ("jsonschema", "ruamel", "yaml")
"""Modules for manifests that have changed or are wrong."""

MANIFESTS = (*YAML, "jsonschema_rs", "sharectl.manifests.loader", "sharectl.drivers")
SLOW = ("jsonschema_rs", "pkgutil", "concurrent", "email", "secrets", "random")
"""Modules that bring many others, and of which a command that finds nothing new has no use."""

PLANNING = ("sharectl.planner", "sharectl.scheduler", "sharectl.plan")
PLACING = ("sharectl.scheduler.engine", "sharectl.scheduler.filters")
"""What a command needs that places a new share, or explains where one would go."""

APPLYING = ("sharectl.apply", "sharectl.executors.lanes", "sharectl.engine.loop", "sharectl.render.progress")

GRAMMAR_LEFT = "assert tokenize._compile.cache_info().currsize == 0"
"""Python compiles the grammar of its tokens for the docstring of a `dataclasses.dataclass` that has none: that takes a millisecond."""

ROUNDS = 5
MOST_TYPERS = 3.5
"""A command that has nothing to do may take so many times as long as importing the command-line library alone."""


def unmeasured() -> dict[str, str]:
    """Return an environment without the measuring of coverage, which loads modules of its own and slows down only sharectl's."""
    return {name: value for name, value in environment().items() if not name.startswith("COV")}


def loaded_by(root: Path, arguments: Sequence[str]) -> set[str]:
    """Run a command that succeeds, and return the modules that it has loaded."""
    code = f"import sys, tokenize\nfrom sharectl.cli import main\nassert main({list(arguments)}) == 0\n{GRAMMAR_LEFT}\nprint('loaded:', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=unmeasured(), capture_output=True, text=True, check=True
    )
    return set(done.stdout.rpartition("loaded:")[2].split())


def cpu_seconds(root: Path, *commands: Sequence[str]) -> list[float]:
    """Return the processor time of each command, the best of some rounds: a busy machine takes time from it, and gives none.

    They take turns, so that it is as busy for one as for another.
    """
    rounds = [[_cpu_seconds(root, each) for each in commands] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def _cpu_seconds(root: Path, command: Sequence[str]) -> float:
    process = subprocess.Popen(command, cwd=root, env=unmeasured(), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository that has been applied, with its manifests in the cache."""
    root = tmp_path_factory.mktemp("start")
    for arguments in (("init",), ("apply", "--yes"), ("plan",)):
        subprocess.run([*COMMAND, *arguments], cwd=root, env=unmeasured(), capture_output=True, check=True)
    return root


@pytest.mark.parametrize(
    ("command", "unused"),
    [
        ("--help", (*NEVER, *DRAWING, *MANIFESTS, *PLANNING, *APPLYING)),
        ("plan --help", (*NEVER, *DRAWING, *MANIFESTS, *PLANNING, *APPLYING)),
        ("lock status", (*NEVER, *DRAWING, *MANIFESTS, *PLANNING, *APPLYING)),
        ("history", (*NEVER, *DRAWING, *MANIFESTS, *PLANNING, *APPLYING)),
        ("state list", (*NEVER, *DRAWING, *MANIFESTS[:-1], "sharectl.scheduler", "sharectl.plan", *APPLYING)),
        ("mounts", (*NEVER, *DRAWING, *YAML, "sharectl.scheduler", "sharectl.plan", *APPLYING)),
        ("validate", (*NEVER, *DRAWING, *YAML, *SLOW, "sharectl.scheduler", "sharectl.plan", *APPLYING)),
        ("plan", (*NEVER, *DRAWING, *YAML, *SLOW, *PLACING, *APPLYING)),
        ("refresh", (*NEVER, *DRAWING, *YAML, *SLOW, *PLACING, *APPLYING)),
        ("apply --yes", (*NEVER, *DRAWING, *YAML, *SLOW, *PLACING, *APPLYING)),
        ("pools", (*NEVER, *DRAWING, *YAML, *SLOW, "sharectl.plan", *PLACING, *APPLYING)),
        ("show share/projects", (*NEVER, *DRAWING, *YAML, *APPLYING)),
    ],
)
def test_a_command_loads_only_what_it_uses(repository: Path, command: str, unused: tuple[str, ...]) -> None:
    """What is heavy is imported where it is used, and by no command besides."""
    assert loaded_by(repository, command.split()) & {*unused} == set()


def test_a_first_command_does_not_load_what_explains_mistakes(tmp_path: Path) -> None:
    """Where there are none: what it brings takes longer to load than all manifests of a repository to check."""
    subprocess.run([*COMMAND, "init"], cwd=tmp_path, env=unmeasured(), capture_output=True, check=True)
    assert (tmp_path / "sharectl.yaml").is_file()
    assert "jsonschema" not in loaded_by(tmp_path, ["validate"])


@pytest.mark.parametrize(
    ("command", "most"),
    [
        ("--help", 14),
        ("history", 70),
        ("state list", 73),
        ("validate", 123),
        ("plan", 141),
        ("apply --yes", 149),
    ],
)
def test_a_command_loads_few_modules(repository: Path, command: str, most: int) -> None:
    """Each module of the package takes a third of a millisecond, whatever it holds: join small ones before you raise a number."""
    own = [name for name in loaded_by(repository, command.split()) if name.startswith("sharectl")]
    assert len(own) <= most


def test_a_command_starts_almost_as_soon_as_its_command_line_library(repository: Path) -> None:
    """Processor time, as a ratio to a bare `import typer` in the same run."""
    typer, command = cpu_seconds(repository, [sys.executable, "-c", "import typer"], [*COMMAND, "lock", "status"])
    assert command <= MOST_TYPERS * typer
