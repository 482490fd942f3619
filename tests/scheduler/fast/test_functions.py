"""Outcomes of pool functions are remembered for as long as they hold, within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.expressions import ExpressionError, conjuncts_of
from tests.scheduler.builders import DEFAULTS, pool, request

if TYPE_CHECKING:
    from sharectl.scheduler.pools import Pool


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("share.size < 5 and stats.free_capacity_gb > 2 && extra.x == 1", [["size"], ["free_capacity_gb"], ["x"]]),
        ("share.size < 5 and stats.free_capacity_gb > 2 or 1", [["free_capacity_gb", "size"]]),
        ("(share.size < 5 and share.id == x)", [["id", "size"]]),
        ("share.size < 5 ? share.id : 0 and 1", [["id", "size"], []]),
    ],
)
def test_the_outermost_conjunction_is_taken_apart(text: str, reads: list[list[str]]) -> None:
    """Anything else is one piece."""
    assert [sorted(entry for _, entry in each.names) for each in conjuncts_of(text)] == reads
    with pytest.raises(ExpressionError):
        conjuncts_of(f"{text} and (")


def pools() -> list[Pool]:
    """Return pools with functions that read the share, the pool, and both."""
    both = "share.size < 50 and stats.free_capacity_gb > share.size * 2"
    return [pool("b#a", filter_function=both), pool("b#b", filter_function="share.size < 50 and share.tags == 1")]


def test_a_reservation_is_seen_by_what_reads_capacities() -> None:
    """The first share fits twice over, the second no more."""
    scheduler = Scheduler(pools(), DEFAULTS)
    assert [scheduler.place(request(f"s{index}", 30)).host for index in range(3)] == ["b#a", "b#a", None]


def test_a_fact_that_cannot_be_a_key_is_judged_each_time() -> None:
    """A list among the facts of the share breaks nothing."""
    scheduler = Scheduler(pools(), DEFAULTS)
    assert scheduler.place(request("s", 10, facts={"tags": ["x"]})).host == "b#a"
    assert [candidate.host for candidate in scheduler.decide(request("t", 10, facts={"tags": 1})).candidates] == [
        "b#b",
        "b#a",
    ]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share that was seen longest ago is forgotten; decisions do not change."""
    monkeypatch.setattr("sharectl.scheduler.fast.functions._MOST_REMEMBERED", 2)
    found = [pool("b#a", filter_function="share.id != s and share.size < 50")]
    scheduler = Scheduler(found, DEFAULTS)
    assert all(scheduler.decide(request(f"x{index}", 1 + index % 40)).host == "b#a" for index in range(100))
    assert scheduler.decide(request("y", 60)).host is None
    assert len(scheduler._path.functions._filters[0]._known) == 16
