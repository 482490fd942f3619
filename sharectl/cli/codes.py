"""Exit codes, and the exception that carries one out of a command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell and CI see; part of the documented contract."""

    DONE = 0
    FAILED = 1
    CHANGES = 2
    USAGE = 64
    LOCKED = 75
    CANCELLED = 130


class Interrupted(Exception):  # noqa: N818 - not an error
    """Stands for KeyboardInterrupt, which the library under the command line would answer in its own words."""


class Finished(Exception):  # noqa: N818 - not an error
    """Ends a command with a code other than 0, everything having been said."""

    def __init__(self, code: ExitCode) -> None:
        """Carry the code."""
        super().__init__(code)
        self.code = code
