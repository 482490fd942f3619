"""A worker's calls: each under the fence of the run that offered it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import FencedError
from sharectl.executors.calls import CreateShare, ListShares, SharesListed
from sharectl.executors.workers.service import Fence
from sharectl.model.backends import BackendSpec
from sharectl.model.requests import ShareRequest
from sharectl.state.contract import LeaseLostError
from sharectl.workspace.backends import Backends
from sharectl.workspace.worker import Calls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POOLS = [{"name": "pool", "capacity": "1TiB"}]


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Calls]:
    """Yield what makes calls on a simulated backend."""
    spec = BackendSpec("filer", "simulated", {"stateFile": "filer.db", "pools": POOLS})
    backends = Backends({"filer": spec}, str(tmp_path))
    backends.driver("filer").prepare()
    with closing(Calls(backends, "filer")) as made:
        yield made
    backends.close()


def share(number: int) -> CreateShare:
    """Return the call that makes a share."""
    return CreateShare(ShareRequest(f"id-{number}", f"share-{number}", 1 << 30, "NFS", "pool"))


def made_by(calls: Calls) -> set[str]:
    """Return the ids of the shares that are there."""
    listed = calls(ListShares(None), Fence("lineage", None), lambda: None)
    assert isinstance(listed, SharesListed)
    return {each.resource_id for each in listed.shares}


def test_a_call_of_an_earlier_run_that_is_late_is_refused_and_stops_no_later_one(calls: Calls) -> None:
    """The driver that both use goes on under the later fence."""
    calls(share(1), Fence("lineage", 2), lambda: None)
    with pytest.raises(FencedError):
        calls(share(2), Fence("lineage", 1), lambda: None)
    calls(share(3), Fence("lineage", 2), lambda: None)
    assert made_by(calls) == {"id-1", "id-3"}


def test_a_call_that_has_lost_its_claim_while_the_driver_was_opened_raises_no_fence(calls: Calls) -> None:
    """A run may wait for the driver longer than anybody waits for the run."""
    asked = []

    def permit() -> None:
        asked.append(1)
        if len(asked) > 1:
            message = "nobody waits for this call any more"
            raise LeaseLostError(message)

    with pytest.raises(LeaseLostError):
        calls(share(1), Fence("lineage", 2), permit)
    calls(share(2), Fence("lineage", 1), lambda: None)
    assert made_by(calls) == {"id-2"}
