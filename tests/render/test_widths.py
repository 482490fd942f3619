"""Tables at the widths that people have: each column in its place, whatever is in it, and no line longer than the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.model.observed import ObservedShare
from sharectl.model.records import StateView
from sharectl.render.formats import DOCUMENTS, Format, writer
from sharectl.render.pools import pools_lines
from sharectl.render.state import state_lines, trash_lines
from sharectl.render.tables import Column, table_lines
from sharectl.render.text import Look, display_width
from sharectl.workspace.trash import TrashedShare
from tests.render.samples import a_record
from tests.render.test_tables import POOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Golden = Callable[[str, Iterable[str]], None]

LONG = "a-name-that-somebody-has-made-as-long-as-the-rules-for-names-al"
NAMES = ("a", LONG, "日本語の共有", "z")
LOOKS = {"40": Look(width=40), "80": Look(width=80), "200": Look(width=200), "pipe": Look()}


def listed_state(look: Look) -> Iterator[str]:
    """List a state in which one name is long and one is of wide characters."""
    records = {f"share/{name}": a_record(f"share/{name}", protect=name == "z") for name in NAMES}
    return state_lines(StateView("l", 1, records, ()), None, look)


def listed_trash(look: Look) -> Iterator[str]:
    """List a trash in which one name is long."""
    return trash_lines(
        [
            TrashedShare(
                "nas1",
                ObservedShare(None, name, name, "p", 1 << 30, "NFS", trashed_at="2026-01-01T00:00:00Z"),
                held_by="share/z" if name == "z" else None,
            )
            for name in NAMES
        ],
        look,
    )


TABLES: dict[str, Callable[[Look], Iterable[str]]] = {
    "pools": lambda look: pools_lines(POOLS, look),
    "state": listed_state,
    "trash": listed_trash,
}


@pytest.mark.parametrize("width", LOOKS)
@pytest.mark.parametrize("table", TABLES)
def test_a_table_at_each_width(golden: Golden, table: str, width: str) -> None:
    """Words are folded in their column, figures stay whole, and what a narrow terminal has no room for is left out."""
    lines = list(TABLES[table](LOOKS[width]))
    golden(f"{table}-{width}.txt", lines)
    if width != "pipe":
        assert max(map(display_width, lines)) <= int(width)
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_an_id_in_the_trash_is_never_broken_that_fits_on_a_line(width: int) -> None:
    """It is copied into the next command; since when a share lies there, and whose it is, is not left out for that."""
    lines = list(listed_trash(Look(width=width)))
    assert any(line.split()[:2] == ["id", LONG] or LONG in line.split()[3:] for line in lines)
    assert sum("2026-01-01T00:00:00Z" in line for line in lines) == len(NAMES)
    assert "held by the state: share/z" in "\n".join(lines)


def test_a_long_cell_fills_up_no_other_row_of_a_pipe() -> None:
    """Its own row is longer; a line stays one line, so that `grep` finds the whole of it."""
    lines = list(listed_state(Look()))
    assert any(LONG in line for line in lines)
    assert all(len(line) < 48 + 60 for line in lines if LONG not in line)


def test_a_table_of_many_rows_is_not_measured_cell_by_cell() -> None:
    """A listing of a hundred thousand lines begins at once, on a terminal too."""
    columns = (Column("NAME"), Column("SIZE", right=True))
    lines = table_lines(columns, [(f"share-{number}", "1GiB") for number in range(100_000)], Look(width=80))
    assert next(iter(lines)).split() == ["NAME", "SIZE"]
    assert sum(1 for _ in lines) == 100_000


@pytest.mark.parametrize(("document", "style"), [(name, style) for name in DOCUMENTS for style in DOCUMENTS[name]])
def test_each_format_of_a_document_has_a_writer(document: str, style: Format) -> None:
    """The table of formats names functions that are there."""
    assert callable(writer(document, style))
