"""Tables: drawn to the width of a terminal, or plain for a pipe, where lines may be of any length."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from sharectl.model.frozen import dataclass
from sharectl.render.text import PLAIN, display_width, paint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sharectl.render.text import Look

_GAP: Final = "  "
_WIDEST_CELL: Final = 48
"""Cells of a plain table are filled up to so many columns; a longer one makes its own row longer, and no other."""

_LEAST_WORDS: Final = 12
"""So narrow may a column of words become before another one is left out."""

_MOST_DRAWN: Final = 2_000
"""Longer tables are plain on a terminal too: nobody waits for a hundred thousand rows to be measured and folded."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A text in a table, visible() already, with a style of `render.text` if it has one."""

    text: str
    style_name: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column; cells at the `right` and `whole` ones are never folded; a narrow terminal does without `optional` ones."""

    head: str
    right: bool = False
    optional: bool = False
    whole: bool = False

    @property
    def is_folded(self) -> bool:
        """Tell whether long cells may take several lines."""
        return not self.right and not self.whole


Row = tuple[Cell, ...]


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], look: Look = PLAIN) -> Iterator[str]:
    """Yield the head and the rows, two spaces between columns and none at the end of a line.

    A column that is empty in every row is left out. On a terminal words are folded in their column, and optional columns are left
    out, from the right, until the rest fits.
    """
    cells = [tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in rows]
    kept = [n for n in range(len(columns)) if not cells or any(row[n].text for row in cells)]
    shown = [columns[n] for n in kept]
    body = [tuple(row[n] for n in kept) for row in cells]
    if look.width is None or len(body) > _MOST_DRAWN:
        return _plain_lines(shown, body, look)
    return _drawn_lines(shown, body, look, look.width)


def streamed_lines(
    columns: Sequence[Column], rows: Iterable[Sequence[Cell | str]], look: Look = PLAIN
) -> Iterator[str]:
    """Yield the same of any number of rows, which are drawn as the lines are: of many, the first ones say how wide the columns are."""
    remaining = iter(rows)
    first = list(islice(remaining, _MOST_DRAWN))
    following = next(remaining, None)
    if following is None:
        yield from table_lines(columns, first, look)
        return
    cells = (
        tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row)
        for row in chain(first, (following,), remaining)
    )
    measured = list(islice(cells, _MOST_DRAWN))
    yield from _lines_of(columns, _widths_of(columns, measured), chain(measured, cells), look)


def _plain_lines(columns: Sequence[Column], rows: Sequence[Row], look: Look) -> Iterator[str]:
    return _lines_of(columns, _widths_of(columns, rows), rows, look)


def _widths_of(columns: Sequence[Column], rows: Sequence[Row]) -> list[int]:
    return [_width_of(column, [row[n] for row in rows], _WIDEST_CELL) for n, column in enumerate(columns)]


def _lines_of(columns: Sequence[Column], widths: Sequence[int], rows: Iterable[Row], look: Look) -> Iterator[str]:
    heads = tuple(Cell(column.head, "heading") for column in columns)
    for row in chain((heads,), rows):
        line, owed = "", ""
        for column, width, cell in zip(columns, widths, row, strict=True):
            fill = " " * (width - display_width(cell.text))
            text = cell.text if cell.style_name is None else paint(cell.text, cell.style_name, look.color)
            if cell.text:
                line += f"{owed}{fill}{text}" if column.right else f"{owed}{text}"
                owed = _GAP if column.right else fill + _GAP
            else:
                owed += fill + _GAP
        yield line


def _width_of(column: Column, cells: Sequence[Cell], most: int) -> int:
    return max(len(column.head), max((min(display_width(cell.text), most) for cell in cells), default=0))


def _drawn_lines(columns: Sequence[Column], rows: Sequence[Row], look: Look, width: int) -> Iterator[str]:
    from io import StringIO  # noqa: PLC0415 - only where a table is drawn

    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    kept = _fitting(columns, rows, width)
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), collapse_padding=False)
    for n in kept:
        right = columns[n].right
        table.add_column(
            Text(columns[n].head, style="bold"),
            justify="right" if right else "left",
            no_wrap=not columns[n].is_folded,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(row[n].text, style=_STYLES_OF_RICH.get(row[n].style_name or "", "")) for n in kept))
    sink = StringIO()
    console = Console(
        file=sink,
        width=width,
        color_system="standard" if look.color else None,
        force_terminal=look.color,
        legacy_windows=False,
    )
    console.print(table)
    for line in sink.getvalue().splitlines():
        yield line.rstrip()


def _fitting(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[int]:
    """Return the numbers of the columns that fit, without optional ones from the right where they do not."""
    kept = list(range(len(columns)))
    needed = [
        _width_of(column, [row[n] for row in rows], _LEAST_WORDS if column.is_folded else width)
        for n, column in enumerate(columns)
    ]
    for n in reversed(kept.copy()):
        if sum(needed[each] + len(_GAP) for each in kept) - len(_GAP) <= width:
            break
        if columns[n].optional:
            kept.remove(n)
    return kept


_STYLES_OF_RICH: Final = {
    "error": "bold red",
    "warning": "bold yellow",
    "done": "green",
    "heading": "bold",
    "faint": "dim",
}
"""The styles of cells in the words of rich; those of `STYLES` that no cell has are left out."""
