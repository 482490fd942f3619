"""The registry: finds the factory of a network plugin by the name that a Backend manifest gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import did_you_mean
from sharectl.network.base import NetworkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.network.base import NetworkPluginFactory

_MODULES: Final[Mapping[str, str]] = {
    "neutron": "sharectl.network.neutron",
    "nova": "sharectl.network.nova",
    "standalone": "sharectl.network.standalone",
}


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


def network_plugin_names() -> tuple[str, ...]:
    """Return the names of all network plugins, sorted."""
    return tuple(_MODULES)


def network_plugin_factory(name: str) -> NetworkPluginFactory:
    """Return the factory of the network plugin called `name`; raises UnknownNetworkPluginError where there is none."""
    if name not in _MODULES:
        raise UnknownNetworkPluginError(name, network_plugin_names())
    from importlib import import_module  # noqa: PLC0415 - only the plugin that is asked for is loaded

    factory: NetworkPluginFactory = import_module(_MODULES[name]).FACTORY
    return factory
