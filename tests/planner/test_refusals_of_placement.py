"""What a plan says of placement: each refusal with its figures, at a cost that does not grow with equal shares, and the batch's own notes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from sharectl.model.settings import SchedulerSettings
from sharectl.planner.share_servers.places import ServerPlaces
from sharectl.planner.shares.placement import _Refusals
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.explanation import explain
from sharectl.scheduler.pools import Pool
from sharectl.scheduler.request import Request
from tests.planner.world import World

if TYPE_CHECKING:
    from pathlib import Path

BACKEND = """\
---
apiVersion: sharectl/v1
kind: Backend
metadata: {name: filer}
spec:
  driver: simulated
  capacity: {thinProvisioning: false}
  capabilities: {filter_function: "100 / 0"}
  config: {stateFile: filer.db, pools: [{name: a, total: 100GiB}]}
---
apiVersion: sharectl/v1
kind: Backend
metadata: {name: good}
spec:
  driver: simulated
  capacity: {thinProvisioning: false}
  capabilities: {goodness_function: "capabilities.vendor_name"}
  config: {stateFile: good.db, pools: [{name: b, total: 100GiB}]}
---
apiVersion: sharectl/v1
kind: Backend
metadata: {name: other}
spec:
  driver: simulated
  capacity: {thinProvisioning: false}
  config: {stateFile: other.db, pools: [{name: c, total: 100GiB}]}
"""


def share(name: str, size_gib: int) -> str:
    """Return the manifest of a share."""
    head = f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\n"
    return f"{head}spec: {{size: {size_gib}GiB, protocol: NFS, deletionPolicy: delete}}\n"


def diagnostics(folder: Path, manifests: str, scheduler: str) -> list[dict[str, Any]]:
    """Return what a plan has to say."""
    head = "apiVersion: sharectl/v1\nkind: Project\nspec:\n"
    (folder / "sharectl.yaml").write_text(f"{head}  scheduler: {scheduler}\n")
    (folder / "all.yaml").write_text(manifests)
    command = [sys.executable, "-m", "sharectl", "plan", "-o", "json", "-C", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    found: list[dict[str, Any]] = orjson.loads(done.stdout)["diagnostics"]
    return found


def test_a_value_that_no_rule_can_use_is_told_once(tmp_path: Path) -> None:
    """However many shares met it, with pool and value."""
    found = diagnostics(tmp_path, BACKEND + share("x", 10) + share("y", 10), "{}")
    unfit = [each for each in found if each["code"] == "scheduler.unfit-value"]
    assert len(unfit) == 1
    assert "good#b" in unfit[0]["summary"]


def test_what_packing_gained_stands_in_the_plan(tmp_path: Path) -> None:
    """And a share that made room for others is told so, instead of the nearest pool."""
    pytest.importorskip("ortools.sat.python.cp_model", reason="needs ortools (pip install sharectl[pack])")
    shares = share("large", 100) + share("small1", 50) + share("small2", 50)
    found = diagnostics(
        tmp_path,
        BACKEND + shares,
        "{algorithm: pack, weighers: [CapacityWeigher], filters: [CapacityFilter, DriverFilter]}",
    )
    assert "scheduler.no-valid-host" not in {each["code"] for each in found}
    found = diagnostics(
        tmp_path, BACKEND + shares + share("large2", 100), "{algorithm: pack, weighers: [CapacityWeigher]}"
    )
    assert "scheduler.packed" in {each["code"] for each in found}
    refused = [each for each in found if each["code"] == "scheduler.no-valid-host"]
    assert len(refused) == 1
    assert "so that more other shares have one" in refused[0]["detail"]


def test_equal_shares_are_explained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands that do not fit cost one look at the pools for each size and type, and there is an end to that too."""
    asked: list[str] = []
    monkeypatch.setattr(
        "sharectl.planner.shares.placement.explain",
        lambda scheduler, request: asked.append(request.id) or explain(scheduler, request),
    )
    pool = Pool("b#p", "b", "p", capabilities={"total_capacity_gb": 10, "free_capacity_gb": 5})
    places = ServerPlaces(World().draft())
    refusals = _Refusals(Scheduler([pool], SchedulerSettings()), places, ())
    specs: dict[str, str] = {}
    for number in range(1_000):
        nearest = refusals.nearest(Request(f"s{number}", 50, extra_specs=specs))
        assert nearest is not None
        assert nearest.sentence == "CapacityFilter: needs 50 GiB, 5.0 GiB free"
    assert asked == ["s0"]
    for size in range(100, 1_000):
        refusals.nearest(Request("t", size, extra_specs=specs))
    assert len(asked) == 200
    assert refusals.nearest(Request("t", 999, extra_specs=specs)) is None
