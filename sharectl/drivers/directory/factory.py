"""The factory of the directory driver, which its entry point names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.drivers.directory.settings import CONFIG_SCHEMA, read_settings

if TYPE_CHECKING:
    from sharectl.drivers.base import Driver, DriverEnvironment, DriverFactory
    from sharectl.model import BackendSpec, JsonObject


class DirectoryFactory:
    """Opens directory backends."""

    @property
    def config_schema(self) -> JsonObject:
        """The JSON Schema of `spec.config`."""
        return CONFIG_SCHEMA

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All but share servers: who reads the fragments is the administrator's own server."""
        return frozenset(Capability) - {Capability.SHARE_SERVERS, Capability.SHARE_SERVER_UPDATE}

    def open(self, backend: BackendSpec, environment: DriverEnvironment) -> Driver:
        """Return a driver; no file is touched yet."""
        from sharectl.drivers.directory.driver import DirectoryDriver  # noqa: PLC0415 - the schema alone needs none of it

        return DirectoryDriver(read_settings(backend.config, environment.base_directory))


FACTORY: Final[DriverFactory] = DirectoryFactory()
