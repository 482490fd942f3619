"""What goes wrong inside a filter or weigher of another package costs a pool its place, with the reason, and never the run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.explanation import explain
from sharectl.scheduler.filters import BaseFilter, Stability
from sharectl.scheduler.registry import _GuardedFilter, _GuardedWeigher

from .builders import DEFAULTS, pool, request


class Moody(BaseFilter):
    """A filter that does to a pool what its capability `mood` says."""

    name = "Moody"

    def __init__(self, stability: Stability = Stability.POOL) -> None:
        """Claim a stability."""
        self.stability = stability

    def passes(self, state: Any, query: Any, ledger: Any) -> bool:  # noqa: ANN401 - as a stranger would write it
        """Raise, or give the mood itself."""
        mood = state.pool.capabilities["mood"]
        if mood == "raise":
            raise RuntimeError
        if mood == "unfit":
            raise UnfitValueError(self.name, "mood", mood, "which is a bad one")
        return mood != "no"

    def reason(self, state: Any, query: Any, ledger: Any) -> str:  # noqa: ANN401 - as a stranger would write it
        """Fail to say why."""
        raise KeyError(state.host)


class Value:
    """A weigher that says of a pool what its capability `value` says."""

    name = "Value"

    def concerns(self, query: Any, states: Any) -> bool:  # noqa: ANN401 - as a stranger would write it
        """Fail."""
        raise RuntimeError

    def raw(self, state: Any, query: Any) -> Any:  # noqa: ANN401 - as a stranger would write it
        """Return the value, or raise."""
        value = state.pool.capabilities["value"]
        if value == "raise":
            message = "no idea"
            raise RuntimeError(message)
        if value == "unfit":
            raise UnfitValueError(self.name, "value", value, "which is a word")
        return value


def with_filter(pools: list[Any], stability: Stability) -> Scheduler:
    """Return a scheduler with the moody filter alone."""
    scheduler = Scheduler(pools, DEFAULTS)
    scheduler.rules = replace(scheduler.rules, filters=(_GuardedFilter("Moody", Moody(stability)),))
    return scheduler


@pytest.mark.parametrize("stability", [Stability.POOL, Stability.FIXED])
def test_a_filter_that_fails_on_a_pool_leaves_it_out_with_a_warning(stability: Stability) -> None:
    """The other pools are judged as if nothing had happened; a missing message is no trouble."""
    pools = [pool(f"b#{mood}", mood=mood) for mood in ("raise", "unfit", "no", "yes")]
    scheduler = with_filter(pools, stability)
    decision = scheduler.decide(request())
    assert decision.host == "b#yes"
    assert [found.code for found in decision.diagnostics] == ["scheduler.broken-rule", "scheduler.unfit-value"]
    assert decision.diagnostics[0].summary == "pool b#raise is left out: Moody failed on it"
    sentences = {verdict.pool: verdict.sentence for verdict in explain(scheduler, request()).pools}
    assert sentences["raise"] == "Moody: it failed: RuntimeError"
    assert sentences["unfit"] == "Moody: mood is 'unfit', which is a bad one"
    assert sentences["no"] == "Moody: it refused, and failed to say why: KeyError: 'b#no'"


def test_a_weigher_that_fails_on_a_pool_leaves_it_out_with_a_warning() -> None:
    """As does one whose value is not a number; None is an unknown value, which comes last."""
    values = ("raise", "unfit", "word", float("nan"), None, 1, 2)
    pools = [pool(f"b#{place}", value=value) for place, value in enumerate(values)]
    scheduler = Scheduler(pools, DEFAULTS)
    weighers = (_GuardedWeigher("Value", Value()),)
    scheduler.rules = replace(scheduler.rules, weighers=weighers, multipliers={"Value": 1.0})
    decision = scheduler.decide(request())
    assert [candidate.pool for candidate in decision.candidates] == ["6", "5", "4"]
    assert [found.code for found in decision.diagnostics] == [
        "scheduler.broken-rule",
        "scheduler.unfit-value",
        "scheduler.broken-rule",
        "scheduler.broken-rule",
    ]
    assert "RuntimeError: no idea" in decision.diagnostics[0].detail
    assert "its value is 'word', which is not a number" in decision.diagnostics[2].detail


def test_one_pool_is_asked_why_it_would_refuse() -> None:
    """Stopped as a whole, refused by a filter, willing, or not there."""
    scheduler = with_filter(
        [pool("b#no", mood="no"), pool("b#yes", mood="yes"), pool("b#raise", mood="raise")], Stability.POOL
    )
    assert scheduler.refusal(request(), "b#yes") is None
    assert scheduler.refusal(request(), "b#raise") == "Moody: it failed: RuntimeError"
    assert (scheduler.refusal(request(), "b#no") or "").startswith("Moody: it refused")
    assert scheduler.refusal(request(), "b#gone") == "there is no usable pool b#gone"
