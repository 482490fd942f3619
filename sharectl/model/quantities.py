"""Sizes with units, as people write them and as the rest of the program counts them: in bytes."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

GIB: Final = 1 << 30
LARGEST_SIZE_BYTES: Final = 1 << 60

_UNITS: Final[dict[str, int]] = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "PiB": 1 << 50,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "PB": 10**15,
}
_BINARY: Final = ("PiB", "TiB", "GiB", "MiB", "KiB")
_DECIMAL: Final = ("PB", "TB", "GB", "MB", "kB")
_PATTERN: Final = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,6})?) ?([KMGTP]i?B|kB|B)")

SIZE_HINT: Final = "write a number and a unit, such as 100GiB, 1.5TiB or 500GB"


class SizeError(ValueError):
    """A text that is not a size; `str()` says what is wrong and what a size looks like."""


@lru_cache(maxsize=10_000)
def parse_size(text: str) -> int:
    """Return the bytes that `text` names: `100GiB`, `1.5TiB`, `500GB` (decimal), `750 MiB`.

    Raises SizeError for anything else, for zero, for a size that is not a whole number of bytes, and beyond LARGEST_SIZE_BYTES.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        message = f"{text!r} is not a size; {SIZE_HINT}"
        raise SizeError(message)
    whole, _, decimals = match[1].partition(".")
    divisor: int = 10 ** len(decimals)
    size_bytes, remainder = divmod(int(whole + decimals) * _UNITS[match[2]], divisor)
    if remainder:
        message = f"{text!r} is not a whole number of bytes"
        raise SizeError(message)
    if size_bytes == 0:
        message = "a size of zero holds nothing; give the share at least 1MiB"
        raise SizeError(message)
    if size_bytes > LARGEST_SIZE_BYTES:
        message = f"{text!r} is more than 1024PiB, the largest size there is"
        raise SizeError(message)
    return size_bytes


@lru_cache(maxsize=1024)
def format_size(size_bytes: int) -> str:
    """Write `size_bytes` so that parse_size() reads the same number back, in the unit that keeps it exact and short.

    Of equally short texts the binary one is written.
    """
    written = [text for units in (_BINARY, _DECIMAL) if (text := _exact(size_bytes, units))]
    return min(written, key=len, default=f"{size_bytes}B")


def approximate_size(size_bytes: int) -> str:
    """Write `size_bytes` for reading only, to one decimal: `79.6 GiB`; not meant to be parsed again."""
    for unit in _BINARY:
        scale = _UNITS[unit]
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes} B"


def _exact(size_bytes: int, units: tuple[str, ...]) -> str:
    """Write the size in the largest of the units in which three decimals are enough; an empty text if there is none."""
    for unit in units:
        thousandths, rest = divmod(size_bytes * 1000, _UNITS[unit])
        if thousandths >= 1000 and rest == 0:  # noqa: PLR2004 - one of the unit
            whole, decimals = divmod(thousandths, 1000)
            return f"{f'{whole}.{decimals:03}'.rstrip('0').rstrip('.')}{unit}"
    return ""


def approximate_age(seconds: float) -> str:
    """Return how long ago something was, for people: `40 s`, `12 min`, `3 h`, `5 d`."""
    for unit, unit_seconds in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * unit_seconds:
            return f"{seconds / unit_seconds:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
