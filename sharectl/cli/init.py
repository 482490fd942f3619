"""`sharectl init`: write a small repository that works."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class Forge(StrEnum):
    """Where the repository will be, and its CI run."""

    GITHUB = "github"
    GITLAB = "gitlab"


@app.command()
def init(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where to write it; made if it is not there.")
    ] = Path(),
    *,
    forge: Annotated[Forge, typer.Option("--ci", help="The forge whose CI runs the workflow.")] = Forge.GITHUB,
) -> None:
    """Write a small repository that works: a backend, a share type, a share, and a CI job."""
    from sharectl.cli.session import standard_output, working_directory
    from sharectl.workspace.init import IGNORE_FILE, write_repository

    output = standard_output()
    chosen = working_directory.get() / directory
    written = write_repository(chosen, forge.value)
    for name in written:
        output.write(f"{chosen / name}\n")
    if IGNORE_FILE not in written:
        output.note(f"{chosen / IGNORE_FILE} is there already and stays as it is; add .sharectl/ and storage/ to it.")
    where = "" if chosen == Path() else f" -C {shlex.quote(str(chosen))}"
    output.note(f"Next: sharectl{where} plan")
