"""Leases are judged by the clock of the database, and kept alive beside commits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from sharectl.model.records import Holder, PutResource
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.contract import LockedError, StateBusyError
from sharectl.state.lock import SYSTEM_CLOCK
from sharectl.state.postgresql.store import open_store, open_url
from sharectl.state.testing.samples import ALICE, BOB, PATIENCE_SECONDS, make_record, whole_view
from tests.postgresql import DATABASE, USER

if TYPE_CHECKING:
    from sharectl.state.lock import Clock
    from tests.postgresql import Server


def shifted(days: int) -> Clock:
    """Return the clock of a machine whose time of day is wrong, and which is another machine."""
    return replace(
        SYSTEM_CLOCK, wall=lambda: SYSTEM_CLOCK.wall() + timedelta(days=days), boot_id=lambda: f"boot of day {days}"
    )


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_wrong_takes_no_lease_away(postgresql: Server, days: int) -> None:
    """And lets none live on."""
    place = parse_postgresql_url(postgresql.url())
    with (
        closing(open_store(place, create=True, clock=shifted(days))) as wrong,
        closing(open_store(place, create=False)) as right,
    ):
        for one, other in ((wrong, right), (right, wrong)):
            lease = one.acquire(ALICE, duration_seconds=600)
            with pytest.raises(LockedError):
                other.acquire(BOB, duration_seconds=600)
            one.release(lease)
            one.acquire(ALICE, duration_seconds=0.0)
            newest = other.acquire(BOB, duration_seconds=600, wait_seconds=PATIENCE_SECONDS)
            assert newest.token > lease.token
            other.release(newest)


def test_whoever_is_refused_learns_from_which_ci_job_the_holder_is(postgresql: Server) -> None:
    """And who started it, since when."""
    url = postgresql.url()
    with closing(open_url(url, create=True)) as store:
        holder = Holder("ci", "runner-7", 1, "sharectl apply", "alice", "https://ci.example/7")
        store.acquire(holder, duration_seconds=600)
        with pytest.raises(LockedError) as refused:
            store.acquire(BOB, duration_seconds=600)
        assert refused.value.status.holder == holder


def test_a_heartbeat_waits_for_no_commit(postgresql: Server) -> None:
    """One that is kept waiting does not cost the lease."""
    url = postgresql.url()
    schema = parse_postgresql_url(url).schema
    with (
        closing(open_url(url, create=True)) as store,
        psycopg.connect(f"host={postgresql.folder} user={USER} dbname={DATABASE}") as other,
        ThreadPoolExecutor(1) as pool,
    ):
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutResource(make_record(), None)])
        other.execute(f'UPDATE "{schema}".resource SET version = version')  # noqa: S608 - a name that was made here
        waiting = pool.submit(store.commit, lease, [PutResource(make_record(), 1)])
        _wait_for_waiter(postgresql, schema)
        store.renew(lease)
        assert not waiting.done()
        other.rollback()
        waiting.result(PATIENCE_SECONDS)
        assert whole_view(store).records["share/projects"].version == 2


def _wait_for_waiter(server: Server, schema: str) -> None:
    pause = threading.Event()
    select = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{schema}%'"  # noqa: S608 - a name that was made here
    for _ in range(300):
        if server.sql(select) != "0\n":
            return
        pause.wait(0.05)
    pytest.fail("the commit does not wait")


def test_rows_that_stay_locked_end_a_commit_with_a_word(postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not after an hour: the server gives up for us."""
    from sharectl.state.postgresql import connections  # noqa: PLC0415 - whose patience is shortened

    monkeypatch.setattr(connections, "_WRITING", connections._WRITING.replace("'15s'", "'100ms'"))
    url = postgresql.url()
    schema = parse_postgresql_url(url).schema
    with (
        closing(open_url(url, create=True)) as store,
        psycopg.connect(f"host={postgresql.folder} user={USER} dbname={DATABASE}") as other,
    ):
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutResource(make_record(), None)])
        other.execute(f'UPDATE "{schema}".resource SET version = version')  # noqa: S608 - a name that was made here
        with pytest.raises(StateBusyError, match="locked"):
            store.commit(lease, [PutResource(make_record(), 1)])
        other.rollback()
        store.commit(lease, [PutResource(make_record(), 1)])
