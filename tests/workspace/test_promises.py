"""What a run has promised shrinks as its shares are made, and goes where they go."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sharectl.model.events import CandidateFailed, StepFinished
from sharectl.model.kinds import Address
from sharectl.model.records import Scope
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.model.verbs import Verb
from sharectl.planner.promises import Need
from sharectl.state.postgresql.store import open_store
from sharectl.state.testing.samples import ALICE
from sharectl.workspace.promises import Promises

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.records import Lease
    from sharectl.state.postgresql.store import PostgresqlStore
    from tests.postgresql import Server

GOLD, SILVER = ("filer", "gold"), ("filer", "silver")


@pytest.fixture
def store(postgresql: Server) -> Iterator[PostgresqlStore]:
    """Return a state."""
    with closing(open_store(parse_postgresql_url(postgresql.url()), create=True)) as opened:
        yield opened


@pytest.fixture
def lease(store: PostgresqlStore) -> Lease:
    """Return the lease of the run."""
    return store.acquire(ALICE, duration_seconds=600, scope=Scope(frozenset({"filer"}), frozenset({"share/a"})))


def test_nothing_stays_promised_once_all_shares_are_made(store: PostgresqlStore, lease: Lease) -> None:
    """Though the run goes on, and however soon after it has promised them; each where it went in the end."""
    needs = {"1": Need(5, (GOLD, SILVER)), "2": Need(7, (GOLD,))}
    store.promise(lease, {GOLD: 12})
    seen: list[object] = []
    observe = Promises(lease, store, needs).watching(seen.append)
    failed = CandidateFailed("1", Address("share/a"), "filer", "gold", "full")
    observe(failed)
    assert {each[:3] for each in store.promises()} == {(*GOLD, 7), (*SILVER, 5)}
    ends = [StepFinished(step, Address("share/a"), Verb.CREATE_SHARE, "filer", None, 0.1) for step in "12"]
    for event in ends:
        observe(event)
    assert store.promises() == []
    assert seen == [failed, *ends]
