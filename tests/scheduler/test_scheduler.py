"""The scheduler's parts as an operator meets them: settings, hints, batches, explanations, limits and simulations."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from sharectl.drivers.base import Capability
from sharectl.model.backends import BackendSpec, CapacityPolicy
from sharectl.model.diagnostics import DiagnosticError
from sharectl.model.observed import BackendReport, PoolReport
from sharectl.model.quantities import GIB
from sharectl.model.settings import SchedulerSettings
from sharectl.model.specs import SchedulerHints, ShareSpec, ShareTypeSpec
from sharectl.scheduler.decision import Outcome
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.errors import SchedulerConfigError
from sharectl.scheduler.explanation import explain
from sharectl.scheduler.filters import BaseFilter
from sharectl.scheduler.pools import pool_from_report
from sharectl.scheduler.request import Operation, PlacedShare, Retry, request_from_share, size_limit_diagnostics
from sharectl.scheduler.simulation import parse_pattern, simulate

from .builders import DEFAULTS, apart, place_all, pool, pools_of_manila_backend, request, together


def test_the_freest_pool_is_first_and_is_reserved() -> None:
    """Candidates are ordered by weight, and the next share sees the reservation."""
    scheduler = Scheduler([pool("b#a"), pool("b#b", free_capacity_gb=90)], DEFAULTS)
    first = scheduler.place(request("s1", 20))
    assert [(each.pool, each.weight) for each in first.candidates] == [("a", 1.0), ("b", 0.0)]
    assert scheduler.place(request("s2", 20)).host == "b#b"
    scheduler.consume("b#a", -20)
    assert scheduler.place(request("s3", 20)).host == "b#a"
    scheduler.consume("nowhere#p", 5)


def test_without_usable_pools_there_are_no_hosts() -> None:
    """Disabled pools are not asked, but for an administrator who names one."""
    assert Scheduler([], DEFAULTS).place(request()).outcome is Outcome.NO_HOSTS
    scheduler = Scheduler([pool(enabled=False)], DEFAULTS)
    assert scheduler.place(request()).outcome is Outcome.NO_HOSTS
    named = request(hints=SchedulerHints(only_host="b#p"))
    assert scheduler.place(named).host == "b#p"
    assert scheduler.pools_after()[0].capabilities["free_capacity_gb"] == 90
    assert scheduler.place(replace(named, is_admin=False)).outcome is Outcome.NO_HOSTS


def test_a_request_is_tried_as_often_as_the_settings_say() -> None:
    """After the last attempt there is no other; with a single attempt nothing is counted."""
    tried = request(retry=Retry(3, ("b#p",)))
    assert not Scheduler([pool()], DEFAULTS).place(tried).scheduled
    assert Scheduler([pool()], replace(DEFAULTS, max_attempts=1)).place(tried).scheduled
    with pytest.raises(SchedulerConfigError, match="maxAttempts"):
        Scheduler([], replace(DEFAULTS, max_attempts=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SchedulerSettings(filters=("CapacityFilte",)), "there is no filter"),
        (SchedulerSettings(weighers=("Nearness",)), "there is no weigher"),
        (SchedulerSettings(multipliers={"CapacityWeighr": 2}), "to multiply"),
        (SchedulerSettings(algorithm="packs"), "algorithm"),
    ],
)
def test_an_unknown_name_is_refused(settings: SchedulerSettings, message: str) -> None:
    """The error says what was meant, or what there is."""
    with pytest.raises(SchedulerConfigError, match=message) as caught:
        place_all(Scheduler([pool()], settings), [request()])
    assert caught.value.diagnostics[0].remedy


class NoTuesdayFilter(BaseFilter):
    """A third party's filter."""

    name = "NoTuesdayFilter"

    def passes(self, state: Any, query: Any, ledger: Any) -> bool:  # noqa: ANN401
        """Refuse the pool named tuesday."""
        return state.pool.name != "tuesday"

    def reason(self, state: Any, query: Any, ledger: Any) -> str:  # noqa: ANN401
        """Say so."""
        return "it is Tuesday"


