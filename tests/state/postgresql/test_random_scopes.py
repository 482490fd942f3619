"""Whatever runs come and go, no two hold the same address, and each writes its own and nothing else."""

from __future__ import annotations

from contextlib import closing, suppress
from random import Random
from typing import TYPE_CHECKING

import pytest

from sharectl.model.records import EVERYTHING, PutResource, Scope
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.contract import LeaseLostError, LockedError, StateRefusedError
from sharectl.state.postgresql.store import open_store as open_postgresql
from sharectl.state.sqlite.store import open_store as open_sqlite
from sharectl.state.testing.samples import ALICE, make_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharectl.model.records import Lease
    from sharectl.state.contract import StateStore
    from tests.postgresql import Server

NAMES = "abcdef"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, postgresql: Server) -> Iterator[StateStore]:
    """Return a state of each kind."""
    place = parse_postgresql_url(postgresql.url())
    opened: StateStore = (
        open_sqlite(tmp_path / "s.db", create=True)
        if request.param == "sqlite"
        else open_postgresql(place, create=True)
    )
    with closing(opened):
        yield opened


@pytest.mark.parametrize("seed", range(3))
def test_runs_with_random_scopes_keep_out_of_each_others_way(store: StateStore, seed: int) -> None:
    """Taken where nothing touches and only there; lost leases write nothing, and no later one names them as beside it."""
    random = Random(seed)  # noqa: S311 - no secret
    held: list[Lease] = []
    lost: list[Lease] = []
    versions: dict[str, int] = {}
    for _ in range(60):
        what = random.choice(("take", "take", "write", "write", "end", "lose"))
        if what == "take":
            chosen = frozenset(f"share/{name}" for name in random.sample(NAMES, random.randint(1, 3)))
            scope = EVERYTHING if random.random() < 0.1 else Scope(frozenset({"filer"}), chosen)
            free = not any(scope.touches(other.scope) for other in held)
            with suppress(LockedError):
                lease = store.acquire(ALICE, duration_seconds=600, scope=scope)
                assert free
                assert lease.beside == {other.token for other in held}
                held.append(lease)
                free = False
            assert not free
        elif what == "write":
            name = random.choice(NAMES)
            change = PutResource(make_record(name, backend="filer"), versions.get(name))
            for lease in held:
                if lease.scope.holds(f"share/{name}", "filer"):
                    store.commit(lease, [change])
                    versions[name] = versions.get(name, 0) + 1
                else:
                    with pytest.raises(StateRefusedError):
                        store.commit(lease, [change])
            for lease in lost:
                with pytest.raises(LeaseLostError):
                    store.commit(lease, [change])
        elif held:
            lease = held.pop(random.randrange(len(held)))
            lost.append(lease)
            (store.release if what == "end" else lambda gone: store.break_lock(gone.token))(lease)
    assert [status.token for status in store.leases()] == sorted(lease.token for lease in held)
