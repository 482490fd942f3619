"""Shares of which nothing but metadata changes are planned in a short way, with which the long way has to agree."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.specs import HourlySnapshots, RevertRequest, SnapshotPolicy
from sharectl.model.verbs import Verb
from sharectl.planner.observed import find_deviations
from sharectl.planner.shares.metadata import plan_metadata
from sharectl.planner.shares.steps import plan_changed_share
from tests.planner.model import settle
from tests.planner.world import World

NAMES = ("a", "b", "c")
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "labels": st.sampled_from(({}, {"team": "red"}, {"name": "a"}, {"name": "b", "team": "red"})),
    "protect": st.booleans(),
    "deletion_policy": st.sampled_from(("retain", "delete")),
    "replacement": st.sampled_from(("refuse", "createFirst")),
    "retain_access": st.booleans(),
    "different_host": st.sampled_from(([], ["b"])),
    "size": st.sampled_from(("1GiB", "2GiB")),
    "protocol": st.sampled_from(("NFS", "NFS", "NFS_CIFS")),
    "export_name": st.sampled_from((None, "Projects")),
    "snapshot_policy": st.sampled_from((None, SnapshotPolicy(HourlySnapshots(2)))),
    "revert_to": st.sampled_from((None, RevertRequest("s", "1"))),
    "access": st.sampled_from(([], ["ip:10.0.0.1=rw"])),
}
CHANGES = st.lists(st.sampled_from(sorted(FIELDS)), max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)
BY_HAND = st.sampled_from(({}, {}, {}, {"protocol": "NFS_CIFS"}, {"size_bytes": 5 << 30}, {"pool": "p2"}))


@settings(max_examples=150)
@given(st.tuples(CHANGES, CHANGES, CHANGES), st.tuples(CHANGES, CHANGES, CHANGES), st.tuples(BY_HAND, BY_HAND, BY_HAND))
def test_the_short_way_plans_what_the_long_way_would(
    first: tuple[dict[str, Any], ...], then: tuple[dict[str, Any], ...], by_hand: tuple[dict[str, Any], ...]
) -> None:
    """Whatever changes, of shares that are alike and not: the same steps, and nothing that the long way would have said."""
    world = World()
    for name, fields in zip(NAMES, first, strict=True):
        world.wants(name, **{**fields, "revert_to": None, "export_name": None})
    world.wants_snapshot("s", "a")
    settle(world)
    for name, before, after, seen in zip(NAMES, first, then, by_hand, strict=True):
        world.wants(name, **{**before, **after})
        world.by_hand(f"share/{name}", **seen)
    short = world.draft()
    short.deviations = find_deviations(short.state, short.observed)
    for address in [f"share/{name}" for name in NAMES] * 2:  # the second time, others that are alike are known
        short.steps.clear()
        long = world.draft()
        long.deviations = short.deviations
        plan_changed_share(long, address)
        if plan_metadata(short, address):
            assert short.steps == long.steps
            assert {step.verb for step in short.steps.values()} == {Verb.UPDATE_RECORD}
            assert long.diagnostics == []
            assert long.removals == []
        else:
            assert short.steps == {}


def test_labels_of_shares_that_are_alike_are_one_change() -> None:
    """So that it is worked out, held and worded once."""
    world = World()
    for name in NAMES:
        world.wants(name, labels={"team": "red"})
    settle(world)
    for name in NAMES:
        world.wants(name, labels={"owner": "red"})
    changes = [step.stated_changes for step in world.plan().steps if step.verb is Verb.UPDATE_RECORD]
    assert len(changes) == len(NAMES)
    assert len(set(map(id, changes))) == 1
