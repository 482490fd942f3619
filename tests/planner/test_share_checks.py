"""What drivers say of shares is asked as seldom as it can differ."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.simulated.factory import FACTORY
from sharectl.model.access import AccessRule
from sharectl.model.backends import BackendSpec
from sharectl.model.specs import ShareSpec
from sharectl.planner.shares.checks import ShareChecks, Verdict
from tests.desired import desired_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

SHARES = 30
RULES = (AccessRule("ip", "10.0.0.1", "rw"),)

_DRIVER = """
from dataclasses import dataclass

from sharectl.drivers.share_checks import ShareProblem

ASKED = []


@dataclass(frozen=True)
class Check:
    least: int

    def __call__(self, share):
        ASKED.append(share)
        if share.name == "bad":
            yield ShareProblem(("name",), "it is called bad", "call it good")
        if share.size_bytes < self.least:
            yield ShareProblem(("size",), f"it has less than {self.least}", "write a larger size")


class Unhashable:
    __hash__ = None

    def __init__(self, check):
        self.check = check

    def __eq__(self, other):
        return True

    def __call__(self, share):
        return self.check(share)


class Factory:
    config_schema = {}
    capabilities = frozenset()

    def open(self, *_): ...

    def share_check(self, backend):
        check = Check(backend.config["least"])
        return check if backend.config.get("equal", True) else Unhashable(check)


FACTORY = Factory()
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Install a driver whose checks are equal where they ask for the same size, and note what they are asked."""
    (tmp_path / "acme_checks.py").write_text(_DRIVER)
    metadata = tmp_path / "acme_checks-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-checks\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[sharectl.drivers]\nacme = acme_checks:FACTORY\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_checks", raising=False)
    return importlib.import_module("acme_checks")


def checks_of(**configs: dict[str, Any]) -> ShareChecks:
    """Return the checks of a project with these backends."""
    return ShareChecks(desired_of(backends=[BackendSpec(name, "acme", config) for name, config in configs.items()]))


def verdict(checks: ShareChecks, name: str, size_bytes: int = 10) -> Verdict:
    """Return what is known of a share of this name and size."""
    return checks.verdict(ShareSpec(name, size_bytes, "NFS"), RULES, {}, lambda _: frozenset())


def test_backends_whose_checks_are_equal_are_asked_once(acme: ModuleType) -> None:
    """Once for each name, and once for what the shares have in common, however many backends there are."""
    checks = checks_of(**{f"nas{number}": {"least": 1} for number in range(20)})
    for number in range(SHARES):
        assert verdict(checks, f"share-{number}") == Verdict()
    assert len(acme.ASKED) == SHARES + 1


def test_each_other_check_is_asked_for_each_name(acme: ModuleType) -> None:
    """One that cannot be hashed is never taken for another."""
    checks = checks_of(**{f"nas{number}": {"least": 1, "equal": False} for number in range(20)})
    for number in range(SHARES):
        verdict(checks, f"share-{number}")
    assert len(acme.ASKED) == 20 * (SHARES + 1)


@pytest.mark.usefixtures("acme")
def test_checks_that_differ_say_each_their_own() -> None:
    """Of backends with two limits, those with the higher one are unfit; what both refuse is certain."""
    checks = checks_of(low1={"least": 1}, high={"least": 20}, low2={"least": 1})
    assert verdict(checks, "good").unfit == {"high": "it has less than 20"}
    assert verdict(checks, "good", 20) == Verdict()
    assert verdict(checks, "bad").unfit == dict.fromkeys(("low1", "high", "low2"), "it is called bad")
    assert [found.backends for found in verdict(checks, "bad").certain] == [("high", "low1", "low2")]


def test_simulated_backends_with_the_same_limits_have_equal_checks() -> None:
    """Whatever else their configurations say."""

    def check(**config: object) -> object:
        return FACTORY.share_check(BackendSpec("b", "simulated", {"stateFile": "b.db", **config}))

    assert check(seed=1, limits={"maxRules": 2}) == check(stateFile="c.db", limits={"maxRules": 2})
    assert check(limits={"maxRules": 2}) != check(limits={"maxRules": 3})
    assert check(protocols=["NFS"]) != check(protocols=["CIFS"])


def test_what_samba_makes_of_a_folder_is_a_problem_of_the_name_whatever_clients_see() -> None:
    """So a plan sees it, which asks for each name alone; what is wrong with the other name is told of that one."""
    config = {"root": "/srv", "exportHost": "nas"}
    checks = ShareChecks(desired_of(backends=[BackendSpec("nas", "directory", config)]))

    def problems(name: str, export_name: str) -> list[tuple[str, ...]]:
        spec = ShareSpec(name, 20, "CIFS", export_name=export_name)
        return [problem.path for problem in checks.problems("nas", checks.wanted(spec, RULES), None)]

    assert problems("plain", "Office") == []
    assert problems("100%", "Office") == [("name",)]
    assert problems("plain", "global") == [("export_name",)]
