"""Shell completion of addresses and backends, from the state and the manifests of the repository; silent where there are none."""

from __future__ import annotations

from pathlib import Path


def complete_address(incomplete: str) -> list[str]:
    """Return the addresses that begin with what is typed."""
    return [address for address in _known()[0] if address.startswith(incomplete)]


def complete_backend(incomplete: str) -> list[str]:
    """Return the names of backends that begin with what is typed."""
    return [name for name in _known()[1] if name.startswith(incomplete)]


def _known() -> tuple[list[str], list[str]]:
    """Return all addresses and all backends; a repository with mistakes completes nothing, and says nothing in the middle of a line."""
    from sharectl.diagnostics import DiagnosticError
    from sharectl.manifests.project import find_project
    from sharectl.state.sqlite import open_store
    from sharectl.state.store import StateError
    from sharectl.workspace import load_manifests

    addresses: set[str] = set()
    backends: set[str] = set()
    try:
        project = find_project(Path.cwd())
        desired = load_manifests(project, directory=Path.cwd()).desired
        addresses.update(desired.digests)
        backends.update(desired.backends)
        store = open_store(project.state_path, create=False)
        with store.read() as reader:
            addresses.update(reader.view().records)
        store.close()
    except (DiagnosticError, StateError):
        return sorted(addresses), sorted(backends)
    return sorted(addresses), sorted(backends)
