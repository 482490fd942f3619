"""sharectl's scheduler answers as Manila 23.0.1 did, on every recorded document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from . import replay

CASES = Path(__file__).parent / "cases"
FILES = ("plain", "explained", "odd")


def load(name: str) -> list[dict[str, Any]]:
    """Return the recorded documents of a file."""
    return list(replay.read_cases(CASES / f"{name}.jsonl.gz"))


def ranks(candidates: list[dict[str, Any]]) -> list[tuple[float, list[str]]]:
    """Return the candidates as groups of equal weight, heaviest first."""
    groups: list[tuple[float, list[str]]] = []
    for candidate in candidates:
        if groups and abs(groups[-1][0] - candidate["weight"]) <= replay.WEIGHT_TOLERANCE:
            groups[-1][1].append(candidate["host"])
        else:
            groups.append((candidate["weight"], [candidate["host"]]))
    return [(weight, sorted(hosts)) for weight, hosts in groups]


def assert_same_ranks(got: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Hosts of equal weight are a set; the weights agree to 1e-9."""
    assert [hosts for _, hosts in ranks(got)] == [hosts for _, hosts in ranks(expected)]
    assert [weight for weight, _ in ranks(got)] == pytest.approx(
        [weight for weight, _ in ranks(expected)], abs=replay.WEIGHT_TOLERANCE, rel=0
    )


@pytest.mark.parametrize("name", FILES)
def test_every_outcome_candidate_weight_and_last_filter_is_manilas(name: str) -> None:
    """Outcome, host, last filter and ordered candidates are those of Manila."""
    for case in load(name):
        for got, expected in zip(replay.replay(case)["results"], case["expected"]["results"], strict=True):
            assert got["outcome"] == expected["outcome"]
            assert got.get("host") == expected.get("host")
            assert got.get("last_filter") == expected.get("last_filter")
            assert_same_ranks(got["candidates"], expected["candidates"])


@pytest.mark.parametrize("name", FILES)
def test_the_pools_are_left_with_manilas_figures(name: str) -> None:
    """After all requests, every capacity figure is the one that Manila kept."""
    for case in load(name):
        assert replay.replay(case)["pools_after"] == case["expected"]["pools_after"]


def test_each_filter_removes_what_manilas_removes_and_raw_weights_agree() -> None:
    """Filter by filter and weigher by weigher, the story is the same."""
    for case in load("explained"):
        for got, expected in zip(replay.replay(case)["results"], case["expected"]["results"], strict=True):
            assert got["filters"] == expected["filters"]
            if "raw_weights" in expected:
                assert got["raw_weights"] == expected["raw_weights"]


def test_a_value_on_which_manila_fails_is_named_with_its_pool() -> None:
    """Manila gives up on the request; sharectl names pool and value, and goes on without the pool."""
    stumbles = [got for case in load("odd") for got in replay.replay(case)["results"] if got["outcome"] == "error"]
    assert stumbles
    for got in stumbles:
        assert all("@" in text and "#" in text for text in got["diagnostics"])
        assert got["instead"]["outcome"] in {"scheduled", "no_valid_host"}


@pytest.mark.parametrize("name", FILES)
def test_the_quick_decisions_are_the_first_of_the_plain_ones(name: str) -> None:
    """What the engine remembers changes no decision."""
    for case in load(name):
        scheduler = replay.scheduler_of(case["document"])
        for plain in case["document"]["requests"]:
            request = replay.request_of(case["document"], plain)
            whole = scheduler.decide(request, all_candidates=True)
            short = scheduler.place(request)
            assert (short.outcome, short.host, short.last_filter) == (whole.outcome, whole.host, whole.last_filter)
            assert short.candidates == whole.candidates[: scheduler.settings.max_attempts]
            assert short.diagnostics == whole.diagnostics


def test_the_script_writes_one_line_of_json_for_each_document(tmp_path: Path) -> None:
    """Plain files are read as well as gzipped ones, and blank lines are passed over."""
    lines = [json.dumps(case) for case in load("plain")[:2]]
    source = tmp_path / "cases.jsonl"
    source.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    script = Path(replay.__file__)
    done = subprocess.run([sys.executable, script, source], capture_output=True, text=True, check=True)
    assert [sorted(json.loads(line)) for line in done.stdout.splitlines()] == [["pools_after", "results"]] * 2


def test_the_script_says_how_it_is_used() -> None:
    """Without a file there is nothing to replay."""
    done = subprocess.run([sys.executable, replay.__file__], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr
