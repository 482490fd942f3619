"""How a command that failed says why: always a diagnostic, never a traceback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from sharectl.cli.codes import ExitCode, Finished
from sharectl.cli.interrupts import Interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.render.output import Output
    from sharectl.state.contract import LockedError


_USAGE: Final = "usage."
_NAMED_AT_MOST: Final = 4
_SYSTEM_REMEDY: Final = "fix that and run the command again; what is recorded in the state is safe"


def explain_failure(failure: BaseException, environ: Mapping[str, str], words: Sequence[str] = ()) -> int:
    """Say on standard error what went wrong, and return the exit code.

    Where the `words` of the command line ask for another format than text, it is said in that on standard output as well.
    """
    from sharectl.render.output import Output

    if environ.get("SHARECTL_DEBUG"):
        import traceback

        traceback.print_exception(failure)
    diagnostics, code = diagnose(failure)
    output = Output.for_streams(sys.stdout, sys.stderr, environ=environ)
    if diagnostics:
        output.diagnostics(diagnostics)
        _write_in_format(output, diagnostics, code, requested_format(words))
    else:
        output.note("Cancelled.")
    return code


def requested_format(words: Sequence[str]) -> str:
    """Return what follows --output on the command line, whatever else is wrong with it; `text` where nothing does."""
    for number, word in enumerate(words):
        if word in {"-o", "--output"}:
            return words[number + 1] if number + 1 < len(words) else "text"
        if word.startswith("--output="):
            return word.partition("=")[2]
        if word.startswith("-o") and not word.startswith("--"):
            return word[2:]
    return "text"


def _write_in_format(output: Output, diagnostics: Sequence[Diagnostic], code: int, style: str) -> None:
    from sharectl.model.diagnostics import DiagnosticError
    from sharectl.render.formats import DOCUMENTS

    found = next((each for each in DOCUMENTS["failure"] if each == style), None)
    try:
        if found is not None:
            from sharectl.cli.session import directory_in_use

            output.directory = directory_in_use.get()
            output.show("failure", found, diagnostics, code, on_one_line=True)
    except DiagnosticError:  # standard output cannot be written, which is what has been said perhaps
        return


def diagnose(failure: BaseException) -> tuple[tuple[Diagnostic, ...], ExitCode]:
    """Return what a failure is, for people, and the exit code that it ends a command with; nothing of one that needs no words, or has had them."""
    if isinstance(failure, Finished):
        return (), failure.code
    from sharectl.drivers.base import DriverError
    from sharectl.model.diagnostics import DiagnosticError, error
    from sharectl.state.contract import LeaseLostError, LockedError, StateBusyError, StateError

    if isinstance(failure, DiagnosticError):
        usage = all(found.code.startswith(_USAGE) for found in failure.diagnostics)
        return failure.diagnostics, ExitCode.USAGE if usage else ExitCode.FAILED
    if isinstance(failure, LockedError):
        return (_locked(failure),), ExitCode.LOCKED
    if isinstance(failure, StateBusyError):
        return (error("state.locked", str(failure), remedy=failure.remedy),), ExitCode.LOCKED
    if isinstance(failure, KeyboardInterrupt | Interrupted):
        return (), ExitCode.CANCELLED
    if isinstance(failure, LeaseLostError):
        summary = "the lock of the state has passed to somebody else; nothing more was written"
        found = error("state.lease-lost", summary, remedy="see `sharectl lock status`, then plan again")
    elif isinstance(failure, StateError):
        found = error(f"state.{failure.problem}", str(failure), remedy=failure.remedy)
    elif isinstance(failure, DriverError):
        found = error("driver.failed", str(failure))
    elif isinstance(failure, OSError):
        found = _of_system(failure)
    else:
        summary = f"sharectl failed in an unexpected way: {type(failure).__name__}: {failure}"
        remedy = "run it again with SHARECTL_DEBUG=1 and report what it prints; the state is safe"
        found = error("internal", summary, remedy=remedy)
    return (found,), ExitCode.FAILED


def _of_system(failure: OSError) -> Diagnostic:
    from pathlib import Path

    from sharectl.model.diagnostics import error

    try:
        Path.cwd()
    except FileNotFoundError:
        if failure.filename is None:
            summary = "the folder that the command was started in is not there any more"
            remedy = "go to the one that is there now (`cd`), or name it with -C"
            return error("system.no-folder", summary, remedy=remedy)
    place = "" if failure.filename is None else f"{failure.filename}: "
    return error("system.failed", f"{place}{failure.strerror or failure}", remedy=_SYSTEM_REMEDY)


def _locked(failure: LockedError) -> Diagnostic:
    from sharectl.model.diagnostics import error, listed

    status = failure.status
    what, token = "the state", ""
    if status.scope.addresses:
        token = f" {status.token}"
        common = status.scope.addresses & failure.asked.addresses or status.scope.addresses
        what = listed(sorted(common), _NAMED_AT_MOST)
    return error(
        "state.locked",
        f"{what} {'are' if ', ' in what else 'is'} locked by {status.run}",
        detail=f"last heartbeat at {status.heartbeat_at}. {status.reason}".strip(),
        remedy=f"wait for it (--lock-timeout 5m), or run `sharectl unlock{token}` if it is certainly dead",
    )
