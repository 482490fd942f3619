"""`sharectl clients`: lists of clients whose names are looked up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, finish

if TYPE_CHECKING:
    from sharectl.workspace.client_files import ListFile, Names

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    help="Keep ClientLists whose host names and netgroups are looked up here, and nowhere else.",
)


@app.callback()
def clients() -> None:
    """Keep ClientLists whose host names and netgroups are looked up here, and nowhere else."""


@app.command()
def resolve(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Host names, and netgroups as @NAME, added to those in the file."),
    ] = None,
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="The name of the ClientList; by default the file's.", metavar="LIST")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write the list to this file, or update the list in it.", metavar="FILE")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="Write nothing: exit with 2 if names in this list have other addresses now.", metavar="FILE"),
    ] = None,
    chdir: opt.Chdir = Path(),
) -> None:
    """Look host names and netgroups up, and print or write a ClientList with their addresses.

    Servers get addresses alone, so that no name service decides at mount time who gets in: a change of address is a change in git.
    If a name has no address, the exit code is 1 and nothing is written.
    """
    from sharectl.cli.session import standard_output, working_directory
    from sharectl.model.diagnostics import DiagnosticError, counted, error
    from sharectl.workspace.client_files import check_text, differences, new_list, read_list, write_list

    output, directory, file = standard_output(), working_directory.get() / chdir, write or check
    if (write and check) or (check and names):
        remedy = "--check takes a file alone, and looks up the names in it"
        raise DiagnosticError(error("usage.clients", "--check writes nothing and adds no name", remedy=remedy))
    path = None if file is None else directory / file
    known = read_list(path, name) if path is not None and (check or path.exists()) else None
    found = _look_up(known, names or [])
    changes = list(differences({} if known is None else known.names, found))
    if check:
        output.write_lines(changes)
        finish(ExitCode.CHANGES if changes else ExitCode.DONE)
        output.note(f"{file} is up to date.")
        return
    text = new_list(_name(name, path), found) if known is None else known.with_names(found)
    if path is None:
        output.write(text)
        return
    check_text(path, text, directory)
    if known is not None and text == known.text:
        output.note(f"{file} is up to date.")
        return
    write_list(path, text)
    output.note(f"Wrote {file}: {counted(len(changes), 'name')} with other addresses.")


def _look_up(known: ListFile | None, names: list[str]) -> Names:
    """Return the addresses of the names in the file and of these. Raises DiagnosticError where one has none."""
    from sharectl.model.diagnostics import DiagnosticError, error
    from sharectl.workspace.client_names import look_up

    wanted = [*(known.names if known is not None else ()), *names]
    if not wanted:
        summary = "there is no name to look up" if known is None else f"the list {known.name} has no name to look up"
        raise DiagnosticError(error("usage.clients", summary, remedy="name hosts, or netgroups as @NAME"))
    found = look_up(wanted)
    if found.problems:
        raise DiagnosticError(*found.problems)
    return dict(found.addresses)


def _name(name: str | None, path: Path | None) -> str:
    """Return the name of a new list. Raises DiagnosticError."""
    from sharectl.manifests.names import is_name
    from sharectl.model.diagnostics import DiagnosticError, error

    chosen = name or ("" if path is None else path.stem)
    if not is_name(chosen):
        summary = f"{chosen!r} cannot be the name of a ClientList" if chosen else "the ClientList has no name"
        remedy = "write --name LIST: 1 to 63 lower-case letters, digits, '-', '_' or '.'"
        raise DiagnosticError(error("usage.clients", summary, remedy=remedy))
    return chosen
