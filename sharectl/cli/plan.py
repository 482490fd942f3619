"""`sharectl plan`: show what apply would do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished, code_of_plan, finish, or_changes
from sharectl.render.formats import Format

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@opt.taking(opt.PlanChoices)
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
    output: Annotated[Format, opt.output("plan")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Compare manifests, state and backends, and show what `sharectl apply` would do. Changes nothing."""
    from sharectl.cli.runs import planned, planner, show_plan
    from sharectl.cli.session import start

    session = start(chdir, choices.file)
    result = planned(session, planner(session, choices, destroy=destroy))
    show_plan(session, result, output, hint=out is None and not destroy)
    if result.is_stopped:
        raise Finished(ExitCode.FAILED)
    if out is not None:
        from sharectl.workspace.planfile import plan_origin, write_plan_file

        origin = plan_origin(session.project.root, session.project.state_path)
        write_plan_file(session.path(out), dataclasses.replace(result, origin=origin))
        session.output.note(f"Saved to {out}; `sharectl apply {out}` runs exactly this.")
    elif destroy and not result.is_empty:
        session.output.note(
            "`sharectl destroy` does this; `sharectl plan --destroy --out FILE` saves it to be applied."
        )
    finish(or_changes(code_of_plan(result), detailed=detailed_exitcode and not result.is_empty))
