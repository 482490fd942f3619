"""Opening drivers and backends for tests, as the engine would."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Protocol, cast

from sharectl.drivers.base import (
    AdoptsShares,
    ClonesSnapshots,
    Driver,
    DriverEnvironment,
    ExtendsShares,
    MeasuresUsage,
    NamesExports,
    RevertsShares,
    ShrinksShares,
    SnapshotsShares,
    TrashesShares,
)
from sharectl.drivers.registry import driver_factory, make_secret_resolver
from sharectl.drivers.share_checks import ChecksShares
from sharectl.drivers.share_servers import HandlesShareServers, UpdatesShareServers
from sharectl.model.backends import BackendSpec
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sharectl.model.checks import ShareProblem, WantedShare


class FullDriver(
    Driver,
    ExtendsShares,
    ShrinksShares,
    SnapshotsShares,
    ClonesSnapshots,
    RevertsShares,
    TrashesShares,
    AdoptsShares,
    MeasuresUsage,
    NamesExports,
    HandlesShareServers,
    UpdatesShareServers,
    Protocol,
):
    """A driver with every capability."""


def open_driver(
    driver: str, config: dict[str, Any], base_directory: Path, *, share_servers: bool = False
) -> FullDriver:
    """Open a driver of this name; that it has every capability is for the test to know."""
    environment = DriverEnvironment(str(base_directory), make_secret_resolver(str(base_directory)))
    backend = BackendSpec("backend", driver, config, share_servers=share_servers)
    return cast("FullDriver", driver_factory(driver).open(backend, environment))


def share_problems(
    driver: str, config: dict[str, Any], share: WantedShare, *, share_servers: bool = False
) -> Sequence[ShareProblem]:
    """Return what the factory of this driver says of a share before anything is called."""
    factory = driver_factory(driver)
    assert isinstance(factory, ChecksShares)
    return factory.share_check(BackendSpec("backend", driver, config, share_servers=share_servers))(share)


def new_request(name: str, pool: str = "default", **other: Any) -> ShareRequest:  # noqa: ANN401 - fields of the request
    """Return a request for a share of one GiB over NFS with a new id."""
    values: dict[str, Any] = {"resource_id": str(uuid.uuid4()), "size_bytes": GIB, "protocol": "NFS", **other}
    return ShareRequest(name=name, pool=pool, **values)


def names_in(folder: Path) -> list[str]:
    """Return the names of the entries of a folder, sorted."""
    return sorted(entry.name for entry in folder.iterdir())
