"""The factory of the Neutron plugin, which the registry names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.network.neutron.schema import CONFIG_SCHEMA

if TYPE_CHECKING:
    from sharectl.model.backends import NetworkPluginSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.network.base import NetworkEnvironment, NetworkPlugin, NetworkPluginFactory


class NeutronFactory:
    """Opens the Neutron plugin."""

    @property
    def config_schema(self) -> JsonObject:
        """The JSON Schema of `spec.network.config`."""
        return CONFIG_SCHEMA

    def open(self, spec: NetworkPluginSpec, environment: NetworkEnvironment) -> NetworkPlugin:
        """Return a plugin; see NetworkPluginFactory."""
        from sharectl.network.neutron.plugin import NeutronPlugin  # noqa: PLC0415 - the schema alone needs none of it
        from sharectl.network.neutron.settings import read_settings  # noqa: PLC0415 - as above

        settings = read_settings(spec.config, environment.base_directory)
        return NeutronPlugin(settings, environment)


FACTORY: Final[NetworkPluginFactory] = NeutronFactory()
