"""A connection that breaks at COMMIT tells nobody whether it was committed: what is asked again is done once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from sharectl.model.records import AddHistory, PutResource, PutRun
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.contract import StateUnavailableError, VersionConflictError
from sharectl.state.postgresql.store import open_url
from sharectl.state.testing.samples import ALICE, RUN, document_of, make_entry, make_record, whole_view
from tests.postgresql import USER
from tests.state.postgresql.proxy import CuttingProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.state.postgresql.store import PostgresqlStore
    from tests.postgresql import Server


@pytest.fixture
def proxy(postgresql: Server) -> Iterator[CuttingProxy]:
    """Yield a way to the shared server."""
    with TemporaryDirectory(prefix="sharectl-proxy-") as folder:
        proxy = CuttingProxy(Path(folder), postgresql.folder)
        with closing(proxy):
            yield proxy


@pytest.fixture
def store(postgresql: Server, proxy: CuttingProxy) -> Iterator[PostgresqlStore]:
    """Yield a store that is reached by that way."""
    name = parse_postgresql_url(postgresql.url()).name
    with closing(open_url(f"postgresql://{USER}@/postgres?host={proxy.folder}&name={name}", create=True)) as store:
        yield store


@pytest.mark.parametrize("hears_first", [True, False])
@pytest.mark.parametrize("times", [1, 3])
def test_a_commit_whose_answer_is_lost_is_made_once(
    store: PostgresqlStore, proxy: CuttingProxy, times: int, *, hears_first: bool
) -> None:
    """Whether the server had heard of it or not, and however often that happens; a change that does not fit is told as such."""
    lease = store.acquire(ALICE, duration_seconds=60)
    store.commit(lease, [PutRun(RUN), PutResource(make_record(), None)])
    proxy.cut(times, hears_first=hears_first)
    store.commit(lease, [PutResource(make_record(pool="pool-2"), 1), AddHistory(make_entry("share/projects"))])
    assert proxy.was_cut == times
    view = whole_view(store)
    assert (view.records["share/projects"].version, len(list(store.history()))) == (2, 1)
    proxy.cut(0, hears_first=True)
    with pytest.raises(VersionConflictError):
        store.commit(lease, [PutResource(make_record(), 1)])


def test_a_session_that_the_server_does_not_know_to_be_cut_is_outlived(
    store: PostgresqlStore, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended by the server while the same commit waits for its locks on another connection."""
    from sharectl.state.postgresql import connections  # noqa: PLC0415 - whose patience is shortened

    monkeypatch.setattr(connections, "_WRITING", connections._WRITING.replace("'10s'", "'300ms'"))
    lease = store.acquire(ALICE, duration_seconds=60)
    proxy.leaves_server_waiting = True
    proxy.cut(1, hears_first=False)
    store.commit(lease, [PutResource(make_record(), None)])
    assert whole_view(store).records["share/projects"].version == 1


@pytest.mark.parametrize("hears_first", [True, False])
def test_a_lease_whose_answer_is_lost_is_taken_once(
    store: PostgresqlStore, proxy: CuttingProxy, *, hears_first: bool
) -> None:
    """Nobody is locked out by a lease that was granted to nobody's knowledge."""
    proxy.cut(1, hears_first=hears_first)
    lease = store.acquire(ALICE, duration_seconds=60)
    assert [status.token for status in store.leases()] == [lease.token]
    proxy.cut(1, hears_first=hears_first)
    store.renew(lease)
    proxy.cut(1, hears_first=hears_first)
    store.release(lease)
    assert store.leases() == ()
    assert proxy.was_cut == 3


@pytest.mark.parametrize("hears_first", [True, False])
def test_a_document_whose_answer_is_lost_is_taken_once(
    store: PostgresqlStore, proxy: CuttingProxy, *, hears_first: bool
) -> None:
    """With its serial."""
    lease = store.acquire(ALICE, duration_seconds=60)
    store.commit(lease, [PutResource(make_record(), None)])
    document = document_of(store)
    store.commit(lease, [PutResource(make_record(), 1)])
    proxy.cut(1, hears_first=hears_first)
    store.import_document(lease, document, force=True)
    assert document_of(store) == document


def test_a_server_that_stays_away_ends_a_commit_within_the_lease(store: PostgresqlStore, proxy: CuttingProxy) -> None:
    """With the reason."""
    lease = store.acquire(ALICE, duration_seconds=1.0)
    proxy.cut(1_000_000, hears_first=False)
    with pytest.raises(StateUnavailableError, match="cannot be reached"):
        store.commit(lease, [PutResource(make_record(), None)])
    proxy.cut(0, hears_first=False)
    assert not whole_view(store).records
