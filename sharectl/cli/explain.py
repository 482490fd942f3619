"""`sharectl explain`: why a share is, or would be, where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.complete import complete_address

app = typer.Typer(rich_markup_mode=None)


@app.command()
def explain(
    address: Annotated[
        str,
        typer.Argument(metavar="ADDRESS", help="A share with a manifest.", autocompletion=complete_address),
    ],
    *,
    file: opt.Files = None,
    output: opt.DataOutput = opt.DataFormat.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show each pool with the filter that refuses the share and the figures, or with its weight by weigher."""
    from sharectl.cli.session import desired_of, opened_store, parse_address, start
    from sharectl.inspecting import explain_share
    from sharectl.workspace import opened_backends

    session = start(chdir)
    share_address = parse_address(address)
    desired = desired_of(session, file, {share_address})
    with opened_store(session) as store, opened_backends(desired.backends, session.project) as backends:
        explained = explain_share(session.project, desired, store, backends, share_address)
    if output is opt.DataFormat.JSON:
        from sharectl.render.explain import explanation_object

        session.output.write_json(explanation_object(explained.explanation) | {"placed_on": explained.placed_on})
    else:
        from sharectl.render.explain import explanation_lines

        out = session.output
        if explained.placed_on is not None:
            out.write(f"{share_address} is on {explained.placed_on} and stays there. Placed anew, it would see:\n")
        out.write_lines(explanation_lines(explained.explanation, color=out.color_out, width=out.width))
    if explained.diagnostics:
        session.output.diagnostics(explained.diagnostics)
