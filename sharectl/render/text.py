"""Text for a terminal: made safe where it comes from elsewhere, measured, padded, clipped, wrapped and coloured."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from sharectl.model.frozen import NamedTuple
from sharectl.model.letters import INVISIBLE, is_seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ELLIPSIS: Final = "…"
_ARROW: Final = "→"

_ASCII_STAND_INS: Final = str.maketrans(
    {
        "±": "+/-",
        "∓": "-/+",
        "→": "->",
        "…": "...",
        "█": "#",
        "▒": "=",
        "░": ".",
        "·": "*",
        "▸": ">",
        "✓": "ok",
        "✗": "x",
    }
)
_NOT_OF_A_TERMINAL: Final = re.compile(r"\x1b(?!\[[0-9;]{0,16}m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")
_OF_A_RUNNER: Final = re.compile(r"^\s*:(?=:)|#(?=#\[)", re.MULTILINE)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_BYTE_OF_A_NAME, _LAST_BYTE_OF_A_NAME = "\udc80", "\udcff"
_GAP: Final = re.compile(r"(?<=\S) {2,}(?=\S)")
_SECONDS_PER_MINUTE: Final = 60
_SECONDS_PER_HOUR: Final = 3600


class Look(NamedTuple):
    """How text is drawn: in colour or not, and for how many columns; None is a pipe, where lines may be of any length."""

    color: bool = False
    width: int | None = None


PLAIN: Final = Look()


def visible(text: str) -> str:
    r"""Return `text` on one line, each character that does not print itself or shows nothing written as an escape (`\n`, `\u202e`, `\xff`).

    What comes from manifests, backends and the state goes through here before a person sees it: it can neither move the
    cursor of a terminal, nor colour it, nor reverse the reading order.
    """
    if text.isprintable() and is_seen(text):
        return text
    return "".join(char if char.isprintable() and char not in INVISIBLE else _escape(char) for char in text)


def harmless(text: str) -> str:
    """Return rendered text (with line ends, tabs and colours) without any other control sequence."""
    return _NOT_OF_A_TERMINAL.sub(lambda match: _escape(match[0]), text)


def without_commands(text: str) -> str:
    """Return `text` with nothing that GitHub's runner takes for a command: `::` where a line begins, `##[` anywhere."""
    return _OF_A_RUNNER.sub(r"\g<0> ", text)


def encodable(text: str, encoding: str) -> str:
    """Return `text` with every character that `encoding` lacks replaced: symbols by ASCII ones, the rest by escapes."""
    plain = text.translate(_ASCII_STAND_INS)
    return plain.encode(encoding, "backslashreplace").decode(encoding)


def sayable(text: str, encoding: str) -> str:
    """Return `text` as it is where `encoding` has all its characters, else as encodable()."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return encodable(text, encoding)
    return text


def display_width(text: str) -> int:
    """Return how many columns of a terminal `text` fills, which must be visible() already."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def padded(text: str, width: int) -> str:
    """Return `text` filled with spaces to `width` columns."""
    return text + " " * (width - display_width(text))


def clipped(text: str, width: int) -> str:
    """Return `text`, cut to at most `width` columns with an ellipsis where it is longer."""
    if display_width(text) <= width:
        return text
    end, room = 0, width - 1
    while (room := room - _cells(text[end])) >= 0:
        end += 1
    return text[:end] + ELLIPSIS


def wrapped(text: str, width: int | None) -> Iterator[str]:
    """Yield the lines of `text` folded between words at `width` columns (None: not at all); at least one line."""
    if width is None or display_width(text) <= width:
        yield text
        return
    line, filled = "", 0
    for word in _words(text, width):
        cells = display_width(word)
        if line and filled + 1 + cells > width:
            yield line
            line, filled = word, cells
        else:
            line, filled = (f"{line} {word}", filled + 1 + cells) if line else (word, cells)
    yield line


def _words(text: str, width: int) -> Iterator[str]:
    """Yield the words between which a text may be folded: an arrow stays with what it leads to where both fit on a line."""
    arrow = False
    for word in text.split(" "):
        if arrow:
            together = f"{_ARROW} {word}"
            yield from (together,) if display_width(_COLOUR.sub("", together)) <= width else (_ARROW, word)
            arrow = False
        elif word == _ARROW:
            arrow = True
        else:
            yield word
    if arrow:
        yield _ARROW


