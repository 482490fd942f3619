"""What a plan does to one resource, shown as one."""

from __future__ import annotations

from itertools import permutations

import pytest

from sharectl.model.plans import STRENGTH, Action
from sharectl.model.verbs import Verb
from sharectl.planner.report import summarize
from sharectl.render.blocks import plan_blocks, reasons
from tests.render.samples import a_plan, a_step

STEPS = {
    Action.MOVE: a_step("share/a", Action.MOVE, Verb.MOVE, "renamed", moved_from="share/b"),
    Action.UPDATE: a_step("share/a", Action.UPDATE, Verb.UPDATE_RECORD, "relabelled"),
    Action.DELETE: a_step("share/a", Action.DELETE, Verb.DELETE_SHARE, "gone"),
}


def test_every_action_has_its_rank() -> None:
    """And no other has the same."""
    assert sorted(STRENGTH.values()) == list(range(len(Action)))


@pytest.mark.parametrize("order", list(permutations(STEPS)))
def test_a_resource_is_shown_under_the_action_that_it_is_counted_under(order: tuple[Action, ...]) -> None:
    """Whatever the order of its steps."""
    for size in range(1, len(order) + 1):
        steps = tuple(STEPS[action] for action in order[:size])
        (block,) = plan_blocks(a_plan(*steps))
        assert summarize(steps, 0).by_action == {block.action.word: 1}


STATE_ALONE = "the state alone; the backend is not asked for anything but what it holds"


def test_beside_a_change_on_the_backend_nothing_says_that_the_state_alone_changes() -> None:
    """A reviewer who read it there would take a share that is made smaller for a note in the state."""
    shrink = a_step("share/a", Action.UPDATE, Verb.SHRINK_SHARE, "its manifest says so")
    record = a_step("share/a", Action.UPDATE, Verb.UPDATE_RECORD, STATE_ALONE)
    move = a_step(
        "share/a",
        Action.MOVE,
        Verb.MOVE,
        "renamed in the manifests; nothing changes on its backend",
        moved_from="share/b",
    )
    assert reasons([shrink, record]) == "its manifest says so"
    assert reasons([move, shrink, record]) == "renamed in the manifests; its manifest says so"
    assert reasons([move, record]) == f"{move.reason}; {STATE_ALONE}"
    assert reasons([record]) == STATE_ALONE
