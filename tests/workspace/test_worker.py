"""A worker's calls: each under the fence of the run that offered it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from queue import Queue
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import FencedError
from sharectl.drivers.simulated.driver import SimulatedDriver
from sharectl.executors.answers import SharesListed
from sharectl.executors.calls import CreateShare, ListShares
from sharectl.executors.workers.service import Fence
from sharectl.model.backends import BackendSpec
from sharectl.model.requests import ShareRequest
from sharectl.state.contract import LeaseLostError
from sharectl.workspace.backends import Backends
from sharectl.workspace.worker import Calls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharectl.drivers.base import Driver
    from sharectl.model.observed import ObservedShare

PATIENCE_SECONDS = 300.0
POOLS = [{"name": "pool", "capacity": "1TiB"}]


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[Backends]:
    """Yield a simulated backend that is prepared."""
    spec = BackendSpec("filer", "simulated", {"stateFile": "filer.db", "pools": POOLS})
    backends = Backends({"filer": spec}, str(tmp_path))
    backends.driver("filer").prepare()
    yield backends
    backends.close()


@pytest.fixture
def calls(backends: Backends) -> Iterator[Calls]:
    """Yield what makes calls on it."""
    with closing(Calls(backends, "filer")) as made:
        yield made


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


def test_runs_beside_each_other_work_at_once_and_who_is_left_out_does_not(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two have calls under way when a third finds one of them gone: the backend refuses that one, and lets the others go on."""
    make, at, go = SimulatedDriver.create_share, Queue[str](), threading.Event()

    def held(driver: SimulatedDriver, request: ShareRequest) -> ObservedShare:
        at.put(request.name)
        assert go.wait(PATIENCE_SECONDS)
        return make(driver, request)

    monkeypatch.setattr(SimulatedDriver, "create_share", held)
    with ThreadPoolExecutor() as threads:
        fences = [Fence("lineage", 1), Fence("lineage", 2, frozenset({1}))]
        living, lost = (threads.submit(calls, share(each.token or 0), each, lambda: None) for each in fences)
        assert {at.get(timeout=PATIENCE_SECONDS) for _ in fences} == {"share-1", "share-2"}
        third = threads.submit(calls, share(3), Fence("lineage", 3, frozenset({1})), lambda: None)
        assert at.get(timeout=PATIENCE_SECONDS) == "share-3"
        go.set()
        for each in (living, third):
            each.result(PATIENCE_SECONDS)
        with pytest.raises(FencedError):
            lost.result(PATIENCE_SECONDS)
    for late in (2, 1, 3):  # whoever was refused has left no driver under its fence
        with nullcontext() if late != 2 else pytest.raises(FencedError):
            calls(share(late + 10), Fence("lineage", late, frozenset(range(1, late))), lambda: None)
    assert made_by(calls) == {"id-1", "id-3", "id-11", "id-13"}


def test_runs_one_after_the_other_work_with_one_driver(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another costs a login on the filer."""

    def open_another(_backends: Backends, _backend: str) -> Driver:
        raise AssertionError

    monkeypatch.setattr(Backends, "open_another", open_another)
    with closing(Calls(backends, "filer")) as calls:
        for token in range(1, 5):
            calls(share(token), Fence("lineage", token, frozenset({token - 1})), lambda: None)
        assert len(made_by(calls)) == 4


def test_a_login_that_takes_long_holds_up_no_call_of_another_run(
    backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that begins meanwhile, nor the end of one."""
    make, open_another, at = SimulatedDriver.create_share, Backends.open_another, Queue[str]()
    go = {name: threading.Event() for name in ("share-1", "login")}

    def held(driver: SimulatedDriver, request: ShareRequest) -> ObservedShare:
        if request.name in go:
            at.put(request.name)
            assert go[request.name].wait(PATIENCE_SECONDS)
        return make(driver, request)

    def slowly(backends: Backends, backend: str) -> Driver:
        at.put("login")
        assert go["login"].wait(PATIENCE_SECONDS)
        return open_another(backends, backend)

    monkeypatch.setattr(SimulatedDriver, "create_share", held)
    monkeypatch.setattr(Backends, "open_another", slowly)
    one, other = Fence("lineage", 1), Fence("lineage", 2, frozenset({1}))
    with closing(Calls(backends, "filer")) as calls, ThreadPoolExecutor() as threads:
        under_way = threads.submit(calls, share(1), one, lambda: None)
        assert at.get(timeout=PATIENCE_SECONDS) == "share-1"
        logging_in = threads.submit(calls, share(2), other, lambda: None)
        try:
            assert at.get(timeout=PATIENCE_SECONDS) == "login"
            threads.submit(calls, share(3), one, lambda: None).result(PATIENCE_SECONDS)
            go["share-1"].set()
            under_way.result(PATIENCE_SECONDS)
            assert made_by(calls) == {"id-1", "id-3"}
        finally:
            for event in go.values():
                event.set()
        logging_in.result(PATIENCE_SECONDS)
        assert made_by(calls) == {"id-1", "id-2", "id-3"}


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
