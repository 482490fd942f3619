"""`sharectl apply`: make it so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharectl.cli import options as opt
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.render.formats import Format

if TYPE_CHECKING:
    from sharectl.cli.runs import RunChoices
    from sharectl.cli.session import Session

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@opt.taking(opt.PlanChoices)
def apply(
    plan_file: Annotated[
        Path | None, typer.Argument(metavar="[PLAN]", help="A plan saved by `sharectl plan --out`; asks nothing.")
    ] = None,
    *,
    choices: opt.PlanChoices,
    yes: opt.Yes = False,
    lock_timeout: opt.LockTimeout = "0",
    output: Annotated[Format, opt.output("plan")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Bring the backends in line with the manifests: show the plan, ask, apply it.

    Ctrl-C once: no new step starts, and running steps finish and are recorded. Twice: stop at once; the next apply works out what
    happened to the rest.
    """
    from sharectl.cli.runs import RunChoices, planner, run_locked
    from sharectl.cli.session import start

    session = start(chdir, choices.file)
    run = RunChoices(
        "apply",
        "Apply this plan?",
        yes,
        lock_timeout,
        output,
        instead=", or save a plan with `sharectl plan --out FILE` and apply that",
    )
    if plan_file is not None:
        _apply_saved(session, plan_file, choices, run)
        return
    make_plan = planner(session, choices)
    run_locked(session, make_plan.desired.backends, make_plan, run)


def _apply_saved(session: Session, plan_file: Path, choices: opt.PlanChoices, run: RunChoices) -> None:
    """Apply a saved plan as it is. Raises DiagnosticError for options that would make another."""
    from sharectl.cli.runs import run_locked
    from sharectl.engine.rows import rows_of
    from sharectl.planner.saved.checks import current_part
    from sharectl.workspace.planfile import plan_origin, read_plan_file, require_own_plan

    if replace(choices, allow_unreadable=None) != opt.PlanChoices():
        raise DiagnosticError(
            error(
                "usage.saved-plan",
                "a saved plan is applied as it is: options that would make another one do not go with it",
                remedy=f"leave them out, or make a new plan with them: `sharectl plan … --out {plan_file}`",
            )
        )
    saved = read_plan_file(session.path(plan_file))
    here = plan_origin(session.project.root, session.project.state_path)
    require_own_plan(saved, session.repository.store, here)
    run = replace(
        run,
        command=f"apply {plan_file.name}",
        yes=True,
        instead="",
        allow_unreadable=frozenset(choices.allow_unreadable or ()),
    )
    run_locked(session, saved.backends, lambda store, _backends: current_part(saved, rows_of(saved, store)), run)
