"""`sharectl pools`: what the backends' pools hold and can do."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.codes import code_of_findings, finish
from sharectl.cli.complete import complete_backend
from sharectl.render.formats import Format


class Sort(StrEnum):
    """What the pools are ordered by."""

    NAME = "name"
    FREE = "free"
    USED = "used"
    TOTAL = "total"
    PROVISIONED = "provisioned"


def pools(
    *,
    file: opt.Files = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(help="Only the pools of this backend.", metavar="NAME", autocompletion=complete_backend),
    ] = None,
    share_type: Annotated[
        str | None, typer.Option("--type", help="Only the pools that this share type may use.", metavar="NAME")
    ] = None,
    sort: Annotated[Sort, typer.Option(help="Order by name, or by a figure, largest first.")] = Sort.NAME,
    after_plan: Annotated[
        bool, typer.Option("--after-plan", help="Show what is left once the manifests are applied.")
    ] = False,
    simulate: Annotated[
        str | None,
        typer.Option(help='How many more shares would fit, and where: "100x50GiB type=gold".', metavar="PATTERN"),
    ] = None,
    allow_unreadable: opt.AllowUnreadable = None,
    output: Annotated[Format, opt.output("pools")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show every pool with its capacity and capabilities, as the scheduler sees it.

    If the files named with -f hold no Backend, they are read together with the project's manifests.
    """
    from sharectl.cli.session import start
    from sharectl.planner.backends.findings import unread_findings
    from sharectl.render.pools import PoolsView, SortKey, sorted_pools
    from sharectl.workspace.capacity import pools_after_plan, pools_of_type, promised_room, survey_pools
    from sharectl.workspace.lookup import allowed_backends

    session = start(chdir, file)
    pattern = None
    if simulate is not None:
        from sharectl.scheduler.simulation import parse_pattern

        pattern = parse_pattern(simulate)
    repository = session.repository
    desired = (repository.desired_beside() if after_plan else session.readable(beside=True))[0]
    allowed = allowed_backends(allow_unreadable, desired.backends)
    after = None
    with repository.backends(desired.backends) as backends:
        found, diagnostics = survey_pools(desired, backends, frozenset(backend or ()))
        if after_plan:
            with repository.store() as store:
                forecast = pools_after_plan(session.project, desired, store, backends, found, repository.elsewhere())
            after = {pool.host: pool for pool in forecast.pools}
            diagnostics = tuple(dict.fromkeys((*diagnostics, *forecast.diagnostics)))
        else:
            diagnostics = (*diagnostics, *promised_room(repository, found))
    out = session.output
    simulation = None
    if pattern is not None:
        from sharectl.scheduler.simulation import simulate as simulate_shares

        room = found if after is None else tuple(after.values())
        simulation = simulate_shares(room, session.project.scheduler, pattern, desired.share_types)
    shown = found if share_type is None else pools_of_type(session.project, desired, found, share_type)
    shown = sorted_pools(shown, SortKey(sort.value))
    out.show("pools", output, PoolsView(shown, len(found), share_type, after, simulation))
    diagnostics = unread_findings(diagnostics, allowed)
    if diagnostics:
        out.diagnostics(diagnostics)
    finish(code_of_findings(diagnostics))
