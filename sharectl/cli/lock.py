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
    """Show who holds the lock, of what, since when, and whether it can be taken over."""
    from sharectl.cli.session import start

    session = start(chdir)
    with session.repository.existing_store() as store:
        held, promises = store.leases(), session.repository.promises(store)
    session.output.show("lock", output, held, promises)


def unlock(
    token: Annotated[
        int | None,
        typer.Argument(metavar="[TOKEN]", help="Which lock, if there are several: `lock status` shows them."),
    ] = None,
    *,
    yes: opt.Yes = False,
    chdir: opt.Chdir = Path(),
) -> None:
    """Remove the lock. A holder that is still alive can no longer write; the next apply resolves what it was doing."""
    from sharectl.cli.session import start
    from sharectl.model.diagnostics import DiagnosticError, error
    from sharectl.render.state import lock_lines

    session = start(chdir)
    with session.repository.existing_store() as store:
        held = [status for status in store.leases() if token in {None, status.token}]
        if token is not None and not held:
            remedy = "`sharectl lock status` shows those that there are"
            raise DiagnosticError(error("usage.lock", f"there is no lock {token}", remedy=remedy))
        session.output.write_lines(lock_lines(held))
        if not held:
            return
        if len(held) > 1:
            summary = f"there are {len(held)} locks, and one is to be named"
            raise DiagnosticError(error("usage.lock", summary, remedy="sharectl unlock TOKEN"))
        session.agree("Remove this lock?", yes=yes, refused="The lock stays.")
        removed = store.break_lock(held[0].token)
    session.output.note(
        "The lock is removed."
        if removed
        else "This lock is gone already; `sharectl lock status` shows whether there is another."
    )
    if not removed:
        raise Finished(ExitCode.FAILED)
