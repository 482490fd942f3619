"""Shares of which nothing but metadata changes are planned in a short way, with which the long way has to agree."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from sharectl.model.field_changes import FieldChange
from sharectl.model.specs import HourlySnapshots, RevertRequest, ShareSpec, SnapshotPolicy
from sharectl.model.verbs import Verb
from sharectl.planner.exports import ExportChange
from sharectl.planner.moves import plan_moves
from sharectl.planner.observed import find_deviations
from sharectl.planner.records import with_name, with_spec
from sharectl.planner.shares.metadata import plan_metadata
from sharectl.planner.shares.steps import plan_changed_share
from sharectl.state.rows import spec_object_of
from tests.planner.model import settle
from tests.planner.world import World

NAMES = ("a", "b", "c")
POLICY = SnapshotPolicy(HourlySnapshots(2))
FIELDS: dict[str, tuple[Any, Any]] = {
    "labels": ({"name": "a"}, {"name": "b"}),
    "protect": (False, True),
    "deletion_policy": ("retain", "delete"),
    "replacement": ("refuse", "createFirst"),
    "retain_access": (False, True),
    "allow_shrink": (False, True),
    "different_host": ([], ["b"]),
    "size": ("2GiB", "3GiB"),
    "protocol": ("NFS", "NFS_CIFS"),
    "availability_zone": (None, "east"),
    "export_name": (None, "Projects"),
    "snapshot_policy": (None, POLICY),
    "revert_to": (None, RevertRequest("s", "1")),
    "access": ([], ["ip:10.0.0.1=rw"]),
}
SHORT = {"labels", "protect", "deletion_policy", "replacement", "retain_access", "allow_shrink"}
"""Fields of which a change goes the short way. Hints are metadata too, and go the long way."""
BY_HAND: tuple[dict[str, Any], ...] = ({}, {"protocol": "NFS_CIFS"}, {"size_bytes": 5 << 30}, {"pool": "p9"})


def is_short(world: World, options: dict[str, Any]) -> set[bool]:
    """Plan each share both ways, and return which of them the short way has planned: they have to agree."""
    short = world.draft()
    short.options = world.options(**options)
    short.deviations = find_deviations(short.state, short.observed)
    found = set()
    for address in [f"share/{name}" for name in NAMES] * 2:  # the second time, others that are alike are known
        short.steps.clear()
        found.add(plan_metadata(short, address))
        if not short.steps:
            continue
        long = world.draft()
        long.options, long.deviations = short.options, short.deviations
        plan_changed_share(long, address)
        assert short.steps == long.steps
        assert {step.verb for step in short.steps.values()} == {Verb.UPDATE_RECORD}
        assert (long.diagnostics, long.removals, long.replaced) == ([], [], {})
    return found


def settled(**fields: Any) -> World:  # noqa: ANN401 - the fields of a share
    """Return a world with shares that are alike, one of them with a snapshot."""
    world = World()
    world.has_type("plain")
    for name in NAMES:
        world.wants(name, share_type="plain", **{"labels": {"team": "red"}, **fields})
    world.wants_snapshot("s", "a")
    settle(world)
    return world


def becomes(world: World, **fields: Any) -> None:  # noqa: ANN401 - as above
    """Let the manifests of the shares say something else, at least as labels."""
    for name in NAMES:
        world.wants(name, share_type="plain", **{"labels": {"owner": "red"}, **fields})


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_the_short_way_plans_what_the_long_way_would(field: str) -> None:
    """Whatever changes besides labels, in the manifests and on the backend: the same step, and nothing else that there would be to say."""
    for (before, after), by_hand in product((FIELDS[field], FIELDS[field][::-1]), BY_HAND):
        if before is not None and field in {"revert_to", "export_name", "availability_zone"}:
            continue  # a new share is not turned back, two are not exported under one name, and there is no such zone
        world = settled(**{field: before})
        becomes(world, **{field: after})
        for name in NAMES:
            world.by_hand(f"share/{name}", **by_hand)
        assert is_short(world, {}) == {field in SHORT and not by_hand}


def test_what_else_is_asked_for_goes_the_long_way() -> None:
    """A replacement, or the policy that a share type has got; and what a backend has that the manifest has not."""
    world = settled()
    becomes(world)
    assert is_short(world, {}) == {True}
    assert is_short(world, {"replaces": [f"share/{name}" for name in NAMES]}) == {False}
    world.share_types["plain"] = replace(world.share_types["plain"], snapshot_policy=POLICY)
    assert is_short(world, {}) == {False}
    settle(world)
    world.share_types["plain"] = replace(world.share_types["plain"], snapshot_policy=None)
    becomes(world, labels={})
    assert is_short(world, {}) == {False}


@pytest.mark.parametrize("fields", [{"revert_to": RevertRequest("s", "1")}, {"export_name": "Projects"}])
def test_what_is_not_told_by_a_difference_goes_the_long_way(fields: dict[str, Any]) -> None:
    """A revert may have been cut short, and an export may have another name on its backend, though nothing of them changes."""
    world = settled().wants("a", share_type="plain", **fields)
    settle(world)
    world.wants("a", share_type="plain", labels={"owner": "red"}, **fields)
    draft = world.draft()
    plan_metadata(draft, "share/a")
    assert draft.steps == {}


def test_an_export_whose_settings_change_goes_the_long_way() -> None:
    """They are put in force by a step of their own."""
    world = settled()
    becomes(world)
    draft = world.draft()
    draft.export_changes["share/a"] = ExportChange((FieldChange("export/squash", "root", "all"),))
    assert [plan_metadata(draft, f"share/{name}") for name in NAMES] == [False, True, True]


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


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_of_a_renamed_share_nothing_is_left_where_the_long_way_finds_nothing(field: str) -> None:
    """Whatever else it has, gets at the same time, or has on its backend; and where a rule of it was refused."""
    found = set()
    for (before, after), by_hand, is_refused in product(product(FIELDS[field], repeat=2), BY_HAND[:2], (False, True)):
        if before is not None and field in {"revert_to", "export_name", "availability_zone"}:
            continue  # as above
        world = settled(**{field: before})
        becomes(world, **{"labels": {"team": "red"}, field: after})
        for name in NAMES:
            world.by_hand(f"share/{name}", **by_hand).renames(f"share/{name}", f"share/new-{name}")
            if is_refused:
                world.records[f"share/{name}"] = world.records[f"share/{name}"]._replace(spec_digest=None)
        short, long = world.draft(), world.draft()
        for draft in (short, long):
            draft.deviations = find_deviations(draft.state, draft.observed)
            plan_moves(draft)
        for address in [f"share/new-{name}" for name in NAMES]:
            is_short = plan_metadata(short, address)
            found.add(is_short)
            if is_short:
                plan_changed_share(long, address)
        assert short.steps == long.steps
        assert (short.diagnostics, short.removals, short.replaced) == (long.diagnostics, long.removals, long.replaced)
    assert found == {False, True}


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_the_row_of_a_renamed_share_is_that_of_its_spec_under_the_new_name(field: str) -> None:
    """Digest, protection and text, whatever the spec holds and whatever the name."""
    for value, withdrawn in product(FIELDS[field], (False, True)):
        world = settled()
        spec = replace(world.shares["a"], **({} if field in {"size", "access", "different_host"} else {field: value}))
        if spec.revert_to is not None:
            spec = replace(spec, revert_to=replace(spec.revert_to, withdrawn=withdrawn))
        row = with_spec(world.records["share/a"], spec)
        for each, name in product(
            (row, row._replace(spec_digest=None, protect=not row.protect)), ("b", 'q"\\\u00e9', "name")
        ):
            plain = {**spec_object_of(each), "name": name}
            assert with_name(each, name) == with_spec(each, ShareSpec.from_plain(plain))
