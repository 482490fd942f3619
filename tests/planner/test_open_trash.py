"""A share in the trash that somebody has opened is named by each plan, although no manifest is about it."""

from __future__ import annotations

import pytest

from tests.planner.model import settle
from tests.planner.world import World, codes, rule


def in_the_trash(*access: str) -> World:
    """Return a world with a share in the trash that lets these in."""
    world = World().wants("a", deletion_policy="trash", access=["ip:10.0.0.1=rw"]).wants("b")
    settle(world)
    world.drops("share/a")
    settle(world)
    shares = world.backends["nas"].shares
    key = next(key for key, share in shares.items() if share.trashed_at is not None)
    shares[key] = shares[key]._replace(access=tuple(map(rule, access)))
    return world


def test_an_open_share_in_the_trash_is_named_with_whom_it_lets_in() -> None:
    """Nothing is done about it: whoever opened it may have had a reason."""
    plan = in_the_trash("ip:10.0.0.9=ro", "ip:10.0.0.8=none").plan()
    assert codes(plan) == ["trash.open backend/nas"]
    (found,) = plan.diagnostics
    assert "1 share in the trash of backend nas can be reached: a-00000001 (ip:10.0.0.9 ro)" in found.summary
    assert plan.is_empty


@pytest.mark.parametrize("access", [(), ("ip:10.0.0.8=none",)])
def test_a_closed_share_in_the_trash_is_not_worth_a_word(access: tuple[str, ...]) -> None:
    """As it is put there."""
    assert codes(in_the_trash(*access).plan()) == []
