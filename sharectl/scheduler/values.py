"""Values as Manila reads them: booleans in every spelling, and capacities that are numbers, unknown or infinite."""

from __future__ import annotations

import math
from typing import Final

UNKNOWN: Final = "unknown"
INFINITE: Final = "infinite"
_TRUE: Final = frozenset({"1", "t", "true", "on", "y", "yes"})
_NUMBERS: Final = (int, float)
_FALSE: Final = frozenset({"0", "f", "false", "off", "n", "no"})


def boolean(value: object) -> bool | None:
    """Return the truth that `value` spells, in any case and with spaces around it; None for a word that spells none."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    return False if word in _FALSE else None


def number(value: object) -> float | None:
    """Return `value` where it is a finite number (a bool is not), else None."""
    try:
        if isinstance(value, _NUMBERS) and not isinstance(value, bool) and math.isfinite(value):
            return value
    except OverflowError:
        return None  # a whole number beyond all floats
    return None


def is_thin(capability: object) -> bool:
    """Tell whether a pool's `thin_provisioning` allows thin shares: True, or a list with True in it."""
    return True in capability if isinstance(capability, list) else capability in (True, 1)


def format_gib(size_gib: float) -> str:
    """Write a size in GiB for people: whole numbers plainly, others to one decimal."""
    return f"{size_gib:.0f} GiB" if size_gib == int(size_gib) else f"{size_gib:.1f} GiB"
