"""Drivers of the emulated array, opened as sharectl opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sharectl.drivers.base import DriverEnvironment
from sharectl.drivers.ontap import FACTORY
from sharectl.model.backends import BackendSpec

if TYPE_CHECKING:
    from sharectl.drivers.ontap.driver import OntapDriver
    from tests.emulators.ontap.server import Emulator


def config_of(emulator: Emulator, login: str = "admin", **config: Any) -> dict[str, Any]:  # noqa: ANN401 - any setting
    """Return the configuration of a backend on the SVM of the fixture; its password is in PASSWORD."""
    return {
        "address": "127.0.0.1",
        "port": emulator.port,
        "caFile": str(emulator.ca_file),
        "user": emulator.login_of(login).name,
        "password": {"env": "PASSWORD"},
        "svm": "vs1",
        **config,
    }


def backend_of(emulator: Emulator, login: str = "admin", **config: Any) -> BackendSpec:  # noqa: ANN401 - any setting
    """Return a backend with this configuration."""
    return BackendSpec("filer", "ontap", config_of(emulator, login, **config))


def open_driver(emulator: Emulator, login: str = "admin", **config: Any) -> OntapDriver:  # noqa: ANN401 - any setting
    """Open it."""
    password = emulator.login_of(login).password
    environment = DriverEnvironment("/", lambda _reference: password)
    return cast("OntapDriver", FACTORY.open(backend_of(emulator, login, **config), environment))
