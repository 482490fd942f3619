"""`sharectl who`: what a client, a user or a group may reach."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.complete import complete_client
from sharectl.render.formats import Format


def who(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="CLIENT|USER|GROUP",
            help=r"An address, a network, host:NAME, a user (`CORP\alice`, `*`), group:NAME or guest.",
            autocompletion=complete_client,
        ),
    ],
    *,
    group: Annotated[
        list[str] | None, typer.Option(help="A group that the user is in; may be repeated.", metavar="NAME")
    ] = None,
    file: opt.Files = None,
    output: Annotated[Format, opt.output("who")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show which shares a client or user may reach, at which level, by which rule in which file, and what shuts it out. Asks only the state."""
    from datetime import UTC, datetime

    from sharectl.cli.session import start
    from sharectl.mounting.clients import addresses_of_host
    from sharectl.mounting.inquiry import find_access, judged
    from sharectl.mounting.who import parse_subject
    from sharectl.render.freshness import freshness_text
    from sharectl.render.who import who_notes

    session = start(chdir, file)
    meant = parse_subject(subject, tuple(group or ()), addresses_of_host)
    with session.repository.existing_store() as store:
        found = find_access(store, meant)
    desired = session.readable(set(found.records))[0] if found.records else None
    view = judged(meant, found, desired)
    session.output.show("who", output, view)
    if output is Format.TEXT:
        for note in (*who_notes(view), freshness_text(view.freshness, datetime.now(UTC))):
            session.output.note(note)
