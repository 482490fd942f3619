"""FlexGroups: over several aggregates, with snapshots and clones, and resizes that take the array long."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import DriverError
from sharectl.drivers.testing import new_id, ref, snapshot_ref
from sharectl.model.quantities import GIB

from .ground import request, rule

if TYPE_CHECKING:
    from .ground import Ground

SETS = {"flexGroups": {"wide": {"aggregates": ["aggr1", "aggr2"], "membersPerAggregate": 2}}}
CLIENT = rule("10.0.0.0/24")


def test_a_flexgroup_lives_as_any_share(ground: Ground) -> None:
    """Its size is new at once, though the array is at it for longer than anybody waits; it is snapshotted and cloned, and leaves nothing."""
    driver = ground.fresh(**SETS, operationTimeout=5, recoveryQueue="skip")
    driver.prepare()
    before = ground.emulator.dump()
    share = ref(driver.create_share(request("wide", pool="wide", size_bytes=800 * GIB)))
    driver.update_access(share, [CLIENT], [CLIENT], [])
    ground.emulator.fault("job_runs", "PATCH", "/storage/volumes/*", times=1, seconds=200)
    assert driver.extend_share(share, 900 * GIB) is None
    (listed,) = driver.list_shares()
    assert (listed.size_bytes, listed.pool, listed.access) == (900 * GIB, "wide", (CLIENT,))
    ground.emulator.world.pass_time(300)
    taken = driver.create_snapshot(share, new_id(), "monday")
    snapshot = snapshot_ref(taken, listed)
    wanted = request("copy", pool="wide", size_bytes=900 * GIB)
    clone = ref(driver.create_share(dataclasses.replace(wanted, snapshot=snapshot)))
    assert {each.name for each in driver.list_shares()} == {"wide", "copy"}
    driver.delete_share(clone)
    driver.delete_snapshot(snapshot)
    driver.delete_share(share)
    assert ground.emulator.dump() == before


def test_a_flexgroup_that_is_too_small_leaves_nothing(ground: Ground) -> None:
    """Each of its members needs a hundred GB."""
    driver = ground.fresh(**SETS)
    driver.prepare()
    before = ground.emulator.dump()
    with pytest.raises(DriverError):
        driver.create_share(request("wide", pool="wide", size_bytes=GIB))
    assert ground.emulator.dump() == before
