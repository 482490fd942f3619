"""A share that is replaced never goes without the one in its place, whatever keeps that from being made."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from sharectl.model.diagnostics import DiagnosticError
from sharectl.model.specs import RevertRequest
from sharectl.model.verbs import Verb
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


def test_a_share_is_not_turned_back_without_the_snapshot_that_is_to_keep_what_goes() -> None:
    """A plan of the share alone leaves it out; with it, or without the wish for it, the share is turned back."""
    for words in ({"targets": ["share/a"]}, {"labels": {"team": "red"}}, {"excludes": ["snapshot/now"]}):
        world = World("x").wants("a", labels={"team": "red"}).wants_snapshot("s", "a")
        settle(world)
        world.wants("a", labels={"team": "red"}, revert_to=RevertRequest("s", "1"))
        assert _lines(world.plan(**FREE, **words)) == ["↶ revert-share share/a"]
        world.wants_snapshot("now", "a")
        plan = world.plan(**FREE, **words)
        assert (_lines(plan), codes(plan)) == ([], ["plan.left-out share/a"])
        hold_to_promises(world, plan)
        carry_out(world, plan)
        whole = world.plan(**FREE)
        assert "↶ revert-share share/a after create-snapshot:snapshot/now" in step_lines(whole)
        carry_out(world, whole)
        assert step_lines(world.plan(**FREE)) == []


def test_a_share_that_is_wanted_after_all_gets_its_address_back() -> None:
    """The replacement was cut short once the old share was set aside, and its manifest is what it was: its data is not given for an empty one."""
    world = World("x").wants("a", access=["ip:10.0.0.1=rw"], deletion_policy="delete").wants("z")
    settle(world)
    world.wants("a", deletion_policy="delete", replacement="createFirst", protocol="CIFS")
    carry_out(world, world.plan(**FREE), steps=1)
    assert "share/a" not in world.records
    going_on = step_lines(world.plan(**FREE))
    assert [line.partition(" share/a")[0] for line in going_on] == ["+ create-share", "- delete-share"]
    world.wants("a", "2GiB", access=["ip:10.0.0.1=ro"], deletion_policy="delete", protect=True)
    assert step_lines(world.plan(targets=["share/z"])) == []
    asked_for = world.plan(**FREE, replaces=["share/a"])
    assert {step.verb for step in asked_for.steps} == {Verb.CREATE_SHARE, Verb.UPDATE_ACCESS, Verb.DELETE_SHARE}
    plan = world.plan()
    assert {step.verb for step in plan.steps} == {Verb.MOVE, Verb.EXTEND_SHARE, Verb.UPDATE_ACCESS, Verb.UPDATE_RECORD}
    hold_to_promises(world, plan)
    carry_out(world, plan)
    assert world.records["share/a"].resource_id == "00000001-share"
    assert step_lines(world.plan(**FREE)) == []


def test_a_share_that_was_set_aside_and_is_gone_does_not_come_back() -> None:
    """There is nothing to give the address to; nor does one that somebody has put into the trash."""
    for is_gone in (True, False):
        world = World("x").wants("a", deletion_policy="delete").wants("z")
        settle(world)
        world.wants("a", deletion_policy="delete", replacement="createFirst", protocol="CIFS")
        carry_out(world, world.plan(**FREE), steps=1)
        world.wants("a", deletion_policy="delete")
        aside = "share/a@deposed-00000001"
        assert step_lines(world.plan(**FREE)) == ["> move share/a"]
        _ = world.vanishes(aside) if is_gone else world.by_hand(aside, trashed_at="2026-01-01T00:00:00Z", access=())
        assert Verb.MOVE not in {step.verb for step in world.plan(**FREE).steps}
        settle(world, **FREE)
        assert step_lines(world.plan(**FREE)) == []


def test_what_was_set_aside_stays_where_its_successor_is_not_what_is_wanted() -> None:
    """The replacement was cut short once the new share was there, and its manifest says what the old one is."""
    world = World("x").wants("a", deletion_policy="delete").wants("z")
    settle(world)
    world.wants("a", deletion_policy="delete", replacement="createFirst", protocol="CIFS")
    carry_out(world, world.plan(**FREE), steps=2)
    plan = copy.deepcopy(world).wants("a", deletion_policy="delete").plan(**FREE)
    assert (_lines(plan), codes(plan)) == ([], ["share.immutable share/a"])
    assert [line for line in step_lines(world.plan(**FREE)) if "delete-share share/a@deposed" in line]


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
