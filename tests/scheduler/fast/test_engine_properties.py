"""The engine decides as the plain evaluation does, whatever the pools and requests are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharectl.model.settings import SchedulerSettings
from sharectl.model.specs import SchedulerHints
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.request import Operation, PlacedShare, Request, Retry
from tests.scheduler.builders import pool
from tests.scheduler.reference import ReferenceScheduler

if TYPE_CHECKING:
    from sharectl.scheduler.pools import Pool

SIZES = st.sampled_from([1, 5, 10, 10.5, 40, 100, 1 / 1024, 0.3])
CAPACITIES = st.sampled_from([0, 5, 40, 100, 100.5, 1000, "unknown"])
ODD_CAPACITIES = st.sampled_from(["infinite", "lots", None, True, float("inf")])
FILTER_FUNCTIONS = st.sampled_from(
    [
        None,
        None,
        None,
        "1 == 1",
        "capabilities.tier == gold",
        "share.size < 20",
        "stats.free_capacity_gb > 50",
        "share.size < 20 and stats.free_capacity_gb > 50",
        "capabilities.missing and share.size < 20",
        "share.size < 20 && share.missing",
        "stats.free_capacity_gb > share.size * 2 and extra.tier != gold",
        "share.id == s or share.size > 5",
        "stats.provisioned_capacity_gb < 20 and share.size > 1 ? 1 : 0",
        "broken ((",
    ]
)
GOODNESS_FUNCTIONS = st.sampled_from(
    [
        None,
        "50",
        "share.size * 2",
        "100 * stats.free_capacity_gb / stats.total_capacity_gb",
        "100 - stats.free_capacity_gb / share.size",
        "extra.max_iops == 3",
        "capabilities.missing",
    ]
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "tier": st.sampled_from(["gold", "<or> gold <or> silver", "s!= gold", "<in> old"]),
        "thin_provisioning": st.sampled_from(["True", "<is> False"]),
        "max_iops": st.sampled_from([">= 100", "s> 1"]),
        "availability_zones": st.just("z0, z1"),
        "replication_type": st.just("dr"),
        "default_qos_type": st.just("fast"),
    },
)


@st.composite
def pools(draw: st.DrawFn, *, functions: bool, odd: bool) -> list[Pool]:
    """Draw up to twelve pools on four backends."""
    found = []
    for index in range(draw(st.integers(1, 12))):
        total = draw(CAPACITIES)
        free = draw(st.one_of(CAPACITIES, ODD_CAPACITIES)) if odd else draw(CAPACITIES)
        capabilities: dict[str, Any] = {
            "total_capacity_gb": total,
            "free_capacity_gb": free,
            "reserved_percentage": draw(st.sampled_from([0, 5, 10])),
            "thin_provisioning": draw(st.sampled_from([True, False, [True, False]])),
            "max_over_subscription_ratio": draw(st.sampled_from([0.5, 1, 1.5, 20.0])),
            "provisioned_capacity_gb": draw(st.sampled_from([0, 10, 100, 149.5])),
            "tier": draw(st.sampled_from(["gold", "silver", ["Gold", "bronze"]])),
            "replication_domain": draw(st.sampled_from([None, "d0", "d1"])),
            "qos_type_support": draw(st.booleans()),
        }
        if draw(st.booleans()):
            capabilities["max_iops"] = draw(st.sampled_from([500, "500"] if odd else ["500", "50"]))
        if functions:
            capabilities["filter_function"] = draw(FILTER_FUNCTIONS)
            capabilities["goodness_function"] = draw(GOODNESS_FUNCTIONS)
        host = f"b{draw(st.integers(0, 3))}#p{index}"
        zone = draw(st.sampled_from([None, "z0", "z1"]))
        drawn = pool(host, zone=zone, enabled=draw(st.integers(0, 9)) > 0, **capabilities)
        found.append(replace(drawn, counts_bytes=draw(st.booleans())))
    return found


@st.composite
def requests(draw: st.DrawFn, hosts: list[str], *, hinted: bool) -> list[Request]:
    """Draw up to fifteen requests of at most four types."""
    types = draw(st.lists(SPECS, min_size=1, max_size=4))
    found: list[Request] = []
    for index in range(draw(st.integers(1, 15))):
        names = st.sampled_from(["old", "nowhere", *(request.id for request in found)])
        hints = SchedulerHints()
        extra: dict[str, Any] = {}
        if hinted:
            hints = SchedulerHints(
                same_host=tuple(draw(st.lists(names, max_size=1))),
                different_host=tuple(draw(st.lists(names, max_size=2))),
            )
            if draw(st.booleans()):
                extra["retry"] = Retry(1, (draw(st.sampled_from(hosts)),))
            if draw(st.booleans()):
                extra |= {"snapshot_id": "snap", "snapshot_host": draw(st.sampled_from(hosts))}
                extra["snapshot_availability_zone"] = "z0"
        found.append(
            Request(
                id=f"s{index}",
                size_gib=draw(SIZES),
                share_proto="NFS",
                extra_specs=draw(st.sampled_from(types)),
                availability_zone=draw(st.sampled_from([None, None, "z0"])),
                hints=hints,
                **extra,
            )
        )
    return found


@st.composite
def extensions(draw: st.DrawFn, hosts: list[str]) -> list[Request]:
    """Draw requests some of which are extensions, on pools that are there or are not."""
    found = []
    for plain in draw(requests(hosts, hinted=False)):
        if draw(st.booleans()):
            growth = draw(SIZES)
            target = draw(st.sampled_from([*hosts, "b#gone"]))
            plain = replace(  # noqa: PLW2901 - the same request, now an extension
                plain, operation=Operation.EXTEND, new_size_gib=plain.size_gib + growth, target_host=target
            )
        found.append(plain)
    return found


def assert_same_decisions(found: list[Pool], asked: list[Request], chosen: SchedulerSettings) -> None:
    """Place all requests with both, and compare each decision and the pools at the end."""
    placed = [PlacedShare("old", found[0].host, 5)]
    engine, reference = Scheduler(found, chosen, placed), ReferenceScheduler(found, chosen, placed)
    for each in asked:
        decision, expected = engine.place(each), reference.place(each)
        assert decision.diagnostics == expected.diagnostics
        assert decision == expected
    after = {state.host: state.current() for state in reference.ledger.states}
    assert {each.host: each for each in engine.pools_after() if each.enabled} == after


EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@EXAMPLES
@given(st.data(), st.sampled_from([1.0, 2.5, -1.0, 0.0]))
def test_capacity_alone(data: st.DataObject, multiplier: float) -> None:
    """Without functions and hints, the ranking by head-room gives the plain decision."""
    found = data.draw(pools(functions=False, odd=False))
    asked = data.draw(requests([each.host for each in found], hinted=False))
    assert_same_decisions(found, asked, SchedulerSettings(multipliers={"CapacityWeigher": multiplier}))


@EXAMPLES
@given(st.data())
def test_hints_retries_and_snapshots(data: st.DataObject) -> None:
    """Wishes of single requests are honoured as by the plain evaluation."""
    found = data.draw(pools(functions=False, odd=False))
    asked = data.draw(requests([each.host for each in found], hinted=True))
    filters = ("AvailabilityZoneFilter", "RetryFilter", "CapacityFilter", "AffinityFilter", "AntiAffinityFilter")
    chosen = data.draw(st.sampled_from([SchedulerSettings(), SchedulerSettings(filters=filters)]))
    assert_same_decisions(found, asked, chosen)


@EXAMPLES
@given(st.data())
def test_pool_functions(data: st.DataObject) -> None:
    """Functions that change their mind with share and capacity are asked each time."""
    found = data.draw(pools(functions=True, odd=False))
    asked = data.draw(requests([each.host for each in found], hinted=data.draw(st.booleans())))
    assert_same_decisions(found, asked, SchedulerSettings(max_attempts=data.draw(st.sampled_from([1, 3]))))


@EXAMPLES
@given(st.data())
def test_odd_values(data: st.DataObject) -> None:
    """Values that no rule can use leave their pools out, with the same diagnostics."""
    found = data.draw(pools(functions=data.draw(st.booleans()), odd=True))
    asked = data.draw(requests([each.host for each in found], hinted=False))
    assert_same_decisions(found, asked, SchedulerSettings())


@EXAMPLES
@given(st.data())
def test_extensions_among_creations(data: st.DataObject) -> None:
    """An extension has its own filters and reserve, is decided by its target, and takes its growth."""
    found = data.draw(pools(functions=data.draw(st.booleans()), odd=False))
    asked = data.draw(extensions([each.host for each in found]))
    chosen = data.draw(st.sampled_from([None, ("DriverFilter", "CapacityFilter"), ("CapacityFilter",)]))
    assert_same_decisions(found, asked, SchedulerSettings(extend_filters=chosen))


@EXAMPLES
@given(st.data(), st.sampled_from([{"GoodnessWeigher": -2.0}, {"CapacityWeigher": 0.0}, {"GoodnessWeigher": 0.25}]))
def test_functions_under_other_multipliers(data: st.DataObject, multipliers: dict[str, float]) -> None:
    """Remembered goodness is multiplied as it would be anew."""
    found = data.draw(pools(functions=True, odd=False))
    asked = data.draw(requests([each.host for each in found], hinted=False))
    assert_same_decisions(found, asked, SchedulerSettings(multipliers=multipliers, max_attempts=9))


@EXAMPLES
@given(st.data(), st.permutations(["CapacityFilter", "CapabilitiesFilter", "DriverFilter", "ShareReplicationFilter"]))
def test_filters_in_any_order(data: st.DataObject, order: list[str]) -> None:
    """The last filter named is that of the configured order."""
    found = data.draw(pools(functions=True, odd=False))
    asked = data.draw(requests([each.host for each in found], hinted=False))
    assert_same_decisions(found, asked, SchedulerSettings(filters=tuple(order), weighers=("CapacityWeigher",)))
