"""`sharectl list`: all shares, with what the state knows of each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.render.formats import Format
from sharectl.workspace.listing import Order


def list_(
    *,
    label: Annotated[list[str] | None, typer.Option(help="Only shares with this label.", metavar="KEY=VALUE")] = None,
    backend: opt.Backend = None,
    full_above: Annotated[
        float | None,
        typer.Option(
            help="Only shares that are fuller than this.", metavar="PERCENT", min=0, max=1000, callback=opt.finite
        ),
    ] = None,
    broken: Annotated[
        bool, typer.Option("--broken", help="Only shares whose last change failed, is half done or was refused.")
    ] = False,
    sort: Annotated[Order, typer.Option(help="What comes first: names, or the largest.")] = Order.NAME,
    limit: Annotated[int | None, typer.Option("--limit", "-n", help="At most this many.", min=1)] = None,
    output: Annotated[Format, opt.output("list")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """List the shares in the state: usage, size, protocol, labels, place, and problems. Asks no backend."""
    from datetime import UTC, datetime

    from sharectl.cli.session import parse_labels, start
    from sharectl.render.freshness import freshness_text
    from sharectl.workspace.listing import ListWanted, list_shares

    session = start(chdir)
    wanted = ListWanted(
        labels=parse_labels(label),
        backends=frozenset(backend or ()),
        full_above=full_above,
        broken=broken,
        order=sort,
        limit=limit,
        names_alone=output is Format.NAME,
        export_locations=output in {Format.WIDE, Format.JSON},
    )
    with session.repository.existing_store() as store, store.read() as reader:
        listing = list_shares(store, reader, wanted)
        session.output.show("list", output, listing)
    if output in {Format.TEXT, Format.WIDE}:
        session.output.note(freshness_text(listing.freshness, datetime.now(UTC)))
