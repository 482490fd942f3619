"""`sharectl validate`: find every mistake in the manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def validate(
    *,
    file: opt.Files = None,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="Also look whether the secrets that backends refer to are there.")
    ] = False,
    output: opt.DataOutput = opt.DataFormat.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Check the manifests against their schemas, each other and the state, all mistakes at once. Asks no backend."""
    from sharectl.cli.session import start_looking
    from sharectl.model.diagnostics import has_errors
    from sharectl.workspace.validation import secret_findings

    session, problems = start_looking(chdir, file)
    loaded = session.repository.load()
    diagnostics = problems + loaded.diagnostics + session.repository.infeasible(loaded)
    if secrets:
        diagnostics += secret_findings(loaded.readable, session.project)
    wrong = has_errors(diagnostics)
    if output is opt.DataFormat.JSON:
        from sharectl.planner.saved.document import diagnostic_to_object

        found = [diagnostic_to_object(diagnostic) for diagnostic in diagnostics]
        session.output.write_json(
            {"format": "sharectl-validation", "version": 1, "valid": not wrong, "diagnostics": found}
        )
    elif diagnostics:
        session.output.diagnostics(diagnostics)
    if wrong:
        raise Finished(ExitCode.FAILED)
    if output is opt.DataFormat.TEXT:
        count = len(loaded.desired.addresses)
        session.output.write("1 resource, valid.\n" if count == 1 else f"{count} resources, all valid.\n")
