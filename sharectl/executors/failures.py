"""Whatever a driver raises in a call, as a failure."""

from __future__ import annotations

from math import isfinite
from typing import Final

from sharectl.drivers.base import (
    BackendUnavailableError,
    ConflictError,
    DriverError,
    FencedError,
    NonsenseError,
    TransientError,
)
from sharectl.executors.answers import Failure, FailureKind
from sharectl.state.contract import LeaseLostError, StateError

_KINDS: Final = (
    (FencedError, FailureKind.FENCED),
    (ConflictError, FailureKind.CONFLICT),
    (BackendUnavailableError, FailureKind.UNAVAILABLE),
    (TransientError, FailureKind.TRANSIENT),
    (DriverError, FailureKind.REFUSED),
    (LeaseLostError, FailureKind.NOT_PERMITTED),
    (StateError, FailureKind.NOT_PERMITTED),
)


def failure_of(error: BaseException) -> Failure:
    """Return what a driver raised in a call as a failure."""
    for kind_of_error, kind in _KINDS:
        if isinstance(error, kind_of_error):
            return Failure(kind, _text(error), _seconds(error))
    name = "" if isinstance(error, NonsenseError) else f"{type(error).__name__}: "
    message = f"the driver failed in a way that it should not: {name}{_text(error)}"
    return Failure(FailureKind.MISBEHAVED, message.removesuffix(": "))


def _seconds(error: BaseException) -> float | None:
    """Return how long to wait before asking the backend again. Anybody may have written the driver and its errors."""
    try:
        asked = getattr(error, "retry_after_seconds", None)
        return float(asked) if isinstance(asked, int | float) and isfinite(asked) else None
    except BaseException:  # noqa: BLE001 - as above
        return None


def _text(error: BaseException) -> str:
    """Return the error's message as text that can be stored: it may contain a file name that cannot be decoded."""
    try:
        return str(error).encode(errors="backslashreplace").decode()
    except BaseException:  # noqa: BLE001 - as above
        return ""
