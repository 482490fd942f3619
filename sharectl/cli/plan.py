"""`sharectl plan`, and the commands that plan and go on from there: `apply`, `destroy`, and `refresh`."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished, code_of_findings, code_of_plan, finish, or_changes, unread_in
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.render.formats import PLAIN, Format

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sharectl.cli.runs import RunChoices
    from sharectl.cli.session import Session
    from sharectl.model.plans import Plan
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends


_TRACES: Final = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Variables of which one is set where traces may be asked for."""


def _tracing(session: Session, command: str) -> AbstractContextManager[Session]:
    """Return what yields the session with a trace of the command, where the environment asks for one."""
    if not any(os.environ.get(name) for name in _TRACES):
        return nullcontext(session)
    from sharectl.cli.tracing import traced

    return traced(session, command)


@opt.taking_plan_choices()
def plan(
    *,
    choices: opt.PlanChoices,
    out: Annotated[
        Path | None, typer.Option(help="Save the plan; `sharectl apply FILE` runs exactly that.", metavar="FILE")
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 if there are changes.")
    ] = False,
    destroy: Annotated[bool, typer.Option("--destroy", help="Plan what `sharectl destroy` would do.")] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", help="Show every field of new resources, all candidates with their weights, and all reasons."
        ),
    ] = False,
    executor: opt.Executor = None,
    output: Annotated[Format, opt.output("plan")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Compare manifests, state and backends, and show what `sharectl apply` would do. Changes nothing."""
    from sharectl.cli.planning import gathered, planned, planner, show_plan
    from sharectl.cli.session import start

    session = start(chdir, choices.file, executor)
    if output is Format.HTML:
        from sharectl.render.pages.engine import require_templates

        require_templates()
    with _tracing(session, "plan") as session:
        with gathered(session, output) as (gathering, told):
            result = planned(gathering, planner(gathering, choices, destroy=destroy))
        shown = replace(result, diagnostics=(*told, *result.diagnostics)) if told else result
        show_plan(session, shown, output, verbose=verbose, hint=out is None and not destroy)
        if result.is_stopped:
            raise Finished(ExitCode.FAILED)
        if out is not None:
            from sharectl.workspace.planfile import plan_origin, write_plan_file

            origin = plan_origin(session.project)
            write_plan_file(session.path(out), replace(result, origin=origin))
            session.output.note(f"Saved to {out}; `sharectl apply {out}` runs exactly this.")
        elif destroy and not result.is_empty:
            session.output.note(
                "`sharectl destroy` does this; `sharectl plan --destroy --out FILE` saves it to be applied."
            )
        finish(or_changes(code_of_plan(result), detailed=detailed_exitcode and not result.is_empty))


@opt.taking_plan_choices()
def apply(
    plan_file: Annotated[
        Path | None, typer.Argument(metavar="[PLAN]", help="A plan saved by `sharectl plan --out`; asks nothing.")
    ] = None,
    *,
    choices: opt.PlanChoices,
    if_current: Annotated[
        bool,
        typer.Option(
            "--if-current",
            help="Apply the saved plan only if a plan made now, with the other options, would do the same.",
        ),
    ] = False,
    yes: opt.Yes = False,
    lock_timeout: opt.LockTimeout = "0",
    metrics: opt.Metrics = None,
    executor: opt.Executor = None,
    output: Annotated[Format, opt.output("plan", among=PLAIN)] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Bring the backends in line with the manifests: show the plan, ask, apply it.

    Ctrl-C once: no new step starts, and running steps finish and are recorded. Twice: stop at once; the next apply works out what
    happened to the rest.
    """
    from sharectl.cli.planning import measuring, planner
    from sharectl.cli.runs import RunChoices, run_locked, watched
    from sharectl.cli.session import start

    session = start(chdir, choices.file, executor)
    run = RunChoices(
        "apply",
        "Apply this plan?",
        yes,
        lock_timeout,
        output,
        instead=", or save a plan with `sharectl plan --out FILE` and apply that",
    )
    with _tracing(session, "apply") as session, measuring(session, metrics, "apply") as measured:
        run = replace(run, measured=measured)
        if plan_file is not None:
            _apply_saved(session, plan_file, choices, run, if_current=if_current)
            return
        if if_current:
            remedy = "name the plan: `sharectl apply FILE --if-current`"
            raise DiagnosticError(error("usage.if-current", "--if-current is about a saved plan", remedy=remedy))
        make_plan, run = watched(planner(session, choices), run)
        run_locked(session, make_plan.desired.backends, make_plan, replace(run, wanted=make_plan.chosen))


def _apply_saved(
    session: Session, plan_file: Path, choices: opt.PlanChoices, run: RunChoices, *, if_current: bool
) -> None:
    """Apply a saved plan as it is. Raises DiagnosticError for options that would make another, unless another is to be compared with it."""
    from sharectl.cli.planning import planner
    from sharectl.cli.runs import is_shared, run_locked, watched
    from sharectl.engine.rows import addresses_of, rows_of
    from sharectl.planner.saved.checks import current_part
    from sharectl.workspace.planfile import plan_origin, read_plan_file, require_own_plan

    if not if_current and replace(choices, allow_unreadable=None) != opt.PlanChoices():
        raise DiagnosticError(
            error(
                "usage.saved-plan",
                "a saved plan is applied as it is: options that would make another one do not go with it",
                remedy=f"leave them out, or make a new plan with them: `sharectl plan … --out {plan_file}`",
            )
        )
    saved = read_plan_file(session.path(plan_file))
    repository = session.repository
    require_own_plan(saved, repository.store if repository.has_state() else None, plan_origin(session.project))
    run = replace(
        run,
        command=f"apply {plan_file.name}",
        yes=True,
        reviewed=True,
        instead="",
        allow_unreadable=frozenset(choices.allow_unreadable or ()),
    )
    if not if_current:
        if is_shared(session):
            run = replace(run, wanted=frozenset(addresses_of(saved)))

        def part(store: StateStore, backends: Backends) -> Plan:
            from sharectl.workspace.saved_storage import part_to_apply

            return part_to_apply(current_part(saved, rows_of(saved, store)), store, backends)

        run_locked(session, saved.backends, part, run)
        return
    make_plan, run = watched(planner(session, choices), replace(run, whole=True))
    if make_plan.chosen is not None:
        run = replace(run, wanted=make_plan.chosen | addresses_of(saved))

    def agreed(store: StateStore, backends: Backends) -> Plan:
        from sharectl.planner.saved.agreement import agreed_part

        part = current_part(saved, rows_of(saved, store))
        if len(part.held) > len(saved.held):  # all of it or nothing: that is what was reviewed
            return replace(part, is_stopped=True)
        if part.is_empty and saved.steps:  # applied already
            return part
        return agreed_part(part, make_plan(store, backends))

    run_locked(session, make_plan.desired.backends, agreed, run)


@opt.taking_plan_choices(
    "file", "target", "exclude", "label", "backend", "refresh", "override_protection", "allow_unreadable"
)
def destroy(
    *,
    choices: opt.PlanChoices,
    yes: opt.Yes = False,
    lock_timeout: opt.LockTimeout = "0",
    executor: opt.Executor = None,
    output: Annotated[Format, opt.output("plan", among=PLAIN)] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Remove every share and snapshot in the state: deletionPolicy delete removes the data, trash puts it aside, retain leaves it.

    Protected shares are refused. The manifests stay as they are, since they say how to reach the backends.
    """
    from sharectl.cli.planning import planner
    from sharectl.cli.runs import RunChoices, run_locked
    from sharectl.cli.session import start

    session = start(chdir, choices.file, executor)
    run = RunChoices(
        "destroy",
        "Destroy all of this? The data of shares with deletionPolicy delete cannot be recovered.",
        yes,
        lock_timeout,
        output,
        instead=", or save a plan with `sharectl plan --destroy --out FILE` and apply that",
    )
    with _tracing(session, "destroy") as session:
        make_plan = planner(session, choices, destroy=True)
        run_locked(session, make_plan.desired.backends, make_plan, run)


@opt.taking_plan_choices("file", "target", "backend", "allow_unreadable")
def refresh(
    *,
    choices: opt.PlanChoices,
    detailed_exitcode: opt.DetailedExitcode = False,
    metrics: opt.Metrics = None,
    executor: opt.Executor = None,
    output: Annotated[Format, opt.output("drift")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Ask the backends what they hold, and show where that differs from the state. Only records usage; `apply` repairs."""
    from sharectl.cli.planning import looking_planner, measuring, planned
    from sharectl.cli.session import start
    from sharectl.workspace.usage import UseSeen

    session = start(chdir, choices.file, executor)
    with _tracing(session, "refresh") as session, measuring(session, metrics, "refresh") as measured:
        make_plan, is_whole = looking_planner(session, replace(choices, allow_empty=True))
        seen = UseSeen()
        plan = planned(session, replace(make_plan, see=seen), seen, measured)
        if not is_whole:  # what a plan would do is not known, only what differs
            plan = replace(plan, steps=(), drift=tuple(replace(found, repaired_by=None) for found in plan.drift))
            if measured is not None:
                measured.is_plan_whole = False
        about_backends = [
            found for found in plan.diagnostics if found.code.startswith(("backend.", "network.", "plan.unknown-"))
        ]
        session.output.show("drift", output, plan)
        if about_backends:
            session.output.diagnostics(about_backends)
        code = code_of_findings(about_backends, unread=unread_in(plan))
        finish(or_changes(code, detailed=detailed_exitcode and any(each.kind != "ignored" for each in plan.drift)))
