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
"""So narrow may a column of several words become before another one is left out."""

_LONGEST_WORD: Final = 24
"""Words of up to so many columns are broken in no more than a quarter of the rows: one long name does not take the room of a column."""

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
_MARK: Final = "\ue000"
"""Stands for a name that is on a line of its own; a text that is visible() has none of these."""


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], look: Look = PLAIN) -> Iterator[str]:
    """Yield the head and the rows, two spaces between columns and none at the end of a line.

    A column that is empty in every row is left out. On a terminal texts are folded in their column, between words; optional columns
    are left out, from the right, until the rest fits; what a row is about stands above it where it would be broken within a word.
    Where the rest cannot fit, each row takes several lines.
    """
    kept = [n for n in range(len(columns)) if not rows or any(_text_of(row[n]) for row in rows)]
    shown = [columns[n] for n in kept]
    body = rows if len(kept) == len(columns) else [[row[n] for n in kept] for row in rows]
    if look.width is None or len(body) > _MOST_DRAWN:
        return _lines_of(shown, _widths_of(shown, body), body, look)
    drawn = [tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in body]
    return _drawn_lines(shown, drawn, look, look.width)


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
    yield from _lines_of(columns, _widths_of(columns, first), chain(first, (following,), remaining), look)


def _widths_of(columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]]) -> list[int]:
    return [_width_of(column, [row[n] for row in rows], _WIDEST_CELL) for n, column in enumerate(columns)]


def _lines_of(
    columns: Sequence[Column], widths: Sequence[int], rows: Iterable[Sequence[Cell | str]], look: Look
) -> Iterator[str]:
    """Yield the lines: most of many rows are plain text, and are filled up in one go."""
    drawn = _GAP.join(
        f"%{'' if column.right else '-'}{width}s" for column, width in zip(columns, widths, strict=True)
    ).__mod__
    heads = tuple(Cell(column.head, "heading") for column in columns)
    for row in chain((heads,), rows):
        if Cell not in set(map(type, row)) and (line := drawn(tuple(row))).isascii():
            yield line.rstrip(" ")
            continue
        filled = [_filled(cell, column, width, look) for column, width, cell in zip(columns, widths, row, strict=True)]
        yield _GAP.join(filled).rstrip(" ")


def _filled(cell: Cell | str, column: Column, width: int, look: Look) -> str:
    text = _text_of(cell)
    fill = " " * (width - display_width(text))
    if not isinstance(cell, str) and cell.style_name is not None:
        text = paint(text, cell.style_name, look.color)
    return fill + text if column.right else text + fill


def _text_of(cell: Cell | str) -> str:
    return cell if isinstance(cell, str) else cell.text


def _width_of(column: Column, cells: Sequence[Cell | str], most: int) -> int:
    return max(len(column.head), min(most, max(map(display_width, map(_text_of, cells)), default=0)))


def _drawn_lines(columns: Sequence[Column], rows: Sequence[Row], look: Look, width: int) -> Iterator[str]:
    kept = _fitting(columns, rows, width)
    columns, rows = [columns[n] for n in kept], [tuple(row[n] for n in kept) for row in rows]
    widths = _shared_out(columns, rows, width)
    if widths is None:
        yield from _stacked_lines(columns, rows, look, width)
        return
    lead = _lead(columns)
    names = [row[lead] for row in rows if _is_longer(row[lead], widths[lead])]
    if not names:
        yield from _table_lines(columns, rows, look, widths)
        return
    marked = [
        (*row[:lead], Cell(_MARK), *row[lead + 1 :]) if _is_longer(row[lead], widths[lead]) else row for row in rows
    ]
    above = iter(names)
    for line in _table_lines(columns, marked, look, widths):
        if _MARK in line:
            name = next(above)
            for part in _pieces(name.text, width):
                yield part if name.style_name is None else paint(part, name.style_name, look.color)
        yield line.replace(_MARK, " ")


def _lead(columns: Sequence[Column]) -> int:
    """Return which column says what a row is about: the first one with a head that is folded, or else with a head."""
    headed = [n for n, column in enumerate(columns) if column.head]
    return next((n for n in headed if columns[n].is_folded), headed[0] if headed else 0)


