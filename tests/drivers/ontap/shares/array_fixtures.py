"""The emulated array for tests of a part of the driver: a client of it, and drivers of its SVM `vs1`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from sharectl.drivers.base import DriverEnvironment
from sharectl.drivers.ontap import FACTORY
from sharectl.drivers.ontap.client import Array
from sharectl.drivers.ontap.settings import ArraySettings
from sharectl.model.backends import BackendSpec
from tests.emulators.ontap.conftest import emulator, server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.ontap.driver import OntapDriver
    from tests.emulators.ontap.server import Emulator

__all__ = ["array", "driver", "emulator", "server"]


def backend_on(emulator: Emulator, **config: Any) -> BackendSpec:  # noqa: ANN401 - any setting
    """Return a backend on the SVM of the fixture, whose password is in PASSWORD."""
    own = {
        "address": "127.0.0.1",
        "port": emulator.port,
        "caFile": str(emulator.ca_file),
        "user": emulator.login.name,
        "password": {"env": "PASSWORD"},
        "svm": "vs1",
    }
    return BackendSpec("filer", "ontap", {**own, **config})


def opened_on(emulator: Emulator, **config: Any) -> OntapDriver:  # noqa: ANN401 - as above
    """Open a driver of such a backend."""
    password = emulator.login.password
    opened = FACTORY.open(backend_on(emulator, **config), DriverEnvironment("/", lambda _reference: password))
    return cast("OntapDriver", opened)


def driver_on(emulator: Emulator, **config: Any) -> OntapDriver:  # noqa: ANN401 - as above
    """Open a prepared driver of such a backend."""
    opened = opened_on(emulator, **config)
    opened.prepare()
    return opened


@pytest.fixture
def driver(emulator: Emulator) -> Iterator[OntapDriver]:
    """Give a driver of the SVM, which exports over SMB too."""
    opened = driver_on(emulator, smb={"fromAnywhere": True})
    yield opened
    opened.close()


@pytest.fixture
def array(emulator: Emulator) -> Iterator[Array]:
    """Give the array as the cluster's administrator sees it."""
    login = emulator.login
    settings = ArraySettings(
        "127.0.0.1", emulator.port, ca_file=str(emulator.ca_file), user=login.name, password={"env": "PASSWORD"}
    )
    array = Array(settings, lambda _reference: login.password)
    yield array
    array.close()
