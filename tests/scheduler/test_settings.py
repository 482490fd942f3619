"""The scheduler's settings are held against what there is, all mistakes at once; other packages bring filters and weighers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from sharectl.model.settings import SchedulerSettings
from sharectl.scheduler.registry import setting_problems

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = """
from sharectl.scheduler.filters import BaseFilter, HostChoice, Stability


class RackFilter(BaseFilter):
    stability = Stability.FIXED

    def __init__(self, rack="r1"):
        self.rack = rack

    def passes(self, state, query, ledger):
        return state.pool.capabilities["rack"] == self.rack

    def reason(self, state, query, ledger):
        return f"it is not in rack {self.rack}"


class CapacityLikeFilter(BaseFilter):
    stability = Stability.POOL

    def passes(self, state, query, ledger):
        return state.free >= 40

    def reason(self, state, query, ledger):
        raise RuntimeError("no words")


class HostsFilter(RackFilter):
    stability = Stability.REQUEST

    def hosts(self, query, ledger):
        return HostChoice(only=frozenset(state.host for state in ledger.states if self.passes(state, query, ledger)))


class FailingFilter:
    stability = Stability.REQUEST

    def concerns(self, query):
        raise RuntimeError("concerns")

    def stops(self, query, ledger):
        raise RuntimeError

    passes = reason = None


class ColdWeigher:
    def concerns(self, query, states):
        raise RuntimeError

    def raw(self, state, query):
        value = state.pool.capabilities["cold"]
        return value if value != "raise" else 1 / 0


class Half:
    stability = Stability.FIXED


cold = ColdWeigher()
"""
ENTRY_POINTS = """\
[sharectl.scheduler.filters]
RackFilter = rackpack:RackFilter
CapacityLikeFilter = rackpack:CapacityLikeFilter
HostsFilter = rackpack:HostsFilter
FailingFilter = rackpack:FailingFilter
Half = rackpack:Half
Gone = rackpack:Gone

[sharectl.scheduler.weighers]
ColdWeigher = rackpack:cold
"""
MANIFESTS = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: left}
spec:
  driver: simulated
  capabilities: {rack: r1, cold: 1}
  config: {stateFile: left.db, pools: [{name: a, total: 100GiB}]}
---
apiVersion: sharectl/v1
kind: Backend
metadata: {name: right}
spec:
  driver: simulated
  capabilities: {rack: r2, cold: 2}
  config: {stateFile: right.db, pools: [{name: b, total: 90GiB}]}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: s}
spec: {size: 10GiB, protocol: NFS, deletionPolicy: delete}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: t}
spec: {size: 55GiB, protocol: NFS, deletionPolicy: delete}
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder with a package that is installed as pip would install it, with its entry points."""
    site = tmp_path / "site"
    info = site / "rackpack-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "rackpack.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rackpack\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return site


