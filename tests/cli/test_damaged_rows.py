"""Rows that SQLite takes for sound and sharectl would never have written: told as damage, with the way back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import SIMULATED

if TYPE_CHECKING:
    from tests.cli.console import Console

_DAMAGES = (
    "spec = CAST('{}' AS BLOB)",
    "spec = CAST('no json' AS BLOB)",
    "spec = CAST('[]' AS BLOB)",
    "attributes = CAST('{}' AS BLOB)",
    "attributes = CAST('null' AS BLOB)",
    "digest = CAST('' AS BLOB)",
    "kind = 'unknown'",
    "backend = 'unknown'",
    "backend = NULL",
    "resource_id = ''",
)


@pytest.mark.parametrize("damage", _DAMAGES)
def test_a_row_that_nobody_can_understand_is_no_internal_error(applied: Console, damage: str) -> None:
    """Whatever a command makes of it: a result or a diagnostic, in bounded time."""
    with closing(sqlite3.connect(applied.root / ".sharectl" / "state.db")) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(f"UPDATE resource SET {damage} WHERE address = 'share/one'")  # noqa: S608 - those above
        connection.commit()
    applied.write("all.yaml", SIMULATED.replace("size: 1GiB", "size: 3GiB"))
    for command in (
        ["plan"],
        ["show", "share/one"],
        ["state", "list"],
        ["state", "show", "share/one"],
        ["apply", "--yes"],
    ):
        ended = applied(*command)
        assert "error[internal]" not in ended.err, (command, ended.err)
        assert "Traceback" not in ended.err + ended.out
