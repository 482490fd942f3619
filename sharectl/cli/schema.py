"""`sharectl schema`: the JSON Schemas of the manifests, for editors and checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Which schema; without one, their names are listed.")
    ] = None,
    *,
    write: Annotated[Path | None, typer.Option(help="Write all schemas into this folder.", metavar="DIR")] = None,
) -> None:
    """Print a JSON Schema (2020-12), or write all of them: editors then check and explain manifests as they are typed."""
    from sharectl.cli.session import standard_output, working_directory
    from sharectl.manifests.schemas import schema_names, schema_text
    from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error

    output = standard_output()
    names = schema_names()
    if write is not None:
        folder = working_directory.get() / write
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for known in names:
                (folder / f"{known}.schema.json").write_text(schema_text(known), encoding="utf-8")
        except OSError as problem:
            summary = f"{problem.filename} could not be written: {problem.strerror}"
            raise DiagnosticError(error("schema.unwritable", summary, remedy="name a folder that can be")) from problem
        output.note(f"Wrote {len(names)} schemas into {write}.")
    elif name is None:
        output.write_lines(names)
    elif name in names:
        output.write(schema_text(name))
    else:
        raise DiagnosticError(
            error("usage.schema", f"there is no schema {name}", remedy=did_you_mean(name, names) or ", ".join(names))
        )
