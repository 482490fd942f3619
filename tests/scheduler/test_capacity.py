"""Manila's arithmetic of capacity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.scheduler import capacity
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.explanation import explain
from sharectl.scheduler.fast.classes import CapacityView
from sharectl.scheduler.pools import PoolState
from sharectl.scheduler.request import Operation, Request, traits_of

from .builders import DEFAULTS, pool, request


def fits(size_gib: float, *, specs: dict[str, str] | None = None, **capabilities: Any) -> bool:  # noqa: ANN401
    """Tell whether a share fits into a pool with these capabilities."""
    return Scheduler([pool(**capabilities)], DEFAULTS).decide(request(size_gib=size_gib, specs=specs)).scheduled


def refusal(asked: Request, **capabilities: Any) -> str:  # noqa: ANN401
    """Return the sentence of the one pool's refusal."""
    (verdict,) = explain(Scheduler([pool(**capabilities)], DEFAULTS), asked).pools
    return verdict.sentence


def test_a_thick_pool_takes_what_is_free_after_the_reserve() -> None:
    """The reserve is of the total, and what is left is rounded down."""
    assert fits(80, reserved_percentage=20)
    assert not fits(81, reserved_percentage=20)
    assert not fits(80, reserved_percentage=20, free_capacity_gb=99.5)


def test_a_thin_pool_may_be_promised_up_to_its_ratio_inclusive() -> None:
    """Provisioned and new size together may reach total times ratio."""
    thin = {"thin_provisioning": True, "max_over_subscription_ratio": 2.0, "provisioned_capacity_gb": 150}
    assert fits(50, **thin)
    assert not fits(50.5, **thin)
    assert not fits(50, specs={"thin_provisioning": "False"}, free_capacity_gb=40, **thin)


def test_a_thin_pool_needs_real_space_times_its_ratio() -> None:
    """Virtual space is bounded by the real one."""
    thin = {"thin_provisioning": True, "max_over_subscription_ratio": 2.0, "provisioned_capacity_gb": 0}
    assert fits(20, free_capacity_gb=10, **thin)
    assert not fits(21, free_capacity_gb=10, **thin)


def test_a_ratio_below_one_takes_nothing() -> None:
    """It cannot be meant."""
    thin = {"thin_provisioning": True, "max_over_subscription_ratio": 0.5, "provisioned_capacity_gb": 0}
    assert not fits(1, **thin)
    assert "must be 1 or more" in refusal(request(size_gib=1), **thin)


@pytest.mark.parametrize(
    ("free", "total", "reserved", "expected"),
    [
        ("unknown", 100, 0, True),
        (100, "unknown", 0, True),
        (9, "unknown", 0, False),
        (100, "unknown", 5, False),
        ("infinite", 100, 50, True),
        ("infinite", "infinite", 5, True),
        ("infinite", "unknown", 5, False),
        (100, "infinite", 0, True),
        ("infinite", 0, 0, False),
        (None, 100, 0, False),
        (100, 0, 0, False),
    ],
)
def test_unknown_and_infinite_capacities(free: Any, total: Any, reserved: int, expected: bool) -> None:  # noqa: ANN401, FBT001
    """Unknown free space passes, an unknown total only without a reserve, infinite space always."""
    figures = {"free_capacity_gb": free, "total_capacity_gb": total, "reserved_percentage": reserved}
    assert fits(10, **figures) is expected
    if not expected:
        assert refusal(request(), **figures).startswith("CapacityFilter: needs 10 GiB")


def test_each_kind_of_request_has_its_own_reserve() -> None:
    """Shares from snapshots and extensions leave other reserves."""
    reserves = {
        "reserved_percentage": 10,
        "reserved_snapshot_percentage": 50,
        "reserved_share_extend_percentage": 0,
        "create_share_from_snapshot_support": True,
    }
    scheduler = Scheduler([pool(**reserves)], DEFAULTS)
    assert not scheduler.decide(request(size_gib=60, snapshot_id="x", snapshot_host="b#p")).scheduled
    grown = request(size_gib=1, operation=Operation.EXTEND, target_host="b#p", new_size_gib=101)
    assert scheduler.decide(grown).host == "b#p"
    assert not scheduler.decide(request(size_gib=91)).scheduled


