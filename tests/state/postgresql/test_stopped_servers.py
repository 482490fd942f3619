"""Servers that stop, come back, stand by, or forget."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sharectl.model.records import PutResource
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.contract import StateUnavailableError
from sharectl.state.postgresql.store import open_url
from sharectl.state.testing.samples import ALICE, LEASE_SECONDS, PATIENCE_SECONDS, make_record, whole_view
from tests.postgresql import USER, Server

if TYPE_CHECKING:
    from sharectl.state.postgresql.store import PostgresqlStore

THREADS = 4
COMMITS = 40


def test_a_server_that_is_stopped_like_a_crash_loses_and_doubles_nothing(own_postgresql: Server) -> None:
    """Commits that are under way wait for it, and each is there once when it is back; a heartbeat goes on as well."""
    with closing(open_url(own_postgresql.url(), create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=LEASE_SECONDS)
        stops = [threading.Event() for _ in range(2)]

        def commit(number: int) -> None:
            name = f"share-{number}"
            store.commit(lease, [PutResource(make_record(name), None)])
            for version in range(1, COMMITS):
                if version % 15 == 0:
                    stops[version // 15 - 1].set()
                store.commit(lease, [PutResource(make_record(name), version)])

        with ThreadPoolExecutor(THREADS) as pool:
            working = [pool.submit(commit, number) for number in range(THREADS)]
            for stop in stops:
                assert stop.wait(PATIENCE_SECONDS)
                own_postgresql.stop("immediate")
                own_postgresql.start()
            for each in working:
                each.result(PATIENCE_SECONDS)
        store.renew(lease)
        view = whole_view(store)
        assert {record.version for record in view.records.values()} == {COMMITS}
        assert len(view.records) == THREADS


def test_a_standby_that_is_named_by_mistake_is_told(own_postgresql: Server) -> None:
    """Named beside its primary it does no harm; and whoever insists on reading from it cannot write."""
    url = own_postgresql.url()
    open_url(url, create=True).close()
    standby = own_postgresql.standby()
    try:
        standby.start()
        name = parse_postgresql_url(url).name
        alone = standby.url(name)
        with pytest.raises(StateUnavailableError, match="standby") as refused:
            open_url(alone, create=True)
        assert "primary" in refused.value.remedy
        hosts = f"{standby.folder},{own_postgresql.folder}"
        with closing(open_url(f"postgresql://{USER}@/postgres?host={hosts}&name={name}", create=True)) as store:
            store.acquire(ALICE, duration_seconds=60)
        with closing(open_url(f"{alone}&target_session_attrs=any", create=False)) as store:
            _wait_for(store)
            with pytest.raises(StateUnavailableError, match="standby"):
                store.acquire(ALICE, duration_seconds=60)
    finally:
        standby.remove()


def _wait_for(store: PostgresqlStore) -> None:
    """Wait until the standby has the lock that was taken on the primary."""
    waiting = threading.Event()
    for _ in range(600):
        if store.leases():
            return
        waiting.wait(0.05)
    pytest.fail("the standby does not follow")


def test_a_server_that_may_forget_is_complained_about(postgresql: Server, own_postgresql: Server) -> None:
    """One whose commits are not durable; and no other."""
    for server, words in ((postgresql, "fsync"), (own_postgresql, "")):
        with closing(open_url(server.url(), create=True)) as store:
            assert words in store.doubts()
            assert bool(store.doubts()) == bool(words)
