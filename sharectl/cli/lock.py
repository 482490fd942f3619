"""`sharectl lock status`: who holds the lock of the state."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.render.formats import Format

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False, help="Show the lock of the state.")


@app.callback()
def lock() -> None:
    """Show the lock of the state."""


@app.command()
def status(*, output: Annotated[Format, opt.output("lock")] = Format.TEXT, chdir: opt.Chdir = Path()) -> None:
    """Show who holds the lock, since when, and whether it can be taken over."""
    from sharectl.cli.session import start

    session = start(chdir)
    with session.repository.existing_store() as store:
        held = store.lock_status()
    session.output.show("lock", output, held)
