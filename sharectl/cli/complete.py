"""Shell completion of addresses and backends, from the state and the manifests of the repository; silent where there are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer  # noqa: TC002 - typer reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.project import Project
    from sharectl.model.kinds import Address


def complete_address(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the addresses that begin with what is typed; before the slash just the kinds, for which nothing has to be read."""
    from sharectl.model.kinds import Kind

    if "/" not in incomplete:
        kinds = (f"{kind.value}/" for kind in (Kind.SHARE, Kind.SNAPSHOT, Kind.BACKEND))
        return [kind for kind in kinds if kind.startswith(incomplete)]
    directory = _directory(ctx)
    known = {*_manifests(directory, None)[0], *_recorded(directory)}
    return sorted(address for address in known if address.startswith(incomplete))


def complete_backend(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of backends that begin with what is typed; shares are not read."""
    return [name for name in _manifests(_directory(ctx), ())[1] if name.startswith(incomplete)]


def _directory(ctx: typer.Context) -> Path:
    """Return the folder that the -C options on the line name."""
    outer = Path() if ctx.parent is None else ctx.parent.params.get("chdir") or Path()
    return Path(outer) / (ctx.params.get("chdir") or Path())


def _manifests(directory: Path, only: Collection[Address] | None) -> tuple[list[Address], list[str]]:
    """Return all addresses and all backends; a repository with mistakes completes nothing, and says nothing in the middle of a line."""
    from sharectl.model.diagnostics import DiagnosticError
    from sharectl.workspace.validation import load_manifests

    try:
        project = _project(directory)
        desired: Desired = load_manifests(project, directory=project.root, only=only).desired
    except DiagnosticError:
        return [], []
    return list(desired.addresses), list(desired.backends)


def _recorded(directory: Path) -> list[Address]:
    from sharectl.model.diagnostics import DiagnosticError
    from sharectl.state.contract import StateError
    from sharectl.state.sqlite.store import open_store

    try:
        store = open_store(_project(directory).state_path, create=False)
        try:
            with store.read() as reader:
                return list(reader.view().records)
        finally:
            store.close()
    except (DiagnosticError, StateError):
        return []


def _project(directory: Path) -> Project:
    from sharectl.workspace.repository import project_at

    return project_at(directory.resolve(), os.environ)
