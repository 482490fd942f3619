"""`sharectl pools`: what the backends' pools hold and can do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished

app = typer.Typer(rich_markup_mode=None)


@app.command()
def pools(
    *,
    file: opt.Files = None,
    backend: opt.Backend = None,
    simulate: Annotated[
        str | None, typer.Option(help='How many more would fit, and where: "100x50GiB type=gold".', metavar="PATTERN")
    ] = None,
    output: opt.DataOutput = opt.DataFormat.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show every pool with its capacity and capabilities, as the scheduler sees it."""
    from sharectl.cli.session import desired_of, start
    from sharectl.diagnostics import has_errors
    from sharectl.inspecting import survey_pools
    from sharectl.workspace import opened_backends

    session = start(chdir)
    desired = desired_of(session, file)
    with opened_backends(desired.backends, session.project) as backends:
        found, diagnostics = survey_pools(desired, backends, frozenset(backend or ()))
    out = session.output
    simulation = None
    if simulate is not None:
        from sharectl.scheduler import parse_pattern
        from sharectl.scheduler import simulate as simulate_shares

        simulation = simulate_shares(found, session.project.scheduler, parse_pattern(simulate), desired.share_types)
    if output is opt.DataFormat.JSON:
        from sharectl.render.tables import pools_object

        out.write_json(pools_object(found, simulation))
    else:
        from sharectl.render.tables import pools_lines, simulation_lines

        out.write_lines(pools_lines(found, color=out.color_out, width=out.width))
        if simulation is not None:
            out.write_lines(simulation_lines(simulation, color=out.color_out))
    if diagnostics:
        out.diagnostics(diagnostics)
        if has_errors(diagnostics):
            raise Finished(ExitCode.FAILED)
