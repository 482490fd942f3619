"""`sharectl init`: write a small repository that works."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where; made if it is not there.")] = Path(),
) -> None:
    """Write a small repository that works: a backend, a share type, a share, and a CI job."""
    from sharectl.cli.session import standard_output, working_directory
    from sharectl.scaffold import write_repository

    output = standard_output()
    chosen = working_directory.get() / directory
    for name in write_repository(chosen):
        output.write(f"{chosen / name}\n")
    where = "" if chosen == Path() else f" -C {shlex.quote(str(chosen))}"
    output.note(f"Next: sharectl{where} plan")
