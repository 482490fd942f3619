"""`sharectl worker` and `sharectl workers`: serving a backend for runs elsewhere, and who serves what."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.complete import complete_backend
from sharectl.render.formats import Format

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=False,
    add_completion=False,
    help="Show the workers, and admit and dismiss their roles.",
)


def worker(
    *,
    backend: Annotated[
        str, typer.Option(help="The backend to serve.", metavar="NAME", autocompletion=complete_backend)
    ],
    heartbeat_file: Annotated[
        Path | None, typer.Option(help="A file that the worker touches while it lives, for a probe.", metavar="FILE")
    ] = None,
    chdir: opt.Chdir = Path(),
) -> None:
    """Serve a nearby backend: claim the calls of runs elsewhere, make them, and record how they end.

    As a systemd unit with Type=notify, it tells systemd when it serves, and feeds WatchdogSec.
    """
    from sharectl.cli.session import start
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.heartbeat import Heartbeat
    from sharectl.workspace.worker import serve, spec_of, timed

    session = start(chdir)
    desired = session.repository.desired(only=())
    spec = spec_of(desired.backends, backend, session.project)
    backends = Backends({backend: spec}, str(session.project.root))
    file = None if heartbeat_file is None else session.path(heartbeat_file)
    tell = timed(session.output.note)
    try:
        serve(session.project, spec, backends, tell, Heartbeat(file, os.environ, tell))
    finally:
        problems = backends.close()
        if problems:
            session.output.diagnostics(problems)


@app.callback(invoke_without_command=True)
def workers(
    context: typer.Context,
    *,
    output: Annotated[Format, opt.output("workers")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show who serves which backend, and what runs there."""
    if context.invoked_subcommand is not None:
        return
    from sharectl.cli.session import start
    from sharectl.workspace.remote import workers_of

    session = start(chdir)
    seen, holding = workers_of(session.project)
    session.output.show("workers", output, seen, session.project.execution.remote, holding)


@app.command()
def admit(
    *,
    role: Annotated[str, typer.Option(help="The role in the database.", metavar="ROLE")],
    backend: Annotated[
        str, typer.Option(help="The backend that it may serve.", metavar="NAME", autocompletion=complete_backend)
    ],
    chdir: opt.Chdir = Path(),
) -> None:
    """Let a database role serve a backend as a worker, without access to any table."""
    from sharectl.cli.session import start
    from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error
    from sharectl.workspace.remote import admit_role

    session = start(chdir)
    known = list(session.repository.desired(only=()).backends)
    if backend not in known:
        remedy = did_you_mean(backend, known) or "put its Backend manifest into the repository first"
        raise DiagnosticError(error("usage.backend", f"there is no backend {backend} in the manifests", remedy=remedy))
    left = admit_role(session.project, role, backend)
    session.output.note(f"The role {role} may serve backend {backend}.")
    if left:
        session.output.note(
            f"So that none of its sessions can be in the way for long, let somebody who may alter it run: {left}"
        )


@app.command()
def dismiss(
    *,
    role: Annotated[str, typer.Option(help="The role in the database.", metavar="ROLE")],
    backend: Annotated[
        str,
        typer.Option(help="The backend that it served.", metavar="NAME", autocompletion=complete_backend),
    ],
    now: Annotated[
        bool, typer.Option("--now", help="Also take over the calls that it has begun, and end its database sessions.")
    ] = False,
    chdir: opt.Chdir = Path(),
) -> None:
    """Stop a database role from serving a backend: its workers claim nothing new, and finish what runs."""
    from sharectl.cli.session import start
    from sharectl.workspace.remote import dismiss_role

    session = start(chdir)
    under_way, ended = dismiss_role(session.project, role, backend, at_once=now)
    session.output.note(f"The role {role} may serve backend {backend} no more.")
    calls = f"{under_way} call{'s' * (under_way != 1)}"
    if now:
        session.output.note(
            f"{ended} of its sessions ended; {calls} that it was making can be taken over when the lease on them has run out."
        )
    elif under_way:
        session.output.note(f"It still makes {calls}, to their end.")
