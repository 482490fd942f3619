"""What apply, destroy and import have in common: the lock, the question, the run, and what is said of it."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharectl.cli.codes import ExitCode, Finished
from sharectl.cli.options import Format
from sharectl.cli.planning import show_plan
from sharectl.cli.session import confirmed, opened_store, parse_duration_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sharectl.apply import RunResult
    from sharectl.applying.cancel import Cancellation
    from sharectl.cli.session import Session
    from sharectl.model import BackendSpec
    from sharectl.planning.types import Plan
    from sharectl.runs import LockedRun
    from sharectl.state.store import StateStore
    from sharectl.workspace import Backends


@dataclass(frozen=True, slots=True)
class RunWords:
    """The choices of a run as the command line has them; `question` is asked before anything changes, unless `yes`."""

    command: str
    question: str
    yes: bool
    lock_timeout: str
    output: Format


def run_locked(
    session: Session,
    specs: Mapping[str, BackendSpec],
    make_plan: Callable[[StateStore, Backends], Plan],
    words: RunWords,
) -> None:
    """Take the lock, resolve what an earlier run left, plan, show, ask, apply, and end with the code that says how it went."""
    from sharectl.render.progress import progress_view
    from sharectl.runs import describe_run, locked_run
    from sharectl.workspace import opened_backends

    record = describe_run(words.command, session.project.root, os.environ)
    wait_seconds = parse_duration_seconds(words.lock_timeout)
    json = words.output is Format.JSON
    with ExitStack() as stack:
        store = stack.enter_context(opened_store(session, create=True))
        backends = stack.enter_context(opened_backends(specs, session.project))
        recovering = stack.enter_context(progress_view(session.output, mode="json" if json else "plain"))
        run = stack.enter_context(locked_run(store, backends, record, recovering, wait_seconds))
        plan = make_plan(store, backends)
        result = _apply_if_wanted(session, run, plan, words)
    if result is not None:
        _report(session, plan, result, words.output)


def _apply_if_wanted(session: Session, run: LockedRun, plan: Plan, words: RunWords) -> RunResult | None:
    """Show the plan, ask, and apply; None where there is nothing to do."""
    from sharectl.applying.cancel import Cancellation
    from sharectl.diagnostics import has_errors
    from sharectl.render.progress import progress_view
    from sharectl.runs import apply_plan

    json = words.output is Format.JSON
    if not json:
        show_plan(session, plan, words.output)
    elif plan.diagnostics:
        session.output.diagnostics(plan.diagnostics)
    if has_errors(plan.diagnostics):
        raise Finished(ExitCode.FAILED)
    if plan.is_empty:
        return None
    if not words.yes and not confirmed(session.output, words.question):
        session.output.note("Nothing was changed.")
        raise Finished(ExitCode.FAILED)
    cancellation = Cancellation()
    with _signals(cancellation), progress_view(session.output, mode="json" if json else "auto") as show:
        return apply_plan(run, plan, show, cancellation)


def _report(session: Session, plan: Plan, result: RunResult, output: Format) -> None:
    """Say how it went, and end with the code for that."""
    if output is Format.JSON:
        from sharectl.render.result import result_object

        session.output.write_json_line(result_object(result))
    else:
        from sharectl.render.result import result_lines

        session.output.write_lines(result_lines(plan, result, color=session.output.color_out))
    if result.cancelled:
        raise Finished(ExitCode.CANCELLED)
    if not result.succeeded:
        raise Finished(ExitCode.FAILED)


@contextmanager
def _signals(cancellation: Cancellation) -> Iterator[None]:
    """Let Ctrl-C, and the signal that CI sends, ask for an end: once gracefully, twice at once."""
    watched = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: cancellation.request()) for number in watched]
    try:
        yield
    finally:
        for number, handler in zip(watched, before, strict=True):
            signal.signal(number, handler)
