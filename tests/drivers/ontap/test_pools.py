"""What pools report: Manila's capabilities, so that types written for its NetApp driver choose the same aggregates."""

from __future__ import annotations

from typing import Any

import pytest

from sharectl.drivers.base import BackendReport
from sharectl.drivers.ontap.pools import (
    Facts,
    FlexGroupPool,
    Promised,
    aggregate_pool,
    aggregates_of,
    flexgroup_pool,
    promised_on,
    svm_aggregates,
)
from sharectl.model.backends import BackendSpec
from sharectl.scheduler.extra_specs import effective_specs, requirements_of
from sharectl.scheduler.pools import pool_from_report

GIB = 1 << 30


def record(name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of a record
    """Return the record of an aggregate."""
    return {
        "name": name,
        "state": "online",
        "home_node": {"name": "n1"},
        "node": {"name": "n1"},
        "space": {"block_storage": {"size": 1000 * GIB, "available": 600 * GIB}},
        "block_storage": {"primary": {"raid_type": "raid_dp"}, "storage_type": "ssd"},
        "data_encryption": {"software_encryption_enabled": True},
        **changes,
    }


SSD = record("aggr1")
HYBRID = record(
    "aggr2",
    node={"name": "n2"},
    space={"block_storage": {"size": 3000 * GIB, "available": 500 * GIB}},
    block_storage={"primary": {"raid_type": "raid_tec"}, "storage_type": "hybrid"},
    data_encryption={},
)
DISKS = [
    {"effective_type": "ssd", "aggregates": [{"name": "aggr1"}, {"name": "aggr2"}]},
    {"effective_type": "fsas", "aggregates": [{"name": "aggr2"}]},
    {"effective_type": "fsas"},
]
CLUSTER = Facts(is_cluster_login=True, encrypts_volumes=True, promised={"aggr1": Promised(10, 25)})


def test_an_aggregate_is_a_pool_with_its_facts() -> None:
    """Sizes in bytes; what is promised there counts volumes of others too."""
    pool = aggregate_pool(aggregates_of([SSD], DISKS)[0], CLUSTER)
    assert (pool.name, pool.total_bytes, pool.free_bytes) == ("aggr1", 1000 * GIB, 600 * GIB)
    assert (pool.allocated_bytes, pool.provisioned_bytes) == (10, 25)
    assert pool.capabilities == {
        "netapp_aggregate": "aggr1",
        "netapp_flexgroup": False,
        "ontap_qtree": False,
        "netapp_cluster_name": "",
        "netapp_snaplock_type": ["compliance", "enterprise"],
        "netapp_flexvol_encryption": True,
        "netapp_aggregate_encryption": True,
        "netapp_raid_type": "raid_dp",
        "netapp_disk_type": ["SSD"],
        "netapp_hybrid_aggregate": "false",
        "netapp_is_home": True,
        "dedupe": [True, False],
        "compression": [True, False],
        "thin_provisioning": [True, False],
        "qos": True,
        "qos_type_support": False,
        "snapshot_support": True,
        "create_share_from_snapshot_support": True,
        "revert_to_snapshot_support": True,
        "utilization": 50,
    }


@pytest.mark.parametrize(
    ("specs", "fits"),
    [
        ({"netapp_disk_type": "SSD"}, "aggr1 aggr2"),
        ({"netapp_disk_type": "<or> FSAS <or> SATA"}, "aggr2"),
        ({"netapp_raid_type": "raid_dp"}, "aggr1"),
        ({"netapp_aggregate": "aggr2"}, "aggr2"),
        ({"netapp_hybrid_aggregate": "true"}, "aggr2"),
        ({"netapp_aggregate_encryption": "<is> True"}, "aggr1"),
        ({"netapp_flexvol_encryption": "<is> True"}, "aggr1 aggr2"),
        ({"netapp_is_home": "<is> False"}, "aggr2"),
        ({"netapp_snaplock_type": "enterprise"}, "aggr1 aggr2"),
        ({"netapp_flexgroup": "<is> True"}, ""),
        ({"thin_provisioning": "<is> True"}, "aggr1 aggr2"),
        ({"thin_provisioning": "<is> False"}, "aggr1 aggr2"),
        ({"dedupe": "<is> True", "compression": "<is> False"}, "aggr1 aggr2"),
        ({"qos": "<is> True", "netapp:maxiops": "10"}, "aggr1 aggr2"),
        ({"netapp:anything": "is no capability"}, "aggr1 aggr2"),
    ],
)
def test_types_written_for_manila_choose_the_same_pools(specs: dict[str, str], fits: str) -> None:
    """By its own operators."""
    backend = BackendSpec("filer", "ontap", {})
    pools = [
        pool_from_report(backend, BackendReport("x", ("NFS", "CIFS")), aggregate_pool(each, CLUSTER), frozenset())
        for each in aggregates_of([SSD, HYBRID], DISKS)
    ]
    wanted = requirements_of(effective_specs(specs, "NFS", pinned=False))
    found = [pool.name for pool in pools if all(each.met_by(pool.capabilities) for each in wanted)]
    assert " ".join(found) == fits


def test_without_disks_an_aggregate_tells_their_type_itself() -> None:
    """As the disks would: NL-SAS is FSAS there."""
    storage = {"primary": {"disk_type": "nl_sas"}, "hybrid_cache": {"disk_type": "ssd"}}
    (aggregate,) = aggregates_of([record("aggr2", block_storage=storage)], [])
    assert aggregate.disk_types == ("FSAS", "SSD")


def test_an_aggregate_that_is_not_online_has_no_room() -> None:
    """It stays a pool: its shares are still on it."""
    (aggregate,) = aggregates_of([record("aggr1", state="offline", space={})], [])
    assert (aggregate.total_bytes, aggregate.free_bytes) == ("unknown", 0)


def test_a_login_of_an_svm_sees_free_space_alone() -> None:
    """It cannot ask for QoS, nor for the kind of disks."""
    (aggregate,) = svm_aggregates({"aggregates": [{"name": "aggr1", "available_size": 5 * GIB}]})
    pool = aggregate_pool(aggregate, Facts(is_cluster_login=False))
    assert (pool.total_bytes, pool.free_bytes) == ("unknown", 5 * GIB)
    assert pool.capabilities["qos"] is False
    assert "netapp_disk_type" not in pool.capabilities


def test_a_set_of_aggregates_counts_its_smallest_as_often_as_it_has_some() -> None:
    """Members of a FlexGroup are of one size; a share is at least as large as the smallest members make it."""
    pool = flexgroup_pool(FlexGroupPool("wide", ("aggr1", "aggr2")), aggregates_of([SSD, HYBRID], DISKS), CLUSTER)
    assert (pool.total_bytes, pool.free_bytes) == (2000 * GIB, 1000 * GIB)
    assert pool.capabilities["netapp_aggregate"] == "aggr1 aggr2"
    assert pool.capabilities["netapp_flexgroup"] is True
    assert pool.capabilities["netapp_raid_type"] == "raid_dp raid_tec"
    assert pool.capabilities["netapp_hybrid_aggregate"] == "false true"
    assert pool.capabilities["netapp_disk_type"] == ["FSAS", "SSD"]
    assert pool.capabilities["filter_function"] == "share.size >= 800"


def test_a_set_with_a_missing_aggregate_has_no_room() -> None:
    """Rather than the room of those that are left."""
    pool = flexgroup_pool(FlexGroupPool("wide", ("aggr1", "gone")), aggregates_of([SSD], DISKS), CLUSTER)
    assert (pool.total_bytes, pool.free_bytes) == (0, 0)


def test_what_is_promised_is_the_size_of_volumes() -> None:
    """A FlexGroup is on each of its aggregates in equal parts."""
    volumes = [
        {"size": 10, "aggregates": [{"name": "aggr1"}], "comment": "ours"},
        {"size": 8, "aggregates": [{"name": "aggr1"}, {"name": "aggr2"}]},
    ]
    found = promised_on(volumes, lambda volume: volume.get("comment") == "ours")
    assert found == {"aggr1": Promised(10, 14), "aggr2": Promised(0, 4)}
