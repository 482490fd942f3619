"""Exit codes: the one table of them, which way of ending has which, and the exceptions that carry one out of a command."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharectl.apply import RunResult
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.plans import Plan


class ExitCode(IntEnum):
    """What the shell and CI see; part of the documented contract."""

    DONE = 0
    FAILED = 1
    CHANGES = 2
    USAGE = 64
    LOCKED = 75
    CANCELLED = 130


MEANINGS: Final[dict[ExitCode, str]] = {
    ExitCode.DONE: "done, or nothing to do; `plan` and `refresh`: everything that was asked for was looked at",
    ExitCode.FAILED: (
        "something that was asked for was not done, or could not be looked at: a failed step, a refusal, a share that waits, "
        "a backend that could not be read and is not named by `--allow-unreadable`; what was done is recorded, and the output says what to do next"
    ),
    ExitCode.CHANGES: (
        "only if 1 does not apply: with `--detailed-exitcode`, `plan` found changes, `refresh` found drift; "
        "`import --exports` or `--smb-conf` has not taken over all that the files say, and the report names each line; "
        "`clients resolve --check` found other addresses"
    ),
    ExitCode.USAGE: (
        "wrong usage: an unknown command or option, a value that cannot be read, "
        "or consent that nobody was there to give (`--yes` is missing)"
    ),
    ExitCode.LOCKED: "somebody else holds the lock of the state; `--lock-timeout 5m` waits for it",
    ExitCode.CANCELLED: "cancelled by Ctrl-C (SIGINT), SIGTERM or SIGHUP",
}
"""What the page on the command line says of each."""


class Finished(Exception):  # noqa: N818 - not an error
    """Ends a command with a code other than 0, everything having been said."""

    def __init__(self, code: ExitCode) -> None:
        """Carry the code."""
        super().__init__(code)
        self.code = code


def finish(code: ExitCode) -> None:
    """End the command with this code; 0 lets it go on to its end. Raises Finished."""
    if code is not ExitCode.DONE:
        raise Finished(code)


def code_of_findings(
    diagnostics: Iterable[Diagnostic], *, unread: Iterable[str] = (), allowed: Iterable[str] = ()
) -> ExitCode:
    """Return 1 where the diagnostics hold an error or something that was asked for and not done, or where a backend was `unread` that is not `allowed`."""
    from sharectl.model.diagnostics import NOT_DONE, has_errors

    found = tuple(diagnostics)
    if has_errors(found) or any(one.code in NOT_DONE for one in found) or set(unread) - set(allowed):
        return ExitCode.FAILED
    return ExitCode.DONE


def code_of_plan(plan: Plan, allowed: Iterable[str] = ()) -> ExitCode:
    """Return the code of a plan that was asked for: 0, or 1 where it leaves out something that was asked for.

    `allowed` are backends that need not be read, besides those that the plan was made to do without.
    """
    return code_of_findings(plan.diagnostics, unread=unread_in(plan), allowed=allowed)


def unread_in(plan: Plan) -> list[str]:
    """Return the backends that the plan was asked about, could not look at, and was not allowed to do without."""
    return [seen.backend for seen in plan.unread if not seen.allowed]


def or_changes(code: ExitCode, *, detailed: bool) -> ExitCode:
    """Return 2 instead of 0 where changes were found and `--detailed-exitcode` was given; an error is stronger."""
    return ExitCode.CHANGES if code is ExitCode.DONE and detailed else code


def code_of_run(plan: Plan, result: RunResult | None, allowed: Iterable[str] = ()) -> ExitCode:
    """Return the code of a run; `result` is None where the plan had no steps."""
    if result is not None and result.cancelled:
        return ExitCode.CANCELLED
    if result is not None and not result.succeeded:
        return ExitCode.FAILED
    return code_of_plan(plan, allowed)
