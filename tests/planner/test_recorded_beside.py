"""Whatever cannot be done now does not keep what can be recorded from being recorded."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.planner.model import carry_out, settle
from tests.planner.world import World

WANTED: dict[str, Any] = {
    "protect": True,
    "deletion_policy": "trash",
    "retain_access": True,
    "replacement": "refuse",
    "labels": {"team": "red"},
    "different_host": ["b"],
}


def _grown(world: World) -> dict[str, Any]:
    world.by_hand("share/a", size_bytes=5 << 30)
    return {}


def _trashed(world: World) -> dict[str, Any]:
    world.by_hand("share/a", trashed_at="2026-01-01T00:00:00Z", access=())
    return {}


def _silent(world: World) -> dict[str, Any]:
    world.silences("nas")
    return {}


def _retired(world: World) -> dict[str, Any]:
    world.drops("backend/nas")
    return {"size": "4GiB"}


def _unable(world: World) -> dict[str, Any]:
    world.has_backend("nas", lacks=["extend"])
    return {"size": "4GiB"}


def _shrinking(world: World) -> dict[str, Any]:
    return {"size": "1GiB"}


def _another(world: World) -> dict[str, Any]:
    return {"protocol": "CIFS"}


def _replaced(world: World) -> dict[str, Any]:
    return {"size": "9000GiB", "protocol": "CIFS", "replacement": "createFirst"}


def _reverted(world: World) -> dict[str, Any]:
    world.has_backend("nas", lacks=["revert"])
    return {"revert_to": ["s", "T-1"]}


@pytest.mark.parametrize(
    "happens", [_grown, _trashed, _silent, _retired, _unable, _shrinking, _another, _replaced, _reverted]
)
def test_protection_and_policy_are_recorded(happens: Any) -> None:  # noqa: ANN401 - a function
    """Of the share and of its snapshot; and both hold after their manifests are gone."""
    world = World("nas", "other").wants("a", "2GiB", only_host="nas#p1").wants("b").wants_snapshot("s", "a")
    settle(world)
    wanted = {**WANTED, **happens(world)}
    world.wants("a", wanted.pop("size", "2GiB"), **wanted).wants_snapshot("s", "a", protect=True)
    plan = world.plan()
    carry_out(world, plan)
    record = world.records["share/a"]
    assert record.protect
    assert world.records["snapshot/s"].protect
    recorded = orjson.loads(record.spec)
    for name in ("protect", "deletion_policy", "retain_access", "labels", "different_host"):
        assert recorded[name] == WANTED[name], name
    again = world.plan()
    assert not again.steps
    assert bool(again.held) == bool(plan.held)
    world.drops("snapshot/s", "share/a")
    gone = world.plan()
    assert not [step for step in gone.steps if step.address in {"share/a", "snapshot/s"}]
    assert {each.address for each in gone.held} >= {"share/a", "snapshot/s"}
