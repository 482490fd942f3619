"""Packing places at least as much as the greedy way, and more where space is tight."""

from __future__ import annotations

import sys
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.settings import PackSettings, SchedulerSettings
from sharectl.model.specs import SchedulerHints
from sharectl.scheduler.batch import _worth, place_batch
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.errors import SchedulerConfigError

from .builders import DEFAULTS, apart, place_all, pool, request, together

if TYPE_CHECKING:
    from sharectl.scheduler.pools import Pool
    from sharectl.scheduler.request import Request

PACK = SchedulerSettings(algorithm="pack", pack=PackSettings(effort=2))


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


@pytest.mark.usefixtures("_solver")
def test_what_packing_gained_is_said() -> None:
    """One note for the batch, with both figures."""
    pools = [pool("b#gold", free_capacity_gb=10, tier="gold"), pool("b#other", free_capacity_gb=10)]
    asked = [request("a", 10), request("b", 10, {"tier": "gold"})]
    (found,) = place_batch(Scheduler(pools, PACK), asked).diagnostics
    assert (found.code, found.summary) == ("scheduler.packed", "packing found a place for 2 of 2 new shares (20 GiB)")
    assert found.detail == "Placed one by one, 1 would have one (10 GiB)."
    (nothing,) = place_batch(Scheduler(pools, PACK), [request("c", 99)]).diagnostics
    assert nothing.summary.startswith("packing found no better way than one by one: 0 of 1")
    assert place_batch(Scheduler(pools, PACK), asked[:1]).diagnostics == ()


@pytest.mark.usefixtures("_solver")
def test_a_share_left_out_for_the_others_is_told_so() -> None:
    """Two small shares are worth more than the large one that would go first."""
    asked = [request("large", 10), request("small1", 5), request("small2", 5)]
    decisions = place_all(Scheduler([pool(free_capacity_gb=10)], PACK), asked)
    assert [each.scheduled for each in decisions] == [False, True, True]
    assert [found.code for found in decisions[0].diagnostics] == ["scheduler.packed-out"]


@pytest.mark.usefixtures("_solver")
def test_a_batch_with_too_many_choices_is_placed_one_by_one() -> None:
    """The limit is named, and the placement is that of the greedy way."""
    pools, asked = tight(1)
    small = replace(PACK, pack=PackSettings(effort=2, max_choices=3))
    batch = place_batch(Scheduler(pools, small), asked)
    assert [found.code for found in batch.diagnostics] == ["scheduler.pack-too-large"]
    assert batch.decisions == place_all(Scheduler(pools, DEFAULTS), asked)


@pytest.mark.usefixtures("_solver")
def test_a_solver_without_the_time_to_begin_leaves_the_greedy_placement() -> None:
    """Nothing is lost by trying."""
    pools, asked = tight(2)
    hurried = replace(PACK, pack=PackSettings(effort=1e-9))
    greedy = place_all(Scheduler(pools, DEFAULTS), asked)
    packed = place_all(Scheduler(pools, hurried), asked)
    assert sum(each.scheduled for each in packed) >= sum(each.scheduled for each in greedy)


@pytest.mark.usefixtures("_solver")
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_packing_is_never_worse_than_one_by_one(data: st.DataObject) -> None:
    """In shares placed, then in GiB, with hints, thin and thick pools; every placement passes every filter."""
    count = data.draw(st.integers(1, 4))
    counts_bytes = data.draw(st.booleans())
    sizes_gib = [3, 7, 10, 10.5, 21] if counts_bytes else [3, 7, 10, 21]  # Manila knows whole GiB alone
    pools = [
        pool(
            f"b{index}#p",
            free_capacity_gb=data.draw(st.integers(0, 40)),
            tier=data.draw(st.sampled_from(["gold", "silver"])),
            thin_provisioning=data.draw(st.booleans()),
            max_over_subscription_ratio=data.draw(st.sampled_from([1.0, 1.5, 3.0])),
            provisioned_capacity_gb=data.draw(st.sampled_from([0, 50, 90])),
            reserved_percentage=data.draw(st.sampled_from([0, 10])),
        )
        for index in range(count)
    ]
    pools = [replace(each, counts_bytes=counts_bytes) for each in pools]
    asked = []
    for index in range(data.draw(st.integers(1, 9))):
        names = st.lists(st.sampled_from([f"s{other}" for other in range(9) if other != index]), max_size=1)
        hints = SchedulerHints(different_host=tuple(data.draw(names)))
        size = data.draw(st.sampled_from(sizes_gib))
        asked.append(request(f"s{index}", size, data.draw(st.sampled_from([{}, {"tier": "gold"}])), hints=hints))
    greedy = place_all(Scheduler(pools, DEFAULTS), asked)
    scheduler = Scheduler(pools, PACK)
    packed = place_all(scheduler, asked)
    assert _worth(asked, packed) >= _worth(asked, greedy)
    for each in packed:
        assert each.scheduled == bool(each.candidates)
        assert not each.scheduled or each.candidates[0].host == each.host
    alone = Scheduler(pools, DEFAULTS)
    order = sorted(range(len(asked)), key=lambda place: asked[place].size_gib)
    for place in order:
        host = packed[place].host
        if host is not None:
            free = replace(asked[place], hints=SchedulerHints())
            assert alone.refusal(free, host) is None
            alone.reserve(asked[place], host)
    hosts = {each.request_id: each.host for each in packed if each.scheduled}
    for each in asked:
        for other in each.hints.different_host:
            assert each.id not in hosts or hosts[each.id] != hosts.get(other)
