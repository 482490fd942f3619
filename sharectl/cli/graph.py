"""`sharectl graph`: the dependencies, as a picture."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished, code_of_plan, finish

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class GraphFormat(StrEnum):
    """How the graph is written."""

    DOT = "dot"
    MERMAID = "mermaid"


@app.command()
def graph(
    *,
    file: opt.Files = None,
    style: Annotated[GraphFormat, typer.Option("--format", help="For Graphviz or for Markdown.")] = GraphFormat.DOT,
    steps: Annotated[
        bool,
        typer.Option("--steps", help="Draw the steps of the plan and what each waits for, instead of the manifests."),
    ] = False,
    refresh: opt.RefreshMode = opt.Refresh.FULL,
    allow_unreadable: opt.AllowUnreadable = None,
    chdir: opt.Chdir = Path(),
) -> None:
    """Draw what depends on what: the manifests, or with --steps the plan that apply would walk."""
    from sharectl.cli.session import start
    from sharectl.manifests.dependencies import dependency_edges
    from sharectl.render.graph import dot, mermaid

    session = start(chdir, file)
    code = ExitCode.DONE
    if steps:
        from sharectl.cli.runs import planned, planner

        choices = opt.PlanChoices(refresh=refresh, allow_empty=True, allow_unreadable=allow_unreadable)
        plan = planned(session, planner(session, choices))
        nodes = [step.step_id for step in plan.steps]
        edges = [(step.step_id, needed) for step in plan.steps for needed in step.waits_for]
        if plan.diagnostics:
            session.output.diagnostics(plan.diagnostics)
        if plan.is_stopped:
            raise Finished(ExitCode.FAILED)
        code = code_of_plan(plan)
    else:
        from sharectl.workspace.tenancy import server_edges

        desired = session.repository.desired()
        edges = dependency_edges(desired, sorted(desired.addresses))
        with session.repository.store() as store:
            edges += server_edges(store)
        nodes = sorted({*desired.addresses, *(node for edge in edges for node in edge)})
    session.output.write((dot if style is GraphFormat.DOT else mermaid)(nodes, edges))
    finish(code)
