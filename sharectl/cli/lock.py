"""`sharectl lock status`: who holds the lock of the state."""

from __future__ import annotations

from pathlib import Path

import typer

from sharectl.cli import options as opt

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False, help="Show the lock of the state.")


@app.callback()
def lock() -> None:
    """Show the lock of the state."""


@app.command()
def status(*, output: opt.DataOutput = opt.DataFormat.TEXT, chdir: opt.Chdir = Path()) -> None:
    """Show who holds the lock, since when, and whether it can be taken over."""
    from sharectl.cli.session import start
    from sharectl.render.lock import lock_lines, lock_object

    session = start(chdir)
    with session.repository.existing_store() as store:
        held = store.lock_status()
    if output is opt.DataFormat.JSON:
        session.output.write_json(lock_object(held))
    else:
        session.output.write_lines(lock_lines(held))
