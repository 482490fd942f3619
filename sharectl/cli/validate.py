"""`sharectl validate`: find every mistake in the manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished
from sharectl.render.formats import Format


def validate(
    *,
    file: opt.Files = None,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="Also check that the secrets that backends refer to are there.")
    ] = False,
    output: Annotated[Format, opt.output("validation")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Check the manifests against their schemas, each other and the state, all mistakes at once. Asks no backend."""
    from sharectl.cli.session import start_looking
    from sharectl.model.diagnostics import has_errors
    from sharectl.render.diagnostics import Verdict
    from sharectl.workspace.validation import secret_findings

    session, problems = start_looking(chdir, file)
    loaded = session.repository.load()
    diagnostics = problems + loaded.diagnostics + session.repository.infeasible(loaded)
    if secrets:
        diagnostics += secret_findings(loaded.readable, session.project)
    wrong = has_errors(diagnostics)
    if diagnostics and output is Format.TEXT:
        session.output.diagnostics(diagnostics)
    session.output.show("validation", output, Verdict(len(loaded.desired.addresses), tuple(diagnostics)))
    if wrong:
        raise Finished(ExitCode.FAILED)
