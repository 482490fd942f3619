"""`sharectl refresh`: look at the backends and show what differs from the state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import code_of_findings, finish, or_changes, unread_in
from sharectl.render.formats import Format

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def refresh(
    *,
    file: opt.Files = None,
    target: opt.Target = None,
    backend: opt.Backend = None,
    allow_unreadable: opt.AllowUnreadable = None,
    detailed_exitcode: opt.DetailedExitcode = False,
    output: Annotated[Format, opt.output("drift")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Ask the backends what they hold, and show where that differs from the state. Changes nothing; `apply` repairs."""
    from sharectl.cli.runs import looking_planner, planned
    from sharectl.cli.session import start

    session = start(chdir, file)
    choices = opt.PlanChoices(target=target, backend=backend, allow_empty=True, allow_unreadable=allow_unreadable)
    make_plan, is_whole = looking_planner(session, choices)
    plan = planned(session, make_plan)
    if not is_whole:  # what a plan would do is not known, only what differs
        plan = replace(plan, steps=(), drift=tuple(replace(found, repaired_by=None) for found in plan.drift))
    about_backends = [
        found for found in plan.diagnostics if found.code.startswith(("backend.", "network.", "plan.unknown-"))
    ]
    session.output.show("drift", output, plan)
    if about_backends:
        session.output.diagnostics(about_backends)
    code = code_of_findings(about_backends, unread=unread_in(plan))
    finish(or_changes(code, detailed=detailed_exitcode and any(each.kind != "ignored" for each in plan.drift)))
