"""Killed at any instant, an apply that makes and removes share servers is taken up by the next one, and no address is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine import server_scenario
from tests.engine.site import Site
from tests.engine.test_crash import SHARDS, crash

if TYPE_CHECKING:
    from pathlib import Path


def test_left_alone_it_makes_the_change_with_every_verb_about_share_servers(tmp_path: Path) -> None:
    """What the killed ones are measured by."""
    server_scenario.prepare(tmp_path / "r", "servers")
    site = Site(tmp_path / "r")
    run = site.apply(options=server_scenario.options(site))
    assert run.result.succeeded, run.result
    server_scenario.check(site)


@pytest.mark.parametrize("shard", range(1, SHARDS + 1))
def test_killed_before_or_after_any_commit_or_call_it_converges(in_memory: Path, shard: int) -> None:
    """Each call of the driver, of the network service and of the state in turn; the apply after it is killed as well."""
    assert crash(in_memory, "servers", "enumerate", shard, SHARDS) >= 25


def test_killed_at_random_times_it_converges(tmp_path: Path) -> None:
    """A clock knows instants that no hook does."""
    assert crash(tmp_path, "servers", "random", 21, 10) >= 3
