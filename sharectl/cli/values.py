"""The words of a command line turned into values, or refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error
from sharectl.model.kinds import Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.kinds import Address

_DURATION: Final = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_KINDS: Final = {kind.value.replace("_", ""): kind for kind in Kind}


def parse_address(text: str) -> Address:
    """Return the address that a user wrote; `sharetype/gold` is `share_type/gold`. Raises DiagnosticError."""
    kind_text, separator, name = text.partition("/")
    kind = _KINDS.get(kind_text.lower().replace("_", "").replace("-", ""))
    if not separator or not name or kind is None:
        raise DiagnosticError(error("usage.address", f"{text!r} is not an address", remedy=_address_remedy(text)))
    return f"{kind.value}/{name}"


def _address_remedy(text: str) -> str:
    kind_text, separator, name = text.partition("/")
    if not separator and kind_text:
        return f'did you mean "{address_of(Kind.SHARE, text)}"? an address is kind/name'
    near = did_you_mean(kind_text, sorted(_KINDS)) if name else ""
    return f"{near} an address is kind/name, such as share/projects; the kinds are {', '.join(Kind)}".strip()


def parse_addresses(texts: Sequence[str] | None) -> frozenset[Address]:
    """Return the addresses that a user wrote."""
    return frozenset(parse_address(text) for text in texts or ())


def parse_labels(texts: Sequence[str] | None) -> dict[str, str]:
    """Return labels written as KEY=VALUE. Raises DiagnosticError."""
    labels = {}
    for text in texts or ():
        key, separator, value = text.partition("=")
        if not separator or not key:
            remedy = "write KEY=VALUE, such as team=research"
            raise DiagnosticError(error("usage.label", f"{text!r} is not a label", remedy=remedy))
        labels[key] = value
    return labels


def parse_duration_seconds(text: str) -> float:
    """Return the seconds of `30s`, `5m`, `2h` or `7d`; `0` is none. Raises DiagnosticError."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None:
        remedy = "write a number and s, m, h or d: 30s, 5m, 2h, 7d"
        raise DiagnosticError(error("usage.duration", f"{text!r} is not a time", remedy=remedy))
    return float(int(match[1]) * _SECONDS[match[2]])


def parse_size(text: str) -> int:
    """Return the bytes that `100GiB` names. Raises DiagnosticError."""
    from sharectl.model import quantities

    try:
        return quantities.parse_size(text)
    except quantities.SizeError as problem:
        raise DiagnosticError(error("usage.size", str(problem), remedy=quantities.SIZE_HINT)) from problem
