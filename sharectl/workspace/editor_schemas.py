"""The schemas that editors check manifests by: those of the kinds, with the settings of the drivers and network plugins that are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.registry import driver_names
from sharectl.manifests.defaults import NULLABLE
from sharectl.manifests.schemas import schema_name_of, schema_names, schema_text, schemas_directory
from sharectl.model.diagnostics import DiagnosticError
from sharectl.model.kinds import Kind
from sharectl.network.registry import NETWORK_PLUGINS, network_plugin_factory
from sharectl.private import NAME, draft_of, make_private
from sharectl.workspace.validation import driver_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from sharectl.model.canonical import JsonObject

FOLDER: Final = f"{NAME}/schemas"
"""Where `init` puts them, and the manifests that it writes look for them."""

_BACKEND: Final = Kind.BACKEND.value


def defaults_near(directory: Path) -> tuple[JsonObject, ...]:
    """Return the defaults of the project that the folder is in; none if its file is wrong, since an editor is there to mend it."""
    from sharectl.manifests.project import find_project  # noqa: PLC0415 - `init` asks for none

    try:
        return find_project(directory).defaults
    except DiagnosticError:
        return ()


def editor_schema(name: str, defaults: Sequence[JsonObject] = ()) -> str:
    """Return the schema called `name` as JSON text, with an `$id` that those beside it refer to, for a project with these defaults."""
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
    _leave_to_defaults(
        schema["properties"].get("spec", {}),
        {field for entry in defaults if schema_name_of(entry["kind"]) == name for field in entry.get("spec", {})},
    )
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _leave_to_defaults(spec: dict[str, Any], given: AbstractSet[str]) -> None:
    """Change the schema of a `spec` so that it may lack what some default gives, or have `null` to be without."""
    if not given:
        return
    spec["required"] = [field for field in spec.get("required", ()) if field not in given]
    if given & {"protocol", "protocols"}:
        spec["not"] = {"required": ["protocol", "protocols"]}
        spec.pop("oneOf", None)
    for field in given & NULLABLE:
        known = spec["properties"][field]
        spec["properties"][field] = {"description": known["description"], "anyOf": [known, {"type": "null"}]}


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


def write_kustomize_component(directory: Path) -> int:
    """Write what kustomize has to know of manifests into a folder, which is made where it is missing; return how many files. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    files = sorted((schemas_directory() / "kustomize").glob("*.yaml"))
    for file in files:
        with draft_of(directory / file.name, mode=0o666, is_durable=False) as draft:
            draft.write_bytes(file.read_bytes())
    return len(files)


def write_schemas(directory: Path, defaults: Sequence[JsonObject] = ()) -> int:
    """Write all schemas into a folder, for a project with these defaults, which is made where it is missing; return how many. Raises OSError."""
    is_private = directory.parent.name == NAME
    if is_private:
        make_private(directory)
    directory.mkdir(parents=True, exist_ok=True)
    texts: Mapping[str, str] = {name: editor_schema(name, defaults) for name in schema_names()}
    for name, text in texts.items():
        mode = 0o600 if is_private else 0o666
        with draft_of(directory / file_name(name), mode=mode, is_durable=False) as draft:
            draft.write_text(text, encoding="utf-8")
    return len(texts)
