"""`sharectl trash`: what lies in the trash of the backends, and removing it for good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from sharectl.cli import options as opt
from sharectl.cli.codes import ExitCode, Finished, code_of_findings, finish
from sharectl.render.formats import Format

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.cli.session import Session
    from sharectl.model.backends import BackendSpec
    from sharectl.workspace.run import LockedRun
    from sharectl.workspace.trash import TrashedShare

_RESTORING = frozenset({"restore", "undelete", "recover"})


class _Commands(TyperGroup):
    """Tells the command that brings a share back to whoever looks for it here."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - the signature of the base class
        if args[0] in _RESTORING:
            ctx.fail(
                f"There is no command {args[0]!r} here: `sharectl import share/NAME ID` brings a share back with its data, and without access. "
                "`sharectl trash list` shows the IDs."
            )
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_Commands,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    help="Look into the trash of the backends, and empty it. `sharectl import ADDRESS ID` brings a share back.",
)


@app.command(name="list")
def list_(
    *,
    file: opt.Files = None,
    backend: opt.Backend = None,
    allow_unreadable: opt.AllowUnreadable = None,
    output: Annotated[Format, opt.output("trash")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """List the shares in the trash, oldest first; `sharectl import ADDRESS ID` brings one back."""
    from sharectl.cli.session import start
    from sharectl.planner.backends.findings import unread_findings
    from sharectl.render.state import trash_lines
    from sharectl.workspace.lookup import allowed_backends
    from sharectl.workspace.trash import look_into

    session = start(chdir, file)
    desired, _ = session.readable()
    specs, allowed = desired.backends, allowed_backends(allow_unreadable, desired.backends)
    with session.repository.store() as store, session.repository.backends(specs) as backends:
        found = look_into(specs, store, backends, frozenset(backend or ()))
    out = session.output
    if found.diagnostics and output is Format.TEXT:
        out.write_lines(trash_lines(found.shares, out.look, is_whole=False))
    else:
        out.show("trash", output, found.shares)
    diagnostics = unread_findings(found.diagnostics, allowed)
    if diagnostics:
        out.diagnostics(diagnostics)
    finish(code_of_findings(diagnostics))


@app.command()
def purge(
    subject: Annotated[
        str | None,
        typer.Argument(metavar="[ADDRESS|ID]", help="Only this: an address (all of that name), or the backend's id."),
    ] = None,
    *,
    older_than: Annotated[
        str | None, typer.Option(help="Only what has been there for at least this long: 12h, 7d.", metavar="TIME")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything in the trash, except what another state put there.")
    ] = False,
    backend: opt.Backend = None,
    allow_unreadable: opt.AllowUnreadable = None,
    file: opt.Files = None,
    yes: opt.Yes = False,
    lock_timeout: opt.LockTimeout = "0",
    chdir: opt.Chdir = Path(),
) -> None:
    """Remove shares in the trash for good, with their data. A share that the state holds is never touched."""
    from datetime import UTC, datetime

    from sharectl.cli.runs import locked
    from sharectl.cli.session import parse_duration_seconds, start
    from sharectl.planner.backends.findings import unread_findings
    from sharectl.render.state import strangers_in_trash, trash_lines
    from sharectl.workspace.lookup import allowed_backends
    from sharectl.workspace.trash import PurgeRequest, look_into, purgeable

    session = start(chdir, file)
    age_seconds = None if older_than is None else parse_duration_seconds(older_than)
    request = PurgeRequest(subject, age_seconds, everything)
    desired = session.repository.desired()
    specs, allowed = desired.backends, allowed_backends(allow_unreadable, desired.backends)
    out = session.output
    with locked(session, specs, "trash purge", lock_timeout) as (run, backends):
        trash = look_into(specs, run.store, backends, frozenset(backend or ()))
        diagnostics = unread_findings(trash.diagnostics, allowed)
        if diagnostics:
            out.diagnostics(diagnostics)
        finish(code_of_findings(diagnostics))
        doomed = purgeable(trash, request, datetime.now(UTC))
        if subject is None and (others := [one for one in trash.shares if not one.is_ours and one.held_by is None]):
            out.note(strangers_in_trash(others))
        if not doomed:
            out.note("Nothing in the trash matches.")
            return
        out.write_lines(trash_lines(doomed, out.look))
        count = "this share" if len(doomed) == 1 else f"these {len(doomed)} shares"
        session.agree(f"Remove {count} and all data in them? They cannot be recovered.", yes=yes)
        _purge(session, run, specs, doomed)


def _purge(session: Session, run: LockedRun, specs: Mapping[str, BackendSpec], doomed: Sequence[TrashedShare]) -> None:
    from sharectl.workspace.trash import purge as purge_shares

    def report(trashed: TrashedShare, problem: str) -> None:
        name = f"{trashed.share.backend_id} on {trashed.backend}"
        session.output.note(f"failed   {name}: {problem}" if problem else f"purged   {name}")

    failed = purge_shares(run, specs, doomed, report)
    session.output.note(f"{len(doomed) - failed} of {len(doomed)} purged.")
    if failed:
        raise Finished(ExitCode.FAILED)