def test_third_parties_bring_filters_by_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken one is named, a good one decides."""
    points = EntryPoints(
        EntryPoint(name, f"{__name__}:{target}", "sharectl.scheduler.filters")
        for name, target in (("NoTuesdayFilter", "NoTuesdayFilter"), ("Broken", "Missing"))
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points.select(group=group))
    scheduler = Scheduler([pool("b#tuesday"), pool("b#friday")], SchedulerSettings(filters=("NoTuesdayFilter",)))
    assert scheduler.place(request()).host == "b#friday"
    with pytest.raises(SchedulerConfigError, match="cannot be used"):
        Scheduler([], SchedulerSettings(filters=("Broken",)))


def test_hints_within_a_batch_hold_whoever_is_placed_first() -> None:
    """Two shares that name each other are both placed, apart; order and direction do not matter."""
    pools = [pool("b#a"), pool("b#b")]
    asked = [
        request("x", 10, hints=apart("y")),
        request("y", 20, hints=apart("x")),
        request("z", 5, hints=together("x")),
    ]
    hosts = {each.request_id: each.host for each in place_all(Scheduler(pools, DEFAULTS), asked)}
    assert hosts["x"] != hosts["y"]
    assert hosts["z"] == hosts["x"]
    turned = place_all(Scheduler(pools, DEFAULTS), asked[::-1])
    assert {each.request_id: each.host for each in turned} == hosts


def test_a_hint_at_an_unplaced_share_of_the_batch_keeps_nobody_away() -> None:
    """To be apart from what is nowhere is no wish; one at an unknown share is refused."""
    huge = request("huge", 1000)
    decisions = place_all(Scheduler([pool()], DEFAULTS), [huge, request("a", hints=apart("huge"))])
    assert [each.scheduled for each in decisions] == [False, True]
    (lost,) = place_all(Scheduler([pool()], DEFAULTS), [request(hints=apart("nobody"))])
    assert lost.last_filter == "AntiAffinityFilter"


def test_an_explanation_tells_of_each_pool() -> None:
    """Candidates have weights by weigher; refused pools the first filter and its figures; the nearest lacks least."""
    pools = [
        pool("b#full", free_capacity_gb=5),
        pool("b#far", zone="z1"),
        pool("b#wrong", free_capacity_gb=5, zone="z9"),
    ]
    pools = [replace(each, availability_zone=each.availability_zone or "z0") for each in pools]
    scheduler = Scheduler(pools, DEFAULTS, [PlacedShare("old", "b#far", 5)])
    story = explain(scheduler, request(availability_zone="z0"))
    sentences = {verdict.pool: verdict.sentence for verdict in story.pools}
    assert sentences["full"] == "CapacityFilter: needs 10 GiB, 5.0 GiB free"
    assert sentences["far"] == "AvailabilityZoneFilter: in z1, the share asks for z0"
    assert story.nearest is not None
    assert story.nearest.pool == "full"
    placed = explain(scheduler, request(hints=together("old")))
    assert placed.pools[0].sentence.startswith("candidate with weight")
    assert {part.weigher for part in placed.pools[0].parts} >= {"CapacityWeigher", "GoodnessWeigher"}
    assert placed.decision.host == "b#far"


@pytest.mark.parametrize(
    ("asked", "fields", "sentence"),
    [
        (
            request(specs={"tier": "gold"}),
            {},
            "CapabilitiesFilter: extra spec tier = 'gold', the pool has no such capability",
        ),
        (
            request(specs={"tier": "gold"}),
            {"tier": ["a", "b"]},
            "CapabilitiesFilter: extra spec tier = 'gold', the pool has 'a', 'b'",
        ),
        (request(specs={"default_qos_type": "q"}), {}, "CapabilitiesFilter: the type has a default_qos_type"),
        (
            request(specs={"availability_zones": "z2,z1"}),
            {},
            "AvailabilityZoneFilter: in no availability zone, the share type allows z1, z2",
        ),
        (request(), {"filter_function": "1 == 2"}, "DriverFilter: filter_function '1 == 2' is False"),
        (request(), {"filter_function": "(("}, "DriverFilter: filter_function '((': expected"),
        (
            request(specs={"replication_type": "dr"}),
            {"replication_type": "dr"},
            "ShareReplicationFilter: the pool has no replication_domain",
        ),
        (request(snapshot_id="n", snapshot_host="c#q"), {}, "CreateFromSnapshotFilter: snapshot n is on c#q, not on b"),
        (request(hints=together("old")), {}, "AffinityFilter: the hint same_host names old, which is on c#q"),
        (request(hints=together("new")), {}, "AffinityFilter: share new, which the hint names, has no place"),
        (
            request(hints=apart("here")),
            {},
            "AntiAffinityFilter: the hint different_host names here, which is on this pool",
        ),
        (request(hints=SchedulerHints(only_host="c#q")), {}, "OnlyHostFilter: the hint only_host asks for c#q"),
    ],
)
def test_every_filter_says_why(asked: Any, fields: dict[str, Any], sentence: str) -> None:  # noqa: ANN401
    """The sentence names the filter and what is missing."""
    placed = [PlacedShare("old", "c#q", 1), PlacedShare("here", "b#p", 1)]
    (verdict,) = explain(Scheduler([pool(**fields)], DEFAULTS, placed), asked).pools
    assert verdict.sentence.startswith(sentence)


def test_replicas_stay_in_the_domain_and_off_the_hosts_that_have_one() -> None:
    """A replica goes to another pool of the active one's replication domain."""
    pools = [pool(f"b{i}#p", replication_type="dr", replication_domain=domain) for i, domain in enumerate("xxy")]
    asked = request(
        specs={"replication_type": "dr"},
        operation=Operation.REPLICA,
        active_replica_host="b0#p",
        all_replica_hosts=("b0#p",),
    )
    story = explain(Scheduler(pools, DEFAULTS), asked)
    assert story.decision.host == "b1#p"
    assert [verdict.reason for verdict in story.pools[1:]] == [
        "the pool holds a replica of the share already",
        "replication_domain y, the active replica is in x",
    ]


