"""Killed at any instant, an apply is taken up by the next one: everything is done once, nothing is lost, nothing is left over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sharectl
from tests.engine import scenario
from tests.engine.site import Site

SHARDS = 4


def crash(folder: Path, *arguments: object) -> int:
    """Run the child to its successful end, and return how many applies it has killed."""
    root = str(Path(sharectl.__file__).parent.parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.crash_child", str(folder), *map(str, arguments)],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("driver", ["simulated", "directory"])
def test_left_alone_it_makes_the_change_with_every_verb(tmp_path: Path, driver: str) -> None:
    """What the killed ones are measured by."""
    scenario.prepare(tmp_path / "r", driver)
    site = Site(tmp_path / "r")
    for _ in range(2):  # the second gives the shares that were taken over their access
        run = site.apply(options=scenario.options(site))
        assert run.result.succeeded, run.result
    scenario.check(site)


@pytest.mark.parametrize("shard", range(1, SHARDS + 1))
@pytest.mark.parametrize("driver", ["simulated", "directory"])
def test_killed_before_or_after_any_commit_or_driver_call_it_converges(
    in_memory: Path, driver: str, shard: int
) -> None:
    """Each instant in turn; the apply that follows is killed as well, in its recovery or later, and the third one finishes."""
    assert crash(in_memory, driver, "enumerate", shard, SHARDS) >= 20


@pytest.mark.parametrize("driver", ["simulated", "directory"])
def test_killed_at_random_times_it_converges(tmp_path: Path, driver: str) -> None:
    """A clock knows instants that no hook does: inside SQLite, inside a rename, between two system calls."""
    assert crash(tmp_path, driver, "random", 20, 15) >= 5
