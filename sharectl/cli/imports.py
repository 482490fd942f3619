"""`sharectl import`: take over shares that exist on a backend."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished, code_of_findings, finish
from sharectl.cli.complete import complete_address, complete_backend
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.specs import Protocol
from sharectl.render.formats import Format

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.cli.session import Session
    from sharectl.workspace.imports import FoundImports
    from sharectl.workspace.run import LockedRun


def import_(
    address: Annotated[
        str | None,
        typer.Argument(metavar="[ADDRESS]", help="The share's address.", autocompletion=complete_address),
    ] = None,
    backend_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The backend's own id of the share.")] = None,
    *,
    backend: Annotated[
        str | None,
        typer.Option(help="The backend that holds it.", metavar="NAME", autocompletion=complete_backend),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Import everything that the backend holds.")] = False,
    write: Annotated[
        Path | None, typer.Option(help="Write manifests into this folder for shares that have none.", metavar="DIR")
    ] = None,
    size: Annotated[
        str,
        typer.Option(help="The size to write if the backend knows none.", metavar="SIZE"),
    ] = "1GiB",
    protocol: Annotated[
        Protocol, typer.Option(help="The protocol to write if the backend does not export the share yet.")
    ] = Protocol.NFS,
    file: opt.Files = None,
    yes: opt.Yes = False,
    lock_timeout: opt.LockTimeout = "0",
    output: Annotated[Format, opt.output("plan")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Take over shares as they are: data and access stay untouched, and the next plan is empty.

    `import ADDRESS ID` takes one, which has a manifest (or gets one with --write); a share in the trash comes back the same way.
    `import --backend B --all --write DIR` takes all that backend B holds, but for its trash.
    """
    from sharectl.cli.runs import RunChoices, run_locked
    from sharectl.cli.session import parse_address, parse_size, start
    from sharectl.workspace.import_manifests import manifest_path, manifest_text, outside_warning
    from sharectl.workspace.imports import ImportRequest, find_imports
    from sharectl.workspace.plans import Planner

    session = start(chdir, file)
    named = None if address is None else parse_address(address)
    request = ImportRequest(named, backend_id, backend, everything, parse_size(size), protocol)
    if file is not None and "-" in file:
        remedy = "name the files instead"
        raise DiagnosticError(
            error("usage.import", "import does not read manifests from standard input", remedy=remedy)
        )
    repository = session.repository
    desired = repository.desired()
    with repository.store() as store, repository.backends(desired.backends) as backends:
        found = find_imports(desired, store, backends, request, writes=write is not None)
    if not found.options.imports:
        if found.left_out:
            session.output.diagnostics(found.diagnostics)
            raise Finished(ExitCode.FAILED)
        session.output.note(f"Backend {backend} holds nothing that the state does not know.")
        return
    diagnostics = list(found.diagnostics)
    write_file = None
    if write is not None and found.documents:
        path, text = manifest_path(session.path(write), request), manifest_text(found)
        sources = [session.path(Path(name)) for name in file or ()]
        sources = sources or [session.project.root / name for name in session.project.manifests]
        diagnostics += outside_warning(path, sources)
        desired = repository.desired_with(text)
        write_file = partial(_write, session, path, text)

    if diagnostics:
        session.output.diagnostics(diagnostics)
    before = partial(_begin, found, write_file)
    run = RunChoices("import", "Import these?", yes, lock_timeout, output, before=before, writes=write_file is not None)
    run_locked(session, desired.backends, Planner(repository, desired, found.options, "none"), run)
    finish(ExitCode.FAILED if found.left_out else code_of_findings(found.diagnostics))


def _begin(found: FoundImports, write_file: Callable[[], None] | None, run: LockedRun) -> None:
    """Let the state remember what is taken over, before there are manifests that a plan could take for new shares."""
    from sharectl.workspace.imports import begin_imports

    begin_imports(run.store, run.lease, found.options.imports)
    if write_file is not None:
        write_file()


def _write(session: Session, path: Path, text: str) -> None:
    from sharectl.workspace.import_manifests import write_manifests

    write_manifests(path, text)
    session.output.note(f"Wrote {path}.")
