"""Room on pools that sharectl's drivers report: exact to the byte, and on thin pools spent by promises."""

from __future__ import annotations

from typing import Any, cast

import pytest

from sharectl.model.backends import BackendSpec, CapacityPolicy
from sharectl.model.observed import BackendReport, PoolReport
from sharectl.model.quantities import GIB, parse_size
from sharectl.model.settings import SchedulerSettings
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.explanation import explain
from sharectl.scheduler.pools import Pool, pool_from_report
from sharectl.scheduler.request import PlacedShare, Request

from .builders import pool as manila_pool

DEFAULTS = SchedulerSettings()
AS_REPORTED = CapacityPolicy()
THICK = CapacityPolicy(thin_provisioning=False)


def reported(
    free: str | int, *, total: str | int | None = None, policy: CapacityPolicy = AS_REPORTED, **report: object
) -> Pool:
    """Return the pool of a driver's report."""
    free_bytes = parse_size(free) if isinstance(free, str) else free
    total_bytes = free_bytes if total is None else parse_size(str(total))
    backend = BackendSpec("b", "simulated", {}, capacity=policy)
    return pool_from_report(
        backend,
        BackendReport("id", ("NFS",)),
        PoolReport("p", total_bytes, free_bytes, **cast("Any", report)),
        frozenset(),
    )


def request(size: str | int, specs: dict[str, str] | None = None, name: str = "s") -> Request:
    """Return a request for a share of this size."""
    size_bytes = parse_size(size) if isinstance(size, str) else size
    return Request(name, size_bytes / GIB, "NFS", specs or {})


def placed(pool: Pool, size: str, count: int, specs: dict[str, str] | None = None) -> int:
    """Return how many of `count` shares have a place when they come together."""
    scheduler = Scheduler([pool], DEFAULTS)
    return sum(scheduler.place(request(size, specs, f"s{number}")).scheduled for number in range(count))


@pytest.mark.parametrize(("free", "size"), [("500GB", "500GB"), ("900MiB", "100MiB"), ("10.5GiB", "10.25GiB")])
def test_what_is_free_is_compared_to_the_byte(free: str, size: str) -> None:
    """What fits fits, between whole GiB and below one; a byte more does not."""
    assert placed(reported(free), size, 1) == 1
    scheduler = Scheduler([reported(free)], DEFAULTS)
    assert not scheduler.decide(request(parse_size(free) + 1)).scheduled


@pytest.mark.parametrize("percentage", [1.0, 3.3, 10.0, 33.0])
def test_a_reserve_leaves_whole_bytes(percentage: float) -> None:
    """All that the reserve leaves can be had, and not a byte more."""
    pool = reported("500GB", policy=CapacityPolicy(reserved_percentage=percentage))
    left = parse_size("500GB") - round(parse_size("500GB") * percentage / 100)
    assert Scheduler([pool], DEFAULTS).decide(request(left)).scheduled
    assert not Scheduler([pool], DEFAULTS).decide(request(left + 1)).scheduled


def test_a_thin_pool_spends_what_it_may_promise_in_one_plan_as_in_many() -> None:
    """30 shares of 100 GiB on an empty pool of 1 TiB at a ratio of 20; 204 is where the promises end, together or one by one."""
    thin = reported("1TiB", thin_provisioning=True, max_over_subscription_ratio=20.0)
    assert placed(thin, "100GiB", 30) == 30
    assert placed(thin, "100GiB", 300) == 204
    one_by_one, provisioned = 0, 0
    while True:
        pool = reported("1TiB", thin_provisioning=True, max_over_subscription_ratio=20.0, provisioned_bytes=provisioned)
        if placed(pool, "100GiB", 1) == 0:
            break
        one_by_one, provisioned = one_by_one + 1, provisioned + 100 * GIB
    assert one_by_one == 204


def test_a_thin_pool_still_needs_real_space() -> None:
    """What is left of it, times the ratio, bounds each share."""
    thin = reported("512MiB", total="1TiB", thin_provisioning=True, max_over_subscription_ratio=2.0)
    assert placed(thin, "1GiB", 5) == 5
    assert placed(thin, "1025MiB", 1) == 0


def test_a_type_that_asks_for_thick_takes_its_whole_size() -> None:
    """On a pool that can do both."""
    both = reported("1TiB", thin_provisioning=True, max_over_subscription_ratio=20.0, capabilities={})
    assert placed(both, "300GiB", 5, {"thin_provisioning": "False"}) in {0, 3}
    listed = Pool(
        both.host,
        both.backend,
        both.name,
        capabilities={**both.capabilities, "thin_provisioning": [True, False]},
        counts_bytes=True,
    )
    assert placed(listed, "300GiB", 5, {"thin_provisioning": "<is> False"}) == 3


def test_a_thin_pool_that_the_manifest_makes_thick_counts_promises_as_taken() -> None:
    """Nothing is written yet, and the next plan must not promise the same space again."""
    pool = reported("1TiB", policy=THICK, thin_provisioning=True, allocated_bytes=1000 * GIB)
    assert pool.capabilities["free_capacity_gb"] == 24
    assert placed(pool, "24GiB", 1) == 1
    assert placed(pool, "25GiB", 1) == 0


def test_pools_of_manila_count_as_manila() -> None:
    """Whole GiB, and free space that each share of a batch takes."""
    facts = {"total_capacity_gb": 100.5, "free_capacity_gb": 100.5, "provisioned_capacity_gb": 0}
    thin = {"thin_provisioning": True, "max_over_subscription_ratio": 1.5}
    assert placed(manila_pool(**facts), "100.5GiB", 1) == 0
    assert placed(manila_pool(**facts), "100GiB", 1) == 1
    assert placed(manila_pool(**facts, **thin), "50GiB", 9) == 2


def test_a_refusal_shows_the_figures_that_pools_shows() -> None:
    """In the same units; to the byte where both would look alike."""

    def sentence(pool: Pool, size: str | int) -> str:
        return explain(Scheduler([pool], DEFAULTS), request(size)).pools[0].sentence

    assert sentence(reported("1.5TiB"), "2TiB") == "CapacityFilter: needs 2048 GiB, 1.5 TiB free"
    assert sentence(reported("900MiB"), "901.5MiB") == "CapacityFilter: needs 901.5 MiB, 900.0 MiB free"
    assert sentence(reported("500GB"), 500 * 10**9 + 1) == (
        "CapacityFilter: needs 500000000001 bytes, 500000000000 bytes free"
    )


def test_pools_that_differ_by_less_than_a_gib_are_alike() -> None:
    """So that a few bytes written meanwhile do not move a share: the first of them is taken."""
    one, other = reported(10 * GIB + 5), reported(10 * GIB + 500)
    renamed = Pool("c#p", "c", "p", capabilities=other.capabilities, counts_bytes=True)
    assert Scheduler([one, renamed], DEFAULTS, [PlacedShare("x", "b#p", 1)]).decide(request("1GiB")).host == "b#p"
