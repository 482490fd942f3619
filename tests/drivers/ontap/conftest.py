"""An emulated array for each module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.emulators.ontap.server import serving

from .arrays import open_driver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.ontap.driver import OntapDriver
    from tests.emulators.ontap.server import Emulator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator for all tests of a module."""
    with serving(tmp_path_factory.mktemp("ontap")) as running:
        yield running


@pytest.fixture
def emulator(server: Emulator) -> Emulator:
    """Return the emulator with its array as new, no faults and no calls counted."""
    server.reset()
    return server


@pytest.fixture
def driver(emulator: Emulator) -> Iterator[OntapDriver]:
    """Give a prepared driver of the SVM `vs1`."""
    driver = open_driver(emulator)
    driver.prepare()
    yield driver
    driver.close()
