"""What apply, destroy and import have in common: the lock, the question, the run, and what is said of it."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharectl.cli.codes import ExitCode, Finished, code_of_run, finish, unread_in
from sharectl.cli.interrupts import diverted
from sharectl.cli.options import Format
from sharectl.cli.planning import show_plan
from sharectl.cli.session import confirmed, kept_afterwards, opened_store, parse_duration_seconds
from sharectl.model.diagnostics import DiagnosticError, error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sharectl.apply import RunResult
    from sharectl.cli.session import Session
    from sharectl.model.backends import BackendSpec
    from sharectl.model.plans import Plan
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.run import LockedRun


@dataclass(frozen=True, slots=True)
class RunWords:
    """The choices of a run as the command line has them; `question` is asked before anything changes, unless `yes`.

    `instead` is what can be done where nobody is there to be asked, besides --yes; `before` is called once it is decided, and only
    where nothing of the plan is refused. `allow_unreadable` are backends that a saved plan need not have read.
    """

    command: str
    question: str
    yes: bool
    lock_timeout: str
    output: Format
    instead: str = ""
    before: Callable[[LockedRun], None] | None = None
    writes: bool = False
    allow_unreadable: frozenset[str] = frozenset()


def run_locked(
    session: Session,
    specs: Mapping[str, BackendSpec],
    make_plan: Callable[[StateStore, Backends], Plan],
    words: RunWords,
) -> None:
    """Take the lock, resolve what an earlier run left, plan, show, ask, apply, and end with the code that says how it went."""
    json = words.output is Format.JSON
    if json and not words.yes:
        summary = "nobody can be asked: with --output json the plan is not shown"
        raise DiagnosticError(error("usage.no-question", summary, remedy=f"pass --yes{words.instead}"))
    from sharectl.render.result import left_out_lines

    with locked(session, specs, words.command, words.lock_timeout, json=json) as (run, backends):
        plan = make_plan(run.store, backends)
        _agree(session, plan, words)
        result = _applied(session, run, plan, words)
    code = code_of_run(plan, result, words.allow_unreadable)
    if result is not None:
        _report(session, plan, result, words.output, code)
        for line in left_out_lines(sorted(set(unread_in(plan)) - words.allow_unreadable)):
            session.output.note(line)
    finish(code)


@contextmanager
def locked(
    session: Session, specs: Mapping[str, BackendSpec], command: str, lock_timeout: str, *, json: bool = False
) -> Iterator[tuple[LockedRun, Backends]]:
    """Take the lock, and yield the run (what an earlier one left open is resolved) and its backends."""
    from sharectl.render.progress import progress_view
    from sharectl.workspace.backends import opened_backends
    from sharectl.workspace.run import describe_run, locked_run

    wait_seconds = parse_duration_seconds(lock_timeout)
    record = describe_run(command, session.project.root, os.environ)
    with ExitStack() as stack:
        store = stack.enter_context(opened_store(session, create=True))
        backends = stack.enter_context(opened_backends(specs, session.project, session.output.diagnostics))
        recovering = stack.enter_context(progress_view(session.output, mode="json" if json else "plain"))
        run = stack.enter_context(locked_run(store, backends, record, recovering, wait_seconds))
        stack.enter_context(kept_afterwards(session, store))
        yield run, backends


def _agree(session: Session, plan: Plan, words: RunWords) -> None:
    """Show the plan and ask; ends the command where the plan cannot be applied, or is not wanted."""
    if words.output is not Format.JSON:
        show_plan(session, plan, words.output)
    elif plan.diagnostics:
        session.output.diagnostics(plan.diagnostics)
    if plan.is_stopped or (plan.held and words.writes):
        if words.output is Format.JSON:
            from sharectl.render.failure import failure_object

            session.output.write_json_line(failure_object(plan.diagnostics, ExitCode.FAILED))
        raise Finished(ExitCode.FAILED)
    if plan.is_empty or words.yes:
        return
    if not confirmed(session.output, words.question, words.instead):
        session.output.note("Nothing was changed.")
        raise Finished(ExitCode.FAILED)


def _applied(session: Session, run: LockedRun, plan: Plan, words: RunWords) -> RunResult | None:
    """Apply the plan; None where there is nothing to do, and the plan has said so already."""
    from sharectl.engine.cancel import Cancellation
    from sharectl.render.progress import progress_view
    from sharectl.workspace.run import apply_plan

    json = words.output is Format.JSON
    if words.before is not None:
        words.before(run)
    if plan.is_empty and not json:
        return None
    cancellation = Cancellation()
    with diverted(cancellation.request), progress_view(session.output, mode="json" if json else "auto") as show:
        return apply_plan(run, plan, show, cancellation)


def _report(session: Session, plan: Plan, result: RunResult, output: Format, code: ExitCode) -> None:
    """Say how it went; `code` is the one for that."""
    if output is Format.JSON:
        from sharectl.render.result import result_object

        session.output.write_json_line(result_object(plan, result, code))
    else:
        from sharectl.render.result import result_lines

        session.output.write_lines(result_lines(plan, result, color=session.output.color_out))
