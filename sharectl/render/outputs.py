"""The JSON Schemas of the documents that commands write with `--output json`, from the wheel or from a source checkout."""

from __future__ import annotations

from typing import Final

from sharectl.manifests.schemas import schemas_directory

_PREFIX: Final = "sharectl-"
_SUFFIX: Final = ".schema.json"


def output_names() -> tuple[str, ...]:
    """Return the formats that have a schema, sorted: `sharectl-plan`."""
    found = (schemas_directory() / "outputs").glob(f"*{_SUFFIX}")
    return tuple(sorted(f"{_PREFIX}{path.name.removesuffix(_SUFFIX)}" for path in found))


def schema_of_output(name: str) -> str:
    """Return the schema of a format as JSON text; raises KeyError where there is none."""
    if name not in output_names():
        raise KeyError(name)
    path = schemas_directory() / "outputs" / f"{name.removeprefix(_PREFIX)}{_SUFFIX}"
    return path.read_text(encoding="utf-8")