OPTIONAL = SchedulerSettings(
    filters=("JsonFilter", "RetryFilter", "IgnoreAttemptedHostsFilter", "ConsistentSnapshotFilter")
)


@pytest.mark.parametrize(
    ("query", "host"),
    [
        ('[">=", "$free_capacity_gb", 90]', "b#a"),
        ('["and", ["=", "$capabilities.tier", "gold"], ["<=", 1, 2]]', "b#b"),
        ('["or", ["<", 2, 1], [">", 2, 1]]', "b#a"),
        ('["not", ["=", "$pool_name", "a"]]', "b#b"),
        ('["in", "$pool_name", "b", "c"]', "b#b"),
        ("[]", "b#a"),
        ('["=", "$nothing.at.all", ""]', None),
        ('[">", "$free_capacity_gb", "x"]', None),
        ('["xor", 1]', None),
        ("{}", None),
        ("nonsense", None),
        ("[" * 60 + '"or"' + "]" * 60, None),
        ('["or",' * 60 + "1" + "]" * 60, None),
    ],
)
def test_a_json_query_selects_pools(query: str, host: str | None) -> None:
    """What cannot be read or compared selects none."""
    pools = [pool("b#a"), pool("b#b", free_capacity_gb=50, tier="gold")]
    decision = Scheduler(pools, OPTIONAL).place(request(query=query))
    assert decision.host == host


def test_pools_tried_before_and_groups_without_support_are_passed_over() -> None:
    """RetryFilter and ConsistentSnapshotFilter, where they are configured."""
    pools = [pool("b#a"), pool("b#b", free_capacity_gb=50, sg_consistent_snapshot_support="pool")]
    scheduler = Scheduler(pools, OPTIONAL)
    assert scheduler.decide(request(retry=Retry(1, ("b#a",)))).host == "b#b"
    grouped = request(group_specs={"consistent_snapshot_support": "pool"})
    assert scheduler.decide(grouped).host == "b#b"
    reasons = {
        v.pool: v.sentence for v in explain(scheduler, replace(grouped, retry=Retry(1, ("b#b",)), query='["or"]')).pools
    }
    assert reasons["a"].startswith("JsonFilter: the query")
    retried = explain(Scheduler(pools, OPTIONAL), request(retry=Retry(1, ("b#a", "b#b"))))
    assert retried.pools[0].sentence == "RetryFilter: tried before for this request"
    story = explain(Scheduler(pools[:1], OPTIONAL), grouped)
    assert story.pools[0].reason == "consistent_snapshot_support None, the group asks for pool"


