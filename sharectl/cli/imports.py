"""`sharectl import`: take over shares that exist on a backend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.complete import complete_address, complete_backend

app = typer.Typer(rich_markup_mode=None)


@app.command(name="import")
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
    everything: Annotated[bool, typer.Option("--all", help="Take over everything that the backend holds.")] = False,
    write: Annotated[
        Path | None, typer.Option(help="Write manifests for what has none into this folder.", metavar="DIR")
    ] = None,
    file: opt.Files = None,
    yes: opt.Yes = False,
    lock_timeout: opt.LockTimeout = "0",
    output: opt.Output = opt.Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Take over shares as they are: data and access stay untouched, and the next plan is empty.

    `import ADDRESS ID` takes one, which has a manifest (or gets one with --write); a share in the trash comes back the same way.
    `import --backend B --all --write DIR` takes all that backend B holds.
    """
    from sharectl.cli.applying import RunWords, run_locked
    from sharectl.cli.planning import planned
    from sharectl.cli.session import desired_of, opened_store, parse_address, start
    from sharectl.importing import Wish, find_imports, write_manifests
    from sharectl.workspace import load_manifests, opened_backends

    session = start(chdir)
    wish = Wish(None if address is None else parse_address(address), backend_id, backend, everything)
    desired = desired_of(session, file)
    with opened_store(session) as store, opened_backends(desired.backends, session.project) as backends:
        found = find_imports(desired, store, backends, wish, writes=write is not None)
    if write is not None and found.documents:
        target = write if write.is_absolute() else session.directory / write
        path = write_manifests(target, wish, found)
        session.output.note(f"Wrote {path}.")
        loaded = load_manifests(
            session.project, [*(file or session.project.manifests), str(path)], directory=session.project.root
        )
        desired = loaded.desired
    run_locked(
        session,
        desired.backends,
        lambda store, backends: planned(session, desired, store, backends, found.options, "none"),
        RunWords("import", "Take these over?", yes, lock_timeout, output),
    )
