"""The summary of a job on GitHub: a file of Markdown to which each step may add one mebibyte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MOST_BYTES: Final = 1 << 20
"""The forge drops the whole summary of a step that is longer."""


def add_to_summary(path: Path, lines: Iterable[str]) -> bool:
    """Add the lines to the summary of the step; return False where it has no room for them, or cannot be written."""
    text = "".join(f"{line}\n" for line in lines).encode(errors="replace")
    try:
        size = path.stat().st_size if path.exists() else 0
        if size + len(text) > MOST_BYTES:
            return False
        with path.open("ab") as file:
            file.write(text)
    except OSError:
        return False
    return True
