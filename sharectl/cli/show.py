"""`sharectl show`: what a share is, where it is, and how to mount it; or what a saved plan says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import code_of_findings, finish
from sharectl.cli.complete import complete_address
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.kinds import Kind, is_of, kind_of, resource_of
from sharectl.render.formats import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.cli.session import Session
    from sharectl.manifests.desired import Desired
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def show(
    subject: Annotated[
        str,
        typer.Argument(metavar="ADDRESS|PLAN", help="A resource, or a plan file.", autocompletion=complete_address),
    ],
    *,
    file: opt.Files = None,
    refresh: opt.RefreshMode = opt.Refresh.FULL,
    allow_unreadable: opt.AllowUnreadable = None,
    output: Annotated[Format, opt.output("plan", "resource")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show a resource: a share with its export locations, access and mount commands, a share server, a network; or a saved plan."""
    from sharectl.cli.runs import show_plan
    from sharectl.cli.session import start
    from sharectl.cli.values import parse_address
    from sharectl.workspace.backends import allowed_backends
    from sharectl.workspace.inspection import inspect_resource

    session = start(chdir, file)
    if session.path(Path(subject)).is_file():
        from sharectl.workspace.planfile import read_plan_file

        show_plan(session, read_plan_file(session.path(Path(subject))), output)
        return
    if output is Format.MARKDOWN:
        remedy = "--output text or json; markdown is for plans"
        raise DiagnosticError(error("usage.output", "a resource has no form in markdown", remedy=remedy))
    address = resource_of(parse_address(subject))
    desired, is_whole = session.readable({address})
    allowed = allowed_backends(allow_unreadable, desired.backends)
    ask = refresh is not opt.Refresh.NONE
    if kind_of(address) in {Kind.SHARE_SERVER, Kind.SHARE_NETWORK}:
        _show_tenancy(session, desired, address, output, ask=ask, allowed=allowed)
        return
    repository = session.repository
    with repository.store() as store, repository.backends(desired.backends) as backends:
        found = inspect_resource(
            desired, store, backends, address, ask=ask, nearest=lambda: repository.nearest(address, store)
        )
    view = found if is_whole else replace(found, manifest_is_unread=True)
    session.output.show("resource", output, view)
    _say_unread(session, view.diagnostics, view.record, allowed)


def _say_unread(
    session: Session, diagnostics: Sequence[Diagnostic], record: Record | None, allowed: frozenset[str]
) -> None:
    """Say what could not be looked at, and end with 1 where that was not allowed."""
    from sharectl.planner.backends.findings import unread_findings

    found = unread_findings(diagnostics, allowed, None if record is None else record.backend)
    if found:
        session.output.diagnostics(found)
    finish(code_of_findings(found))


def _show_tenancy(
    session: Session, desired: Desired, address: Address, output: Format, *, ask: bool, allowed: frozenset[str]
) -> None:
    """Show a share server or a share network."""
    from sharectl.workspace.tenancy import inspect_share_network, inspect_share_server

    diagnostics: tuple[Diagnostic, ...] = ()
    record: Record | None = None
    with session.repository.store() as store, session.repository.backends(desired.backends) as backends:
        if is_of(Kind.SHARE_SERVER, address):
            server = inspect_share_server(store, backends, address, ask=ask)
            diagnostics, record = server.diagnostics, server.record
            session.output.show("share_server", output, server)
        else:
            session.output.show("share_network", output, inspect_share_network(desired, store, address))
    _say_unread(session, diagnostics, record, allowed)
