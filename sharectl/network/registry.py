"""The registry: finds the factory of a network plugin by the name that a Backend manifest gives it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import did_you_mean
from sharectl.network.base import NetworkError

if TYPE_CHECKING:
    from sharectl.model.backends import NetworkPluginSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.network.base import NetworkEnvironment, NetworkPlugin

NETWORK_PLUGINS: Final = ("neutron", "nova", "standalone")
_ASK_NOBODY: Final = frozenset({"standalone"})
_KEEP_NO_ACCOUNTS: Final = frozenset({"nova", "standalone"})


class NetworkPluginFactory:
    """Loads what is asked for of a plugin: its module `config` has the schema, its module `plugin` opens it."""

    def __init__(self, name: str) -> None:
        """Load nothing yet."""
        self._package = f"sharectl.network.{name}"

    @property
    def config_schema(self) -> JsonObject:
        """The JSON Schema (2020-12) of `spec.network.config` of a Backend with this plugin."""
        schema: JsonObject = import_module(f"{self._package}.config").CONFIG_SCHEMA
        return schema

    def open(self, spec: NetworkPluginSpec, environment: NetworkEnvironment) -> NetworkPlugin:
        """Return a plugin; no connection is made yet. Raises NetworkError where the configuration cannot work."""
        plugin: NetworkPlugin = import_module(f"{self._package}.plugin").open_plugin(spec.config, environment)
        return plugin


def asks_nobody(name: str) -> bool:
    """Tell whether there is no service behind the plugin: its addresses follow from the manifests and the ledger."""
    return name in _ASK_NOBODY


def needs_ledger(name: str) -> bool:
    """Tell whether the plugin has the accounts of its addresses in the ledger, because its service keeps no owner."""
    return name in _KEEP_NO_ACCOUNTS


def network_plugin_factory(name: str) -> NetworkPluginFactory:
    """Return the factory of the network plugin called `name`; raises NetworkError if there is none."""
    if name not in NETWORK_PLUGINS:
        near = did_you_mean(name, NETWORK_PLUGINS)
        message = (
            f"no network plugin is called {name!r}; {near}{' ' if near else ''}there are {', '.join(NETWORK_PLUGINS)}"
        )
        raise NetworkError(message)
    return NetworkPluginFactory(name)
