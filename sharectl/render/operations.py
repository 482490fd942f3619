"""The operations that have begun and whose end is not recorded, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.render.formats import document
from sharectl.render.tables import Column, table_lines
from sharectl.render.text import PLAIN, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.records import OperationRecord
    from sharectl.render.text import Look

_COLUMNS: Final = (
    Column("OPERATION"),
    Column("ADDRESS"),
    Column("WHAT", whole=True),
    Column("PLACE", optional=True),
    Column("SINCE", optional=True, whole=True),
)


def operations_lines(operations: Sequence[OperationRecord], look: Look = PLAIN) -> Iterator[str]:
    """Yield the open operations, oldest first."""
    if not operations:
        yield "No operation is open."
        return
    rows = [
        (
            visible(operation.operation_id),
            visible(operation.address),
            visible(operation.verb),
            visible("#".join(filter(None, (operation.backend, operation.pool)))),
            visible(operation.started_at),
        )
        for operation in operations
    ]
    yield from table_lines(_COLUMNS, rows, look)


def operations_object(operations: Sequence[OperationRecord]) -> JsonObject:
    """Return the open operations as a JSON object, `sharectl-operations` version 1."""
    return document(
        "operations",
        operations=[
            {
                "operation_id": operation.operation_id,
                "address": operation.address,
                "verb": operation.verb,
                "backend": operation.backend,
                "pool": operation.pool,
                "resource_id": operation.resource_id,
                "run_id": operation.run_id,
                "started_at": operation.started_at,
            }
            for operation in operations
        ],
    )
