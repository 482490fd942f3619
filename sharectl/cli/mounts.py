"""`sharectl mounts`: what a client needs in order to mount the shares that it may reach."""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from sharectl.cli import options as opt
from sharectl.cli.complete import complete_address
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.kinds import resource_of
from sharectl.render.mounts import MountFormat
from sharectl.render.mounts_tables import MountSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharectl.cli.session import Session
    from sharectl.model.kinds import Address
    from sharectl.mounting.clients import Client
    from sharectl.mounting.selection import Mount, Selected, Wanted
    from sharectl.render.output import Output
    from sharectl.state.contract import StateStore

_PLAIN_PATH: Final = re.compile(r"/[A-Za-z0-9._@+-][A-Za-z0-9._/@+-]*")
_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class _Read(NamedTuple):
    """The mounts that the state gives, and which state that is."""

    lineage: str
    serial: int
    selected: Selected


def mounts(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ADDRESS...]", help="Only these shares.", autocompletion=complete_address, show_default=False
        ),
    ] = None,
    *,
    style: Annotated[MountFormat, typer.Option("--format", help="What will read them.")] = MountFormat.FSTAB,
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
        str, typer.Option(help="The namespace of the claims and the secret in Kubernetes.", metavar="NAME")
    ] = "default",
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", help="Write the systemd units into this folder, as files.", metavar="DIR", file_okay=False
        ),
    ] = None,
    label: opt.Label = None,
    backend: opt.Backend = None,
    chdir: opt.Chdir = Path(),
) -> None:
    """Write the mounts of a client, from the state alone. Asks no backend."""
    from sharectl.cli.session import parse_address, parse_labels, start
    from sharectl.mounting.selection import Wanted
    from sharectl.render.mounts import left_out_lines, mount_problem, mounts_lines, nothing_line
    from sharectl.render.mounts_tables import Origin

    session = start(chdir)
    settings = _mount_settings(mount_root, credentials, namespace)
    wanted = Wanted(_mounting_client(client, session.output), _mounting_user(user), parse_labels(label))
    named = [resource_of(parse_address(address)) for address in addresses or ()]
    if directory is not None and style is not MountFormat.SYSTEMD:
        raise DiagnosticError(
            error("usage.directory", "only units of systemd are files of their own", remedy="add --format systemd")
        )
    with session.repository.existing_store() as store:
        read = _read_selected(store, named, frozenset(backend or ()), wanted)
    selected = read.selected.fitting(mount_problem(style, settings))
    if directory is not None:
        _write_units(session, session.path(directory), selected.mounts, settings)
    else:
        command = _repeated_command(style, settings, client, user, named, label, backend)
        origin = Origin(read.lineage, read.serial, command)
        session.output.write_lines(mounts_lines(style, selected, settings, origin))
    for line in left_out_lines(selected):
        session.output.note(line)
    if not selected.mounts:
        session.output.note(nothing_line(client))


def _mount_settings(mount_root: str, credentials: str, namespace: str) -> MountSettings:
    """Return the settings of the client. Raises DiagnosticError where one of them could not be written to its tables."""
    for option, what, path in (("mount-root", "folder", mount_root), ("credentials", "file", credentials)):
        if _PLAIN_PATH.fullmatch(path) is None or posixpath.normpath(path) != path:
            remedy = (
                "write an absolute path of letters, digits and ._/@+-, for not every table of mounts can quote others"
            )
            raise DiagnosticError(
                error(f"usage.{option}", f"{path!r} cannot be the {what} for --{option}", remedy=remedy)
            )
    if _NAMESPACE.fullmatch(namespace) is None:
        remedy = "write small letters, digits and dashes"
        raise DiagnosticError(error("usage.namespace", f"{namespace!r} is not a Kubernetes namespace", remedy=remedy))
    return MountSettings(mount_root, credentials, namespace)


def _mounting_client(text: str | None, output: Output) -> Client | None:
    """Return the client that the user named; one that is this machine to itself alone is remarked on. Raises DiagnosticError."""
    if text is None:
        return None
    from sharectl.mounting.clients import addresses_of_host, is_this_machine_only, parse_client

    client = parse_client(text, addresses_of_host)
    if is_this_machine_only(client):
        output.note(f"{text} is a loopback address here, under which servers see nobody but themselves.")
    return client


def _mounting_user(text: str | None) -> str | None:
    """Return the user as access rules have it. Raises DiagnosticError."""
    if text is None:
        return None
    from sharectl.manifests.access import AccessError, canonical_user

    try:
        return canonical_user(text)
    except AccessError as problem:
        raise DiagnosticError(error("usage.user", problem.summary, remedy=problem.remedy)) from problem


def _read_selected(store: StateStore, named: Sequence[Address], backends: frozenset[str], wanted: Wanted) -> _Read:
    """Return the mounts that the state gives. Raises DiagnosticError where it has nothing at an address, or on a backend."""
    from sharectl.mounting.selection import select_mounts
    from sharectl.workspace.lookup import require_records, view_of_backends

    if named:
        require_records(store, named)
    with store.read() as reader:
        view = reader.view(named).on_backends(backends) if named else view_of_backends(reader, backends)
        rules = reader.rules(named or None)
    return _Read(view.lineage, view.serial, select_mounts(view.records.values(), rules, wanted))


def _repeated_command(  # noqa: PLR0917 - the options that decide what is written
    style: str,
    settings: MountSettings,
    client: str | None,
    user: str | None,
    named: Iterable[Address],
    labels: Iterable[str] | None,
    backends: Iterable[str] | None,
) -> str:
    """Return the command that writes the same mounts again from the same state."""
    words = ["sharectl", "mounts", "--format", str(style)]
    words += [*(["--for", client] if client is not None else []), *(["--user", user] if user is not None else [])]
    for field in fields(MountSettings):
        value = getattr(settings, field.name)
        words += [] if value == field.default else [f"--{field.name.replace('_', '-')}", value]
    for option, values in (("--label", labels), ("--backend", backends)):
        words += [word for value in values or () for word in (option, value)]
    return shlex.join([*words, *named])


def _write_units(session: Session, folder: Path, mounts: Iterable[Mount], settings: MountSettings) -> None:
    """Write the units of systemd as files, and say what became of them. Raises DiagnosticError."""
    from sharectl.mounting.folder import write_marked_files
    from sharectl.render.mounts import written_lines
    from sharectl.render.mounts_tables import UNIT_MARK, unit_files

    written = write_marked_files(folder, dict(unit_files(mounts, settings)), UNIT_MARK)
    for line in written_lines(str(folder), written):
        session.output.note(line)