def shortened(text: str, width: int) -> str:
    """Return `text`, cut to at most `width` columns with an ellipsis, between words where that leaves half of them or more."""
    cut = clipped(text, width)
    if cut == text:
        return text
    words, _, _ = cut.rpartition(" ")
    return f"{words} {ELLIPSIS}" if display_width(words) * 2 >= width else cut


def first_fitting(width: int, *forms: str) -> str:
    """Return the first of these that fits into `width` columns; the last one is shortened."""
    return next((form for form in forms if display_width(form) <= width), shortened(forms[-1], width))


def fitted(line: str, width: int | None) -> Iterator[str]:
    """Yield a drawn line, colours and all, folded between words at `width` columns (None: not at all).

    What follows is set below the text that it belongs to: behind the last gap of a table if that is in the first half, else behind
    the indentation. A word that is longer than a line stays whole, so that it can be copied.
    """
    if (
        width is None
        or (len(line) <= width and line.isascii())
        or display_width(plain := _COLOUR.sub("", line)) <= width
    ):
        yield line
        return
    lead = len(plain) - len(plain.lstrip(" "))
    gaps = [gap.end() for gap in _GAP.finditer(plain) if gap.end() <= width // 2]
    least = lead + 2 * (lead > 0)
    margin = display_width(plain[: gaps[-1]]) if gaps else least
    folded, filled = "", 0
    for number, word in enumerate(_words(line, width)):
        cells = display_width(_COLOUR.sub("", word))
        if number > lead and cells and filled + 1 + cells > width:
            yield folded.rstrip(" ")
            filled = margin if margin + cells <= width else least
            folded, filled = f"{' ' * filled}{word}", filled + cells
        elif number:
            folded, filled = f"{folded} {word}", filled + 1 + cells
        else:
            folded, filled = word, cells
    yield folded


def duration(seconds: float) -> str:
    """Return a duration as people read it: `0.4 s`, `12.3 s`, `4m05s`, `2h03m`."""
    if seconds < _SECONDS_PER_MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _SECONDS_PER_HOUR:
        return f"{whole // _SECONDS_PER_MINUTE}m{whole % _SECONDS_PER_MINUTE:02d}s"
    return f"{whole // _SECONDS_PER_HOUR}h{whole % _SECONDS_PER_HOUR // _SECONDS_PER_MINUTE:02d}m"


def roughly(seconds: float) -> str:
    """Return an estimated duration no more exactly than it is known: `25 s`, `4 min`, `2h10m`."""
    if seconds < _SECONDS_PER_MINUTE:
        return f"{max(1, math.ceil(seconds / 5)) * 5} s"
    minutes = round(seconds / _SECONDS_PER_MINUTE)
    if minutes < _SECONDS_PER_MINUTE:
        return f"{minutes} min"
    tens = round(minutes / 10)
    return f"{tens // 6}h{tens % 6 * 10:02d}m"


def _escape(char: str) -> str:
    if _BYTE_OF_A_NAME <= char <= _LAST_BYTE_OF_A_NAME:  # as Python has those bytes of a path that are not UTF-8
        return f"\\x{ord(char) & 0xFF:02x}"
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) == "Mn":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


RESET: Final = "\x1b[0m"

STYLES: Final[Mapping[str, str]] = {
    "create": "\x1b[32m",
    "update": "\x1b[35m",
    "delete": "\x1b[31m",
    "replace": "\x1b[31m",
    "adopt": "\x1b[36m",
    "forget": "\x1b[35m",
    "move": "\x1b[36m",
    "danger": "\x1b[1;31m",
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;35m",
    "note": "\x1b[36m",
    "done": "\x1b[32m",
    "heading": "\x1b[1m",
    "accent": "\x1b[36m",
}
"""What a text is, and the sequence that switches its colour on.

Only colours that can be read on light and on dark grounds: no yellow, white or blue, and nothing bold that many terminals then draw
brighter, but red and magenta. Nothing is faint either: what terminals make of that is too pale to be read on many grounds.
"""


def paint(text: str, style_name: str, enabled: bool) -> str:  # noqa: FBT001 - called for every line of a plan
    """Return `text` in the style, or as it is where colours are off or there is nothing to colour."""
    return f"{STYLES[style_name]}{text}{RESET}" if enabled and text else text
