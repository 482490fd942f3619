"""`sharectl lock status` and `sharectl unlock`: who holds the lock of the state, and taking it away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished
from sharectl.render.formats import Format

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False, help="Show the lock of the state.")


@app.callback()
def _lock() -> None:
    """Show the lock of the state."""


@app.command()
def status(*, output: Annotated[Format, opt.output("lock")] = Format.TEXT, chdir: opt.Chdir = Path()) -> None:
    """Show who holds the lock, since when, and whether it can be taken over."""
    from sharectl.cli.session import start

    session = start(chdir)
    with session.repository.existing_store() as store:
        held = store.lock_status()
    session.output.show("lock", output, held)


def unlock(*, yes: opt.Yes = False, chdir: opt.Chdir = Path()) -> None:
    """Remove the lock. A holder that is still alive can no longer write; the next apply resolves what it was doing."""
    from sharectl.cli.session import start
    from sharectl.render.state import lock_lines

    session = start(chdir)
    with session.repository.existing_store() as store:
        held = store.lock_status()
        session.output.write_lines(lock_lines(held))
        if held is None:
            return
        session.agree("Remove this lock?", yes=yes, refused="The lock stays.")
        removed = store.break_lock(held.token)
    session.output.note(
        "The lock is removed." if removed else "Somebody else has taken the lock in the meantime; it stays."
    )
    if not removed:
        raise Finished(ExitCode.FAILED)