def test_goodness_orders_pools_and_a_text_is_no_goodness() -> None:
    """True is 100, what is out of range or broken 0; a text leaves the pool out."""
    functions = ["1 == 1", "share.size * 5", "150", "oops.x", None]
    pools = [pool(f"b#p{i}", goodness_function=text) for i, text in enumerate(functions)]
    ranked = Scheduler(pools, SchedulerSettings(weighers=("GoodnessWeigher",), max_attempts=9)).place(request())
    assert [each.weight for each in ranked.candidates] == [1.0, 0.5, 0.0, 0.0, 0.0]
    odd = Scheduler([pool(goodness_function="gold")], DEFAULTS).place(request())
    assert not odd.scheduled
    assert "goodness_function" in odd.diagnostics[0].summary
    story = explain(Scheduler([pool(goodness_function="gold")], DEFAULTS), request())
    assert "instead of a number" in story.pools[0].sentence


def test_pools_with_share_servers_and_snapshots_near_are_preferred() -> None:
    """PoolWeigher and HostAffinityWeigher."""
    pools = [pool("b#a"), pool("b#b", has_share_server=True), pool("c#a", zone="z", replication_domain="d")]
    weighed = Scheduler(pools, SchedulerSettings(weighers=("PoolWeigher",), multipliers={"pool_weight_multiplier": 2}))
    assert weighed.place(request()).candidates[0][:3] == ("b", "b", 2.0)
    near = Scheduler(pools, SchedulerSettings(weighers=("HostAffinityWeigher",), filters=("CapacityFilter",)))
    asked = request(snapshot_id="n", snapshot_host="b#a", snapshot_availability_zone="z", availability_zone="z")
    raw = {v.host: v.parts[0].raw for v in explain(near, asked).pools}
    assert raw == {"b#a": 100, "b#b": 75, "c#a": 50}


def test_a_pool_is_made_of_the_drivers_report_and_the_manifests_policy() -> None:
    """Bytes become GiB, the policy wins, and abilities become capabilities."""
    backend = BackendSpec(
        "nas",
        "directory",
        {},
        share_servers=True,
        availability_zone="z",
        capacity=CapacityPolicy(10.0, None, 5.0, 3.0, True),  # noqa: FBT003 - the fields in their order
        capabilities={"tier": "gold"},
    )
    report = PoolReport("p", 100 * GIB, "unknown", 5 * GIB, max_over_subscription_ratio=9.0, reserved_percentage=1.0)
    made = pool_from_report(
        backend, BackendReport("id", ("NFS",), {"vendor_name": "X"}), report, frozenset({Capability.CLONE})
    )
    assert (made.host, made.availability_zone, made.backend_host) == ("nas#p", "z", "nas")
    wanted = {
        "total_capacity_gb": 100.0,
        "free_capacity_gb": "unknown",
        "allocated_capacity_gb": 5.0,
        "provisioned_capacity_gb": 5.0,
        "reserved_percentage": 10.0,
        "reserved_snapshot_percentage": 10.0,
        "reserved_share_extend_percentage": 5.0,
        "max_over_subscription_ratio": 3.0,
        "thin_provisioning": True,
        "vendor_name": "X",
        "tier": "gold",
        "driver_handles_share_servers": True,
        "snapshot_support": False,
        "create_share_from_snapshot_support": True,
    }
    assert {key: made.capabilities[key] for key in wanted} == wanted
    plain = pool_from_report(replace(backend, capacity=CapacityPolicy()), BackendReport(None, ()), report, frozenset())
    assert plain.capabilities["reserved_snapshot_percentage"] == 1.0


def test_a_manila_backend_without_pools_is_one_pool() -> None:
    """It is named after the backend, or `_pool0`."""
    figures = {"total_capacity_gb": 1, "free_capacity_gb": 1}
    (named,) = pools_of_manila_backend("h@b", {**figures, "share_backend_name": "B"}, None, availability_zone=None)
    (nameless,) = pools_of_manila_backend("h@b", figures, None, availability_zone=None)
    assert [named.host, nameless.host] == ["h@b#B", "h@b#_pool0"]


