"""Runs of apply, destroy and import: under the lock, the plan, the question, the steps, and the report of how it went."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.cli.codes import ExitCode, Finished, code_of_run, finish, unread_in
from sharectl.cli.interrupts import diverted
from sharectl.cli.planning import show_plan
from sharectl.cli.session import kept_afterwards, parse_duration_seconds
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.frozen import dataclass
from sharectl.render.formats import Format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from sharectl.apply import RunResult
    from sharectl.cli.session import Session
    from sharectl.model.backends import BackendSpec
    from sharectl.model.events import Event
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.model.records import Scope
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.metrics import Measured
    from sharectl.workspace.plans import Planner
    from sharectl.workspace.run import LockedRun
    from sharectl.workspace.usage import UseSeen

    Watching = Callable[[Callable[[Event], None]], Callable[[Event], None]]

_NARROW_TRIES: Final = 3
"""How often a run that works beside others asks for what its plan needs, if that has grown until it was held."""


@dataclass(frozen=True, slots=True)
class RunChoices:
    """The choices of a run as the command line has them; `question` is asked before anything changes, unless `yes`.

    `instead` is what to do, besides passing --yes, if nobody can be asked; `before` is called once it is decided, and only
    where nothing of the plan is refused. Of one that was `reviewed` nobody reads again what is not refused, or done already. `allow_unreadable` are backends that a saved plan need not have read.
    Of a `whole` run nothing is done where others have promised the room of a part. A run with `wanted` addresses leaves the others to runs beside it, where the state can be shared; None takes all. What was `seen` of use is noted in the state at the end, and what is `measured` for a monitoring system.
    """

    command: str
    question: str
    yes: bool
    lock_timeout: str
    output: Format
    instead: str = ""
    before: Callable[[LockedRun], None] | None = None
    writes: bool = False
    reviewed: bool = False
    allow_unreadable: frozenset[str] = frozenset()
    whole: bool = False
    wanted: frozenset[Address] | None = None
    seen: UseSeen | None = None
    measured: Measured | None = None


def watched(make_plan: Planner, run: RunChoices) -> tuple[Planner, RunChoices]:
    """Return both so that the run notes what its planner has seen of use."""
    from sharectl.workspace.usage import UseSeen

    seen = UseSeen()
    return replace(make_plan, see=seen), replace(run, seen=seen)


def run_locked(
    session: Session,
    specs: Mapping[str, BackendSpec],
    make_plan: Callable[[StateStore, Backends], Plan],
    choices: RunChoices,
) -> None:
    """Take the lock, resolve what an earlier run left, plan, show, ask, apply, and end with the code that says how it went."""
    json, ended = choices.output is Format.JSON, _Ended(session, specs, choices)
    if json and not choices.yes:
        summary = "nobody can be asked: with --output json the plan is not shown"
        raise DiagnosticError(error("usage.no-question", summary, remedy=f"pass --yes{choices.instead}"))
    beside = _Beside(make_plan, choices.wanted) if choices.wanted is not None and is_shared(session) else None
    while True:
        with locked(
            session, specs, choices.command, choices.lock_timeout, json=json, beside=beside, afterwards=ended.told
        ) as (run, backends):
            if session.trace is not None:
                session.trace.began(run.record)
            plan = make_plan(run.store, backends)
            if beside is not None and not beside.is_enough(run, plan, backends):
                continue
            plan, watching = _with_room(session, run, plan, backends, whole=choices.whole)
            if choices.measured is not None:
                choices.measured.plan, choices.measured.backends = plan, specs.keys()
            _agree(session, plan, choices)
            ended.result = _applied(session, run, plan, choices, watching)
            ended.plan = plan
            if choices.measured is not None:
                choices.measured.result = ended.result
        break
    finish(code_of_run(plan, ended.result, choices.allow_unreadable))


class _Ended:
    """What a run has come to: its plan, once that is done, and its result, where it had steps."""

    def __init__(self, session: Session, specs: Mapping[str, BackendSpec], choices: RunChoices) -> None:
        self.plan: Plan | None = None
        self.result: RunResult | None = None
        self._session = session
        self._specs = specs
        self._choices = choices

    @contextmanager
    def told(self, store: StateStore, backends: Backends) -> Iterator[None]:
        """Report the run that has ended in the block, whatever came after it, note what was seen of use, and measure what there is then.

        That asks backends for their pools, which may take a while: nobody waits for the lock meanwhile, nor for the report.
        """
        try:
            yield
        except BaseException as failure:
            from sharectl.cli.failures import diagnose

            self._report(diagnose(failure)[1])
            raise
        else:
            if self.plan is not None:
                self._report(code_of_run(self.plan, self.result, self._choices.allow_unreadable))
                if self._choices.seen is not None:
                    self._session.output.diagnostics(self._choices.seen.note(store, backends, self._specs))
        finally:
            measured = self._choices.measured
            if measured is not None and measured.plan is not None:
                measured.look(store)

    def _report(self, code: ExitCode) -> None:
        """Say how it went, where there was something to do; `code` is the one that the command ends with."""
        plan, result, output = self.plan, self.result, self._session.output
        if plan is None or result is None:
            return
        from sharectl.render.result import left_out_lines, result_lines, result_object

        if self._choices.output is Format.JSON:
            output.write_json_line(result_object(plan, result, code))
        else:
            output.draw_lines(result_lines(plan, result, output.look))
        for line in left_out_lines(sorted(set(unread_in(plan)) - self._choices.allow_unreadable)):
            output.note(line)


@contextmanager
def locked(
    session: Session,
    specs: Mapping[str, BackendSpec],
    command: str,
    lock_timeout: str,
    *,
    json: bool = False,
    beside: _Beside | None = None,
    afterwards: Callable[[StateStore, Backends], AbstractContextManager[None]] | None = None,
) -> Iterator[tuple[LockedRun, Backends]]:
    """Take the lock, of everything or of what a run beside others needs, and yield the run (what an earlier one left open is resolved) and its backends.

    What `afterwards` returns is left when the lock has been given back, before state and backends are closed.
    """
    from sharectl.model.records import EVERYTHING
    from sharectl.workspace.run import describe_run, locked_run

    wait_seconds = parse_duration_seconds(lock_timeout)
    record = describe_run(command, session.project.root, os.environ)
    with ExitStack() as stack:
        store = stack.enter_context(session.repository.store(create=True))
        backends = stack.enter_context(session.repository.backends(specs))
        if afterwards is not None:
            stack.enter_context(afterwards(store, backends))
        scope = EVERYTHING if beside is None else beside.scope(store, backends)
        with _recovery_view(session, json=json) as recovering:
            run = stack.enter_context(locked_run(store, backends, record, recovering, wait_seconds, scope))
        stack.enter_context(kept_afterwards(session, store))
        yield run, backends


class _Beside:
    """Works out the scope of a run that may work beside others: from a plan that is made before there is a lease."""

    def __init__(self, make_plan: Callable[[StateStore, Backends], Plan], wanted: frozenset[Address]) -> None:
        """Plan with `make_plan`; the `wanted` addresses belong to the scope even if nothing is to be done there."""
        self._make_plan = make_plan
        self._wanted = wanted
        self._tries_left = _NARROW_TRIES

    def scope(self, store: StateStore, backends: Backends) -> Scope:
        """Return what to take: after some tries, everything."""
        from sharectl.model.records import EVERYTHING
        from sharectl.workspace.scopes import scope_of

        self._tries_left -= 1
        if self._tries_left < 0:
            return EVERYTHING
        return scope_of(self._make_plan(store, backends), store, backends, self._wanted)

    def is_enough(self, run: LockedRun, plan: Plan, backends: Backends) -> bool:
        """Tell whether the run holds all that its plan needs, now that it is made anew."""
        from sharectl.workspace.scopes import covers, scope_of

        held = run.lease.scope
        return held.is_everything or covers(held, scope_of(plan, run.store, backends, self._wanted))


def is_shared(session: Session) -> bool:
    """Tell whether runs may work beside each other on this state."""
    from sharectl.model.state_urls import is_in_file

    return not is_in_file(session.project.state_url)


@contextmanager
def _recovery_view(session: Session, *, json: bool) -> Iterator[Callable[[Event], None]]:
    """Yield the observer of a recovery, which opens its view with the first event: most runs have nothing to recover."""
    views: list[Callable[[Event], None]] = []
    with ExitStack() as stack:

        def observe(event: Event) -> None:
            from sharectl.render.progress import progress_view

            if not views:
                view = stack.enter_context(progress_view(session.output, mode="json" if json else "plain"))
                views.append(view if session.trace is None else session.trace.observing(view))
            views[0](event)

        yield observe


def _agree(session: Session, plan: Plan, choices: RunChoices) -> None:
    """Show the plan and ask; ends the command where the plan cannot be applied, or is not wanted."""
    if choices.output is not Format.JSON:
        is_known = choices.reviewed and (plan.is_empty or bool(plan.held))
        show_plan(session, plan, choices.output, brief=plan.is_stopped or is_known)
    elif plan.diagnostics:
        session.output.diagnostics(plan.diagnostics)
    if plan.is_stopped or (plan.held and choices.writes):
        if choices.output is Format.JSON:
            session.output.show("failure", Format.JSON, plan.diagnostics, ExitCode.FAILED, on_one_line=True)
        raise Finished(ExitCode.FAILED)
    session.agree(choices.question, yes=plan.is_empty or choices.yes, instead=choices.instead)


def _with_room(
    session: Session, run: LockedRun, plan: Plan, backends: Backends, *, whole: bool
) -> tuple[Plan, Watching | None]:
    """Return the part of the plan for which there is room beside what other runs have promised (stopped if it is to be the `whole`), and what watches over that room."""
    if plan.is_stopped or plan.is_empty or not is_shared(session):
        return plan, None
    from sharectl.workspace.promises import promise_room

    part, watching = promise_room(run, plan, backends, session.project.scheduler.max_over_subscription_ratio)
    return replace(part, is_stopped=whole and len(part.held) > len(plan.held)), watching


def _applied(
    session: Session,
    run: LockedRun,
    plan: Plan,
    choices: RunChoices,
    watching: Watching | None,
) -> RunResult | None:
    """Apply the plan; None where there is nothing to do, and the plan has said so already."""
    json = choices.output is Format.JSON
    if choices.before is not None:
        choices.before(run)
    if plan.is_empty and not json:
        return None
    from sharectl.engine.cancel import Cancellation
    from sharectl.render.progress import progress_view
    from sharectl.workspace.run import apply_plan

    cancellation = Cancellation()
    view = progress_view(session.output, mode="json" if json else "auto", plan=plan)
    with diverted(cancellation.request), view as show:
        observer = show if watching is None else watching(show)
        if (trace := session.trace) is not None:
            run, observer = replace(run, environment=trace.watching(run.environment)), trace.observing(observer)
        return apply_plan(run, plan, observer, cancellation)
