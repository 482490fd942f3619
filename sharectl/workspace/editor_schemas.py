"""The schemas that editors check manifests by: those of the kinds, with the settings of the drivers and network plugins that are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.registry import driver_names
from sharectl.manifests.schemas import schema_names, schema_text
from sharectl.model.kinds import Kind
from sharectl.network.registry import NETWORK_PLUGINS, network_plugin_factory
from sharectl.private import NAME, make_private
from sharectl.workspace.validation import driver_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sharectl.model.canonical import JsonObject

FOLDER: Final = f"{NAME}/schemas"
"""Where `init` puts them, and the manifests that it writes look for them."""

_BACKEND: Final = Kind.BACKEND.value


def editor_schema(name: str) -> str:
    """Return the schema called `name` as JSON text, with an `$id` that those beside it refer to."""
    import orjson  # noqa: PLC0415 - only where a schema is written

    schema: dict[str, Any] = orjson.loads(schema_text(name))
    schema = {"$schema": schema.pop("$schema"), "$id": file_name(name), **schema}
    if name == _BACKEND:
        drivers = {driver: driver_schema(driver) for driver in driver_names()}
        plugins = {plugin: network_plugin_factory(plugin).config_schema for plugin in NETWORK_PLUGINS}
        chosen = [
            *(_where(("spec",), "driver", driver, config) for driver, config in drivers.items() if config is not None),
            *(_where(("spec", "network"), "plugin", plugin, config) for plugin, config in plugins.items()),
        ]
        schema["allOf"] = [*schema.get("allOf", ()), *chosen]
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _where(path: Sequence[str], field: str, value: str, config: JsonObject) -> JsonObject:
    """Return the schema of documents in which `config` has to be like this, where a field beside it has this value."""
    condition: JsonObject = {"properties": {field: {"const": value}}, "required": [field]}
    consequence: JsonObject = {"properties": {"config": config}}
    for name in reversed(path):
        condition = {"properties": {name: condition}, "required": [name]}
        consequence = {"properties": {name: consequence}}
    return {"if": condition, "then": consequence}


def file_name(name: str) -> str:
    """Return the name of the file that a schema is written to."""
    return f"{name}.schema.json"


def write_schemas(directory: Path) -> int:
    """Write all schemas into a folder, which is made where it is missing; return how many. Raises OSError."""
    is_private = directory.parent.name == NAME
    if is_private:
        make_private(directory)
    directory.mkdir(parents=True, exist_ok=True)
    texts: Mapping[str, str] = {name: editor_schema(name) for name in schema_names()}
    for name, text in texts.items():
        path = directory / file_name(name)
        if is_private:
            path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    return len(texts)
