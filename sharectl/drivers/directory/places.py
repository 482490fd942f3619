"""The backend's own names of shares: the directory, with its pool unless that is the default one."""

from __future__ import annotations

from sharectl.drivers.directory.settings import DEFAULT_POOL


def backend_id_of(pool_name: str, directory: str) -> str:
    """Return `directory` in the pool called default, `pool/directory` in any other."""
    return directory if pool_name == DEFAULT_POOL else f"{pool_name}/{directory}"


def split_backend_id(backend_id: str) -> tuple[str, str]:
    """Return the pool and the directory that a `backend_id` names; `default/directory` is understood too."""
    pool_name, separator, directory = backend_id.partition("/")
    return (pool_name, directory) if separator else (DEFAULT_POOL, backend_id)
