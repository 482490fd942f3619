"""The store in an SQLite file keeps every promise of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.state.sqlite.store import open_store
from sharectl.state.testing import StateStoreConformance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.state.contract import StateStore


class TestSqliteStore(StateStoreConformance):
    """The conformance suite on SQLite."""

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], StateStore]:
        """Open the same file again."""
        return lambda: open_store(tmp_path / "state.db", create=True)
