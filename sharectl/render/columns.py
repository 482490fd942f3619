"""Tables of plain columns: as wide as their content, numbers to the right, the last column open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharectl.render.paint import paint
from sharectl.render.text import display_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_GAP = "  "


@dataclass(frozen=True, slots=True)
class Cell:
    """A text in a table, visible() already, with a style of `render.paint` if it has one."""

    text: str
    style_name: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column, and whether its cells stand at the right."""

    head: str
    right: bool = False


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], *, color: bool) -> Iterator[str]:
    """Yield the head and the rows, two spaces between columns and no space at the end of a line.

    A column that is empty in every row is left out.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    kept = [n for n in range(len(columns)) if any(row[n].text for row in cells)] if cells else range(len(columns))
    widths = {n: max((display_width(row[n].text) for row in cells), default=0) for n in kept}
    widths = {n: max(width, len(columns[n].head)) for n, width in widths.items()}
    heads = [Cell(column.head, "heading") for column in columns]
    for row in (heads, *cells):
        line, owed = "", ""
        for n in kept:
            cell = row[n]
            fill = " " * (widths[n] - display_width(cell.text))
            text = cell.text if cell.style_name is None else paint(cell.text, cell.style_name, color)
            if cell.text:
                line += f"{owed}{fill}{text}" if columns[n].right else f"{owed}{text}"
                owed = _GAP if columns[n].right else fill + _GAP
            else:
                owed += fill + _GAP
        yield line
