"""`sharectl validate`: find every mistake in the manifests."""

from __future__ import annotations

from pathlib import Path

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def validate(
    *, file: opt.Files = None, output: opt.DataOutput = opt.DataFormat.TEXT, chdir: opt.Chdir = Path()
) -> None:
    """Check the manifests against their schemas, each other and the state, all mistakes at once. Asks no backend."""
    from sharectl.checks import state_findings
    from sharectl.cli.session import load, opened_store, start
    from sharectl.diagnostics import has_errors

    session = start(chdir)
    loaded = load(session, file)
    diagnostics = loaded.diagnostics
    wrong = has_errors(diagnostics)
    if not wrong:
        with opened_store(session) as store, store.read() as reader:
            diagnostics += state_findings(loaded.desired, reader.view())
        wrong = has_errors(diagnostics)
    if output is opt.DataFormat.JSON:
        from sharectl.planning.document import diagnostic_to_object

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
