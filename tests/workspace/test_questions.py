"""What backends are asked before a plan is made."""

from __future__ import annotations

import pytest

from sharectl.model.specs import HourlySnapshots, ShareTypeSpec, SnapshotPolicy
from sharectl.planner.options import PlanOptions
from sharectl.planner.selection import compare
from sharectl.workspace.plans import PlanRequest, questions_for
from tests.planner.model import settle
from tests.planner.world import World

HOURLY = SnapshotPolicy(HourlySnapshots(24))


@pytest.mark.parametrize("refresh", ["full", "changed", "none"])
def test_pools_are_asked_whether_they_take_the_snapshots_that_a_share_is_to_have(refresh: str) -> None:
    """By a policy of its own or of its type, or as a document; those of other backends are not, nor where nothing of it changes."""
    world = World("nas", "other").wants("a", only_host="nas#p1", share_type="gold").wants("b", only_host="other#p1")
    world.share_types["gold"] = ShareTypeSpec("gold", {})
    settle(world)

    def asked() -> list[str]:
        desired, view = world.desired(), world.view()
        found = questions_for(desired, view, compare(desired, view.records), PlanRequest(PlanOptions(), refresh))
        return [name for name, question in found.items() if question.pools]

    assert asked() == []
    world.wants("b", only_host="other#p1", snapshot_policy=HOURLY)
    assert asked() == ["other"]
    world.wants("b", only_host="other#p1").wants_snapshot("monday", "a")
    assert asked() == ["nas"]
    settle(world)
    assert asked() == []
    world.share_types["gold"] = ShareTypeSpec("gold", {}, snapshot_policy=HOURLY)
    assert asked() == ["nas"]
    settle(world)
    assert asked() == []
