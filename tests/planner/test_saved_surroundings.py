"""A saved plan destroys nothing, and gives nobody anything, that was not there when it was reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.diagnostics import DiagnosticError
from sharectl.model.specs import RevertRequest
from sharectl.planner.records import share_server_id_of
from sharectl.planner.saved.checks import CurrentRows, current_part
from sharectl.planner.saved.document import plan_from_document, plan_to_document
from sharectl.planner.snapshots import share_resource_id
from tests.planner.model import settle
from tests.planner.world import World, step_lines

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.model.records import Record

FREE = {"allow_deletions": 99, "allow_recreations": 99, "allow_revocations": 99, "allow_empty": True}


def _rows(world: World, plan: Plan) -> CurrentRows:
    """Return the rows as a store gives them."""
    inside = {
        step.address: _inside(world, world.records[step.address])
        for step in plan.steps
        if step.address in world.records
    }
    return CurrentRows(plan.lineage, world.records, world.rules, inside)


def _inside(world: World, holder: Record) -> dict[Address, Record]:
    return {
        address: record
        for address, record in world.records.items()
        if (record.kind == "snapshot" and share_resource_id(record) == holder.resource_id)
        or (record.kind == "share" and share_server_id_of(record) == holder.resource_id)
    }


def _part(world: World, plan: Plan) -> Plan:
    return current_part(plan_from_document(orjson.loads(orjson.dumps(plan_to_document(plan)))), _rows(world, plan))


def _refused(world: World, plan: Plan) -> bool:
    with pytest.raises(DiagnosticError, match="the state has changed since this plan was made"):
        _part(world, plan)
    return True


@pytest.mark.parametrize("policy", ["delete", "trash"])
def test_a_share_of_which_a_snapshot_was_taken_since_stays(policy: str) -> None:
    """Its own row is as it was; the snapshot, which somebody wants to keep, would go with it."""
    world = World("x").wants("a", deletion_policy=policy).wants("z")
    settle(world)
    plan = world.drops("share/a").plan(**FREE)
    assert step_lines(_part(world, plan)) == step_lines(plan)
    settle(world.wants("a", deletion_policy=policy).wants_snapshot("s", "a", protect=True))
    assert _refused(world, plan)


@pytest.mark.parametrize("order", ["createFirst", "deleteFirst"])
def test_a_share_with_a_new_snapshot_is_not_replaced(order: str) -> None:
    """Neither is it set aside, nor is another one made."""
    world = World("x").wants("a", deletion_policy="delete").wants("z")
    settle(world)
    plan = world.wants("a", deletion_policy="delete", protocol="CIFS", replacement=order).plan(**FREE)
    assert step_lines(_part(world, plan)) == step_lines(plan)
    settle(world.wants("a", deletion_policy="delete").wants_snapshot("s", "a", deletion_policy="retain"))
    assert _refused(world, plan)


def test_a_share_server_that_another_share_is_on_by_now_stays() -> None:
    """The share that was on it goes, as was reviewed."""
    world = World("x").has_tenants("t").has_network("red").wants("z")
    settle(world.wants("a", share_network="red", deletion_policy="delete"))
    plan = world.drops("share/a").plan(**FREE)
    assert len(step_lines(_part(world, plan))) == 2
    settle(world.wants("a", share_network="red", deletion_policy="delete").wants("b", share_network="red"))
    part = _part(world, plan)
    assert step_lines(part) == ["- delete-share share/a"]
    reason = "share/b has come since the plan was made, and would go with it"
    assert [each.reason for each in part.held] == [reason]


def test_snapshots_stay_with_a_share_that_stays() -> None:
    """Their manifests were gone together, and came back together; only the share has changed meanwhile."""
    world = (
        World("x").wants("a", deletion_policy="delete").wants_snapshot("s", "a", deletion_policy="delete").wants("z")
    )
    settle(world)
    plan = world.drops("share/a", "snapshot/s").plan(**FREE)
    assert step_lines(_part(world, plan)) == step_lines(plan)
    settle(world.wants("a", "2GiB", deletion_policy="delete").wants_snapshot("s", "a", deletion_policy="delete"))
    assert _refused(world, plan)


def test_a_snapshot_that_is_gone_from_its_backend_holds_no_share() -> None:
    """A plan of the share alone leaves its row, and knew that."""
    world = World("x").wants("a", deletion_policy="delete").wants_snapshot("s", "a").wants("z")
    settle(world)
    plan = world.vanishes("snapshot/s").plan(**FREE, destroy=True, targets=["share/a"])
    assert step_lines(plan) == ["- delete-share share/a"]
    assert step_lines(_part(world, plan)) == step_lines(plan)


def test_a_share_is_turned_back_to_the_snapshot_that_was_reviewed() -> None:
    """Another one is at its address by now: of that, nobody has said that what was written since may go."""
    world = World("x").wants("a").wants_snapshot("s", "a", deletion_policy="delete").wants("z")
    settle(world)
    plan = world.wants("a", revert_to=RevertRequest("s", "1")).plan(**FREE)
    assert step_lines(_part(world, plan)) == step_lines(plan)
    settle(world.wants("a").drops("snapshot/s"), **FREE)
    settle(world.wants_snapshot("s", "a"))
    assert _refused(world, plan)


@pytest.mark.parametrize("order", ["createFirst", "deleteFirst"])
def test_a_share_is_cloned_from_the_snapshot_that_was_reviewed(order: str) -> None:
    """It would hold, and give to its own clients, what is in another share by now, or the old one would go for nothing."""
    world = World("x").wants("a").wants("b").wants_snapshot("s", "a", deletion_policy="delete")
    settle(world.wants("c", deletion_policy="delete"))
    plan = world.wants("c", deletion_policy="delete", replacement=order, source_snapshot="s").plan(**FREE)
    assert step_lines(_part(world, plan)) == step_lines(plan)
    settle(world.wants("c", deletion_policy="delete").drops("snapshot/s"), **FREE)
    assert _refused(world, plan)
    settle(world.wants_snapshot("s", "b"))
    assert _refused(world, plan)


def test_a_share_is_not_removed_for_one_on_a_share_server_that_is_gone() -> None:
    """The last share on it went meanwhile, and the server with it; a plan that makes the server itself needs none."""
    world = World("x").has_tenants("t").has_network("red").has_network("blue")
    settle(world.wants("a", share_network="red", deletion_policy="delete"))
    moved = {"share_network": "blue", "deletion_policy": "delete", "replacement": "deleteFirst"}
    plan = world.wants("a", **moved).plan(**FREE)
    assert step_lines(_part(world, plan)) == step_lines(plan)
    world.wants("a", share_network="red", deletion_policy="delete")
    settle(world.wants("b", share_network="blue", deletion_policy="delete"))
    plan = world.wants("a", **moved).plan(**FREE)
    assert step_lines(_part(world, plan)) == step_lines(plan)
    settle(world.wants("a", share_network="red", deletion_policy="delete").drops("share/b"), **FREE)
    assert _refused(world, plan)


def test_a_share_is_not_removed_for_one_on_a_backend_that_was_forgotten() -> None:
    """Its manifest went and came back, and its storage may be another; nothing was on it."""
    world = World("x", "y").wants("a", deletion_policy="delete", only_host="x#p1").wants("z", only_host="x#p1")
    settle(world.wants("y", deletion_policy="delete", only_host="y#p1"))
    settle(world.drops("share/y"), **FREE)
    wanted = {"deletion_policy": "delete", "replacement": "deleteFirst"}
    plan = world.wants("a", **wanted, only_host="y#p1").plan(**FREE, replaces=["share/a"])
    assert step_lines(_part(world, plan)) == step_lines(plan)
    settle(world.wants("a", deletion_policy="delete", only_host="x#p1").drops("backend/y"))
    assert "backend/y" not in world.records
    assert _refused(world, plan)
