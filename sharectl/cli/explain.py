"""`sharectl explain`: why a share is, or would be, where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import code_of_findings, finish
from sharectl.cli.complete import complete_address, complete_backend
from sharectl.render.formats import Format

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def explain(
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="[ADDRESS]",
            help="A share with a manifest; by default the one new share.",
            autocompletion=complete_address,
        ),
    ] = None,
    *,
    file: opt.Files = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="Explain it as a plan with this --backend places it.", metavar="NAME", autocompletion=complete_backend
        ),
    ] = None,
    allow_unreadable: opt.AllowUnreadable = None,
    output: Annotated[Format, opt.output("explanation")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show each pool with the filter that refuses the share and the figures, or with its weight by weigher.

    Files named with -f that hold no Backend are read together with the project's manifests.
    """
    from sharectl.cli.session import start
    from sharectl.cli.values import parse_address
    from sharectl.planner.backends.findings import UNREAD_CODES
    from sharectl.workspace.explanation import Inquiry, explain_share

    session = start(chdir, file)
    wanted = None if address is None else parse_address(address)
    inquiry = Inquiry(wanted, frozenset(backend or ()), frozenset(allow_unreadable or ()))
    with session.repository.store() as store:
        explained = explain_share(session.repository, store, inquiry)
    session.output.show("explanation", output, explained)
    found = explained.diagnostics
    if found:
        session.output.diagnostics(found)
    finish(code_of_findings(one for one in found if one.code in UNREAD_CODES))
