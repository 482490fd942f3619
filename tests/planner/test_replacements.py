"""A share that is replaced never goes without the one in its place, whatever keeps that from being made."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from sharectl.model.diagnostics import DiagnosticError
from sharectl.model.specs import RevertRequest
from sharectl.planner.saved.checks import CurrentRows, current_part
from tests.planner.model import carry_out, settle
from tests.planner.promises import hold_to_promises
from tests.planner.world import World, codes, step_lines

if TYPE_CHECKING:
    from sharectl.model.plans import Plan

FREE = {"allow_deletions": 99, "allow_recreations": 99, "allow_revocations": 99}


def _lines(plan: Plan) -> list[str]:
    """Return the steps that a backend is asked for."""
    return [line for line in step_lines(plan) if "update-record" not in line]


def test_nothing_is_removed_for_a_clone_that_is_too_small() -> None:
    """The snapshot is of a larger share."""
    world = World("x").wants("a", "2GiB").wants_snapshot("s", "a").wants("b", "1GiB", deletion_policy="delete")
    settle(world)
    for order in ("deleteFirst", "createFirst"):
        world.wants("b", "1GiB", deletion_policy="delete", replacement=order, source_snapshot="s")
        plan = world.plan(**FREE)
        assert (_lines(plan), codes(plan)) == ([], ["share.smaller-than-snapshot share/b"])
        assert [each.address for each in plan.held] == ["share/b"]


def test_nothing_is_removed_for_a_clone_that_waits_for_its_snapshot() -> None:
    """It is gone from its backend, and is not taken again while a share is to be turned back to it."""
    world = World("x").wants("a", "1GiB").wants_snapshot("s", "a").wants("b", "1GiB", deletion_policy="delete")
    settle(world)
    world.vanishes("snapshot/s")
    world.wants("a", "1GiB", revert_to=RevertRequest("s", "1"))
    world.wants("b", "1GiB", deletion_policy="delete", replacement="deleteFirst", source_snapshot="s")
    plan = world.plan(**FREE)
    assert not [line for line in _lines(plan) if "share/b" in line]
    assert "share.half-replaced share/b" in codes(plan)
    hold_to_promises(world, plan)


def test_the_last_share_of_a_network_takes_its_server_along_where_there_is_room_for_one() -> None:
    """A plan of some shares alone is not about the server; another cannot be made beside it."""
    for words in ({"targets": ["share/a"]}, {"labels": {"team": "red"}}, {"backends": ["t"]}):
        world = World("x").has_tenants("t", max_share_servers=1).has_network("red").has_network("blue")
        settle(world.wants("a", share_network="red", deletion_policy="delete", labels={"team": "red"}))
        world.wants("a", share_network="blue", replacement="deleteFirst", labels={"team": "red"})
        plan = world.plan(**FREE, **words)
        assert "- delete-share-server share_server/red-default@t after delete-share:share/a" in step_lines(plan)
        carry_out(world, plan)
        assert step_lines(world.plan(**FREE)) == []


def test_a_server_that_is_left_out_by_name_keeps_its_place() -> None:
    """Then there is none for another, and the share stays."""
    world = World("x").has_tenants("t", max_share_servers=1).has_network("red").has_network("blue")
    settle(world.wants("a", share_network="red", deletion_policy="delete"))
    world.wants("a", share_network="blue", replacement="deleteFirst")
    plan = world.plan(**FREE, excludes=["share_server/red-default@t"])
    assert _lines(plan) == []
    assert [each.address for each in plan.held] == ["share/a"]


def test_a_share_that_goes_first_waits_for_what_its_successor_needs() -> None:
    """Where the snapshot cannot be taken, or the backend not be prepared, the share is still there."""
    world = World("x").wants("a").wants("b", deletion_policy="delete")
    settle(world)
    world.wants_snapshot("s", "a").wants("b", deletion_policy="delete", replacement="deleteFirst", source_snapshot="s")
    plan = world.plan(**FREE)
    assert "∓ delete-share share/b after create-snapshot:snapshot/s" in step_lines(plan)
    other = copy.deepcopy(world).wants("b", deletion_policy="delete").wants_snapshot("s", "b")
    settle(other)  # somebody takes one of that name meanwhile
    rows = CurrentRows(plan.lineage, {**world.records, "snapshot/s": other.records["snapshot/s"]}, {})
    with pytest.raises(DiagnosticError, match="the state has changed since this plan was made"):
        current_part(plan, rows)
