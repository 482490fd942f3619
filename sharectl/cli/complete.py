"""Shell completion of addresses and backends, from the state and the manifests of the repository; silent where there are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer  # noqa: TC002 - typer reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharectl.manifests.project import Project
    from sharectl.model.kinds import Address
    from sharectl.state.contract import StateReader

_MOST_RUNS = 50


def complete_address(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the addresses that begin with what is typed; before the slash just the kinds, for which nothing has to be read."""
    from sharectl.model.kinds import Kind

    if "/" not in incomplete:
        kinds = (f"{kind.value}/" for kind in (Kind.SHARE, Kind.SNAPSHOT, Kind.BACKEND))
        return [kind for kind in kinds if kind.startswith(incomplete)]
    directory = _directory(ctx)
    return sorted({*_described(directory, incomplete), *_recorded(directory, incomplete)})


def complete_backend(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of backends that begin with what is typed; shares are not read."""
    from sharectl.model.kinds import Kind, address_of, name_of

    prefix = address_of(Kind.BACKEND, incomplete)
    return [name_of(address) for address in _described(_directory(ctx), prefix)]


def complete_client(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return whom access rules in the state name, as far as that begins with what is typed."""
    from sharectl.model.access import AccessType

    kind, separator, typed = incomplete.partition(":")
    is_typed = bool(separator) and kind in {AccessType.USER, AccessType.GROUP}
    access_type = kind if is_typed else AccessType.IP if incomplete[:1].isdigit() else AccessType.USER
    prefix = f"{kind}:" if is_typed else ""
    beginning = typed if is_typed else incomplete
    names = _asked(_directory(ctx), lambda reader: reader.client_names(access_type))
    return [f"{prefix}{name}" for name in names if name.startswith(beginning)]


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of runs that begin with what is typed, the newest first."""
    return _asked(_directory(ctx), lambda reader: [run.run_id for run in reader.runs(incomplete, limit=_MOST_RUNS)])


def _directory(ctx: typer.Context) -> Path:
    """Return the folder that the -C options on the line name."""
    outer = Path() if ctx.parent is None else ctx.parent.params.get("chdir") or Path()
    return Path(outer) / (ctx.params.get("chdir") or Path())


def _described(directory: Path, prefix: str) -> list[Address]:
    """Return the addresses in the manifests; a repository with mistakes completes nothing, and prints nothing into the line."""
    from sharectl.model.diagnostics import DiagnosticError
    from sharectl.workspace.validation import addresses_in_manifests

    try:
        return addresses_in_manifests(_project(directory), prefix)
    except DiagnosticError:
        return []


def _recorded(directory: Path, prefix: str) -> Sequence[Address]:
    return _asked(directory, lambda reader: reader.addresses(prefix))


def _asked(directory: Path, ask: Callable[[StateReader], Sequence[str]]) -> list[str]:
    from sharectl.model.diagnostics import DiagnosticError
    from sharectl.model.state_urls import impatient_state_url
    from sharectl.state.contract import StateError
    from sharectl.state.stores import open_store

    try:
        store = open_store(impatient_state_url(_project(directory).state_url), create=False)
        try:
            with store.read() as reader:
                return list(ask(reader))
        finally:
            store.close()
    except (DiagnosticError, StateError):
        return []


def _project(directory: Path) -> Project:
    from sharectl.workspace.repository import project_at

    return project_at(directory.resolve(), os.environ)
