"""`sharectl mounts`: what a client needs in order to mount the shares that it may reach."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.complete import complete_address
from sharectl.model.kinds import resource_of
from sharectl.render.mounts import MountFormat

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def mounts(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ADDRESS...]", help="Only these shares.", autocompletion=complete_address, show_default=False
        ),
    ] = None,
    *,
    style: Annotated[MountFormat, typer.Option("--format", help="Who reads them.")] = MountFormat.FSTAB,
    client: Annotated[
        str | None,
        typer.Option(
            "--for", help="Only what this client may reach: an address, a network or a host.", metavar="CLIENT"
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Only the SMB shares that this user may use.", metavar="NAME")
    ] = None,
    mount_root: Annotated[
        str, typer.Option("--mount-root", help="The folder in which each share has its mount point.", metavar="DIR")
    ] = "/mnt",
    credentials: Annotated[
        str, typer.Option(help="The client's file with the name and password for SMB.", metavar="FILE")
    ] = "/etc/smb-credentials",
    namespace: Annotated[
        str, typer.Option(help="Of the claims and the secret in Kubernetes.", metavar="NAME")
    ] = "default",
    directory: Annotated[
        Path | None,
        typer.Option("--directory", help="Write the units of systemd here, as files.", metavar="DIR", file_okay=False),
    ] = None,
    label: opt.Label = None,
    backend: opt.Backend = None,
    chdir: opt.Chdir = Path(),
) -> None:
    """Write the mounts of a client, from the state alone: no backend is asked."""
    from sharectl.cli.mounting import (
        asked_command,
        client_meant,
        read_selected,
        settings_meant,
        user_meant,
        write_units,
    )
    from sharectl.cli.session import start
    from sharectl.cli.values import parse_address, parse_labels
    from sharectl.model.diagnostics import DiagnosticError, error
    from sharectl.mounting.selection import Wanted
    from sharectl.render.mounts import left_out_lines, mount_problem, mounts_lines, nothing_line
    from sharectl.render.mounts_tables import Origin

    session = start(chdir)
    settings = settings_meant(mount_root, credentials, namespace)
    wanted = Wanted(client_meant(client, session.output), user_meant(user), parse_labels(label))
    named = [resource_of(parse_address(address)) for address in addresses or ()]
    if directory is not None and style is not MountFormat.SYSTEMD:
        raise DiagnosticError(
            error("usage.directory", "only units of systemd are files of their own", remedy="add --format systemd")
        )
    with session.repository.existing_store() as store:
        read = read_selected(store, named, frozenset(backend or ()), wanted)
    selected = read.selected.fitting(mount_problem(style, settings))
    if directory is not None:
        write_units(session, session.path(directory), selected.mounts, settings)
    else:
        command = asked_command(style, client, user, named, label, backend)
        origin = Origin(read.lineage, read.serial, command)
        session.output.write_lines(mounts_lines(style, selected, settings, origin))
    for line in left_out_lines(selected):
        session.output.note(line)
    if not selected.mounts:
        session.output.note(nothing_line(client))
