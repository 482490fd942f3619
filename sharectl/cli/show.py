"""`sharectl show`, `explain` and `graph`: one resource, why it is where it is, and what depends on what."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished, code_of_findings, code_of_plan, finish
from sharectl.cli.complete import complete_address, complete_backend
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
    from sharectl.cli.planning import show_plan
    from sharectl.cli.session import parse_address, start
    from sharectl.planner.selection import set_named
    from sharectl.workspace.inspection import inspect_access_rule, inspect_resource
    from sharectl.workspace.lookup import allowed_backends

    session = start(chdir, file)
    if session.path(Path(subject)).is_file():
        from sharectl.workspace.planfile import read_plan_file

        show_plan(session, read_plan_file(session.path(Path(subject))), output)
        return
    if output not in {Format.TEXT, Format.JSON}:
        remedy = f"--output text or json; {output.value} is for plans"
        raise DiagnosticError(error("usage.output", f"a resource has no form in {output.value}", remedy=remedy))
    address = resource_of(parse_address(subject))
    needs_all = is_of(Kind.CLIENT_LIST, address) or is_of(Kind.ACCESS_RULE, address)
    desired, is_whole = session.readable(None if needs_all else {address})
    if (of_set := set_named(desired, address, "show.set", "`sharectl show {share}`")) is not None:
        raise DiagnosticError(of_set)
    allowed = allowed_backends(allow_unreadable, desired.backends)
    ask = refresh is not opt.Refresh.NONE
    if kind_of(address) in {Kind.SHARE_SERVER, Kind.SHARE_NETWORK}:
        _show_tenancy(session, desired, address, output, ask=ask, allowed=allowed)
        return
    repository = session.repository
    if is_of(Kind.ACCESS_RULE, address):
        with repository.store() as store:
            session.output.show("resource", output, inspect_access_rule(desired, store, address))
        return
    with repository.store() as store, repository.backends(desired.backends) as backends:
        found = inspect_resource(
            desired, store, backends, address, ask=ask, nearest=lambda: repository.nearest(address, store)
        )
    view = found if is_whole else replace(found, manifest_is_unread=True)
    session.output.show("resource", output, view)
    if output is Format.TEXT and view.record is not None and view.observed is None:
        from datetime import UTC, datetime

        from sharectl.render.freshness import freshness_text

        session.output.note(freshness_text(view.freshness, datetime.now(UTC)))
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
    from sharectl.workspace.inspection import inspect_share_network, inspect_share_server

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


def explain(
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="[ADDRESS]",
            help="A share with a manifest; by default the one new share.",
            autocompletion=complete_address,
        ),
    ] = None,
    *,
    file: opt.Files = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="Explain it as a plan with this --backend would place it.",
            metavar="NAME",
            autocompletion=complete_backend,
        ),
    ] = None,
    allow_unreadable: opt.AllowUnreadable = None,
    output: Annotated[Format, opt.output("explanation")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show each pool, with the filter that refuses the share and the figures, or with its weight by weigher.

    If the files named with -f hold no Backend, they are read together with the project's manifests.
    """
    from sharectl.cli.session import parse_address, start
    from sharectl.planner.backends.findings import UNREAD_CODES
    from sharectl.workspace.explanation import Inquiry, explain_share

    session = start(chdir, file)
    wanted = None if address is None else parse_address(address)
    inquiry = Inquiry(wanted, frozenset(backend or ()), frozenset(allow_unreadable or ()))
    with session.repository.store() as store:
        explained = explain_share(session.repository, store, inquiry)
    session.output.show("explanation", output, explained)
    found = explained.diagnostics
    if found:
        session.output.diagnostics(found)
    finish(code_of_findings(one for one in found if one.code in UNREAD_CODES))


class GraphFormat(StrEnum):
    """How the graph is written."""

    DOT = "dot"
    MERMAID = "mermaid"


@opt.taking_plan_choices("file", "refresh", "allow_unreadable")
def graph(
    *,
    choices: opt.PlanChoices,
    style: Annotated[GraphFormat, typer.Option("--format", help="For Graphviz or for Markdown.")] = GraphFormat.DOT,
    steps: Annotated[
        bool,
        typer.Option("--steps", help="Draw the steps of the plan and what each waits for, instead of the manifests."),
    ] = False,
    chdir: opt.Chdir = Path(),
) -> None:
    """Draw what depends on what: the manifests, or with --steps the plan that apply would walk."""
    from sharectl.cli.session import start
    from sharectl.manifests.dependencies import dependency_edges
    from sharectl.render.graph import dot, mermaid

    session = start(chdir, choices.file)
    code = ExitCode.DONE
    if steps:
        from sharectl.cli.planning import planned, planner

        plan = planned(session, planner(session, replace(choices, allow_empty=True)))
        nodes = [step.step_id for step in plan.steps]
        edges = [(step.step_id, needed) for step in plan.steps for needed in step.waits_for]
        if plan.diagnostics:
            session.output.diagnostics(plan.diagnostics)
        if plan.is_stopped:
            raise Finished(ExitCode.FAILED)
        code = code_of_plan(plan)
    else:
        from sharectl.workspace.inspection import server_edges

        desired = session.repository.desired()
        edges = dependency_edges(desired, sorted(desired.addresses))
        with session.repository.store() as store:
            edges += server_edges(store)
        nodes = sorted({*desired.addresses, *(node for edge in edges for node in edge)})
    session.output.write((dot if style is GraphFormat.DOT else mermaid)(nodes, edges))
    finish(code)
