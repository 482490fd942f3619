"""Packing places at least as much as the greedy way, and more where space is tight."""

from __future__ import annotations

import sys
from dataclasses import replace
from random import Random

import pytest

from sharectl.model import PackSettings, SchedulerSettings
from sharectl.scheduler import Pool, Request, Scheduler, SchedulerConfigError, place_all

from .builders import DEFAULTS, apart, pool, request, together

PACK = SchedulerSettings(algorithm="pack", pack=PackSettings(effort_seconds=2))


@pytest.fixture
def _solver() -> None:
    pytest.importorskip("ortools.sat.python.cp_model", reason="needs ortools (pip install sharectl[pack])")


def tight(seed: int) -> tuple[list[Pool], list[Request]]:
    """Return a seeded instance with more to place than fits."""
    random = Random(seed)  # noqa: S311 - a reproducible instance, no secret
    pools = [
        pool(f"b{index}#p", free_capacity_gb=random.randint(30, 100), tier=random.choice(["gold", "silver"]))
        for index in range(6)
    ]
    asked = [
        request(f"s{index:02}", random.choice([7, 11, 19, 23, 31]), random.choice([{}, {"tier": "gold"}]))
        for index in range(26)
    ]
    return pools, asked


@pytest.mark.usefixtures("_solver")
def test_a_share_that_can_go_elsewhere_makes_room() -> None:
    """Greedily the first share takes the only pool of the second one."""
    pools = [pool("b#gold", free_capacity_gb=10, tier="gold"), pool("b#other", free_capacity_gb=10)]
    asked = [request("a", 10), request("b", 10, {"tier": "gold"})]
    assert [each.host for each in place_all(Scheduler(pools, DEFAULTS), asked)] == ["b#gold", None]
    scheduler = Scheduler(pools, PACK)
    assert [each.host for each in place_all(scheduler, asked)] == ["b#other", "b#gold"]
    assert [each.capabilities["free_capacity_gb"] for each in scheduler.pools_after()] == [0, 0]


@pytest.mark.usefixtures("_solver")
@pytest.mark.parametrize("seed", range(4))
def test_packing_is_never_worse_and_always_the_same(seed: int) -> None:
    """Count first, then GiB; every placement holds against every filter."""
    pools, asked = tight(seed)
    greedy = place_all(Scheduler(pools, DEFAULTS), asked)
    scheduler = Scheduler(pools, PACK)
    packed = place_all(scheduler, asked)
    assert sum(each.scheduled for each in packed) >= sum(each.scheduled for each in greedy)
    assert all(each.capabilities["free_capacity_gb"] >= 0 for each in scheduler.pools_after())
    assert place_all(Scheduler(pools, PACK), asked) == packed


@pytest.mark.usefixtures("_solver")
def test_hints_hold_within_the_batch() -> None:
    """Shares of one batch are kept together and apart."""
    pools = [pool(f"b{index}#p", free_capacity_gb=20) for index in range(2)]
    pools.append(pool("b2#p", free_capacity_gb=5))
    asked = [
        request("a", 10, hints=together("b")),
        request("b", 10),
        request("c", 10, hints=apart("a")),
        request("d", 9),
        request("e", 9),
    ]
    hosts = {each.request_id: each.host for each in place_all(Scheduler(pools, PACK), asked)}
    assert hosts["a"] == hosts["b"] != hosts["c"]
    assert sum(host is not None for host in hosts.values()) == 4


@pytest.mark.usefixtures("_solver")
def test_thin_pools_are_packed_by_their_promises_and_their_real_space() -> None:
    """Over-subscription bounds the sum, real space all shares but the last."""
    thin = {"thin_provisioning": True, "max_over_subscription_ratio": 2.0, "provisioned_capacity_gb": 0}
    pools = [pool("b0#p", total_capacity_gb=50, free_capacity_gb=50, **thin), pool("b1#p", free_capacity_gb="unknown")]
    asked = [request(f"s{index}", 40, {"thin_provisioning": "True"}) for index in range(4)]
    decisions = place_all(Scheduler(pools[:1], PACK), asked)
    assert sum(each.scheduled for each in decisions) >= 1
    assert all(each.scheduled for each in place_all(Scheduler(pools[1:], PACK), [replace(asked[0], extra_specs={})]))


@pytest.mark.usefixtures("_solver")
def test_a_share_too_large_for_its_type_is_left_out_of_the_packing() -> None:
    """It is refused with the limit, and takes no room."""
    pools = [pool(free_capacity_gb=10)]
    asked = [request("a", 10, {"provisioning:max_share_size": "5"}), request("b", 6), request("c", 5)]
    decisions = place_all(Scheduler(pools, PACK), asked)
    assert decisions[0].diagnostics[0].code == "scheduler.size-limit"
    assert sum(each.scheduled for each in decisions) == 1


def test_without_the_solver_the_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)
    with pytest.raises(SchedulerConfigError, match="solver"):
        place_all(Scheduler([pool()], PACK), [request()])
