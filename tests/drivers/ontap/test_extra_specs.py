"""Extra specs, those of Manila's NetApp driver line by line: what each puts on the wire, and what is refused before that."""

from __future__ import annotations

from typing import Any

import pytest

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap import FACTORY
from sharectl.drivers.ontap.extra_specs import EXTRA_SPECS, combination_problems, exceeds, extra_spec_problems
from sharectl.drivers.ontap.provisioning import (
    existing_qos_policy,
    files_multiplier,
    later_fields,
    noted,
    splits_clone,
    volume_fields,
)
from sharectl.drivers.ontap.qos import GIB, limits_of, policy_body
from sharectl.model.backends import BackendSpec
from sharectl.model.checks import WantedShare
from sharectl.model.specs import HourlySnapshots, SnapshotPolicy

NEWEST = (9, 19, 1)


def fields(specs: dict[str, str], protocol: str = "NFS", version: tuple[int, int, int] = NEWEST) -> dict[str, Any]:
    """Return what is sent for a volume of a type with these extra specs."""
    assert not list(extra_spec_problems(specs))
    return volume_fields(specs, protocol, 5, version)


def part(fields: dict[str, Any], path: str) -> Any:  # noqa: ANN401 - part of a body
    """Return what stands at a path with dots."""
    value: Any = fields
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


DEFAULTS = {
    "guarantee.type": "volume",
    "efficiency": {"dedupe": "none", "compression": "none"},
    "snapshot_policy.name": "none",
    "snapshot_directory_access_enabled": True,
    "space.snapshot.reserve_percent": 5,
    "tiering.policy": "none",
    "nas.security_style": "unix",
    "language": None,
    "files": None,
    "encryption": None,
    "snaplock": None,
}

WIRE = [
    ({"netapp:thin_provisioned": "true"}, "guarantee.type", "none"),
    ({"netapp:thin_provisioned": "<is> True"}, "guarantee.type", "none"),
    ({"netapp:thin_provisioned": "False"}, "guarantee.type", "volume"),
    ({"thin_provisioning": "<is> True"}, "guarantee.type", "none"),
    ({"thin_provisioning": "<is> True", "netapp:thin_provisioned": "false"}, "guarantee.type", "volume"),
    ({"netapp:dedup": "True"}, "efficiency.dedupe", "background"),
    ({"dedupe": "<is> True"}, "efficiency.dedupe", "background"),
    ({"dedupe": "<is> True", "compression": "<is> True"}, "efficiency.compression", "background"),
    ({"dedupe": "true", "netapp:compression": "true"}, "efficiency.compression", "background"),
    ({"netapp:hide_snapdir": "true"}, "snapshot_directory_access_enabled", False),
    ({"netapp:snapshot_policy": "nightly-7"}, "snapshot_policy.name", "nightly-7"),
    ({"netapp:language": "C.UTF-8"}, "language", "c.utf_8"),
    ({"netapp:language": "en_us"}, "language", "en_us"),
    ({"netapp:max_files": "1000000"}, "files.maximum", 1_000_000),
    ({"netapp:max_files": "0"}, "files", None),
    ({"netapp_flexvol_encryption": "<is> True"}, "encryption.enabled", True),
    ({"netapp_aggregate_encryption": "<is> True"}, "encryption", None),
    ({"netapp_snaplock_type": "enterprise"}, "snaplock", {"type": "enterprise"}),
    (
        {"netapp_snaplock_type": "compliance", "netapp:snaplock_autocommit_period": "4hours"},
        "snaplock",
        {"type": "compliance", "autocommit_period": "PT4H"},
    ),
    (
        {
            "netapp_snaplock_type": "enterprise",
            "netapp:snaplock_min_retention_period": "30days",
            "netapp:snaplock_max_retention_period": "infinite",
            "netapp:snaplock_default_retention_period": "6 months",
        },
        "snaplock.retention",
        {"minimum": "P30D", "maximum": "infinite", "default": "P6M"},
    ),
    ({"ontap:security_style": "mixed"}, "nas.security_style", "mixed"),
    ({"ontap:unix_permissions": "0750"}, "nas.unix_permissions", 750),
    ({"ontap:tiering_policy": "snapshot_only"}, "tiering.policy", "snapshot_only"),
    ({"ontap:snapshot_reserve_percent": "0"}, "space.snapshot.reserve_percent", 0),
]


