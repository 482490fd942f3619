"""Letters that mislead whoever reads a name: those that show nothing, and those of another script that look alike."""

from __future__ import annotations

import re
import unicodedata
from itertools import chain
from typing import Final

INVISIBLE: Final = frozenset(
    map(
        chr,
        chain(
            (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
            range(0x180B, 0x1810),
            range(0xFE00, 0xFE10),
            range(0xE0100, 0xE01F0),
        ),
    )
)
"""What Python calls printable and nobody sees: Unicode's Default_Ignorable_Code_Point of other categories than C, and the blank of Braille."""

_ALIKE: Final = ("LATIN", "CYRILLIC", "GREEK", "COPTIC", "ARMENIAN", "CHEROKEE", "LISU", "FULLWIDTH", "MATHEMATICAL")
_WORD: Final = r"[^\W\d_]+"


def is_seen(text: str) -> bool:
    """Tell whether every character of a text that prints shows something."""
    return text.isascii() or INVISIBLE.isdisjoint(text)


def out_of_place(text: str) -> tuple[str, ...]:
    """Return the letters of another script than their word, of those scripts that have letters which look alike, such as `Ω (U+03A9, Greek)`.

    Two words may be of two scripts, such as a domain and a user in it. Where a word has Latin letters, the others are out of place.
    """
    if text.isascii():
        return ()
    found: dict[str, None] = {}
    for word in re.findall(_WORD, text):
        scripts = {letter: script for letter in word if (script := _script(letter))}
        if len(own := list(dict.fromkeys(scripts.values()))) > 1:
            kept = _ALIKE[0] if _ALIKE[0] in own else own[0]
            others = {letter: script for letter, script in scripts.items() if script != kept}
            found.update(dict.fromkeys(f"{o} (U+{ord(o):04X}, {s.capitalize()})" for o, s in others.items()))
    return tuple(found)


def _script(letter: str) -> str:
    script = unicodedata.name(letter, "").partition(" ")[0]
    return script if script in _ALIKE else ""
