"""The whole state in one piece: read into a document from an open transaction, or replaced by one."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from sharectl.state.columns import ACCESS_RULE, HISTORY, OPERATION, RUN, history_row, operation_row, rule_rows, run_row
from sharectl.state.contract import StateRefusedError
from sharectl.state.document import Document, compose
from sharectl.state.sqlite.changes import insert_records, insert_rows
from sharectl.state.sqlite.reader import (
    read_history,
    read_operations,
    read_records,
    read_revision,
    read_rules,
    read_runs,
)

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_CONTENT_TABLES = ("history", "run", "operation", "access_rule", "resource")


def read_document(connection: sqlite3.Connection, location: Path) -> Document:
    """Return everything but the lock, as the open transaction sees it; rows are read as they are asked for."""
    revision = read_revision(connection, location)
    return Document(
        lineage=revision.lineage,
        serial=revision.serial,
        records=read_records(connection),
        rules=read_rules(connection),
        operations=read_operations(connection),
        runs=read_runs(connection),
        history=read_history(connection),
    )


def replace_content(connection: sqlite3.Connection, document: Document) -> None:
    """Make `document` the whole content; the lock stays as it is."""
    for table in _CONTENT_TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - the names are those above
    insert_records(connection, document.records)
    insert_rows(connection, ACCESS_RULE, rule_rows(document.rules))
    insert_rows(connection, OPERATION, map(operation_row, document.operations))
    insert_rows(connection, RUN, map(run_row, document.runs))
    insert_rows(connection, HISTORY, (history_row(*line) for line in document.history))
    connection.execute("UPDATE meta SET lineage = ?, serial = ?", (document.lineage, document.serial))


def refuse_loss(connection: sqlite3.Connection, document: Document, location: Path) -> None:
    """Raise StateRefusedError where replacing the content by `document` would lose something.

    A state that holds nothing and has done nothing yet has nothing to lose, whatever its lineage.
    """
    current = read_document(connection, location)
    (is_used,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM resource) OR EXISTS (SELECT 1 FROM history)"
    ).fetchone()
    if not (is_used or current.operations):
        return
    reasons = []
    if document.lineage != current.lineage:
        reasons.append(f"it belongs to another state (lineage {document.lineage}, here {current.lineage})")
    elif document.serial < current.serial:
        reasons.append(f"it is older (serial {document.serial}, here {current.serial})")
    elif document.serial == current.serial and _differ(document, current):
        reasons.append(f"it differs from the state at the same serial ({current.serial})")
    if current.operations:
        count = len(current.operations)
        reasons.append(f"{count} operation(s) have begun and not ended, the first on {current.operations[0].address}")
    if reasons:
        raise StateRefusedError(
            str(location),
            f"the document is not taken: {'; '.join(reasons)}",
            "keep a copy with `sharectl state pull`, let `sharectl apply` finish what has begun, or insist with --force",
        )


def _differ(one: Document, other: Document) -> bool:
    return any(first != second for first, second in zip_longest(compose(one), compose(other)))
