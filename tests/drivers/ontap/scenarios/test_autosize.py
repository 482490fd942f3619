"""Volumes that grow by themselves within bounds of their type, and shares that stay as large as their manifests say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ShareInUseError
from sharectl.drivers.testing import new_id, ref, snapshot_ref
from sharectl.model.quantities import GIB
from tests.emulators.ontap.volume_records import Autosize, Volume

from .ground import request

if TYPE_CHECKING:
    from sharectl.model.observed import ObservedShare

    from .ground import Ground

MIB = 1 << 20
GROWS = {"ontap:autosize": "grow", "ontap:autosize_maximum_percent": "200"}


def made(ground: Ground, name: str = "projects", **specs: str) -> ObservedShare:
    """Make a share of 1 GiB with such a type."""
    return ground.driver.create_share(replace(request(name), extra_specs=specs or GROWS))


def change(ground: Ground, name: str = "projects", **fields: int) -> None:
    """Let the array do something by itself."""
    with ground.emulator.world.lock:
        ground.emulator.world[Volume].change(ground.volumes()[name].uuid, **fields)


def bounds(ground: Ground, name: str = "projects") -> tuple[str, int, int]:
    """Return the mode and the bounds of a volume."""
    found = ground.volumes()[name].autosize
    assert isinstance(found, Autosize)
    return found.mode, found.minimum, found.maximum


def test_a_volume_does_not_grow_unless_its_type_says_so(ground: Ground) -> None:
    """Which is sent, since arrays differ."""
    ground.driver.create_share(request())
    (call,) = [each for each in ground.emulator.calls.all() if each.method == "POST" and "/volumes" in each.path]
    assert json.loads(call.body)["autosize"] == {"mode": "off"}


def test_what_a_volume_grows_to_is_no_other_size(ground: Ground) -> None:
    """Within its bounds; beyond them somebody has changed it, and that shows."""
    share = made(ground)
    assert bounds(ground) == ("grow", GIB, 2 * GIB)
    change(ground, size=3 * GIB // 2)
    assert (ground.listed().size_bytes, share.size_bytes) == (GIB, GIB)
    change(ground, size=3 * GIB)
    assert ground.listed().size_bytes == 3 * GIB


def test_its_bounds_follow_the_size_of_the_share(ground: Ground) -> None:
    """What it has grown by stays where the share gets larger, and goes where it gets smaller, unless data is in it."""
    share = ref(made(ground))
    change(ground, size=3 * GIB // 2)
    ground.driver.extend_share(share, 5 * GIB // 4)
    assert (ground.volumes()["projects"].size, bounds(ground)) == (3 * GIB // 2, ("grow", 5 * GIB // 4, 5 * GIB // 2))
    assert ground.driver.extend_share(share, 5 * GIB // 4) is None
    assert ground.driver.extend_share(share, GIB) == 5 * GIB // 4
    ground.driver.extend_share(share, 2 * GIB)
    assert (ground.volumes()["projects"].size, ground.listed().size_bytes) == (2 * GIB, 2 * GIB)
    change(ground, data=GIB)
    with pytest.raises(ShareInUseError):
        ground.driver.shrink_share(share, GIB)
    change(ground, data=0, size=3 * GIB)
    ground.driver.shrink_share(share, GIB)
    assert (ground.volumes()["projects"].size, bounds(ground)) == (GIB, ("grow", GIB, 2 * GIB))
    assert ground.fresh().list_shares()[0].size_bytes == GIB


def test_a_clone_of_a_volume_that_has_grown_is_as_large_as_its_share(ground: Ground) -> None:
    """The plan knows no other size; with the same type it may go on growing."""
    share = made(ground, **{"ontap:autosize": "grow_shrink"})
    assert bounds(ground) == ("grow_shrink", GIB, GIB * 6 // 5 // 4096 * 4096)
    change(ground, size=GIB + 100 * MIB)
    taken = ground.driver.create_snapshot(ref(share), new_id(), "monday")
    asked = replace(request("copy"), extra_specs={"ontap:autosize": "grow_shrink"}, snapshot=snapshot_ref(taken, share))
    assert ground.driver.create_share(asked).size_bytes == GIB
    assert (ground.volumes()["copy"].size, bounds(ground, "copy")[:2]) == (GIB + 100 * MIB, ("grow_shrink", GIB))


def test_limits_for_each_gib_are_of_the_size_that_is_asked_for(ground: Ground) -> None:
    """However large the volume is by now."""
    share = ref(made(ground, **GROWS, qos="true", **{"netapp:maxiopspergib": "100"}))
    change(ground, size=3 * GIB // 2)
    ground.driver.extend_share(share, 5 * GIB // 4)
    records = ground.admin.get("/storage/qos/policies?name=sharectl_*&fields=fixed").records
    assert [record["fixed"]["max_throughput_iops"] for record in records] == [125]