@pytest.mark.parametrize(("path", "value"), DEFAULTS.items())
def test_what_is_not_asked_for_is_as_manila_leaves_it(path: str, value: object) -> None:
    """And is sent, where arrays differ in what they do by themselves."""
    assert part(fields({}), path) == value


@pytest.mark.parametrize(("specs", "path", "value"), WIRE)
def test_a_spec_changes_its_field_alone(specs: dict[str, str], path: str, value: object) -> None:
    """Whether it is written as Manila's command line writes it or as a plain word."""
    assert part(fields(specs), path) == value
    others = {other for other in DEFAULTS if not path.startswith(other) and not other.startswith(path)} - {"efficiency"}
    assert {other: part(fields(specs), other) for other in others} == {other: DEFAULTS[other] for other in others}


@pytest.mark.parametrize(("protocol", "style"), [("NFS", "unix"), ("CIFS", "ntfs"), ("NFS_CIFS", "mixed")])
def test_the_security_style_follows_the_protocol(protocol: str, style: str) -> None:
    """Unless the type says otherwise."""
    assert part(fields({}, protocol), "nas.security_style") == style
    assert part(fields({"ontap:security_style": "unix"}, protocol), "nas.security_style") == "unix"


def test_an_old_release_cannot_hide_snapshot_directories() -> None:
    """Where nobody asks for it, the field that it does not know is not sent."""
    assert "snapshot_directory_access_enabled" not in fields({}, version=(9, 12, 1))
    with pytest.raises(DriverError, match=r"9\.13\.1"):
        fields({"netapp:hide_snapdir": "true"}, version=(9, 12, 1))


def test_what_needs_the_volume_comes_after_it() -> None:
    """An efficiency policy, which some releases ignore before, and files by a factor of the array's own number."""
    volume = {"files": {"maximum": 300_000}, "efficiency": {"policy": {"name": "-"}}}
    assert later_fields({}, volume) == {}
    assert later_fields({"netapp:efficiency_policy": "weekend"}, volume) == {
        "efficiency": {"policy": {"name": "weekend"}}
    }
    assert files_multiplier({"netapp:max_files_multiplier": "1.5"}) == 1.5
    assert later_fields({}, volume, 1.5) == {"files": {"maximum": 450_000}}
    volume["efficiency"] = {"policy": {"name": "weekend"}}
    assert later_fields({"netapp:efficiency_policy": "weekend"}, volume) == {}


def test_clones_are_split_and_policies_of_others_taken_where_the_type_says_so() -> None:
    """Neither by itself."""
    assert splits_clone({"netapp:split_clone_on_create": "true"})
    assert not splits_clone({})
    assert existing_qos_policy({"netapp:adaptive_qos_policy_group": "gold"}) == "gold"
    assert existing_qos_policy({}) is None


def test_what_later_calls_need_is_noted() -> None:
    """They are told of the share alone, not of its type."""
    assert noted({}) == {"reserve": "backend"}
    assert noted({"ontap:snapshot_reserve_percent": "7"}) == {}
    assert noted({"qos": "True", "netapp:maxiops": "100"}) == {"qos": "own", "reserve": "backend"}
    specs = {
        "qos": "<is> True",
        "netapp:maxiopspergib": "2.5",
        "netapp:minbps": "1048576",
        "netapp:force_delete_time_minutes": "60",
    }
    assert noted(specs) == {
        "maxiopspergib": "2.5",
        "minbps": "1048576",
        "qos": "own",
        "reserve": "backend",
        "force_delete_minutes": "60",
    }


QOS = [
    ({"netapp:maxiops": "500"}, {"max_throughput_iops": 500}),
    ({"netapp:maxiopspergib": "10"}, {"max_throughput_iops": 25}),
    ({"netapp:maxbps": "1048577"}, {"max_throughput_mbps": 2}),
    ({"netapp:maxbpspergib": "1048576"}, {"max_throughput_mbps": 3}),
    ({"netapp:miniops": "50"}, {"min_throughput_iops": 50}),
    ({"netapp:miniopspergib": "0.1"}, {"min_throughput_iops": 1}),
    ({"netapp:minbps": "1"}, {"min_throughput_mbps": 1}),
    ({"netapp:minbpspergib": "2097152"}, {"min_throughput_mbps": 5}),
    ({"netapp:maxiops": "500", "netapp:minbps": "1048576"}, {"max_throughput_iops": 500, "min_throughput_mbps": 1}),
]


