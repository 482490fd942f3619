"""`sharectl destroy`: remove everything that the state holds, as each deletion policy says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.render.formats import Format

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def destroy(
    *,
    file: opt.Files = None,
    target: opt.Target = None,
    exclude: opt.Exclude = None,
    label: opt.Label = None,
    backend: opt.Backend = None,
    refresh: opt.RefreshMode = opt.Refresh.FULL,
    yes: opt.Yes = False,
    override_protection: opt.OverrideProtection = None,
    allow_unreadable: opt.AllowUnreadable = None,
    lock_timeout: opt.LockTimeout = "0",
    output: Annotated[Format, opt.output("plan")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Remove every share and snapshot in the state: deletionPolicy delete removes the data, trash puts it aside, retain leaves it.

    Protected shares are refused. The manifests stay as they are; they still say how the backends are reached.
    """
    from sharectl.cli.runs import RunChoices, planner, run_locked
    from sharectl.cli.session import start

    session = start(chdir, file)
    choices = opt.PlanChoices(
        target=target,
        exclude=exclude,
        label=label,
        backend=backend,
        refresh=refresh,
        override_protection=override_protection,
        allow_unreadable=allow_unreadable,
    )
    make_plan = planner(session, choices, destroy=True)
    run = RunChoices(
        "destroy",
        "Destroy all of this? The data of shares with deletionPolicy delete cannot be recovered.",
        yes,
        lock_timeout,
        output,
        instead=", or save a plan with `sharectl plan --destroy --out FILE` and apply that",
    )
    run_locked(session, make_plan.desired.backends, make_plan, run)
