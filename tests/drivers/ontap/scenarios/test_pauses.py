"""An array that asks for a pause while a plan is made: it is asked again then, and not for ever."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.console import Console

    from .ground import Ground

SHARE = "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: projects}\nspec: {size: 1GiB, protocol: NFS}\n"
READ = (
    "/cluster",
    "/svm/svms",
    "/storage/volumes",
    "/storage/volumes/*/snapshots",
    "/protocols/nfs/export-policies",
    "/network/ip/interfaces",
    "/storage/aggregates",
)


@pytest.mark.parametrize("status", [429, 503])
def test_a_plan_comes_again_when_it_is_told_to(ground: Ground, console: Console, status: int) -> None:
    """Whichever question it is, the plan is the one of an array that is at rest."""
    console.write("share.yaml", SHARE)
    body = {"svm": {"name": "vs1"}, "name": "theirs", "aggregates": [{"name": "aggr1"}], "nas": {"path": "/theirs"}}
    ground.send("POST", "/storage/volumes", body)
    before = ground.emulator.dump()
    whole = console("plan")
    assert whole.code == 0, whole.err
    for path in READ:
        ground.emulator.fault("unavailable", "GET", path, times=1, status=status, retry_after=0)
    planned = console("plan")
    assert (planned.code, planned.out, planned.err) == (0, whole.out, whole.err)
    assert ground.emulator.faults.met["unavailable"] == len(READ)
    assert ground.emulator.dump() == before


def test_a_plan_does_not_come_again_for_ever(ground: Ground, console: Console) -> None:
    """The backend counts as one that cannot be read, and what waits for it is held."""
    console.write("share.yaml", SHARE)
    ground.emulator.fault("unavailable", "GET", "/storage/volumes", status=503, retry_after=0)
    planned = console("plan")
    assert planned.code == 1
    assert "backend filer could not be read" in planned.err
    assert 1 < ground.emulator.faults.met["unavailable"] < 10


def test_a_pause_beyond_the_time_for_listing_is_not_waited_for(ground: Ground, console: Console) -> None:
    """`listTimeout` is how long a backend may take at all."""
    console.write("share.yaml", SHARE)
    text = (console.root / "filer.yaml").read_text(encoding="utf-8")
    console.write("filer.yaml", re.sub(r"spec: \{", "spec: {listTimeout: 30s, ", text))
    ground.emulator.fault("unavailable", "GET", "/storage/volumes", times=1, status=503, retry_after=60)
    planned = console("plan")
    assert planned.code == 1
    assert "backend filer could not be read" in planned.err
    assert ground.emulator.calls.counted()["GET /storage/volumes"] == 1