def test_a_share_asks_for_the_server_mode_of_its_network() -> None:
    """Unless its type says which."""
    spec = ShareSpec("s", GIB, "NFS")
    servers = pool("b#servers", driver_handles_share_servers=True)
    scheduler = Scheduler([servers, pool("b#none")], DEFAULTS)
    assert scheduler.decide(request_from_share(spec, None)).host == "b#none"
    assert scheduler.decide(request_from_share(replace(spec, share_network="n"), None)).host == "b#servers"
    explicit = ShareTypeSpec("t", {"driver_handles_share_servers": "true"})
    assert scheduler.decide(request_from_share(spec, explicit)).host == "b#servers"


def test_a_type_bounds_the_size_of_its_shares() -> None:
    """Minimum, maximum, and the maximum of an extension."""
    specs = {
        "provisioning:min_share_size": "5",
        "provisioning:max_share_size": "10",
        "provisioning:max_share_extend_size": "20",
    }
    assert size_limit_diagnostics(request(size_gib=7, specs=specs)) == ()
    assert "at least 5 GiB" in size_limit_diagnostics(request(size_gib=4, specs=specs))[0].summary
    assert "at most 10 GiB" in size_limit_diagnostics(request(size_gib=11, specs=specs))[0].summary
    grown = request(size_gib=7, specs=specs, operation=Operation.EXTEND, new_size_gib=21)
    assert "at most 20 GiB" in size_limit_diagnostics(grown)[0].summary
    broken = request(specs={"provisioning:max_share_size": "big"})
    assert "not a number of GiB" in size_limit_diagnostics(broken)[0].summary
    (decision,) = place_all(Scheduler([pool()], DEFAULTS), [request(size_gib=4, specs=specs)])
    assert decision.diagnostics[0].code == "scheduler.size-limit"


def test_an_adoption_and_a_migration_are_about_their_target() -> None:
    """Adopting takes no room, moving does."""
    scheduler = Scheduler([pool("b#a"), pool("b#b", free_capacity_gb=50)], DEFAULTS)
    assert scheduler.place(request(operation=Operation.MANAGE, target_host="b#b")).host == "b#b"
    assert scheduler.place(request(operation=Operation.MIGRATE, target_host="b#b")).host == "b#b"
    assert scheduler.place(request(operation=Operation.MIGRATE, target_host="b#c")).outcome is Outcome.NO_VALID_HOST
    assert [each.capabilities["free_capacity_gb"] for each in scheduler.pools_after()] == [100, 40]


def test_a_simulation_counts_what_fits_and_says_what_runs_out() -> None:
    """More than asked for may fit; the first that does not is explained."""
    types = {"gold": ShareTypeSpec("gold", {"tier": "gold"})}
    pools = [pool("b#a", tier="gold"), pool("b#b", free_capacity_gb=60, tier="gold")]
    found = simulate(pools, DEFAULTS, parse_pattern("2x50GiB type=gold"), types)
    assert (found.placed, found.most, dict(found.by_host)) == (2, 3, {"b#a": 1, "b#b": 1})
    assert [each.capabilities["free_capacity_gb"] for each in found.pools_after] == [50, 10]
    assert found.runs_out is not None
    assert found.runs_out.decision.last_filter == "CapacityFilter"
    over = simulate(pools, DEFAULTS, parse_pattern("9x50GiB"), types)
    assert (over.placed, over.most) == (3, 3)


@pytest.mark.parametrize("text", ["", "0x5GiB", "5 GiB", "5x", "5x1GiB kind=gold", "5x1GiB type=", "2x1GiB typ=gold"])
def test_a_pattern_that_cannot_be_read_says_how_it_is_written(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(DiagnosticError) as caught:
        parse_pattern(text)
    assert caught.value.diagnostics[0].remedy


def test_a_pattern_names_type_protocol_zone_and_network() -> None:
    """An unknown type is refused with the nearest name."""
    pattern = parse_pattern("3x1.5TiB type=gld protocol=cifs zone=z network=n")
    assert (pattern.count, pattern.protocol, pattern.availability_zone, pattern.share_network) == (3, "CIFS", "z", "n")
    with pytest.raises(DiagnosticError) as caught:
        simulate([], DEFAULTS, pattern, {"gold": ShareTypeSpec("gold", {})})
    assert caught.value.diagnostics[0].remedy == 'did you mean "gold"?'
