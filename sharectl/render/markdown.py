"""Markdown in which foreign text has no effect, and that is no longer than there is room for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.render.text import clipped, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST_TEXT: Final = 400
"""Columns after which a foreign text is cut, so that one of them cannot fill a comment."""

_ACTIVE: Final = re.compile(r"[\"#$&*:<>@\[\]\\^_`{|}~]|(?<=\w)\.(?=\w)")
_PLAIN_AT: Final = "&#64;"
_FENCE: Final = re.compile(r"`{3,}")


def code(text: str) -> str:
    """Return `text` as an inline code span that holds in a table too and in which nobody is mentioned."""
    return f"<code>{_entities(text)}</code>"


def prose(text: str) -> str:
    """Return `text` as running text without any effect: no markup, no link, no mention, no reference to an issue."""
    return _entities(text).replace(_PLAIN_AT, f"{_PLAIN_AT}<!-- -->").replace("&#35;", "&#35;<!-- -->")


def fence_for(lines: Iterable[str]) -> str:
    """Return a fence that none of the lines can close."""
    longest = max((len(run) for line in lines for run in _FENCE.findall(line)), default=2)
    return "`" * (longest + 1)


def _entities(text: str) -> str:
    return _ACTIVE.sub(lambda match: f"&#{ord(match[0])};", clipped(visible(text), LONGEST_TEXT))


def short(text: str) -> str:
    """Return `text` on one line, cut where it is long; for a fenced block."""
    return clipped(visible(text), LONGEST_TEXT)


def table(title: str, heads: tuple[str, ...], rows: Iterable[str], total: int, room: int) -> Iterator[str]:
    """Yield a table under its title, of so many of all `total` rows as take no more than `room` characters."""
    yield ""
    yield f"### {title}"
    yield from bare_table(heads, rows, total, room)


def bare_table(heads: tuple[str, ...], rows: Iterable[str], total: int, room: int) -> Iterator[str]:
    """Yield the same without a title."""
    shown = fitting(rows, room)
    yield ""
    yield row(*heads)
    yield f"|{' --- |' * len(heads)}"
    yield from shown
    if total > len(shown):
        yield ""
        yield f"and {total - len(shown)} more"


def row(*cells: str) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def fitting(rows: Iterable[str], room: int) -> list[str]:
    """Return the first rows that take no more than `room` characters together."""
    shown: list[str] = []
    for row in rows:
        room -= len(row) + 1
        if room < 0:
            break
        shown.append(row)
    return shown
