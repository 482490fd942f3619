"""Room that runs promise is known to others for as long as their leases are held."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from sharectl.model.records import Scope
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.contract import LeaseLostError
from sharectl.state.postgresql.schema import MIGRATIONS, WITH_PROMISES
from sharectl.state.postgresql.store import PostgresqlStore, open_store
from sharectl.state.testing.samples import ALICE, BOB
from tests.postgresql import DATABASE, USER, new_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.model.records import Lease, Promise
    from tests.postgresql import Server

A, B, C = (Scope(frozenset({"filer"}), frozenset({f"share/{name}"})) for name in "abc")


@pytest.fixture
def store(postgresql: Server) -> Iterator[PostgresqlStore]:
    """Return a state."""
    with closing(open_store(parse_postgresql_url(postgresql.url()), create=True)) as opened:
        yield opened


def shown(promises: Sequence[Promise]) -> list[tuple[str, str, int, int]]:
    """Return the promises with the tokens of their leases."""
    return [(*each[:3], each.status.token) for each in promises]


def test_what_is_promised_is_known_until_the_lease_ends(store: PostgresqlStore) -> None:
    """Each run replaces its own, is told of the others', and nothing stays of one that has ended or was taken over."""
    first = store.acquire(ALICE, duration_seconds=60, scope=A)
    second = store.acquire(BOB, duration_seconds=60, scope=B)
    assert store.promise(first, {("filer", "gold"): 5, ("filer", "silver"): 1}) == []
    assert shown(store.promise(second, {("filer", "gold"): 7})) == [
        ("filer", "gold", 5, first.token),
        ("filer", "silver", 1, first.token),
    ]
    assert shown(store.promise(first, {("filer", "gold"): 2, ("filer", "silver"): 0})) == [
        ("filer", "gold", 7, second.token)
    ]
    assert shown(store.promises()) == [("filer", "gold", 2, first.token), ("filer", "gold", 7, second.token)]
    store.release(first)
    assert shown(store.promises()) == [("filer", "gold", 7, second.token)]
    assert store.break_lock(second.token)
    assert store.promises() == []
    with pytest.raises(LeaseLostError):
        store.promise(second, {("filer", "gold"): 7})


def test_what_a_lease_that_ran_out_has_promised_counts_no_more(store: PostgresqlStore) -> None:
    """Whoever held it promises nothing that it could keep."""
    late = store.acquire(ALICE, duration_seconds=0.0, scope=A)
    store.promise(late, {("filer", "gold"): 5})
    assert store.promises() == []
    store.acquire(BOB, duration_seconds=60, scope=A)
    assert store.promises() == []


def test_of_those_who_promise_at_once_each_is_told_of_all_before_it(store: PostgresqlStore) -> None:
    """None of any two misses the other."""
    leases = [store.acquire(ALICE, duration_seconds=60, scope=scope) for scope in (A, B, C)]

    def promised(lease: Lease) -> set[int]:
        return {each.status.token for each in store.promise(lease, {("filer", "gold"): lease.token})}

    with ThreadPoolExecutor(len(leases)) as pool:
        told = list(pool.map(promised, leases))
    assert sorted(len(tokens) for tokens in told) == [0, 1, 2]


def test_tables_from_before_there_were_promises_hold_none(postgresql: Server) -> None:
    """Whoever only plans leaves them as they are."""
    place = parse_postgresql_url(postgresql.url())
    with closing(open_store(place, create=True, migrations=MIGRATIONS[: WITH_PROMISES - 1])) as older:
        assert not older.promises()
    with closing(open_store(place, create=False)) as newer:
        assert not newer.promises()


def test_whoever_has_waited_sees_what_was_promised_meanwhile(postgresql: Server) -> None:
    """Also in a database whose transactions see one moment unless they say otherwise."""
    name = new_name().replace("-", "_")
    postgresql.sql(f"CREATE DATABASE {name}")
    postgresql.sql(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    url = postgresql.url().replace(f"/{DATABASE}?", f"/{name}?")
    place = parse_postgresql_url(url)
    with (
        closing(open_store(place, create=True)) as store,
        closing(psycopg.connect(host=str(postgresql.folder), user=USER, dbname=name)) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        first, second = (store.acquire(ALICE, duration_seconds=600, scope=scope) for scope in (A, B))
        other.execute(f'SELECT 1 FROM "{place.schema}".meta FOR NO KEY UPDATE'.encode())  # noqa: S608 - a name of our own
        told = pool.submit(store.promise, second, {("filer", "gold"): 7})
        _until_somebody_waits(postgresql, name)
        insert = f"INSERT INTO \"{place.schema}\".promise VALUES (%s, 'filer', 'gold', 5)"  # noqa: S608 - as above
        other.execute(insert.encode(), (first.token,))
        other.commit()
        assert shown(told.result(timeout=300)) == [("filer", "gold", 5, first.token)]
    postgresql.sql(f"DROP DATABASE {name} WITH (FORCE)")


def _until_somebody_waits(server: Server, database: str) -> None:
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"  # noqa: S608 - as above
    deadline = time.monotonic() + 300
    while server.sql(waiting).strip() == "0":
        assert time.monotonic() < deadline
        time.sleep(0.02)
