"""What the user limits is limited for every candidate of a new share, not for the first alone: apply falls through to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.verbs import Verb
from tests.planner.model import settle
from tests.planner.world import World

if TYPE_CHECKING:
    from sharectl.model.plans import Plan


def hosts(plan: Plan, name: str) -> list[str]:
    """Return where the new share is tried, in that order."""
    (step,) = [s for s in plan.steps if s.address == f"share/{name}" and s.verb is Verb.CREATE_SHARE]
    return [f"{candidate.backend}#{candidate.pool}" for candidate in step.candidates]


def backends(plan: Plan, name: str) -> set[str]:
    """Return the backends on which the new share is tried."""
    return {host.partition("#")[0] for host in hosts(plan, name)}


def test_without_a_limit_all_backends_are_tried() -> None:
    """Which is what the others narrow."""
    assert backends(World("archive", "fast").wants("a").plan(), "a") == {"archive", "fast"}


def test_a_plan_of_a_backend_tries_no_other() -> None:
    """Neither is another one made ready for it."""
    world = World("archive", "fast").wants("a")
    first = hosts(world.plan(), "a")[0].partition("#")[0]
    plan = world.plan(backends=[first])
    assert backends(plan, "a") == {first}
    assert {step.backend for step in plan.steps} == {first}
    assert plan.backends.keys() == {first}


def test_a_replacement_in_a_plan_of_a_backend_tries_no_other() -> None:
    """The new share of the two is a new share like any other."""
    world = World("archive", "fast").wants("a")
    settle(world)
    home = world.records["share/a"].backend or ""
    plan = world.plan(backends=[home], replaces=["share/a"])
    assert not any(backends(plan, "a") - {home} for step in plan.steps if step.verb is Verb.CREATE_SHARE)


def test_a_lost_share_is_made_again_in_its_place_alone() -> None:
    """Whatever else would have room."""
    world = World("archive", "fast").wants("a")
    settle(world)
    world.vanishes("share/a")
    record = world.records["share/a"]
    assert hosts(world.plan(), "a") == [f"{record.backend}#{record.pool}"]


def test_a_share_by_which_another_new_one_was_placed_stays_where_it_was_planned() -> None:
    """Elsewhere it would be beside one that is to be away from it, or away from one that is to be beside it."""
    world = World("archive", "fast").wants("a").wants("b", different_host=["a"]).wants("c").wants("d", same_host=["c"])
    plan = world.plan()
    assert len(hosts(plan, "a")) == 1
    assert hosts(plan, "a")[0] not in hosts(plan, "b")
    assert len(hosts(plan, "b")) > 1
    assert hosts(plan, "c") == hosts(plan, "d")


def test_a_share_server_is_made_on_no_other_backend_than_the_plans() -> None:
    """The share would fall through to it otherwise."""
    world = World("x").has_tenants("s").has_tenants("t").has_network("red").wants("a", share_network="red")
    first = hosts(world.plan(), "a")[0].partition("#")[0]
    plan = world.plan(backends=[first])
    assert {step.backend for step in plan.steps} == {first}
    assert backends(plan, "a") == {first}
