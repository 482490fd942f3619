"""What an array answers in place of success: its codes, told apart by the table beside this module."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final, Literal

from sharectl.drivers.base import DriverError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["gone", "dup", "bad", "busy", "space", "inuse", "auth", "partial", "lic"]
"""What a code asks of its reader: the object is missing, is there already, the request is wrong, later, no room, still in use,
not allowed, the object has to be looked at, no licence."""

APPROVAL_PENDING: Final = 262325
NOT_LOGGED_IN: Final = 6691623

_LONGEST: Final = 300
_NOT_FOUND: Final = 404
_KIND_OF_STATUS: Final[Mapping[int, Kind]] = {
    400: "bad",
    401: "auth",
    403: "auth",
    _NOT_FOUND: "gone",
    405: "bad",
    409: "dup",
    429: "busy",
    503: "busy",
}
_MAY_HAVE_BEGUN: Final = frozenset({65541, 65552, 262145})
"""Failures inside the gateway: the request may have been carried out."""

_PAUSE_SECONDS: Final[Mapping[int, float]] = {2621573: 20.0, 524481: 20.0, 524486: 10.0, 13434894: 10.0, 13434915: 10.0}
_USUAL_PAUSE_SECONDS: Final = 5.0


class ArrayError(DriverError):
    """The array refused. `code` is its own, 0 where it gave none; `target` is the field or key that it names."""

    def __init__(self, message: str, *, code: int = 0, kind: Kind = "bad", target: str = "") -> None:
        """Say what was refused."""
        super().__init__(message)
        self.code, self.kind, self.target = code, kind, target


class ArrayBusyError(ArrayError, TransientError):
    """The array cannot now. Nothing was begun where `retry_after_seconds` is given."""

    def __init__(self, message: str, *, code: int = 0, target: str = "", retry_after_seconds: float | None) -> None:
        """Say what it was too busy for."""
        super().__init__(message, code=code, kind="busy", target=target)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknownError(TransientError):
    """Nobody knows whether a change was made: its answer was lost, or its job cannot be told. The object has to be read again."""


@cache
def _table() -> Mapping[int, Kind]:
    text = resources.files(__package__).joinpath("codes.json").read_text("ascii")
    return {code: kind for kind, codes in json.loads(text).items() for code in codes}


def kind_of(code: int, status: int) -> Kind:
    """Return what a code means; of one that nobody knows, what its HTTP status does."""
    return _table().get(code) or _KIND_OF_STATUS.get(status, "partial")


def refusal(
    what: str,
    error: Mapping[str, object],
    status: int,
    *,
    retry_after_seconds: float | None = None,
    is_job: bool = False,
) -> ArrayError:
    """Return the error for what an array answered to `what`; `error` is the object of that name in the answer, or a failed job's.

    A job that fails as busy may have begun.
    """
    code = number_of(error.get("code"))
    kind = kind_of(code, status)
    said = one_line(error.get("message"))
    message = f"{what}: {said or f'HTTP {status}'}{f' ({code})' if code else ''}"
    target = one_line(error.get("target"))
    if kind == "busy":
        wait = retry_after_seconds
        if is_job or code in _MAY_HAVE_BEGUN:
            wait = None
        elif wait is None:
            wait = _PAUSE_SECONDS.get(code, _USUAL_PAUSE_SECONDS)
        return ArrayBusyError(message, code=code, target=target, retry_after_seconds=wait)
    if code == APPROVAL_PENDING:
        message = f"{message}; multi-admin verification is on, and another administrator has to approve it first"
    return ArrayError(message, code=code, kind=kind, target=target)


def number_of(value: object) -> int:
    """Return a code, which is a number or its digits; 0 where there is none."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else 0


def one_line(value: object) -> str:
    """Return an array's own words on one line, printable and not too long."""
    if value is None:
        return ""
    text = "".join(letter if letter.isprintable() else " " for letter in str(value))
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
