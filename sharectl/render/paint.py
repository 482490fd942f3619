"""Colours of a terminal, as few and as fast as a plan of a hundred thousand lines needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

RESET: Final = "\x1b[0m"

STYLES: Final[Mapping[str, str]] = {
    "create": "\x1b[32m",
    "update": "\x1b[33m",
    "delete": "\x1b[31m",
    "replace": "\x1b[35m",
    "adopt": "\x1b[36m",
    "forget": "\x1b[33m",
    "move": "\x1b[36m",
    "danger": "\x1b[1;31m",
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "note": "\x1b[1;36m",
    "done": "\x1b[32m",
    "heading": "\x1b[1m",
    "faint": "\x1b[2m",
    "accent": "\x1b[36m",
}
"""What a text is, and the sequence that switches its colour on."""


def paint(text: str, style_name: str, enabled: bool) -> str:  # noqa: FBT001 - called for every line of a plan
    """Return `text` in the style, or as it is where colours are off or there is nothing to colour."""
    return f"{STYLES[style_name]}{text}{RESET}" if enabled and text else text
