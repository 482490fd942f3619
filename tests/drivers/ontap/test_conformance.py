"""The ontap driver passes the suite that every driver is held to, on an emulated array."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.ontap import FACTORY
from sharectl.drivers.testing import DriverConformance
from sharectl.model.quantities import GIB
from tests.emulators.ontap.client import Client

from .arrays import backend_of, open_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.drivers.base import Driver
    from sharectl.model.checks import ShareProblem, WantedShare
    from tests.emulators.ontap.server import Emulator


class TestOntap(DriverConformance):
    """One SVM without a volume of anybody."""

    other_export_settings: Mapping[str, str] = MappingProxyType({"squash": "none", "anonymousUid": "99"})
    threads = 24

    @pytest.fixture
    def make_driver(self, emulator: Emulator) -> Callable[[], Driver]:
        """Open a backend on the array, which is new."""
        self.emulator = emulator
        return lambda: open_driver(emulator)

    def share_problems(self, driver: Driver, share: WantedShare) -> Sequence[ShareProblem]:
        """Ask the factory."""
        return FACTORY.share_check(backend_of(self.emulator))(share)  # type: ignore[attr-defined]  # this one has it

    def make_unmanaged(self, driver: Driver) -> str:
        """Make a volume as an administrator would."""
        body = {
            "svm": {"name": "vs1"},
            "name": "legacy",
            "aggregates": [{"name": "aggr1"}],
            "size": 3 * GIB,
            "nas": {"path": "/legacy"},
        }
        got = Client(self.emulator).send("POST", "/storage/volumes?return_timeout=15", body)
        assert got.status == 201, got
        return "legacy"
