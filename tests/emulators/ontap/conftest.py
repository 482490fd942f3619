"""One emulator for each module of tests, and an array as new for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.emulators.ontap.client import Client
from tests.emulators.ontap.server import Emulator, serving
from tests.emulators.ontap.storage_calls import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator for all tests of a module."""
    with serving(tmp_path_factory.mktemp("ontap"), idle_seconds=300) as running:  # a pause of a test ends no connection
        yield running


@pytest.fixture
def emulator(server: Emulator) -> Emulator:
    """Return the emulator with its array as new, no faults, no calls counted, and time that passes only as a test says."""
    server.reset()
    server.world.clock.scale = 0.0
    return server


@pytest.fixture
def client(emulator: Emulator) -> Client:
    """Return a client logged in as the cluster's administrator."""
    return Client(emulator)


@pytest.fixture
def storage(client: Client) -> Storage:
    """Return short ways to the storage of `vs1`, where time passes only when a test lets it."""
    client.emulator.world.clock.scale = 0.0
    return Storage(client)
