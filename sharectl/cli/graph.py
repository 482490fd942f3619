"""`sharectl graph`: the dependencies, as a picture."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt

app = typer.Typer(rich_markup_mode=None)


class GraphFormat(StrEnum):
    """How the graph is written."""

    DOT = "dot"
    MERMAID = "mermaid"


@app.command()
def graph(
    *,
    file: opt.Files = None,
    style: Annotated[GraphFormat, typer.Option("--format", help="For Graphviz, or for Markdown.")] = GraphFormat.DOT,
    steps: Annotated[
        bool, typer.Option("--steps", help="The steps of the plan and what each waits for, instead of the manifests.")
    ] = False,
    refresh: opt.RefreshMode = opt.Refresh.FULL,
    chdir: opt.Chdir = Path(),
) -> None:
    """Draw what depends on what: the manifests, or with --steps the plan that apply would walk."""
    from sharectl.cli.session import desired_of, start
    from sharectl.graph import dependency_edges
    from sharectl.render.graph import dot, mermaid

    session = start(chdir)
    desired = desired_of(session, file)
    if steps:
        from sharectl.cli.planning import Words, options_from, planned
        from sharectl.cli.session import opened_store
        from sharectl.workspace import opened_backends

        options = options_from(session, Words(allow_empty=True))
        with opened_store(session) as store, opened_backends(desired.backends, session.project) as backends:
            plan = planned(session, desired, store, backends, options, refresh.value)
        nodes = [step.step_id for step in plan.steps]
        edges = [(step.step_id, needed) for step in plan.steps for needed in step.waits_for]
        if plan.diagnostics:
            session.output.diagnostics(plan.diagnostics)
    else:
        nodes = sorted(desired.addresses)
        edges = dependency_edges(desired, nodes)
    session.output.write((dot if style is GraphFormat.DOT else mermaid)(nodes, edges))
