"""`sharectl plan`: show what apply would do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished, code_of_plan, finish, or_changes

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def plan(
    *,
    file: opt.Files = None,
    target: opt.Target = None,
    exclude: opt.Exclude = None,
    replace: opt.Replace = None,
    label: opt.Label = None,
    backend: opt.Backend = None,
    refresh: opt.RefreshMode = opt.Refresh.FULL,
    out: Annotated[
        Path | None, typer.Option(help="Save the plan; `sharectl apply FILE` runs exactly that.", metavar="FILE")
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 where there are changes.")
    ] = False,
    destroy: Annotated[bool, typer.Option("--destroy", help="Plan what `sharectl destroy` would do.")] = False,
    allow_deletions: opt.AllowDeletions = 0,
    allow_recreations: opt.AllowRecreations = 0,
    allow_revocations: opt.AllowRevocations = 0,
    allow_empty: opt.AllowEmpty = False,
    override_protection: opt.OverrideProtection = None,
    allow_unreadable: opt.AllowUnreadable = None,
    allow_shared: opt.AllowShared = None,
    output: opt.Output = opt.Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Compare manifests, state and backends, and show what `sharectl apply` would do. Changes nothing."""
    from sharectl.cli.planning import Words, planner, show_plan
    from sharectl.cli.session import opened_store, start
    from sharectl.workspace.backends import opened_backends

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
        destroy,
        allow_unreadable,
        allow_revocations,
        allow_shared,
    )
    make_plan = planner(session, file, words, refresh.value)
    with (
        opened_store(session) as store,
        opened_backends(make_plan.desired.backends, session.project, session.output.diagnostics) as backends,
    ):
        result = make_plan(store, backends)
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
            "`sharectl destroy` does this; `sharectl plan --destroy --out FILE` keeps it, to be applied."
        )
    finish(or_changes(code_of_plan(result), detailed=detailed_exitcode and not result.is_empty))
