"""The store in an SQLite file keeps every promise of the contract."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sharectl.model.records import HistoryFilter, PutResource
from sharectl.state.sqlite.copies import copies_in, keep_copy
from sharectl.state.sqlite.reader import history_lines
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing import StateStoreConformance
from sharectl.state.testing.samples import ALICE, make_record

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


def test_copies_of_one_second_are_kept_and_shown_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    """Commands of a script follow each other fast, and serials of one digit those of two."""
    now = datetime(2026, 5, 4, 12, tzinfo=UTC)
    with closing(open_store(tmp_path / "state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=600)
        for number in range(11):
            store.commit(lease, [PutResource(make_record(f"s{number}"), None)])
            folder = keep_copy(store, tmp_path / "copies", 3, now)
            assert folder is not None
            serial = store.content_mark()[1]
            assert [copy.serial for copy in copies_in(folder)] == [*range(serial, 0, -1)][:3]
    assert serial > 10
