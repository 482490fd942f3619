"""What the array answers instead of doing what it was asked: a code, with the HTTP status that errors.json knows for it."""

from __future__ import annotations

from typing import Final

from tests.emulators.ontap.facts import ERRORS, JsonObject

UNEXPECTED_ARGUMENT: Final = 262179
INVALID_VALUE: Final = 262197
NOT_SETTABLE: Final = 262196
NOTHING_TO_CHANGE: Final = 262190
GONE: Final = 4
DUPLICATE: Final = 1
FORBIDDEN: Final = 6
UNAUTHORIZED: Final = 6691623


class Refused(Exception):  # noqa: N818 - the array's answer, not a fault of the emulator
    """A request, or a job, that the array refuses."""

    def __init__(self, code: int, message: str, target: str | None = None, *, status: int | None = None) -> None:
        """Take a code of errors.json, the array's words, the field that they are about, and a status where it is not the code's own."""
        assert str(code) in ERRORS, f"the array has no code {code}"
        super().__init__(message)
        self.code, self.message, self.target, self.status = code, message, target, status

    def status_of(self, unmapped: int | None) -> int:
        """Return the HTTP status; `unmapped` is the one of all codes of which nobody has seen the status."""
        known = ERRORS[str(self.code)]
        if self.status is not None:
            return self.status
        return unmapped if unmapped is not None and known["http_sure"] == "g" else int(known["http"])

    def body(self) -> JsonObject:
        """Return the answer."""
        error: JsonObject = {"message": self.message, "code": str(self.code)}
        return {"error": error if self.target is None else {**error, "target": self.target}}

    def __reduce__(self) -> tuple[object, ...]:
        """Let a failed job be kept across a restart."""
        return Refused, (self.code, self.message, self.target)


def gone(target: str = "uuid") -> Refused:
    """Return what is said of an object that is not there."""
    return Refused(GONE, "entry doesn't exist", target)


def duplicate(target: str | None = None) -> Refused:
    """Return what is said of an object that is there already."""
    return Refused(DUPLICATE, "duplicate entry", target)


def unexpected(name: str) -> Refused:
    """Return what is said of a field or parameter that this release does not know."""
    return Refused(UNEXPECTED_ARGUMENT, f'Unexpected argument "{name}".', name)


def invalid(value: object, name: str, wanted: str = "") -> Refused:
    """Return what is said of a value that its field cannot have."""
    suffix = f" ({wanted})" if wanted else ""
    return Refused(INVALID_VALUE, f'The value "{value}" is invalid for field "{name}"{suffix}', name)
