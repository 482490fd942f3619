"""The tables go forward from version to version and never back, and nobody works on those that are not his."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sharectl.model.records import AddHistory, PutResource, PutRun
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.contract import LockedError, StateNewerError, StateUnavailableError
from sharectl.state.postgresql.schema import MIGRATIONS
from sharectl.state.postgresql.store import open_store, open_url
from sharectl.state.stores import kind_of_store
from sharectl.state.testing.samples import ALICE, BOB, RUN, document_of, make_entry, make_record, whole_view

if TYPE_CHECKING:
    from tests.postgresql import Server

NEXT = (*MIGRATIONS, ("CREATE TABLE {schema}.later (a integer)", "INSERT INTO {schema}.later VALUES (1)"))


def test_an_older_state_is_read_as_it_is_and_brought_forward_by_the_first_who_writes(postgresql: Server) -> None:
    """With all that is in it."""
    url = postgresql.url()
    place = parse_postgresql_url(url)
    with closing(open_url(url, create=True)) as older:
        lease = older.acquire(ALICE, duration_seconds=60)
        older.commit(lease, [PutResource(make_record(), None)])
        older.release(lease)
        before = whole_view(older)
    with closing(open_store(place, create=False, migrations=NEXT)) as newer:
        assert whole_view(newer) == before
        open_url(url, create=True).close()
        newer.acquire(BOB, duration_seconds=60)
        assert whole_view(newer) == before
    assert postgresql.sql(f'SELECT count(*) FROM "{place.schema}".later') == "1\n"  # noqa: S608 - a name that was made here


def test_an_older_sharectl_stops_at_the_tables_of_a_newer_one(postgresql: Server) -> None:
    """Whether it opens them, or has had them open since before; its commit changes nothing."""
    url = postgresql.url()
    place = parse_postgresql_url(url)
    with closing(open_url(url, create=True)) as older:
        late = older.acquire(ALICE, duration_seconds=0.0)
        with closing(open_store(place, create=False, migrations=NEXT)) as newer:
            newer.release(late)
            kept = newer.acquire(ALICE, duration_seconds=60)
            with pytest.raises(StateNewerError, match="version"):
                older.commit(kept, [PutResource(make_record(), None)])
            assert not whole_view(newer).records
        with pytest.raises(StateNewerError):
            open_url(url, create=True)
        with pytest.raises(StateNewerError):
            kind_of_store(url).is_at(url)


def test_tables_are_not_changed_under_an_older_sharectl_at_work(postgresql: Server) -> None:
    """Until its lease has run out or is taken away."""
    url = postgresql.url()
    with closing(open_url(url, create=True)) as older:
        lease = older.acquire(ALICE, duration_seconds=600)
        with closing(open_store(parse_postgresql_url(url), create=True, migrations=NEXT)) as newer:
            with pytest.raises(LockedError):
                newer.acquire(BOB, duration_seconds=60)
            older.commit(lease, [PutResource(make_record(), None)])
            assert newer.break_lock(lease.token)
            newer.acquire(BOB, duration_seconds=60)


def test_a_state_that_is_not_there_is_not_made_by_whoever_looks(postgresql: Server) -> None:
    """It reads as empty, and cannot be written; one that is made meanwhile is seen."""
    url = postgresql.url()
    kind = kind_of_store(url)
    assert not kind.is_at(url)
    with closing(open_url(url, create=False)) as store:
        assert (whole_view(store).lineage, store.leases(), list(store.history())) == ("", (), [])
        assert not store.break_lock(1)
        with store.read() as reader:
            assert (reader.record("share/a"), reader.addresses(), reader.count_rules()) == (None, (), 0)
            asked = (
                reader.find(),
                reader.rules(),
                reader.with_ids(["a"]),
                reader.operations(),
                reader.children(make_record()),
            )
            assert not any((*asked, *reader.addresses_like("share/a")))
        with pytest.raises(StateUnavailableError, match="no state"):
            store.acquire(ALICE, duration_seconds=60)
        assert b'"lineage": ""' in document_of(store)
        open_url(url, create=True).close()
        assert whole_view(store).lineage
        assert kind.is_at(url)


def test_a_state_that_is_set_aside_leaves_its_place_to_another(postgresql: Server) -> None:
    """As often as that is needed."""
    url = postgresql.url()
    kind = kind_of_store(url)
    for number in (1, 2):
        open_url(url, create=True).close()
        assert kind.set_aside(url).endswith(f"_damaged_{number}")
        assert not kind.is_at(url)


def test_history_is_read_in_pages(postgresql: Server) -> None:
    """Without a line missing or twice where pages meet, and with no transaction open between them."""
    url = postgresql.url()
    with closing(open_url(url, create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        entries = [make_entry(f"share/s{number % 7}") for number in range(2500)]
        store.commit(lease, [PutRun(RUN), *map(AddHistory, entries)])
        lines = store.history()
        first = next(lines)
        schema = parse_postgresql_url(url).schema
        busy = f"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND pid <> pg_backend_pid() AND query LIKE '%{schema}%'"  # noqa: S608 - a name that was made here
        assert postgresql.sql(busy) == "0\n"
        assert [line.entry for line in (first, *lines)] == entries[::-1]
        assert [line.entry for line in store.history(limit=2001)] == entries[::-1][:2001]
        of_one = list(store.history(address="share/s3"))
        assert len(of_one) == len([entry for entry in entries if entry.address == "share/s3"])
