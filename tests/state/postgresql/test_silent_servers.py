"""A server that accepts connections and says nothing is like one that is away; one that is long at work is waited for."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg
import pytest
from psycopg import sql

from sharectl.model.records import PutResource
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.model.usage import BackendUse
from sharectl.state.contract import StateUnavailableError
from sharectl.state.postgresql import connections, patience, store
from sharectl.state.postgresql.connections import Connections
from sharectl.state.postgresql.errors import UnansweredError
from sharectl.state.postgresql.store import open_url
from sharectl.state.testing.samples import ALICE, PATIENCE_SECONDS, document_of, make_record, whole_view
from tests.postgresql import DATABASE, USER, new_name
from tests.state.postgresql.proxy import CuttingProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sharectl.model.records import Lease
    from sharectl.state.postgresql.store import PostgresqlStore
    from tests.postgresql import Server

    Doing = Callable[[PostgresqlStore, Lease], object]

_Made = TypeVar("_Made")

LEASE_SECONDS: Final = 3.0
LEAST_CONNECT_SECONDS: Final = 2.0
"""psycopg waits for a connection for no shorter time."""
WORDS: Final = re.compile("accepts connections and does not answer|cannot be reached|does not confirm")


@pytest.fixture
def proxy(postgresql: Server) -> Iterator[CuttingProxy]:
    """Yield a way to the shared server."""
    with TemporaryDirectory(prefix="sharectl-proxy-") as folder:
        proxy = CuttingProxy(Path(folder), postgresql.folder)
        with closing(proxy):
            yield proxy


@contextmanager
def impatient(seconds: float = 0.3) -> Iterator[pytest.MonkeyPatch]:
    """Wait so long for what is not to come; a sound server on a busy machine is not held to that."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_READING_PATIENCE_SECONDS", "_COMMIT_SECONDS", "_AT_ONCE_SECONDS"):
            patch.setattr(connections, name, seconds)
        patch.setattr(patience, "_ASKING_SECONDS", seconds)
        patch.setattr(store, "_PATIENCE_SECONDS", seconds)
        yield patch


def url_of(proxy: CuttingProxy, connect_seconds: float = PATIENCE_SECONDS) -> str:
    """Return the URL of a new state there, for clients that wait so long for a connection."""
    where = f"host={proxy.folder}&name={new_name()}&connect_timeout={connect_seconds:.0f}"
    return f"postgresql://{USER}@/postgres?{where}"


def reached(make: Callable[[], _Made]) -> _Made:
    """Return what is made on a first connection, for which an impatient client waits too short a time where the machine is busy."""
    deadline = monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return make()
        except StateUnavailableError:
            if monotonic() > deadline:
                raise


WAYS: Final[dict[str, Doing]] = {
    "read": lambda opened, _: whole_view(opened),
    "a document": lambda opened, _: document_of(opened),
    "notes": lambda opened, _: opened.usage_notes().take([BackendUse("filer-1", 1, is_whole=True)]),
    "locks": lambda opened, _: opened.leases(),
    "renew": lambda opened, lease: opened.renew(lease),
    "release": lambda opened, lease: opened.release(lease),
    "promise": lambda opened, lease: opened.promise(lease, {("filer-1", "pool"): 1}),
    "commit": lambda opened, lease: opened.commit(lease, [PutResource(make_record(), None)]),
    "nothing to commit": lambda opened, lease: opened.commit(lease, []),
}


def test_a_server_that_says_nothing_is_not_waited_for_without_end(proxy: CuttingProxy) -> None:
    """Whatever it was asked on a connection that was sound until then; the word says what is the matter."""
    with ExitStack() as stack:
        urls = {way: url_of(proxy, LEAST_CONNECT_SECONDS) for way in (*WAYS, "at once")}
        opened = {way: stack.enter_context(closing(reached(partial(open_url, urls[way], create=True)))) for way in WAYS}
        asked = stack.enter_context(closing(Connections(parse_postgresql_url(urls["at once"]))))
        assert reached(lambda: asked.at_once([sql.SQL("SELECT 1")])) == [[(1,)]]
        leases = {way: each.acquire(ALICE, duration_seconds=LEASE_SECONDS) for way, each in opened.items()}
        pool = stack.enter_context(ThreadPoolExecutor(len(WAYS) + 1))
        stack.callback(proxy.close)  # so that a failure ends
        stack.enter_context(impatient())
        proxy.mute()
        doing = {way: pool.submit(do, opened[way], leases[way]) for way, do in WAYS.items()}
        doing["at once"] = pool.submit(asked.at_once, [sql.SQL("SELECT 1")])
        problems = {way: each.exception(PATIENCE_SECONDS) for way, each in doing.items()}
    words = {way: str(problem) for way, problem in problems.items() if isinstance(problem, StateUnavailableError)}
    assert words.keys() == problems.keys(), problems
    assert not {way: said for way, said in words.items() if not WORDS.search(said)}


