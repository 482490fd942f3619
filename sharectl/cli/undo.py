"""`sharectl diff` and `sharectl undo`: what a run changed, and what takes that back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished
from sharectl.cli.complete import complete_run
from sharectl.render.formats import Format

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="The beginning of its id, as `history` shows it, or `last`.", autocompletion=complete_run
    ),
]


def diff(run: Run, *, output: Annotated[Format, opt.output("diff")] = Format.TEXT, chdir: opt.Chdir = Path()) -> None:
    """Show what a run changed, field by field, before and after, as the history has it, and what was not recorded."""
    from sharectl.cli.session import start
    from sharectl.workspace.run_changes import changes_of_run

    session = start(chdir)
    with session.repository.existing_store() as store:
        changes = changes_of_run(store, run)
    session.output.show("diff", output, changes)


def undo(run: Run, *, output: Annotated[Format, opt.output("undo")] = Format.TEXT, chdir: opt.Chdir = Path()) -> None:
    """Write the reverse of a run as a patch to the manifests, for `git apply` and a review, and say what cannot be undone.

    Changes nothing. The patch leaves out what has changed in a manifest since, and the output says so. Exits with 1 if
    something is lost, not in the patch, or refused by a plan.
    """
    from sharectl.cli.session import start
    from sharectl.render.patch import patch_text
    from sharectl.render.run_changes import undo_notes
    from sharectl.workspace.run_changes import changes_of_run
    from sharectl.workspace.undo import addresses_of, undo_of

    session = start(chdir)
    with session.repository.existing_store() as store:
        changes = changes_of_run(store, run)
    desired, _ = session.readable(addresses_of(changes))
    found = undo_of(changes, desired, session.project)
    if output is Format.TEXT:
        session.output.write(patch_text(found.files))
        for note in undo_notes(changes, found):
            session.output.note(note)
    else:
        session.output.show("undo", output, changes, found)
    if found.lost or found.left or found.refused:
        raise Finished(ExitCode.FAILED)
