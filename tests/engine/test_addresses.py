"""The state keeps accounts of addresses as every ledger must."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sharectl.engine.addresses import StateAddressLedger
from sharectl.model.kinds import Kind
from sharectl.model.networks import NetworkAllocation
from sharectl.model.records import Scope
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.network.base import AddressClaim, AddressTakenError, NetworkError
from sharectl.network.testing import AllocationLedgerConformance
from sharectl.state.postgresql.store import open_store as open_database
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE
from sharectl.workspace.run import describe_run, held_lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sharectl.model.records import Record
    from sharectl.network.base import AllocationLedger
    from sharectl.state.contract import StateStore
    from tests.postgresql import Server


class TestStateAddressLedger(AllocationLedgerConformance):
    """A ledger in a state file, under its lock."""

    @pytest.fixture
    def make_ledger(self, tmp_path: Path) -> Iterator[Callable[[], AllocationLedger]]:
        """Open the accounts of one state, again at each call."""
        with (
            closing(open_store(tmp_path / "state.db", create=True)) as store,
            held_lease(store, describe_run("test", tmp_path, {})) as lease,
        ):
            yield lambda: StateAddressLedger(lambda: rows_of(store), lambda changes: store.commit(lease, changes))


def rows_of(store: StateStore) -> Mapping[str, Record]:
    """Return the rows of addresses."""
    with store.read() as reader:
        return reader.find(kind=Kind.NETWORK_ALLOCATION)


def test_without_the_lock_nothing_is_taken() -> None:
    """A plan may look, and say what is free."""
    ledger = StateAddressLedger(dict)
    allocation = NetworkAllocation("s/0", "s", "10.0.0.2", 4, "10.0.0.0/24", None, "flat", None, 1500)
    with pytest.raises(NetworkError, match="lock"):
        ledger.claim(AddressClaim("wire", "b", allocation))
    assert ledger.find("s/0") is None
    assert ledger.claims("b") == []
    ledger.release("s/0")


def test_runs_beside_each_other_never_take_the_same_address(postgresql: Server) -> None:
    """Neither knows what the other has taken since it began, and no scope names addresses: the key of the row decides, on whatever backend."""
    place = parse_postgresql_url(postgresql.url())
    with closing(open_database(place, create=True)) as store:
        leases = [
            store.acquire(
                ALICE, duration_seconds=600, scope=Scope(frozenset({name}), frozenset({f"share_server/{name}"}))
            )
            for name in ("a", "b")
        ]
        first, second = (
            StateAddressLedger(dict, lambda changes, lease=lease: store.commit(lease, changes))  # type: ignore[misc]
            for lease in leases
        )
        claims = [
            AddressClaim(
                "wire",
                name,
                NetworkAllocation(f"{name}/0", name, "10.0.0.2", 4, "10.0.0.0/24", None, "flat", None, 1500),
            )
            for name in ("a", "b")
        ]
        first.claim(claims[0])
        with pytest.raises(AddressTakenError):
            second.claim(claims[1])
        first.release("a/0")
        third = StateAddressLedger(lambda: rows_of(store), lambda changes: store.commit(leases[1], changes))
        assert third.claim(claims[1]) == claims[1]
