"""A configuration that the array cannot follow: each plan says so, with what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.testing import ref
from tests.emulators.ontap.volume_records import Volume

from .ground import request

if TYPE_CHECKING:
    from .ground import Ground


@pytest.mark.parametrize("login", ["admin", "sharectl-svm"])
def test_an_aggregate_that_is_not_there_is_named_with_those_that_are(ground: Ground, login: str) -> None:
    """Of a FlexGroup's set, or an expression that no name matches; the array is not asked where nothing is chosen."""
    driver = ground.fresh(login, flexGroups={"wide": {"aggregates": ["aggr1", "agr2"]}})
    (found,) = driver.report().hindrances
    assert "flexGroups.wide.aggregates of the backend names the aggregate 'agr2'" in found.summary
    assert "it has aggr1, aggr2" in found.summary
    assert found.remedy == 'did you mean "aggr2"?'
    (found,) = ground.fresh(login, aggregates="ssd.*").report().hindrances
    assert "'ssd.*'; there are aggr1, aggr2" in found.summary
    ground.fresh(login)
    ground.forget_calls()
    assert ground.driver.report().hindrances == ()
    assert "GET /storage/aggregates" not in ground.calls()


def test_volumes_that_keep_another_part_for_snapshots_are_told_of(ground: Ground) -> None:
    """Once the setting is another one, until they have it too; what a type says counts for itself."""
    ref(ground.driver.create_share(request()))
    asked = request("typed")
    specs = {"ontap:snapshot_reserve_percent": "20"}
    ground.driver.create_share(type(asked)(asked.resource_id, "typed", asked.size_bytes, "NFS", "aggr1", specs))
    assert ground.driver.report().hindrances == ()
    driver = ground.fresh(snapshotReserve=10)
    (found,) = driver.report().hindrances
    assert "snapshotReserve is 10, and 1 volume of shares" in found.summary
    assert "(projects 5 %)" in found.summary
    with ground.emulator.world.lock:
        ground.emulator.world[Volume].change(ground.volumes()["projects"].uuid, reserve_percent=10)
    assert driver.report().hindrances == ()
