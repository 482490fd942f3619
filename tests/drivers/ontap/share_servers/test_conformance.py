"""The ontap driver keeps the contract of drivers, and that of share servers, on an array that has no SVM yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from sharectl.drivers.base import DriverEnvironment
from sharectl.drivers.ontap import FACTORY
from sharectl.drivers.testing_share_servers import ShareServerConformance
from sharectl.model.share_networks import SecurityServiceSpec
from tests.drivers.ontap.share_servers.arrays import ACCOUNT, backend_of, quickly
from tests.emulators.ontap.active_directory import FIXTURE
from tests.emulators.ontap.facts import version_of
from tests.emulators.ontap.resources import SEEDS
from tests.emulators.ontap.server import Emulator, serving
from tests.emulators.ontap.surroundings import set_directory
from tests.emulators.ontap.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.testing_share_servers import DriverMaker, ServerDriver

_EARLY: Final = 5
"""So many of the seeds come before the SVM of the fixture."""


def bare_world() -> World:
    """Return an array that nobody has made an SVM on, in the same surroundings."""
    world = World(version=version_of("9.16.1"))
    for seed in SEEDS[:_EARLY]:
        seed(world)
    set_directory(world, FIXTURE)
    return world


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator of such an array."""
    with serving(tmp_path_factory.mktemp("ontap"), bare_world()) as running:
        yield running


class TestShareServers(ShareServerConformance):
    """Share servers on VLANs of two nodes."""

    directory_service = SecurityServiceSpec("people", "ldap", {"server": "10.0.0.4"})

    @pytest.fixture
    def make_driver(self, bare: Emulator) -> DriverMaker:
        """Open drivers of one array, which is as new for each test."""
        with bare.world.lock:
            bare.world.become(bare_world())

        def make() -> ServerDriver:
            password = bare.login_of(ACCOUNT).password
            environment = DriverEnvironment("/", lambda _reference: password)
            opened = FACTORY.open(backend_of(bare), environment)
            opened._servers._patience.sleep = quickly  # type: ignore[attr-defined]
            return opened  # type: ignore[return-value]

        return make