@pytest.mark.parametrize(("specs", "limits"), QOS)
def test_qos_is_a_fixed_policy_of_the_share_alone(specs: dict[str, str], limits: dict[str, int]) -> None:
    """Of 2.5 GiB here; what is given for each GiB is multiplied, and bytes a second are rounded up to MiB."""
    asked = {"qos": "<is> True", **specs}
    assert not [*extra_spec_problems(asked), *combination_problems(asked)]
    assert policy_body("vs1", "q", limits_of(asked), GIB * 5 // 2) == {
        "svm": {"name": "vs1"},
        "name": "q",
        "fixed": {**limits, "capacity_shared": False},
    }


WRONG = [
    ("netapp:thin_provisioned", "maybe"),
    ("netapp:dedup", "<is> perhaps"),
    ("netapp:snapshot_policy", "two words"),
    ("netapp:language", "klingon"),
    ("netapp:max_files", "-1"),
    ("netapp:max_files", "many"),
    ("netapp:max_files_multiplier", "0"),
    ("netapp:max_files_multiplier", "8.1"),
    ("netapp:max_files_multiplier", "nan"),
    ("netapp:maxiops", "0"),
    ("netapp:maxbps", "inf"),
    ("netapp_snaplock_type", "friendly"),
    ("netapp:snaplock_min_retention_period", "30"),
    ("netapp:force_delete_time_minutes", "soon"),
    ("ontap:security_style", "windows"),
    ("ontap:autosize", "shrink"),
    ("ontap:autosize_maximum_percent", "100"),
    ("ontap:tiering_policy", "some"),
    ("ontap:snapshot_reserve_percent", "91"),
    ("ontap:unix_permissions", "888"),
    ("qos", "gold"),
    ("thin_provisioning", "rather"),
    ("netapp:fpolicy_file_operations", "create"),
    ("netapp:tcp_max_xfer_size", "8191"),
    ("netapp:udp_max_xfer_size", "32768"),
    ("default_qos_type", "gold"),
    ("policy_type", "adaptive"),
    ("peak_iops", "100"),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_what_means_nothing_is_a_problem_of_its_spec(key: str, value: str) -> None:
    """With what to write in its place."""
    (problem,) = extra_spec_problems({key: value})
    assert problem.path == ("extra_specs", key)
    assert problem.remedy


def test_a_misspelt_spec_is_named_with_the_right_one() -> None:
    """Of each scope that the driver reads, and of no other."""
    (problem,) = extra_spec_problems(
        {"netapp:thin_provisoned": "true", "linux:nfs_squash": "all", "netapp_disk_type": "SSD"}
    )
    assert "netapp:thin_provisioned" in problem.remedy
    (problem,) = extra_spec_problems({"ontap:tiering": "auto"})
    assert "ontap:tiering_policy" in problem.remedy
    (problem,) = extra_spec_problems({"netapp:language": "utf8mb"})
    assert "utf8mb4" in problem.remedy


TOGETHER = [
    ({"netapp:compression": "true"}, "netapp:compression"),
    ({"compression": "<is> True", "dedupe": "<is> False"}, "compression"),
    ({"netapp:max_files": "10", "netapp:max_files_multiplier": "2"}, "netapp:max_files_multiplier"),
    ({"netapp_flexvol_encryption": "true", "netapp_aggregate_encryption": "true"}, "netapp_aggregate_encryption"),
    ({"ontap:autosize_maximum_percent": "150"}, "ontap:autosize_maximum_percent"),
    ({"ontap:autosize": "off", "ontap:autosize_maximum_percent": "150"}, "ontap:autosize_maximum_percent"),
    ({"qos": "true"}, "qos"),
    ({"netapp:maxiops": "10"}, "netapp:maxiops"),
    ({"qos": "true", "netapp:maxiops": "10", "netapp:maxbps": "10"}, "netapp:maxbps"),
    ({"qos": "true", "netapp:miniops": "10", "netapp:minbps": "10"}, "netapp:minbps"),
    ({"qos": "true", "netapp:maxiops": "10", "netapp:miniops": "11"}, "netapp:miniops"),
    (
        {"qos": "true", "netapp:maxiops": "1", "netapp:adaptive_qos_policy_group": "gold"},
        "netapp:adaptive_qos_policy_group",
    ),
    ({"netapp:snaplock_autocommit_period": "2days"}, "netapp:snaplock_autocommit_period"),
    (
        {
            "netapp_snaplock_type": "enterprise",
            "netapp:snaplock_min_retention_period": "2years",
            "netapp:snaplock_max_retention_period": "P12M",
        },
        "netapp:snaplock_min_retention_period",
    ),
    (
        {
            "netapp_snaplock_type": "enterprise",
            "netapp:snaplock_min_retention_period": "30days",
            "netapp:snaplock_max_retention_period": "1year",
            "netapp:snaplock_default_retention_period": "infinite",
        },
        "netapp:snaplock_default_retention_period",
    ),
]


@pytest.mark.parametrize(("specs", "key"), TOGETHER)
def test_what_does_not_go_together_is_a_problem(specs: dict[str, str], key: str) -> None:
    """At the spec that is to go, though each means something by itself."""
    assert not list(extra_spec_problems(specs))
    assert [problem.path[1] for problem in combination_problems(specs)] == [key]


@pytest.mark.parametrize(
    ("one", "other", "is_so"),
    [
        ("P1Y", "P12M", False),
        ("P13M", "P1Y", True),
        ("P31D", "P1M", False),
        ("P32D", "P1M", True),
        ("P1M", "P31D", False),
        ("PT25H", "P1D", True),
        ("PT59M", "PT1H", False),
        ("infinite", "P100Y", True),
        ("P100Y", "infinite", False),
        ("infinite", "infinite", False),
        ("P1D", None, False),
        (None, "P1D", False),
    ],
)
def test_a_period_is_longer_only_where_that_is_certain(one: str | None, other: str | None, *, is_so: bool) -> None:
    """A month may have 28 days or 31."""
    assert exceeds(one, other) is is_so


def test_every_spec_with_a_scope_has_been_tried() -> None:
    """A new one comes with what it puts on the wire."""
    tried = {key for specs, *_ in WIRE for key in specs} | {key for specs, _ in QOS for key in specs}
    later = {
        "netapp:split_clone_on_create",
        "netapp:max_files_multiplier",
        "netapp:efficiency_policy",
        "netapp:adaptive_qos_policy_group",
        "netapp:force_delete_time_minutes",
        "netapp:tcp_max_xfer_size",
        "ontap:autosize",
        "ontap:autosize_maximum_percent",
    }
    assert set(EXTRA_SPECS) == {key for key in tried | later if ":" in key}


@pytest.mark.parametrize(
    ("config", "share_servers", "said"),
    [
        ({"svm": "vs1"}, False, "its administrator's"),
        ({"shareServers": {"homes": [{"node": "n1", "port": "e0d"}]}}, True, "have 65536"),
        ({"shareServers": {"homes": [{"node": "n1", "port": "e0d"}], "tcpMaxTransferSize": 262144}}, True, None),
    ],
)
def test_a_transfer_size_is_that_of_the_backends_servers(
    config: dict[str, Any], said: str | None, *, share_servers: bool
) -> None:
    """Manila makes servers for it; here a backend has those that its configuration says."""
    backend = BackendSpec("filer", "ontap", {"address": "filer", **config}, share_servers=share_servers)
    share = WantedShare("projects", GIB, "NFS", extra_specs={"netapp:tcp_max_xfer_size": "262144"})
    found = FACTORY.share_check(backend)(share)
    assert [(each.path, said is not None and said in each.summary) for each in found] == (
        [] if said is None else [(("extra_specs", "netapp:tcp_max_xfer_size"), True)]
    )


@pytest.mark.parametrize(
    ("specs", "policy", "path"),
    [
        ({"ontap:autosize": "grow"}, None, ("extra_specs", "ontap:autosize")),
        ({"ontap:autosize": "off"}, None, None),
        ({}, SnapshotPolicy(HourlySnapshots(1)), ("snapshot_policy",)),
    ],
)
def test_what_belongs_to_a_volume_no_qtree_has(
    specs: dict[str, str], policy: SnapshotPolicy | None, path: tuple[str, ...] | None
) -> None:
    """Neither a size of its own accord nor snapshots by itself; a plan is not needed to say so."""
    config = {"address": "filer", "svm": "vs1", "qtrees": {"small": {"aggregate": "aggr1"}}}
    share = WantedShare(
        "projects", GIB, "NFS", extra_specs={"ontap_qtree": "<is> True", **specs}, snapshot_policy=policy
    )
    found = FACTORY.share_check(BackendSpec("filer", "ontap", config))(share)
    assert [each.path for each in found] == ([] if path is None else [path])
