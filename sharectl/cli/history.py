"""`sharectl history`: who changed what, when, and what failed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.complete import complete_address, complete_run
from sharectl.render.formats import Format

_ADDRESS_HELP = "Only this resource."


def history(
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDRESS]", help=_ADDRESS_HELP, autocompletion=complete_address)
    ] = None,
    *,
    named: Annotated[
        str | None,
        typer.Option("--address", help=_ADDRESS_HELP, metavar="ADDRESS", autocompletion=complete_address),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only since then: 2h, 7d, 2026-05-04 or 2026-05-04T12:00 (UTC).", metavar="TIME"),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(help="Only by this account, actor of a forge, or author of a commit.", metavar="NAME"),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            help="Only this run: the beginning of its id, or `last`.", metavar="RUN", autocompletion=complete_run
        ),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only what failed.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many entries, newest first.", min=1)] = 50,
    output: Annotated[Format, opt.output("history")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show what was done, newest first: when, by whom, from which commit and CI job, what changed, and the errors of what failed."""
    from datetime import UTC, datetime
    from itertools import chain

    from sharectl.cli.session import parse_address, parse_time, start
    from sharectl.model.diagnostics import DiagnosticError, error
    from sharectl.model.kinds import resource_of
    from sharectl.model.records import HistoryFilter
    from sharectl.workspace.lookup import require_run, require_user

    session = start(chdir)
    if address is not None and named is not None:
        raise DiagnosticError(error("usage.address", "an address is given twice", remedy="leave --address out"))
    chosen = named if address is None else address
    wanted = None if chosen is None else parse_address(chosen)
    begin = None if since is None else parse_time(since, datetime.now(UTC))
    with session.repository.existing_store() as store:
        run_id = None if run is None else require_run(store, run).run_id
        among = HistoryFilter(run_id, begin, user, failed)
        found = store.history(address=wanted, limit=limit, among=among)
        newest = next(found, None)
        if newest is None and user is not None:
            require_user(store, user)
        if wanted is not None and newest is None and not session.repository.knows(resource_of(wanted), store):
            from sharectl.planner.selection import set_named

            desired = session.repository.load({wanted}).desired
            of_set = set_named(desired, wanted, "state.unknown-address", "`sharectl history {share}`")
            if of_set is not None:
                raise DiagnosticError(of_set)
            summary = (
                f"there is no {wanted}, neither in the manifests nor in the state, and nothing was ever done to it"
            )
            remedy = session.repository.nearest(wanted, store) or "`sharectl state list` names what there is"
            raise DiagnosticError(error("state.unknown-address", summary, remedy=remedy, address=wanted))
        lines = found if newest is None else chain((newest,), found)
        if output is Format.TEXT:
            is_part = wanted is not None or among != HistoryFilter()
            session.output.show("history", output, lines, is_part=is_part)
        else:
            session.output.show("history", output, lines)