def _is_longer(cell: Cell, width: int) -> bool:
    """Tell whether what a row is about would be broken within a word: it stands on a line of its own above the row then."""
    return max(map(display_width, cell.text.split(" "))) > width


def _table_lines(columns: Sequence[Column], rows: Sequence[Row], look: Look, widths: Sequence[int]) -> Iterator[str]:
    from io import StringIO  # noqa: PLC0415 - only where a table is drawn

    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), collapse_padding=False)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(
            Text(column.head, style="bold"),
            justify="right" if column.right else "left",
            no_wrap=not column.is_folded,
            overflow="fold",
            width=width,
        )
    for row in rows:
        table.add_row(*(Text(cell.text, style=_STYLES_OF_RICH.get(cell.style_name or "", "")) for cell in row))
    sink = StringIO()
    console = Console(
        file=sink,
        width=sum(widths) + len(_GAP) * len(widths),
        color_system="standard" if look.color else None,
        force_terminal=look.color,
        legacy_windows=False,
    )
    console.print(table)
    for line in sink.getvalue().splitlines():
        yield line.rstrip()


def _stacked_lines(columns: Sequence[Column], rows: Sequence[Row], look: Look, width: int) -> Iterator[str]:
    """Yield a row in several lines: what it is about, and below that a line for each further cell that is not empty."""
    about = 1 + _lead(columns)
    heads = max((len(column.head) for column in columns[about:]), default=0)
    for row in rows:
        for part in _pieces(" ".join(cell.text for cell in row[:about] if cell.text), width):
            yield paint(part, "heading", look.color)
        for column, cell in zip(columns[about:], row[about:], strict=True):
            head = column.head.lower()
            for part in _pieces(cell.text, max(1, width - heads - 2 * len(_GAP))):
                text = part if cell.style_name is None else paint(part, cell.style_name, look.color)
                yield f"{_GAP}{head.ljust(heads)}{_GAP}{text}"
                head = ""


def _pieces(text: str, width: int) -> Iterator[str]:
    """Yield the text in pieces of at most so many columns."""
    from rich.cells import chop_cells  # noqa: PLC0415 - only where a table is drawn

    if text:
        yield from chop_cells(text, width)


def _fitting(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[int]:
    """Return the numbers of the columns that fit, without optional ones from the right where they do not."""
    kept = list(range(len(columns)))
    needed = _least_widths(columns, rows)
    for n in reversed(kept.copy()):
        if _total([needed[each] for each in kept]) <= width:
            break
        if columns[n].optional:
            kept.remove(n)
    return kept


def _shared_out(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[int] | None:
    """Return a width for each column: what it needs, and of the rest as much as it can use; None where even the least is too much."""
    widths = _least_widths(columns, rows)
    wanted = [_width_of(column, [row[n] for row in rows], width) for n, column in enumerate(columns)]
    left = width - _total(widths)
    if left < 0:
        return None
    while left > 0 and (narrow := [n for n, most in enumerate(wanted) if widths[n] < most]):
        for n in sorted(narrow, key=widths.__getitem__)[:left]:
            widths[n] += 1
            left -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _least_widths(columns: Sequence[Column], rows: Sequence[Row]) -> list[int]:
    """Return how narrow each column may be: most words in it stay whole, and where it is not folded, all cells."""
    return [
        max(len(column.head), _least_width(column, [row[n].text for row in rows])) for n, column in enumerate(columns)
    ]


def _least_width(column: Column, texts: Sequence[str]) -> int:
    if not column.is_folded:
        return max(map(display_width, texts), default=0)
    widest = max((min(display_width(text), _LEAST_WORDS) for text in texts), default=0)
    words = sorted(max(map(display_width, text.split(" "))) for text in texts)
    return max(widest, min(words[len(words) * 3 // 4 - (len(words) % 4 == 0)], _LONGEST_WORD) if words else 0)


_STYLES_OF_RICH: Final = {
    "error": "bold red",
    "warning": "bold magenta",
    "done": "green",
    "heading": "bold",
}
"""The styles of cells in the words of rich; those of `STYLES` that no cell has are left out."""
