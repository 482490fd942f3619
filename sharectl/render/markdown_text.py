"""Foreign text in GitHub-flavoured Markdown: nothing that a name or a reason holds ends a span, a table or a block."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.render.text import clipped, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

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
