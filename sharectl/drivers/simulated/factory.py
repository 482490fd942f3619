"""The factory of the simulated driver, which its entry point names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.drivers.simulated.schema import CONFIG_SCHEMA

if TYPE_CHECKING:
    from sharectl.drivers.base import Driver, DriverEnvironment, DriverFactory
    from sharectl.model import BackendSpec, JsonObject


class SimulatedFactory:
    """Opens simulated backends."""

    @property
    def config_schema(self) -> JsonObject:
        """The JSON Schema of `spec.config`."""
        return CONFIG_SCHEMA

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All of them; `without` in the configuration of a backend takes some from the driver that `open` returns."""
        return frozenset(Capability)

    def open(self, backend: BackendSpec, environment: DriverEnvironment) -> Driver:
        """Return a driver; the state file is not opened yet."""
        from sharectl.drivers.simulated.capabilities import driver_type  # noqa: PLC0415 - the schema alone needs none of it
        from sharectl.drivers.simulated.settings import read_settings  # noqa: PLC0415 - as above

        settings = read_settings(backend.config, environment.base_directory, share_servers=backend.share_servers)
        return driver_type(settings.without)(settings)


FACTORY: Final[DriverFactory] = SimulatedFactory()
