"""What a run lends to the processes that make its calls."""

from __future__ import annotations

import pytest

from sharectl.engine.tenure import Heartbeat
from sharectl.model.records import Holder, Lease
from sharectl.state.contract import LeaseLostError, StateUnavailableError
from sharectl.workspace.processes import _lent

LEASE = Lease(1, Holder("alice", "one.example", 1, "sharectl apply"), 60.0)


class Broken:
    """A store in which no lease can be renewed."""

    location = "state.db"

    def __init__(self, problem: Exception) -> None:
        """Have this problem."""
        self.problem = problem

    def renew(self, _: Lease) -> None:
        """Raise it."""
        raise self.problem


@pytest.mark.parametrize(
    ("problem", "told"),
    [(StateUnavailableError("state.db", "no space"), "no space"), (LeaseLostError("passed to bob"), "passed to bob")],
)
def test_why_nothing_may_begin_is_handed_on_without_the_place_of_the_state(problem: Exception, told: str) -> None:
    """The process knows that, and says it once."""
    heartbeat = Heartbeat(Broken(problem), LEASE)  # type: ignore[arg-type] # all that is needed of a store
    lent = _lent(heartbeat)
    assert (lent.until_seconds, lent.problem) == (float("-inf"), told)
