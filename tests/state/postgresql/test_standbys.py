"""A synchronous standby that goes away: PostgreSQL says nothing of a commit then, and nobody waits for that without end."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from sharectl.model.records import AddHistory, PutResource, PutRun
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.contract import StateUnavailableError
from sharectl.state.postgresql import connections
from sharectl.state.postgresql.connections import Connections
from sharectl.state.postgresql.store import open_url
from sharectl.state.testing.samples import ALICE, PATIENCE_SECONDS, RUN, make_entry, make_record, whole_view
from tests.postgresql import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
HELD = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def wait_until(condition: Callable[[], object]) -> None:
    """Return once `condition` holds."""
    deadline = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < deadline
        sleep(0.02)


class Pair:
    """A primary whose commits wait for its standby, which is there or not."""

    def __init__(self, primary: Server, standby: Server) -> None:
        """Begin with a standby that is there."""
        self.primary, self.standby = primary, standby
        self.bring_back()

    def count(self, question: str) -> int:
        """Ask the primary."""
        return int(self.primary.sql(question))

    def take_away(self) -> None:
        """Let the standby be gone."""
        self.standby.stop("immediate")
        wait_until(lambda: not self.count("SELECT count(*) FROM pg_stat_replication"))

    def bring_back(self) -> None:
        """Let it be there, and have everything."""
        self.standby.start()
        wait_until(lambda: self.count("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"))


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Yield a primary and its standby."""
    primary = Server.create("fsync = off")
    standby = None
    try:
        primary.start()
        standby = primary.standby()
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")
        yield Pair(primary, standby)
    finally:
        if standby is not None:
            standby.remove()
        primary.remove()


@contextmanager
def impatient() -> Iterator[None]:
    """Wait half a second for what is not to come; a standby that is there is not held to that, however busy the machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "_COMMIT_SECONDS", 0.5)
        patch.setattr(connections, "_AT_ONCE_SECONDS", 0.5)
        shorter = re.sub("lock_timeout = '15s'", "lock_timeout = '500ms'", connections._WRITING)
        patch.setattr(connections, "_WRITING", shorter)
        yield


def test_a_commit_that_its_standby_has_not_got_is_made_once_when_that_is_back(pair: Pair) -> None:
    """Nothing is heard of it; the same one that is asked for again waits for what it holds, and finds it done."""
    with closing(open_url(pair.primary.url(), create=True)) as store, ThreadPoolExecutor(1) as pool:
        lease = store.acquire(ALICE, duration_seconds=600)
        store.commit(lease, [PutRun(RUN), PutResource(make_record(), None)])
        pair.take_away()
        try:
            changes = [PutResource(make_record(pool="pool-2"), 1), AddHistory(make_entry("share/projects"))]
            with impatient():
                committing = pool.submit(store.commit, lease, changes)
                wait_until(lambda: pair.count(WAITING) and pair.count(HELD))
        finally:
            pair.bring_back()
        committing.result(PATIENCE_SECONDS)
        assert (whole_view(store).records["share/projects"].version, len(list(store.history()))) == (2, 1)


def test_a_commit_whose_standby_stays_away_ends_with_a_word(pair: Pair) -> None:
    """Within the lease; it may be there later, and the next run sees what is."""
    with closing(open_url(pair.primary.url(), create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=3)
        pair.take_away()
        try:
            with impatient(), pytest.raises(StateUnavailableError, match="does not confirm") as refused:
                store.commit(lease, [PutResource(make_record(), None)])
            assert "standby" in refused.value.remedy
        finally:
            pair.bring_back()
        wait_until(lambda: not pair.count(WAITING))
        assert whole_view(store).records["share/projects"].version == 1


def test_what_is_asked_at_once_is_not_waited_for_without_end_either(pair: Pair) -> None:
    """As workers claim and finish; nobody knows whether it was done, and each may be asked again."""
    pair.primary.sql("CREATE TABLE noted (id integer)")
    with closing(Connections(parse_postgresql_url(pair.primary.url()))) as asked:
        statement = [sql.SQL("INSERT INTO noted VALUES (1) RETURNING id")]
        assert asked.at_once(statement) == [[(1,)]]
        pair.take_away()
        try:
            with impatient(), pytest.raises(StateUnavailableError, match="does not confirm"):
                asked.at_once(statement)
        finally:
            pair.bring_back()
        wait_until(lambda: pair.count("SELECT count(*) FROM noted") == 2)
        assert asked.at_once(statement) == [[(1,)]]