def test_a_statement_that_takes_long_is_waited_for_while_its_server_answers_others(
    proxy: CuttingProxy, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it has been silent for as long as makes sharectl ask: here it waits for a lock until that has happened twice."""
    monkeypatch.setattr(patience, "_ASKING_SECONDS", 0.3)
    locked = new_name()
    with (
        closing(psycopg.connect(host=str(postgresql.folder), user=USER, dbname=DATABASE, autocommit=True)) as holding,
        closing(Connections(parse_postgresql_url(url_of(proxy)))) as asked,
        ThreadPoolExecutor(1) as pool,
    ):
        holding.execute("SELECT pg_advisory_lock(hashtext(%s))", (locked,))
        before = proxy.accepted

        def wait_for_the_lock() -> object:
            with asked.writing() as connection:
                return connection.execute("SELECT 7 FROM pg_advisory_xact_lock(hashtext(%s))", (locked,)).fetchone()

        waiting = pool.submit(wait_for_the_lock)
        try:
            while proxy.accepted - before < 3 and not waiting.done():  # its own connection, and two that ask beside it
                sleep(0.01)
        finally:
            holding.execute("SELECT pg_advisory_unlock_all()")
        assert waiting.result(PATIENCE_SECONDS) == (7,)
        assert proxy.accepted - before >= 3


def test_a_session_that_alone_is_silent_is_given_up_after_the_time_that_its_server_grants(proxy: CuttingProxy) -> None:
    """The server would have ended the statement before, and said so."""
    with closing(Connections(parse_postgresql_url(url_of(proxy)))) as asked:

        def ask_what_is_muted() -> None:
            with impatient() as patch:
                patch.setattr(connections, "_USUAL_STATEMENT_SECONDS", 1)
                patch.setattr(patience, "_GRACE_SECONDS", 0.5)
                with asked.writing() as connection:
                    proxy.mute(later_ones_too=False)
                    connection.execute("SELECT 1")

        with pytest.raises(StateUnavailableError, match="no answer"):
            ask_what_is_muted()
        with asked.writing() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_who_finds_a_server_away_that_others_have_waited_for_waits_no_more(
    proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a command does last has one end in common: each waits as long as it may since the first found the server away."""
    with closing(open_url(url_of(proxy), create=True)) as opened, impatient(LEASE_SECONDS):
        lease = opened.acquire(ALICE, duration_seconds=LEASE_SECONDS / 0.8)
        told: list[str] = []
        opened.tell_waiting(told.append)
        proxy.close()
        pauses: list[float] = []
        for way in ("commit", "promise", "read", "notes", "release"):
            with pytest.raises(StateUnavailableError, match="cannot be reached"):
                WAYS[way](opened, lease)
            monkeypatch.setattr(Connections, "pause", lambda _, seconds: pauses.append(seconds))
        assert (len(told), pauses) == (1, [])


def test_the_time_in_which_this_process_stood_still_is_not_its_server_s() -> None:
    """A machine that was suspended looks again before it says that there was no answer; then it waits as long as ever."""
    now = 0.0

    def endless() -> Iterator[object]:
        while True:
            yield "to be read"

    def look_after(pauses_seconds: Sequence[float]) -> None:
        nonlocal now
        for pause_seconds in pauses_seconds:
            now += pause_seconds
            waits.send(0)

    waits = patience._until(endless(), 15.0, clock=lambda: now)  # type: ignore[arg-type, type-var] - it never returns
    next(waits)
    look_after([0.1] * 50 + [600.0] + [0.1] * 50)
    with pytest.raises(UnansweredError, match="no answer within 15 s"):
        look_after([0.1] * 50)
    assert 614.0 < now < 616.0
