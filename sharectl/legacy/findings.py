"""What became of each part of a file of another server: a finding for everything that no manifest says."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Place(NamedTuple):
    """A line of a file, from 1; `path` as the user named it."""

    path: str
    line: int

    def __str__(self) -> str:
        """`file:line`."""
        return f"{self.path}:{self.line}"


class Outcome(StrEnum):
    """What became of something in the file: not taken over, taken over with less than it gave, or how every share is served anyway."""

    LEFT_OUT = "left-out"
    NARROWED = "narrowed"
    AS_SERVED = "as-served"


class Finding(NamedTuple):
    """`what` stands at `place`; `why` it is not taken over as it is, and what to do about it (empty: nothing).

    `folder` is the folder that it concerns, or empty.
    """

    place: Place
    outcome: Outcome
    what: str
    why: str
    remedy: str = ""
    folder: str = ""

    def printable(self) -> Finding:
        """Return it with all that is not UTF-8 as escapes."""
        path, texts = printable(self.place.path), (self.what, self.why, self.remedy, self.folder)
        what, why, remedy, folder = map(printable, texts)
        return Finding(Place(path, self.place.line), self.outcome, what, why, remedy, folder)

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.place}: {self.what}: {self.why}{f'; {self.remedy}' if self.remedy else ''}"


def printable(text: str) -> str:
    """Return a text from a file that was read with `surrogateescape`, what is not UTF-8 in it as escapes."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
