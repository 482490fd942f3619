"""The factory of the Nova network plugin, which the registry names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.network.nova.schema import CONFIG_SCHEMA

if TYPE_CHECKING:
    from sharectl.model.backends import NetworkPluginSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.network.base import NetworkEnvironment, NetworkPlugin, NetworkPluginFactory


class NovaFactory:
    """Opens the Nova network plugin."""

    @property
    def config_schema(self) -> JsonObject:
        """The JSON Schema of `spec.network.config`."""
        return CONFIG_SCHEMA

    def open(self, spec: NetworkPluginSpec, environment: NetworkEnvironment) -> NetworkPlugin:
        """Return a plugin; see NetworkPluginFactory."""
        from sharectl.network.nova.plugin import NovaPlugin  # noqa: PLC0415 - the schema alone needs none of it
        from sharectl.network.openstack.account import read_account  # noqa: PLC0415 - as above

        account = read_account(spec.config, environment.base_directory)
        return NovaPlugin(account, spec.config.get("networkId"), environment)


FACTORY: Final[NetworkPluginFactory] = NovaFactory()
