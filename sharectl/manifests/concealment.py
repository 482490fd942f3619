"""Keep secrets out of what is shown of a file: under which names they are typed, and what of a line they take up."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

_MASK: Final = "***"
_SECRET_NAME: Final = re.compile(
    r"(?:passw(?:or)?d|passphrase|secret|token|credentials?|(?:api|private|access|secret)[-_]?key)\Z", re.IGNORECASE
)
_PART_OF_SECRET_NAME: Final = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|psk|(?:api|private|access|secret|auth|ssh|encryption)key"
    r"|^(?:pass|pw|auth|cred|creds)$|(?:pw|pass)$"
)
_SECRET_WORDS: Final = ("password", "passwd", "passphrase", "secret", "token", "credential", "credentials")
_NEAR: Final = 0.8
_KEY_ON_LINE: Final = re.compile(
    r"""(?P<name>[A-Za-z][\w.-]{0,63}(?: [\w.-]{1,63})?)["']?\s*:\s*(?!\{\s*["']?(?:env|file)["']?\s*:)(?=\S)"""
)
_OPEN_KEY: Final = re.compile(r"""\s*(?:-\s+)*["']?(?P<name>[A-Za-z][\w. -]{0,63})["']?\s*:(?:\s.*)?\Z""")
_MAYBE_SECRETS: Final = re.compile(
    rb"config|SecurityService|pas|pwd|pw|sec[er]|tok|cred|key|psk|auth|phrase", re.IGNORECASE
)


class Span(NamedTuple):
    """The place of a text, from its first line and column to the column behind its last; all count from 0."""

    line: int
    column: int
    end_line: int
    end_column: int


def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name is made to hold a secret."""
    return _SECRET_NAME.search(name) is not None


@lru_cache(maxsize=4096)
def may_name_secret(name: str) -> bool:
    """Tell whether somebody may have typed a secret under this name: that of a secret, or nearly so (`passwrd`, `bind_pw`)."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - only mistakes are shown

    if is_secret_name(name):
        return True
    plain = re.sub(r"[^a-z]", "", name.lower())
    if _PART_OF_SECRET_NAME.search(plain):
        return True
    return any(
        abs(len(plain) - len(word)) <= 3 and SequenceMatcher(None, plain, word).ratio() >= _NEAR  # noqa: PLR2004 - a slip or two
        for word in _SECRET_WORDS
    )


def may_hold_secrets(data: bytes) -> bool:
    """Tell, quickly, whether there may be anything to conceal in a file."""
    return _MAYBE_SECRETS.search(data) is not None


def masked_line(lines: list[str], number: int, spans: list[Span], most_characters: int) -> str:
    """Return the beginning of line `number` (from 0) with every secret in it masked: those at `spans`, and what its own text gives away.

    The text alone is all there is where a document is broken and its parts are not known.
    """
    text = lines[number]
    for span in sorted(spans, reverse=True):
        if span.line <= number <= span.end_line:
            start = span.column if span.line == number else len(text) - len(text.lstrip())
            end = span.end_column if span.end_line == number else len(text)
            if start < end:
                text = text[:start] + _MASK + text[end:]
    text = text[:most_characters]
    for found in _KEY_ON_LINE.finditer(text):
        words = found["name"].split(" ")
        if may_name_secret(words[-1]) or may_name_secret(found["name"]):
            return text[: found.end()] + _MASK
    return _MASK if _within_secret(lines, number) else text


def _within_secret(lines: list[str], number: int) -> bool:
    """Tell whether the line goes on with the value of a secret's key above it, by indentation."""
    indent = _indent(lines[number])
    for above in range(number - 1, max(-1, number - 200), -1):
        line = lines[above]
        if line.strip() and _indent(line) < indent:
            found = _OPEN_KEY.match(line)
            return found is not None and may_name_secret(found["name"]) and not _is_reference(lines[number])
    return False


def _is_reference(line: str) -> bool:
    return re.match(r"""\s*["']?(?:env|file)["']?\s*:""", line) is not None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
