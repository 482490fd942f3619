"""The ground of each scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ..arrays import open_driver  # noqa: TID252 - the folder above is of the same tests
from .ground import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulators.ontap.server import Emulator


@pytest.fixture
def ground(emulator: Emulator) -> Iterator[Ground]:
    """Give a prepared backend on the SVM `vs1`, on which is nothing yet."""
    driver = open_driver(emulator)
    driver.prepare()
    found = Ground(emulator, driver)
    emulator.calls.clear()
    yield found
    found.driver.close()
