"""`sharectl init` and `sharectl schema`: what there is before the first manifest."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Forge(StrEnum):
    """Where the repository will be, and its CI run."""

    GITHUB = "github"
    GITLAB = "gitlab"


class StateKind(StrEnum):
    """Where the state will be, and with that on which runners the workflow runs."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write it; made if needed.")] = Path(),
    *,
    forge: Annotated[Forge, typer.Option("--ci", help="The forge whose CI runs the workflow.")] = Forge.GITHUB,
    state: Annotated[
        StateKind,
        typer.Option(help="A file on a runner of your own, or a database for runners that come and go."),
    ] = StateKind.SQLITE,
) -> None:
    """Write a small repository that works: a backend, a share type, a share, and a CI job."""
    from sharectl.cli.session import standard_output, working_directory
    from sharectl.workspace.init import IGNORE_FILE, write_repository

    output = standard_output()
    chosen = working_directory.get() / directory
    written = write_repository(chosen, forge.value, state.value)
    for name in written:
        output.write(f"{chosen / name}\n")
    if IGNORE_FILE not in written:
        output.note(f"{chosen / IGNORE_FILE} is there already and stays as it is; add .sharectl/ and storage/ to it.")
    where = "" if chosen == Path() else f" -C {shlex.quote(str(chosen))}"
    if state is StateKind.POSTGRESQL:
        output.note("Say in sharectl.yaml where your database is, and in backends.yaml where your storage is.")
    output.note(f"Next: sharectl{where} plan")


def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Which schema; without one, their names are listed.")
    ] = None,
    *,
    write: Annotated[
        Path | None, typer.Option(help="Write all schemas of manifests into this folder.", metavar="DIR")
    ] = None,
    kustomize: Annotated[
        Path | None,
        typer.Option(
            help="Write a component for kustomize into this folder: which fields are names, and how patches are merged.",
            metavar="DIR",
        ),
    ] = None,
) -> None:
    """Print a JSON Schema (2020-12), or write those of manifests, with which editors check and explain them as you type.

    They include the settings of the installed drivers, and the defaults of the project. `sharectl-plan` and the others describe what commands write with
    `--output json`.
    """
    from sharectl.cli.session import standard_output, working_directory
    from sharectl.manifests.schemas import schema_names
    from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error
    from sharectl.private import way_out
    from sharectl.render.outputs import output_names, schema_of_output
    from sharectl.workspace.editor_schemas import (
        defaults_near,
        editor_schema,
        write_kustomize_component,
        write_schemas,
    )

    output = standard_output()
    names, outputs = schema_names(), output_names()
    if write is not None or kustomize is not None:
        here = working_directory.get()
        try:
            if write is not None:
                count = write_schemas(here / write, defaults_near(here))
                output.note(f"Wrote {count} schemas into {write}.")
            if kustomize is not None:
                count = write_kustomize_component(here / kustomize)
                output.note(f"Wrote {count} files into {kustomize}; name the folder under `components` of the base.")
        except OSError as problem:
            summary = f"the schemas could not be written to {write or kustomize}: {problem.strerror}"
            remedy = way_out(problem, "name a folder that can be")
            raise DiagnosticError(error("schema.unwritable", summary, remedy=remedy)) from problem
    elif name is None:
        output.write_lines((*names, *outputs))
    elif name in names:
        output.write(editor_schema(name, defaults_near(working_directory.get())))
    elif name in outputs:
        output.write(schema_of_output(name))
    else:
        near = did_you_mean(name, (*names, *outputs)) or ", ".join(names)
        raise DiagnosticError(error("usage.schema", f"there is no schema {name}", remedy=near))