def sharectl(folder: Path, site: Path, scheduler: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a repository with these settings of the scheduler."""
    head = "apiVersion: sharectl/v1\nkind: Project\nspec:\n  manifests: [all.yaml]\n"
    (folder / "sharectl.yaml").write_text(f"{head}  scheduler:\n    {scheduler}\n")
    (folder / "all.yaml").write_text(MANIFESTS)
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"}
    arguments = [sys.executable, "-m", "sharectl", *command, "-C", str(folder)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment, timeout=300)


def explained(tmp_path: Path, site: Path, scheduler: str, share: str = "s") -> dict[str, Any]:
    """Return the explanation of one share."""
    done = sharectl(tmp_path, site, scheduler, "explain", f"share/{share}", "-o", "json")
    assert done.returncode == 0, done.stderr
    plain: dict[str, Any] = orjson.loads(done.stdout)
    return plain


def test_an_installed_filter_decides_with_its_options(tmp_path: Path, installed: Path) -> None:
    """What sharectl.yaml says under `options` is what the filter is made with."""
    told = explained(tmp_path, installed, "filters: [RackFilter]\n    options: {RackFilter: {rack: r2}}")
    assert told["host"] == "right#b"
    assert explained(tmp_path, installed, "filters: [RackFilter]")["host"] == "left#a"
    assert explained(tmp_path, installed, "filters: [HostsFilter]")["host"] == "left#a"


def test_an_installed_weigher_is_multiplied_like_any_other(tmp_path: Path, installed: Path) -> None:
    """By the name of its entry point."""
    assert explained(tmp_path, installed, "weighers: [ColdWeigher]")["host"] == "right#b"
    turned = "weighers: [ColdWeigher]\n    multipliers: {ColdWeigher: -1}"
    assert explained(tmp_path, installed, turned)["host"] == "left#a"


def test_an_installed_filter_may_change_its_mind_with_the_capacity(tmp_path: Path, installed: Path) -> None:
    """Its verdicts are not kept, whatever it says of their stability; where it cannot say why, that is said."""
    done = sharectl(tmp_path, installed, "filters: [CapacityLikeFilter]", "plan", "-o", "json")
    assert done.returncode == 0, done.stderr
    told = explained(tmp_path, installed, "filters: [CapacityLikeFilter]\n    weighers: []", "s")
    assert told["host"] is not None


def test_a_failing_filter_costs_pools_never_the_run(tmp_path: Path, installed: Path) -> None:
    """The failure is told as the reason."""
    told = explained(tmp_path, installed, "filters: [FailingFilter]")
    assert (told["outcome"], told["pools"][0]["refused_by"]) == ("no_valid_host", "FailingFilter")
    assert "it failed: RuntimeError" in told["pools"][0]["reason"]


@pytest.mark.parametrize(
    ("scheduler", "place", "words"),
    [
        ("filters: [RackFiltr]", "6:15", 'did you mean "RackFilter"?'),
        ("filters: [Gone]", "6:15", "has no attribute 'Gone'"),
        ("filters: [Half]", "6:15", "it has no concerns, stops, passes, reason"),
        ("filters: [RackFilter]\n    options: {RackFilter: {rock: 1}}", "6:15", "unexpected keyword argument 'rock'"),
        ("extendFilters: [CapacityFilter, X]", "6:37", "there is no filter 'X'"),
        ("weighers: [CapacityWeighr]", "6:16", 'did you mean "CapacityWeigher"?'),
        ("multipliers: {GoodnessWeight: 2}", "6:19", "there is no weigher 'GoodnessWeight'"),
        ("options: {RackFilter: {rack: r1}}", "6:15", "not among the filters and weighers"),
        ("options: {CapacityFilter: {a: 1}}", "6:15", "CapacityFilter takes no options"),
        ("algorithm: packs", "6:16", "algorithm"),
    ],
)
def test_validate_shows_a_wrong_setting_at_its_place(
    tmp_path: Path, installed: Path, scheduler: str, place: str, words: str
) -> None:
    """With file, line and column, and no traceback."""
    done = sharectl(tmp_path, installed, scheduler, "validate")
    assert done.returncode == 1
    assert f"sharectl.yaml:{place}" in done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_all_mistakes_are_found_at_once() -> None:
    """Each names its setting."""
    wrong = SchedulerSettings(filters=("A", "CapacityFilter", "B"), weighers=("C",), max_attempts=0, algorithm="magic")
    assert [problem.setting for problem in setting_problems(wrong)] == [
        ("scheduler", "filters", 0),
        ("scheduler", "filters", 2),
        ("scheduler", "weighers", 0),
        ("scheduler", "maxAttempts"),
        ("scheduler", "algorithm"),
    ]


def test_the_solver_is_asked_for_where_it_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Already by `validate`."""
    monkeypatch.setattr("sharectl.scheduler.registry.find_spec", lambda _name: None)
    (problem,) = setting_problems(SchedulerSettings(algorithm="pack"))
    assert problem.diagnostic.code == "scheduler.no-solver"
