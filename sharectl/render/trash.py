"""The trash of the backends, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.quantities import format_size
from sharectl.render.formats import document
from sharectl.render.tables import Column, table_lines
from sharectl.render.text import PLAIN, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.render.text import Look
    from sharectl.workspace.trash import TrashedShare

_COLUMNS: Final = (
    Column("SINCE", optional=True, whole=True),
    Column("ADDRESS"),
    Column("BACKEND", whole=True),
    Column("ID"),
    Column("SIZE", right=True),
    Column("", optional=True),
)


def trash_lines(shares: Sequence[TrashedShare], look: Look = PLAIN) -> Iterator[str]:
    """Yield a line for each share in the trash, in the order given."""
    if not shares:
        yield "The trash is empty."
        return
    rows = [
        [
            visible(trashed.share.trashed_at or ""),
            visible(trashed.address),
            visible(trashed.backend),
            visible(trashed.share.backend_id),
            "" if trashed.share.size_bytes is None else format_size(trashed.share.size_bytes),
            "" if trashed.held_by is None else f"held by the state: {visible(trashed.held_by)}",
        ]
        for trashed in shares
    ]
    yield from table_lines(_COLUMNS, rows, look)


def trash_object(shares: Sequence[TrashedShare]) -> JsonObject:
    """Return the trash as a JSON object, `sharectl-trash` version 1."""
    return document(
        "trash",
        shares=[
            {
                "address": trashed.address,
                "backend": trashed.backend,
                "backend_id": trashed.share.backend_id,
                "resource_id": trashed.share.resource_id,
                "name": trashed.share.name,
                "pool": trashed.share.pool,
                "size_bytes": trashed.share.size_bytes,
                "protocol": trashed.share.protocol,
                "trashed_at": trashed.share.trashed_at,
                "held_by": trashed.held_by,
            }
            for trashed in shares
        ],
    )
