"""`sharectl fmt`: the fields of manifests in the order of the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, finish


def fmt(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help="Files and folders; - for standard input. By default, the project's."),
    ] = None,
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing: name the files that would change, and exit with 2 if there are any."
        ),
    ] = False,
    expand: Annotated[
        bool,
        typer.Option(
            "--expand",
            help="Also replace ShareSets by a Share document for each share. Comments within a set are lost.",
        ),
    ] = False,
    chdir: opt.Chdir = Path(),
) -> None:
    """Put the fields of manifests into the order of the reference. Comments, quotes and values stay as they are."""
    from sharectl.cli.session import start_looking
    from sharectl.model.diagnostics import counted, has_errors, listed
    from sharectl.workspace.arrangement import arrange, write

    session, problems = start_looking(chdir, paths)
    repository, project = session.repository, session.project
    names = list(paths or [*project.manifests, *([] if project.file is None else [project.file.name])])
    directory = repository.directory if paths else project.root
    stdin = None if repository.stdin is None or "-" not in names else repository.stdin.again()
    files, found = arrange(names, directory, stdin, expand=project if expand else None)
    diagnostics = [*problems, *found]
    changed = [file for file in files if file.after != file.before]
    for file in files if not check else ():
        if file.path is None:
            session.output.write(file.after)
    for file in changed:
        problem = None if check else write(file)
        if problem is not None:
            diagnostics.append(problem)
        elif check or file.path is not None:
            session.output.write(f"{file.shown}\n")
    if diagnostics:
        session.output.diagnostics(diagnostics)
    left = [file.shown for file in files if file.is_left]
    if left:
        session.output.note(f"Left as they are, for they use YAML aliases, whose order matters: {listed(left)}.")
    finish(ExitCode.FAILED if has_errors(diagnostics) else ExitCode.CHANGES if check and changed else ExitCode.DONE)
    if not changed and len(files) > len(left):
        session.output.note(f"{counted(len(files) - len(left), 'file is', 'files are')} in order.")
