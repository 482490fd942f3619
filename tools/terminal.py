"""A terminal that is not there: what a command draws on it, as a grid of cells that can be compared, and as a page to look at."""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import pyte

from tools.pseudoterminal import Pseudoterminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pyte.screens import Char

PATIENCE_SECONDS: Final = 120.0


class Theme(NamedTuple):
    """The colours of a terminal: its ground, its text, and the first eight of its palette."""

    ground: str
    text: str
    palette: Mapping[str, str]


_NAMES: Final = ("black", "red", "green", "brown", "blue", "magenta", "cyan", "white")


def _theme(ground: str, text: str, *palette: str) -> Theme:
    return Theme(ground, text, dict(zip(_NAMES, palette, strict=True)))


_GNOME: Final = ("#171421", "#c01c28", "#26a269", "#a2734c", "#12488b", "#a347ba", "#2aa1b3", "#d0cfcc")
_TANGO: Final = ("#2e3436", "#cc0000", "#4e9a06", "#c4a000", "#3465a4", "#75507b", "#06989a", "#d3d7cf")
THEMES: Final[Mapping[str, Theme]] = {
    "light": _theme(
        "#ffffff", "#333333", "#000000", "#cd3131", "#107c10", "#949800", "#0451a5", "#bc05bc", "#0598bc", "#555555"
    ),
    "dark": _theme(
        "#1e1e1e", "#cccccc", "#000000", "#cd3131", "#0dbc79", "#e5e510", "#2472c8", "#bc3fbc", "#11a8cd", "#e5e5e5"
    ),
    "gnome-light": _theme("#ffffff", "#171421", *_GNOME),
    "gnome-dark": _theme("#171421", "#d0cfcc", *_GNOME),
    "tango-light": _theme("#ffffff", "#2e3436", *_TANGO),
    "tango-dark": _theme("#000000", "#d3d7cf", *_TANGO),
}
"""Palettes that terminals come with; pictures are in the first two, those of Visual Studio Code."""


class _Screen(pyte.Screen):
    """A screen that knows faint text, which pyte does not: nothing here is in italics, so that these stand for it."""

    def select_graphic_rendition(self, *attributes: int, **_: bool) -> None:
        """See pyte."""
        super().select_graphic_rendition(*(3 if each == _FAINT else each for each in attributes))


_FAINT: Final = 2


class Terminal:
    """A grid of `columns` and `rows` on which a program draws."""

    def __init__(self, columns: int, rows: int) -> None:
        """Be empty."""
        self._screen = _Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    def feed(self, data: bytes) -> None:
        """Draw what a program has written."""
        self._stream.feed(data)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size."""
        self._screen.resize(rows, columns)

    @property
    def lines(self) -> list[str]:
        """The text, without what is empty at the ends."""
        touched = [number for number, row in self._screen.buffer.items() if row]
        rows = (self._row(number) for number in range(max(touched, default=-1) + 1))
        lines = ["".join(cell.data for cell in row).rstrip() for row in rows]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def hides_cursor(self) -> bool:
        """Tell whether the cursor has been hidden and not been shown again."""
        return bool(self._screen.cursor.hidden)

    def styled(self) -> Iterator[str]:
        """Yield the lines, each with `~ 1-4 bold red` below for what is not plain in it, columns counted from 1."""
        for number, line in enumerate(self.lines):
            yield line
            for style, first, last in self._runs(number):
                yield f"    ~ {first}-{last} {style}"

    def _row(self, number: int) -> list[Char]:
        row = self._screen.buffer[number]
        return [row[column] for column in range(self._screen.columns)]

    def _runs(self, number: int) -> Iterator[tuple[str, int, int]]:
        column = 1
        for style, cells in groupby(self._row(number), _style):
            count = len(list(cells))
            if style:
                yield style, column, column + count - 1
            column += count

    def page(self, theme: Theme) -> str:
        """Return the screen as a page of HTML."""
        rows = "\n".join(
            "".join(_span(style, "".join(cell.data for cell in cells), theme) for style, cells in groupby(row, _style))
            for row in (self._row(number) for number in range(len(self.lines)))
        )
        return (
            f'<!doctype html><meta charset="utf-8"><style>body{{margin:0;background:{theme.ground}}}'
            f"pre{{display:inline-block;margin:12px;width:{self._screen.columns}ch;color:{theme.text};"
            f"font:14px/1.25 'DejaVu Sans Mono','Noto Sans Mono CJK JP',monospace}}</style><pre>{rows}</pre>"
        )


def _style(cell: Char) -> str:
    words = []
    if cell.bold:
        words.append("bold")
    if cell.italics:
        words.append("faint")
    if cell.reverse:
        words.append("reverse")
    if cell.fg != "default":
        words.append("yellow" if cell.fg == "brown" else cell.fg)
    return " ".join(words)


def _span(style: str, text: str, theme: Theme) -> str:
    if not style:
        return escape(text)
    words = style.split()
    rules = [f"color:{theme.palette['brown' if word == 'yellow' else word]}" for word in words if word in _COLORS]
    if "bold" in words:
        rules.append("font-weight:bold")
    if "faint" in words:
        rules.append("opacity:.6")
    return f'<span style="{";".join(rules)}">{escape(text)}</span>'


_COLORS: Final = frozenset({*_NAMES, "yellow"})


class Session:
    """A command on a terminal of its own; what it draws can be looked at while it runs."""

    def __init__(
        self, command: Sequence[str], *, columns: int, rows: int, cwd: Path, environ: Mapping[str, str]
    ) -> None:
        """Start the command."""
        self.terminal = Terminal(columns, rows)
        self._pseudoterminal = Pseudoterminal(
            command,
            self.terminal.feed,
            columns=columns,
            rows=rows,
            cwd=cwd,
            environ=environ,
            patience_seconds=PATIENCE_SECONDS,
        )
        self.process = self._pseudoterminal.process
        self.interrupt = self._pseudoterminal.interrupt
        self.end = self._pseudoterminal.end

    def look_until(self, found: Callable[[Terminal], bool]) -> bool:
        """Draw what comes until the screen is as it is wanted; False where the command ended before that, or took too long."""
        return self._pseudoterminal.read_until(lambda: found(self.terminal))

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self.terminal.resize(columns, rows)
        self._pseudoterminal.resize(columns, rows)
