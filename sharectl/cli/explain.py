"""`sharectl explain`: why a share is, or would be, where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import code_of_findings, finish
from sharectl.cli.complete import complete_address, complete_backend

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def explain(
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="[ADDRESS]",
            help="A share with a manifest; without it, the one share that is new.",
            autocompletion=complete_address,
        ),
    ] = None,
    *,
    file: opt.Files = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(help="As a plan with this --backend places it.", metavar="NAME", autocompletion=complete_backend),
    ] = None,
    allow_unreadable: opt.AllowUnreadable = None,
    output: opt.DataOutput = opt.DataFormat.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show each pool with the filter that refuses the share and the figures, or with its weight by weigher.

    Files named with -f that hold no Backend are read together with the project's manifests.
    """
    from sharectl.cli.session import start
    from sharectl.cli.values import parse_address
    from sharectl.planner.backends.unread import UNREAD_CODES
    from sharectl.workspace.explanation import Inquiry, explain_share

    session = start(chdir, file)
    wanted = None if address is None else parse_address(address)
    inquiry = Inquiry(wanted, frozenset(backend or ()), frozenset(allow_unreadable or ()))
    with session.repository.store() as store:
        explained = explain_share(session.repository, store, inquiry)
    share_address = explained.address
    if output is opt.DataFormat.JSON:
        from sharectl.render.explain import explanation_object

        session.output.write_json(
            explanation_object(explained.explanation)
            | {
                "placed_on": explained.placed_on,
                "placed_after": explained.after,
                "planned": explained.is_planned,
                "replaces": explained.replaces,
            }
        )
    else:
        from sharectl.render.explain import explanation_lines
        from sharectl.render.text import counted

        out = session.output
        if explained.placed_on is not None:
            out.write(f"{share_address} is on {explained.placed_on} and stays there. Placed anew, it would see:\n")
        elif explained.replaces is not None:
            out.write(
                f"{share_address} is recorded on {explained.replaces}; a plan makes a new, empty share in its place:\n"
            )
        else:
            if not explained.is_planned:
                ending = "" if explained.after else " Of the pools alone:"
                out.write(f"A plan does not make {share_address} as things are.{ending}\n")
            if explained.after:
                others = counted(explained.after, "other new share")
                out.write(f"With {others} placed before it, as a plan does, it sees:\n")
        out.write_lines(explanation_lines(explained.explanation, color=out.color_out, width=out.width))
    found = explained.diagnostics
    if found:
        session.output.diagnostics(found)
    finish(code_of_findings(one for one in found if one.code in UNREAD_CODES))
