"""`sharectl report`: what the state knows, as pages for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt


def report(
    *,
    html: Annotated[
        Path,
        typer.Option(
            "--html",
            help="The folder to write: a new or empty one, or one with an earlier report, which is replaced.",
            metavar="DIR",
        ),
    ],
    plan: Annotated[
        Path | None, typer.Option(help="A plan saved by `sharectl plan --out`, to show with it.", metavar="FILE")
    ] = None,
    chdir: opt.Chdir = Path(),
) -> None:
    """Write what the state knows as pages for a browser: shares, backends, who may reach what, history. Asks no backend, changes nothing.

    The pages need no server, and load nothing from elsewhere. They hold names and addresses of clients: publish them only where those
    may be read.
    """
    from datetime import UTC, datetime

    from sharectl.cli.session import start
    from sharectl.render.pages.engine import require_templates
    from sharectl.workspace.publishing import publish
    from sharectl.workspace.report import read_saved_plan, report_of

    session = start(chdir)
    require_templates()
    from sharectl.render.pages.site import Site

    target = session.path(html)
    with session.repository.existing_store() as store:
        saved = None if plan is None else read_saved_plan(session.path(plan), store, session.project)
        published = publish(target, Site(report_of(store, datetime.now(UTC), saved)).pages())
    session.output.note(f"Wrote {published.pages:,} files; open {target / 'index.html'}.")
    if published.left is not None:
        session.output.note(
            f"The earlier report could not be removed as a whole: {published.left} is left. What sharectl did not write stays there."
        )
