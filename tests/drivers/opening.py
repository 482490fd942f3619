"""Opening drivers and backends for tests, as the engine would."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from sharectl.drivers.base import DriverEnvironment, ShareRequest
from sharectl.drivers.registry import driver_factory, make_secret_resolver
from sharectl.model import BackendSpec
from sharectl.quantities import GIB

if TYPE_CHECKING:
    from pathlib import Path


def open_driver(driver: str, config: dict[str, Any], base_directory: Path) -> Any:  # noqa: ANN401 - with every capability
    """Open a driver of this name."""
    environment = DriverEnvironment(str(base_directory), make_secret_resolver(str(base_directory)))
    return driver_factory(driver).open(BackendSpec("backend", driver, config), environment)


def new_request(name: str, pool: str = "default", **other: Any) -> ShareRequest:  # noqa: ANN401 - fields of the request
    """Return a request for a share of one GiB over NFS with a new id."""
    values: dict[str, Any] = {"resource_id": str(uuid.uuid4()), "size_bytes": GIB, "protocol": "NFS", **other}
    return ShareRequest(name=name, pool=pool, **values)
