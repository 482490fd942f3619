"""Questions to a backend through its worker: the answers are those of the driver itself, and nothing is changed by asking."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import (
    BackendUnavailableError,
    DriverEnvironment,
    DriverError,
    MeasuresUsage,
    SnapshotsShares,
    TransientError,
    capabilities_of,
)
from sharectl.drivers.registry import driver_factory
from sharectl.engine.verbs import execute
from sharectl.engine.verbs.base import Site
from sharectl.executors import answers, calls
from sharectl.executors.workers.asking import Asking, asked_driver
from sharectl.executors.workers.executor import NoHints, Remote, Workers
from sharectl.model.backends import BackendSpec
from sharectl.model.requests import ShareRef, ShareRequest
from tests.executors.workers.test_executor import Filer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharectl.drivers.base import Driver
    from sharectl.executors.answers import Answer
    from sharectl.executors.base import Permit
    from sharectl.executors.calls import Call
    from sharectl.executors.workers.service import Fence
    from tests.executors.workers.conftest import Database

SHARE = ShareRequest("0" * 32, "x", 1 << 30, "NFS", "pool", {})
REFERENCE = ShareRef(SHARE.resource_id, "pool/x", "x", "pool", "NFS", 1 << 30)


class Near(Filer):
    """A filer whose driver answers."""

    def __init__(self, driver: Driver) -> None:
        """Ask this driver."""
        super().__init__()
        self._driver = driver

    def make(self, call: Call[Answer], fence: Fence, permit: Permit) -> Answer:
        """See Service."""
        permit()
        assert fence.token is None
        return execute(Site(self._driver, lambda: None), call)  # type: ignore[arg-type, return-value]


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """Return a driver with a share."""
    spec = BackendSpec("filer", "simulated", {"stateFile": str(tmp_path / "a.db")})
    opened = driver_factory("simulated").open(spec, DriverEnvironment(str(tmp_path), lambda _: ""))
    opened.prepare()
    opened.create_share(SHARE)
    yield opened
    opened.close()


@contextmanager
def asked(database: Database, driver: Any, seconds: float = 30.0) -> Iterator[Driver]:  # noqa: ANN401 - anybody's
    """Yield the driver as it is asked through a worker."""

    def workers() -> Workers:
        return Workers(database.offers(token=None), NoHints(), lambda _: Remote(4, "digest"))

    with serving(database, Near(driver)):
        yield asked_driver(Asking("filer", workers, seconds))


def test_answers_are_those_of_the_driver(database: Database, driver: Driver) -> None:
    """Its report, pools, shares and snapshots, and what it can do."""
    with asked(database, driver) as far:
        assert far.report() == driver.report()
        assert list(far.pools()) == list(driver.pools())
        assert list(far.list_shares()) == list(driver.list_shares())
        assert list(far.list_shares([SHARE.resource_id])) == list(driver.list_shares([SHARE.resource_id]))
        assert list(far.list_shares([])) == []
        assert capabilities_of(far) == capabilities_of(driver)
        assert isinstance(far, SnapshotsShares)
        assert isinstance(driver, SnapshotsShares)
        assert list(far.list_snapshots()) == list(driver.list_snapshots())
        if isinstance(driver, MeasuresUsage):
            assert isinstance(far, MeasuresUsage)
            assert far.used_bytes(REFERENCE) == driver.used_bytes(REFERENCE)
    assert database.execute("SELECT count(*) FROM {s}.call") == [(0,)]


def test_use_is_listed_to_whoever_asks_for_it(driver: Driver) -> None:
    """An older coordinator does not, and would not take it; an older worker does not say that it can, and is not asked."""
    site: Site[Driver] = Site(driver, lambda: None)
    for with_usage, used in ((True, 0), (False, None)):
        listed = execute(site, calls.ListShares(None, with_usage))
        assert isinstance(listed, answers.SharesListed)
        assert [share.used_bytes for share in listed.shares] == [used]
    asked_for: list[Call[Answer]] = []

    def older(call: Call[Answer]) -> Answer:
        asked_for.append(call)
        answer = execute(site, call)
        if isinstance(answer, answers.Described):
            known = (name for name in answer.capabilities if name != answers.LISTS_USAGE)
            return replace(answer, capabilities=tuple(known))
        return answer

    assert [share.used_bytes for share in asked_driver(older).list_shares()] == [None]
    assert asked_for[-1] == calls.ListShares(None)


def test_nothing_is_changed_by_asking(database: Database, driver: Driver) -> None:
    """What has an effect is done in a step, with its intent and its claim."""
    with asked(database, driver) as far:
        for change in (
            far.prepare,
            lambda: far.create_share(SHARE),
            lambda: far.delete_share(REFERENCE),
            lambda: far.update_access(REFERENCE, (), (), ()),
            lambda: far.revert_share(REFERENCE, None),  # type: ignore[attr-defined] - a capability of this driver
        ):
            with pytest.raises(DriverError, match="is done by a worker, in a step of a run"):
                change()
    assert len(driver.list_shares()) == 1


@pytest.mark.parametrize(
    "error",
    [
        DriverError("no"),
        TransientError("busy"),
        TransientError("busy for a while", 3.0),
        BackendUnavailableError("the filer is away"),
        BackendUnavailableError("the filer restarts", 7.0),
    ],
)
def test_an_error_is_the_same_here(database: Database, driver: Driver, error: DriverError) -> None:
    """With its words, and when to come again."""

    class Failing:
        def __getattr__(self, name: str) -> object:
            return getattr(driver, name)

        def list_shares(self, _ids: object = None) -> None:
            raise error

    with asked(database, Failing()) as far, pytest.raises(type(error)) as caught:
        far.list_shares()
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert getattr(caught.value, "retry_after_seconds", None) == getattr(error, "retry_after_seconds", None)


def test_without_a_worker_the_backend_is_unavailable_at_once(database: Database) -> None:
    """And the error says what to start."""
    workers = Workers(database.offers(token=None), NoHints(), lambda _: Remote(4, "digest"))
    with pytest.raises(BackendUnavailableError, match="sharectl worker --backend filer"):
        asked_driver(Asking("filer", lambda: workers, 30.0))


def test_a_question_that_nobody_takes_is_given_up(database: Database) -> None:
    """A worker that only seems to be alive keeps nobody waiting for ever."""
    database.worker()
    workers = Workers(database.offers(token=None), NoHints(), lambda _: Remote(4, "digest"))
    with pytest.raises(
        BackendUnavailableError, match=r"no worker of backend filer has taken the question within 0\.2 s"
    ):
        asked_driver(Asking("filer", lambda: workers, 0.2))
    assert database.execute("SELECT count(*) FROM {s}.call") == [(0,)]
