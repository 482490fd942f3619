"""`sharectl import`: take over shares that exist on a backend."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, code_of_findings, finish
from sharectl.cli.complete import complete_address, complete_backend
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.frozen import dataclass
from sharectl.model.specs import Protocol
from sharectl.render.formats import PLAIN, Format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharectl.cli.session import Session
    from sharectl.manifests.desired import Desired
    from sharectl.workspace.imports import FoundImports, ImportRequest
    from sharectl.workspace.run import LockedRun


def import_(
    address: Annotated[
        str | None,
        typer.Argument(metavar="[ADDRESS]", help="The share's address.", autocompletion=complete_address),
    ] = None,
    backend_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The share's id on the backend.")] = None,
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
    exports: Annotated[
        list[str] | None,
        typer.Option(
            help="Take over the folders of this file, as exports(5), with their clients; - for standard input; may be repeated.",
            metavar="FILE",
        ),
    ] = None,
    smb_conf: Annotated[
        str | None,
        typer.Option(
            help="Take over the folders of this smb.conf, with their users; - for standard input.", metavar="FILE"
        ),
    ] = None,
    file: opt.Files = None,
    yes: opt.Yes = False,
    lock_timeout: opt.LockTimeout = "0",
    output: Annotated[Format, opt.output("plan", "takeover", among=PLAIN)] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Take over shares as they are: data and access stay untouched, and the next plan is empty.

    `import ADDRESS ID` takes over one share, which has a manifest or gets one with --write; it also restores a share from the trash.
    `import --backend B --all --write DIR` takes over all that backend B holds, except its trash.
    `import --backend B --exports FILE --smb-conf FILE` says what becomes of an /etc/exports, an smb.conf or both, line by line; with --write DIR it takes over what lies on backend B.
    """
    from sharectl.cli.session import parse_address, parse_size, start
    from sharectl.workspace.imports import ImportRequest, find_imports

    session = start(chdir, file)
    named = None if address is None else parse_address(address)
    if file is not None and "-" in file:
        remedy = "name the files instead"
        raise DiagnosticError(
            error("usage.import", "import does not read manifests from standard input", remedy=remedy)
        )
    request = ImportRequest(named, backend_id, backend, everything, parse_size(size), protocol)
    choices = _Choices(write, tuple(file or ()), yes, lock_timeout, output)
    repository = session.repository
    desired = repository.desired()
    if exports is not None or smb_conf is not None:
        _take_over(session, desired, request, (tuple(exports or ()), smb_conf), choices)
        return
    with repository.store() as store, repository.backends(desired.backends) as backends:
        found = find_imports(desired, store, backends, request, writes=write is not None)
    if found.options.imports:
        _import(session, desired, request, found, choices)
        finish(ExitCode.FAILED if found.left_out else code_of_findings(found.diagnostics))
    elif found.left_out:
        session.output.diagnostics(found.diagnostics)
        finish(ExitCode.FAILED)
    else:
        session.output.note(f"Backend {backend} holds nothing that the state does not know.")


@dataclass(frozen=True, slots=True)
class _Choices:
    """The choices of the command line: where manifests are written, where they are read from, and how the import runs."""

    write: Path | None
    files: tuple[str, ...]
    yes: bool
    lock_timeout: str
    output: Format


def _take_over(
    session: Session,
    desired: Desired,
    request: ImportRequest,
    files: tuple[Sequence[str], str | None],
    choices: _Choices,
) -> None:
    """Show what becomes of files of other servers, and import what is found where manifests are to be written."""
    from sharectl.workspace.server_files import read_exports_files, read_smb_conf_file
    from sharectl.workspace.takeover import TakeoverRequest, find_takeover

    if request.address is not None or request.everything or request.backend is None:
        remedy = "name the backend with --backend, and neither an address nor --all"
        raise DiagnosticError(
            error("usage.import", "files of other servers are taken over for one backend", remedy=remedy)
        )
    if choices.write is not None and choices.output is Format.JSON and not choices.yes:
        summary = "nobody can be asked: with --output json the plan is not shown"
        raise DiagnosticError(error("usage.no-question", summary, remedy="pass --yes, or leave --write out"))
    repository = session.repository
    exports, smb_conf = files
    if [*exports, smb_conf].count("-") > 1:
        raise DiagnosticError(error("usage.import", "standard input is one file", remedy="name the other"))
    clients = read_exports_files(exports, repository.directory, repository.stdin)
    smb = None if smb_conf is None else read_smb_conf_file(smb_conf, repository.directory, repository.stdin)
    asked = TakeoverRequest(request.backend, clients, smb, request.size_bytes, request.protocol)
    with repository.store() as store, repository.backends(desired.backends) as backends:
        takeover = find_takeover(desired, store, backends, asked, str(session.project.root))
    session.output.show("takeover", choices.output, takeover.report, on_one_line=choices.write is not None)
    if choices.write is not None and takeover.imports.options.imports:
        _import(session, desired, replace(request, everything=True), takeover.imports, choices)
        finish(code_of_findings(takeover.imports.diagnostics))
    elif takeover.imports.diagnostics:
        session.output.diagnostics(takeover.imports.diagnostics)
    finish(ExitCode.DONE if takeover.report.is_whole else ExitCode.CHANGES)


def _import(session: Session, desired: Desired, request: ImportRequest, found: FoundImports, choices: _Choices) -> None:
    """Take the shares over, and write the manifests of those that have none; ends the command where something fails."""
    from sharectl.cli.runs import RunChoices, run_locked
    from sharectl.workspace.import_manifests import manifest_path, manifest_text, outside_warning
    from sharectl.workspace.plans import Planner

    diagnostics = list(found.diagnostics)
    write_file = None
    if choices.write is not None and found.documents:
        path, text = manifest_path(session.path(choices.write), request), manifest_text(found)
        sources = [session.path(Path(name)) for name in choices.files]
        sources = sources or [session.project.root / name for name in session.project.manifests]
        diagnostics += outside_warning(path, sources)
        desired = session.repository.desired_with(text)
        write_file = partial(_write, session, path, text)
    if diagnostics:
        session.output.diagnostics(diagnostics)
    run = RunChoices(
        "import",
        "Import these?",
        choices.yes,
        choices.lock_timeout,
        choices.output,
        before=partial(_begin, found, write_file),
        writes=write_file is not None,
    )
    run_locked(session, desired.backends, Planner(session.repository, desired, found.options, "none"), run)


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
