"""Traces of a command, where the environment asks for them: begun with it, sent when it has ended, however it did."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.cli.codes import ExitCode
from sharectl.cli.failures import diagnose
from sharectl.workspace.trace_export import LAST_SECONDS, NoTracesError, endpoint_of, open_export

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.cli.session import Session

_ERROR_TYPES = {ExitCode.LOCKED: "state.locked", ExitCode.CANCELLED: "cancelled"}


@contextmanager
def traced(session: Session, command: str) -> Iterator[Session]:
    """Yield the session with a trace, if one is asked for; what stands in its way is told once, and the command goes on."""
    try:
        endpoint = endpoint_of(os.environ)
        export = None if endpoint is None else open_export(os.environ, endpoint)
    except NoTracesError as problem:
        session.output.diagnostics((problem.found,))
        export = None
    if export is None:
        yield session
        return
    if export.problem is not None:
        session.output.diagnostics((export.problem,))
    from sharectl.workspace.traces import Trace

    trace = Trace(export.tracer, export.parent, command)
    code, error_type = ExitCode.DONE, ""
    try:
        yield replace(session, trace=trace, repository=replace(session.repository, asked=trace.asked))
    except BaseException as failure:
        found, code = diagnose(failure)
        if code is not ExitCode.CHANGES:
            error_type = found[0].code if found else _ERROR_TYPES.get(code, "failed")
        raise
    finally:
        trace.end(code, error_type)
        told = [found for found in (trace.found(), export.close(LAST_SECONDS)) if found is not None]
        if told:
            session.output.diagnostics(told)
