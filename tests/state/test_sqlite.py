"""The store in an SQLite file keeps every promise of the contract."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sharectl.model.records import HistoryFilter
from sharectl.state.sqlite.reader import history_lines
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


def test_the_newest_history_costs_nothing_of_what_is_older(tmp_path: Path) -> None:
    """The first entry since a time is found from the end, counted in steps of SQLite."""
    open_store(tmp_path / "state.db", create=True).close()
    steps: list[int] = []
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        connection.execute(
            "INSERT INTO run (run_id, command, user, host, started_at) VALUES ('r', 'apply', 'u', 'h', '')"
        )
        connection.executemany(
            "INSERT INTO history (run_id, at, address, verb, outcome, detail) VALUES ('r', ?, 'share/a', 'adopt', 'done', x'7b7d')",
            [(f"2026-05-04T{number:06}",) for number in range(20_000)],
        )
        connection.set_progress_handler(lambda: steps.append(1), 100)
        found = list(history_lines(connection, None, None, HistoryFilter(since="2026-05-04T019990")))
    assert len(found) == 10
    assert len(steps) < 100
