"""`sharectl unlock`: take the lock away from a holder that is certainly dead."""

from __future__ import annotations

from pathlib import Path

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
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