def test_refusals_give_their_figures() -> None:
    """A sentence says what is needed and what is there."""
    assert refusal(request(size_gib=100), reserved_percentage=20) == (
        "CapacityFilter: needs 100 GiB, 80.0 GiB free after 20 % reserved"
    )
    thin = {"thin_provisioning": True, "max_over_subscription_ratio": 2.0}
    assert refusal(request(size_gib=60), provisioned_capacity_gb=150, **thin) == (
        "CapacityFilter: needs 60 GiB, 150 GiB of 100 GiB provisioned already, over-subscription ends at 2 (200 GiB)"
    )
    assert refusal(request(size_gib=60), provisioned_capacity_gb=0, free_capacity_gb=10, **thin) == (
        "CapacityFilter: needs 60 GiB, 10.0 GiB free allow 20 GiB at 2 times"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("free_capacity_gb", "lots"),
        ("total_capacity_gb", "lots"),
        ("total_capacity_gb", float("inf")),
        ("reserved_percentage", "a tenth"),
        ("provisioned_capacity_gb", "much"),
        ("max_over_subscription_ratio", "wide"),
    ],
)
def test_a_figure_that_is_none_leaves_the_pool_out_and_is_named(key: str, value: object) -> None:
    """The other pools are still asked."""
    odd = pool("b#odd", **{"thin_provisioning": True, "provisioned_capacity_gb": 0, key: value})
    decision = Scheduler([odd, pool("b#good")], DEFAULTS).place(request())
    assert decision.host == "b#good"
    (diagnostic,) = decision.diagnostics
    assert diagnostic.summary == f"pool b#odd is left out: {key} is {value!r}"


@given(
    free=st.one_of(st.floats(-10, 1e6), st.integers(0, 10**6), st.sampled_from(["unknown", "infinite"])),
    total=st.one_of(st.floats(0, 1e6), st.integers(0, 10**6), st.sampled_from(["unknown", "infinite"])),
    provisioned=st.one_of(st.floats(0, 2e7), st.integers(0, 2 * 10**7)),
    ratio=st.sampled_from([0.5, 1, 1.1, 3.7, 20.0]),
    reserved=st.sampled_from([0, 3, 10]),
    thin=st.booleans(),
    counts_bytes=st.booleans(),
    steps=st.integers(-3, 3),
)
def test_the_limit_of_a_pool_is_the_largest_size_that_fits(  # noqa: PLR0913, PLR0917 - the figures of a pool
    free: Any,  # noqa: ANN401
    total: Any,  # noqa: ANN401
    provisioned: float,
    ratio: float,
    reserved: int,
    thin: bool,  # noqa: FBT001
    counts_bytes: bool,  # noqa: FBT001
    steps: int,
) -> None:
    """On the grid of whole bytes, the limit and the test never disagree."""
    figures = {"free_capacity_gb": free, "total_capacity_gb": total, "reserved_percentage": reserved}
    thinness = {"thin_provisioning": thin, "max_over_subscription_ratio": ratio, "provisioned_capacity_gb": provisioned}
    state = PoolState(replace(pool(**figures, **thinness), counts_bytes=counts_bytes), 0, 0, 20.0)
    traits = traits_of(request(), None)
    view = CapacityView([state], traits)
    if view.irregular:
        return
    limit = view.limits[0]
    near = 1.0 if limit in (capacity.NEVER, capacity.ALWAYS) else (limit * capacity.GRID // 1 + steps) / capacity.GRID
    size = max(near, 1 / capacity.GRID)
    assert capacity.fits(state, size, traits) is (limit >= size)
    if capacity.fits(state, 1 / capacity.GRID, traits):
        assert view.headrooms[0] == capacity.headroom(state, traits)
