"""The store in PostgreSQL keeps every promise of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.state.postgresql.store import open_url
from sharectl.state.testing import StateStoreConformance

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.state.contract import StateStore
    from tests.postgresql import Server


class TestPostgresqlStore(StateStoreConformance):
    """The conformance suite on a real server."""

    @pytest.fixture
    def make_store(self, postgresql: Server) -> Callable[[], StateStore]:
        """Open the same schema again."""
        url = postgresql.url()
        return lambda: open_url(url, create=True)
