"""`sharectl validate`: find every mistake in the manifests."""

from __future__ import annotations

from pathlib import Path

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished

app = typer.Typer(rich_markup_mode=None)


@app.command()
def validate(
    *, file: opt.Files = None, output: opt.DataOutput = opt.DataFormat.TEXT, chdir: opt.Chdir = Path()
) -> None:
    """Check the manifests against their schemas, each other and the state, all mistakes at once. Asks no backend."""
    import sys

    from sharectl.checks import state_findings
    from sharectl.cli.session import opened_store, start
    from sharectl.diagnostics import has_errors
    from sharectl.workspace import load_manifests

    session = start(chdir)
    loaded = load_manifests(session.project, file or (), directory=session.directory, stdin=sys.stdin.buffer)
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
        session.output.write(f"{count} resources, all valid.\n")
