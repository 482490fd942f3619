"""The factory of the standalone plugin, which the registry names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.network.standalone.schema import CONFIG_SCHEMA

if TYPE_CHECKING:
    from sharectl.model.backends import NetworkPluginSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.network.base import NetworkEnvironment, NetworkPlugin, NetworkPluginFactory


class StandaloneFactory:
    """Opens the standalone plugin."""

    @property
    def config_schema(self) -> JsonObject:
        """The JSON Schema of `spec.network.config`."""
        return CONFIG_SCHEMA

    def open(self, spec: NetworkPluginSpec, environment: NetworkEnvironment) -> NetworkPlugin:
        """Return a plugin; see NetworkPluginFactory."""
        from sharectl.network.standalone.plugin import StandalonePlugin  # noqa: PLC0415 - the schema alone needs none of it
        from sharectl.network.standalone.wire import read_defaults  # noqa: PLC0415 - as above

        return StandalonePlugin(read_defaults(spec.config), environment)


FACTORY: Final[NetworkPluginFactory] = StandaloneFactory()
