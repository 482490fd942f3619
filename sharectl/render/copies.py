"""The copies of a state that are kept, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.render.formats import document
from sharectl.render.tables import Column, table_lines
from sharectl.render.text import PLAIN, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.render.text import Look
    from sharectl.state.sqlite.copies import Copy

_COLUMNS: Final = (
    Column("COPY"),
    Column("WHEN", whole=True),
    Column("SERIAL", right=True),
    Column("RESOURCES", right=True, optional=True),
    Column("LINEAGE", optional=True),
    Column("LAST RUN", optional=True),
)


def copies_lines(own: Sequence[Copy], others: Sequence[Copy], look: Look = PLAIN) -> Iterator[str]:
    """Yield the copies of this project, newest first, and after them those of others."""
    if not own and not others:
        yield "No copies of a state are kept here."
    if own:
        yield "Copies of the state of this project, newest first:"
        yield from _table(own, look)
    elif others:
        yield "No copies of the state of this project are kept here."
    if others:
        yield "Copies of other projects on this machine:"
        yield from _table(others, look)


def _table(copies: Sequence[Copy], look: Look) -> Iterator[str]:
    rows = [(c.name, c.taken_at, str(c.serial), str(c.mark.resources), c.lineage, visible(_run_of(c))) for c in copies]
    yield from table_lines(_COLUMNS, rows, look)


def _run_of(copy: Copy) -> str:
    return f"{copy.command} by {copy.user}@{copy.host}" if copy.command else "-"


def copies_object(own: Sequence[Copy], others: Sequence[Copy]) -> JsonObject:
    """Return the copies as a JSON object, `sharectl-copies` version 1."""
    return document(
        "copies", copies=[_plain(copy, own=True) for copy in own] + [_plain(copy, own=False) for copy in others]
    )


def _plain(copy: Copy, *, own: bool) -> JsonObject:
    return {
        "name": copy.name,
        "of_this_project": own,
        "taken_at": copy.taken_at,
        "lineage": copy.lineage,
        "serial": copy.serial,
        "resources": copy.mark.resources,
        "operations": copy.operations,
        "command": copy.command,
        "user": copy.user,
        "host": copy.host,
        "path": str(copy.path),
    }
