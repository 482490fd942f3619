"""`sharectl apply`: make it so."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.model.diagnostics import DiagnosticError, error

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def apply(
    plan_file: Annotated[
        Path | None, typer.Argument(metavar="[PLAN]", help="A plan saved by `sharectl plan --out`; asks nothing.")
    ] = None,
    *,
    file: opt.Files = None,
    target: opt.Target = None,
    exclude: opt.Exclude = None,
    replace: opt.Replace = None,
    label: opt.Label = None,
    backend: opt.Backend = None,
    refresh: opt.RefreshMode = opt.Refresh.FULL,
    yes: opt.Yes = False,
    allow_deletions: opt.AllowDeletions = 0,
    allow_recreations: opt.AllowRecreations = 0,
    allow_revocations: opt.AllowRevocations = 0,
    allow_empty: opt.AllowEmpty = False,
    override_protection: opt.OverrideProtection = None,
    allow_unreadable: opt.AllowUnreadable = None,
    allow_shared: opt.AllowShared = None,
    lock_timeout: opt.LockTimeout = "0",
    output: opt.Output = opt.Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Make backends and state what the manifests say: show the plan, ask, do it.

    Ctrl-C once: no new step starts, those that run are finished and recorded. Twice: stop at once; the next apply finds out what
    became of the rest.
    """
    from sharectl.cli.applying import RunWords, run_locked
    from sharectl.cli.planning import Words, planner
    from sharectl.cli.session import start

    session = start(chdir)
    words = Words(
        target,
        exclude,
        replace,
        label,
        backend,
        override_protection,
        allow_deletions,
        allow_recreations,
        allow_empty,
        allow_unreadable=None if plan_file is not None else allow_unreadable,
        allow_revocations=allow_revocations,
        allow_shared=allow_shared,
    )
    if plan_file is not None:
        from sharectl.engine.ledger import rows_of
        from sharectl.planner.saved.staleness import current_part
        from sharectl.workspace.planfile import read_plan_file

        if words.are_given or file or refresh is not opt.Refresh.FULL:
            raise DiagnosticError(
                error(
                    "usage.saved-plan",
                    "a saved plan is applied as it is: options that would make another one do not go with it",
                    remedy=f"leave them out, or make a new plan with them: `sharectl plan … --out {plan_file}`",
                )
            )
        from sharectl.cli.session import opened_store
        from sharectl.workspace.planfile import plan_origin, require_own_plan

        saved = read_plan_file(session.path(plan_file))
        here = plan_origin(session.project.root, session.project.state_path)
        require_own_plan(saved, partial(opened_store, session), here)
        run = RunWords(
            f"apply {plan_file.name}",
            "",
            yes=True,
            lock_timeout=lock_timeout,
            output=output,
            allow_unreadable=frozenset(allow_unreadable or ()),
        )
        run_locked(session, saved.backends, lambda store, _backends: current_part(saved, rows_of(saved, store)), run)
        return
    make_plan = planner(session, file, words, refresh.value)
    run = RunWords(
        "apply",
        "Apply this plan?",
        yes,
        lock_timeout,
        output,
        instead=", or save a plan with `sharectl plan --out FILE` and apply that",
    )
    run_locked(session, make_plan.desired.backends, make_plan, run)
