"""What a plain YAML scalar means under the core schema of YAML 1.2 (section 10.3.2), whichever parser read it."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Final

MAX_INTEGER: Final = 2**63 - 1

SPECIAL_FIRST: Final = frozenset(["", *"0123456789+-.~tTfFnN"])
"""The first characters (or the lack of one) of every plain scalar that may be something else than a string."""

_CONSTANTS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER: Final = re.compile(
    r"(?P<decimal>[-+]?[0-9]+)|0o(?P<octal>[0-7]+)|0x(?P<hexadecimal>[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<not_finite>[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)
_BASES: Final = {"decimal": 10, "octal": 8, "hexadecimal": 16}
_MAX_DIGITS: Final = 400

# What a reader of YAML 1.1 takes for a boolean, number, date, merge key or value key, though 1.2 says string or another number.
_YAML_1_1: Final = re.compile(
    r"y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF|<<|=|[!&*]"
    r"|[-+]?0b[01_]+|[-+]?0x[0-9a-fA-F_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
    r"|[-+]?(?:[0-9][0-9_]*)?\.?[0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?"
)


class ScalarError(ValueError):
    """A number that no JSON document and no storage system could take; `str()` says why."""


@lru_cache(maxsize=10_000)
def resolve(text: str) -> str | float | bool | None:
    """Return the value of the plain scalar `text`.

    Raises ScalarError for infinities, for what is not a number, and for numbers too large to be kept exactly.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    match = _NUMBER.fullmatch(text)
    form = None if match is None else match.lastgroup
    if match is None or form is None:
        return text
    if form in _BASES:
        integer = int(match[form], _BASES[form]) if len(match[form]) <= _MAX_DIGITS else math.inf
        if abs(integer) > MAX_INTEGER:
            message = "the integer does not fit into 64 bits"
            raise ScalarError(message)
        return integer
    if form == "not_finite":
        message = f"{text} is not a finite number"
        raise ScalarError(message)
    number = float(text)
    if not math.isfinite(number):
        message = "the number is too large"
        raise ScalarError(message)
    return number


def needs_quotes(text: str) -> bool:
    """Tell whether some reader, of YAML 1.1 or of 1.2, would take the plain scalar `text` for something else than this string."""
    is_constant = text in _CONSTANTS or text.lower() in {"true", "false", "null"}
    return bool(is_constant or _YAML_1_1.fullmatch(text) or _NUMBER.fullmatch(text))
