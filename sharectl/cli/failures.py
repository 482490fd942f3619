"""What is said of a command that failed: a diagnostic for everything, and never a traceback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from sharectl.cli.codes import ExitCode
from sharectl.cli.interrupts import Interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.diagnostics import Diagnostic
    from sharectl.state.store import LockedError


_USAGE: Final = "usage."
_SYSTEM_REMEDY: Final = "mend that and run the command again; what is recorded in the state is safe"


def explain_failure(failure: BaseException, environ: Mapping[str, str]) -> int:
    """Say on standard error what went wrong, and return the exit code."""
    from sharectl.render.output import Output

    if environ.get("SHARECTL_DEBUG"):
        import traceback

        traceback.print_exception(failure)
    diagnostics, code = _diagnose(failure)
    output = Output.for_streams(sys.stdout, sys.stderr, environ=environ)
    if diagnostics:
        output.diagnostics(diagnostics)
    else:
        output.note("Cancelled.")
    return code


def _diagnose(failure: BaseException) -> tuple[tuple[Diagnostic, ...], ExitCode]:
    from sharectl.diagnostics import DiagnosticError, error
    from sharectl.drivers.base import DriverError
    from sharectl.state.store import LeaseLostError, LockedError, StateBusyError, StateError

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
        found = error(f"state.{failure.problem.value}", str(failure), remedy=failure.remedy)
    elif isinstance(failure, DriverError):
        found = error("driver.failed", str(failure))
    elif isinstance(failure, OSError):
        place = "" if failure.filename is None else f"{failure.filename}: "
        found = error("system.failed", f"{place}{failure.strerror or failure}", remedy=_SYSTEM_REMEDY)
    else:
        summary = f"sharectl failed in a way that it should not: {type(failure).__name__}: {failure}"
        remedy = "run it again with SHARECTL_DEBUG=1 and report what is printed; the state is safe"
        found = error("internal", summary, remedy=remedy)
    return (found,), ExitCode.FAILED


def _locked(failure: LockedError) -> Diagnostic:
    from sharectl.diagnostics import error

    status = failure.status
    holder = status.holder
    return error(
        "state.locked",
        f"the state is locked by {holder.user}@{holder.host} (process {holder.process_id}), which runs `{holder.command}`",
        detail=f"since {status.acquired_at}, last heard of at {status.heartbeat_at}. {status.reason}".strip(),
        remedy="wait for it (--lock-timeout 5m), or, if it is surely dead, `sharectl unlock`",
    )
