"""`sharectl init`: write a small repository that works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where; made if it is not there.")] = Path(),
) -> None:
    """Write a small repository that works: a backend, a share type, a share, and a CI job."""
    from sharectl.cli.session import standard_output
    from sharectl.scaffold import write_repository

    output = standard_output()
    for name in write_repository(directory):
        output.write(f"{directory / name}\n")
    where = "" if directory == Path() else f"cd {directory} && "
    output.note(f"Next: {where}sharectl plan")
