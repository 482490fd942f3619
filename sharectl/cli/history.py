"""`sharectl history`: who changed what, when, from which commit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.complete import complete_address
from sharectl.render.formats import Format

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def history(
    address: Annotated[
        str | None,
        typer.Argument(metavar="[ADDRESS]", help="Only of this resource.", autocompletion=complete_address),
    ] = None,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many entries, newest first.", min=1)] = 50,
    output: Annotated[Format, opt.output("history")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show what was done, newest first: when, by whom, from which commit and CI job, and what changed."""
    from itertools import chain

    from sharectl.cli.session import start
    from sharectl.cli.values import parse_address
    from sharectl.model.diagnostics import DiagnosticError, error
    from sharectl.model.kinds import resource_of

    session = start(chdir)
    wanted = None if address is None else parse_address(address)
    with session.repository.existing_store() as store:
        found = store.history(address=wanted, limit=limit)
        newest = next(found, None)
        if wanted is not None and newest is None and not session.repository.knows(resource_of(wanted), store):
            summary = (
                f"there is no {wanted}, neither in the manifests nor in the state, and nothing was ever done to it"
            )
            remedy = session.repository.nearest(wanted, store) or "`sharectl state list` names what there is"
            raise DiagnosticError(error("state.unknown-address", summary, remedy=remedy, address=wanted))
        session.output.show("history", output, found if newest is None else chain((newest,), found))
