"""Opening network plugins for tests, as the engine would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema

from sharectl.drivers.secret_references import make_secret_resolver
from sharectl.model.backends import NetworkPluginSpec
from sharectl.network.base import NetworkEnvironment, NetworkPlugin
from sharectl.network.registry import network_plugin_factory
from tests.network.ledger import MemoryLedger

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.network.base import AllocationLedger


def open_plugin(  # noqa: PLR0913 - a case has as many parts
    name: str,
    config: dict[str, Any],
    base_directory: Path,
    *,
    backend: str = "backend",
    owner: str = "lineage",
    ledger: AllocationLedger | None = None,
) -> NetworkPlugin:
    """Open the plugin of this name, whose configuration is valid by its schema."""
    factory = network_plugin_factory(name)
    jsonschema.Draft202012Validator(factory.config_schema).validate(config)
    resolver = make_secret_resolver(str(base_directory))
    environment = NetworkEnvironment(backend, owner, str(base_directory), resolver, ledger or MemoryLedger())
    return factory.open(NetworkPluginSpec(name, config), environment)
