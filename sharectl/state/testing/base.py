"""The fixtures of the suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.state.testing.samples import ALICE, LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharectl.model.records import (
        Lease,
    )
    from sharectl.state.contract import StateStore


class Conformance:
    """What all parts of the suite begin with: a way to open a store, an empty one, and a lease on it."""

    @pytest.fixture
    def make_store(self) -> Callable[[], StateStore]:
        """Return a function that opens the same state again at each call; it begins empty, and is made if need be."""
        raise NotImplementedError

    @pytest.fixture
    def open_again(self, make_store: Callable[[], StateStore]) -> Iterator[Callable[[], StateStore]]:
        """Return `make_store`, and close what it has opened at the end."""
        stores: list[StateStore] = []

        def open_store() -> StateStore:
            stores.append(make_store())
            return stores[-1]

        yield open_store
        for store in stores:
            store.close()

    @pytest.fixture
    def store(self, open_again: Callable[[], StateStore]) -> StateStore:
        """Return an empty store."""
        return open_again()

    @pytest.fixture
    def lease(self, store: StateStore) -> Lease:
        """Return alice's lease on `store`."""
        return store.acquire(ALICE, duration_seconds=LEASE_SECONDS)
