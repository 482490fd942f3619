"""Diagnostics: what is wrong, where, why, and how to mend it, as values that the renderers turn into text."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHARE_HELD: Final = "share.held"
"""The code of a share that waits: its place or its source is not known to be there."""
NOT_DONE: Final = frozenset({SHARE_HELD, "share.lost-snapshot", "share.revert-cut-short", "import.rule"})
"""Codes of warnings about something that was asked for, and that this run leaves for later or for somebody to look at."""


class Severity(StrEnum):
    """How much a diagnostic matters: an error stops the command, a warning does not, a note only tells."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Source:
    """A place in a manifest: `path` as the user named it, `line` and `column` from 1, the `document`'s number from 0.

    `excerpt` is the text of that line where it is known, without its line end.
    """

    path: str
    line: int
    column: int
    document: int = 0
    excerpt: str | None = None

    def __str__(self) -> str:
        """`file:line:col`, the form that editors and CI annotations follow."""
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    `summary` is one line. `detail` says what and why, `remedy` what to do about it; both may be empty.
    `code` is a stable, dotted name for programs (`manifest.duplicate-key`, `state.locked`); `address` names the resource.
    """

    severity: Severity
    code: str
    summary: str
    detail: str = ""
    remedy: str = ""
    address: str | None = None
    source: Source | None = None


error: Final = partial(Diagnostic, Severity.ERROR)
"""Makes a Diagnostic that stops the command."""
warning: Final = partial(Diagnostic, Severity.WARNING)
"""Makes a Diagnostic that the user should read, and that stops nothing."""


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Tell whether any of the diagnostics stops the command."""
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)


class DiagnosticError(Exception):
    """Ends what was being done, and carries every diagnostic that explains why; the command line renders them and exits 1."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        """Carry `diagnostics`, of which at least one is an error."""
        super().__init__("; ".join(diagnostic.summary for diagnostic in diagnostics))
        self.diagnostics: tuple[Diagnostic, ...] = diagnostics


_MOST_COMPARED = 200


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `did you mean "x"?` for the known name nearest to `word`, never `word` itself, or an empty string where none is near."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    known = [name for name in known if name != word]
    if len(known) > _MOST_COMPARED:
        known = _likeliest(word, known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""


def one_of(word: str, known: Sequence[str]) -> str:
    """Return what to name instead of `word`: the nearest known name, or some of all where none is near."""
    return did_you_mean(word, known) or (f"there are: {listed(known)}" if known else "there is none yet")


def _likeliest(word: str, known: Sequence[str]) -> list[str]:
    """Return the names whose beginning and end have most in common with those of `word`, which a slip in one place leaves alone.

    Comparing whole texts takes seconds where there are a hundred thousand of them.
    """
    import heapq  # noqa: PLC0415 - as above

    beginnings = [word[:length] for length in range(len(word), 0, -1)]
    ends = [word[start:] for start in range(len(word))]

    def in_common(name: str) -> int:
        same = next((len(part) for part in beginnings if name.startswith(part)), 0)
        same += next((len(part) for part in ends if name.endswith(part)), 0)
        return same - abs(len(name) - len(word))

    return heapq.nlargest(_MOST_COMPARED, known, key=in_common)


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return `1 share`, `2 shares`, `2 entries`."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def listed(items: Sequence[str], most: int = 5) -> str:
    """Return the items in a row, the first `most` by name and the others counted."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return f"{', '.join(items[:most])}{more}"
