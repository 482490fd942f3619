"""The registry: finds the factory of a network plugin by the name that a Backend manifest gives it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import did_you_mean
from sharectl.network.base import NetworkError

if TYPE_CHECKING:
    from types import ModuleType

    from sharectl.model.backends import NetworkPluginSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.network.base import NetworkEnvironment, NetworkPlugin

_NAMES: Final = ("neutron", "nova", "standalone")


class UnknownNetworkPluginError(NetworkError):
    """No network plugin has this name; `name` is what was asked for, `known` what there is."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        """Say which plugins there are, and which of them was probably meant."""
        hint = did_you_mean(name, known)
        super().__init__(
            f"no network plugin is called {name!r}; {f'{hint} ' if hint else ''}there are {', '.join(known)}"
        )
        self.name = name
        self.known = known


class NetworkPluginFactory:
    """Loads what is asked for of a plugin: its module `config` has the schema, its module `plugin` opens it."""

    def __init__(self, name: str) -> None:
        """Load nothing yet."""
        self._name = name

    @property
    def config_schema(self) -> JsonObject:
        """The JSON Schema (2020-12) of `spec.network.config` of a Backend with this plugin."""
        schema: JsonObject = self._module("config").CONFIG_SCHEMA
        return schema

    def open(self, spec: NetworkPluginSpec, environment: NetworkEnvironment) -> NetworkPlugin:
        """Return a plugin; no connection is made yet. Raises NetworkError where the configuration cannot work."""
        plugin: NetworkPlugin = self._module("plugin").open_plugin(spec.config, environment)
        return plugin

    def _module(self, part: str) -> ModuleType:
        return import_module(f"sharectl.network.{self._name}.{part}")


def network_plugin_names() -> tuple[str, ...]:
    """Return the names of all network plugins, sorted."""
    return _NAMES


def network_plugin_factory(name: str) -> NetworkPluginFactory:
    """Return the factory of the network plugin called `name`; raises UnknownNetworkPluginError if there is none."""
    if name not in _NAMES:
        raise UnknownNetworkPluginError(name, _NAMES)
    return NetworkPluginFactory(name)
