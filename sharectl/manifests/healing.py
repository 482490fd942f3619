"""Leave out of a document what its schema refuses, so that what is healthy in it is checked all the same."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.schemas import schema_of
from sharectl.manifests.validation import accepts, compiled_test, schema_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharectl.manifests.findings import Finding
    from sharectl.model.canonical import JsonObject

Path = tuple[str | int, ...]
_ROUNDS: Final = 4
_PLACEHOLDERS: Final = ("x", "1GiB", "1s", "10.0.0.0/8", "")


@dataclass(frozen=True, slots=True)
class Healed:
    """A document that meets its schema, and the paths at which it is not what was written."""

    value: JsonObject
    unsound: frozenset[Path]

    def is_written(self, path: Path) -> bool:
        """Tell whether the value at `path` is the user's, and whole."""
        return not any(path[: len(wrong)] == wrong or wrong[: len(path)] == path for wrong in self.unsound)

    def sound_findings(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return those findings that are about what was written, and do not follow from something that was not."""
        return [found for found in findings if self.is_written(found.path) and self.is_written(_context(found.path))]


def _context(path: Path) -> Path:
    """Return the path of what a check at `path` may have compared with: the subnet of an address, the type of an access rule."""
    if path[:2] == ("spec", "subnets"):
        return path[:3]
    return (*path[:-1], "type") if path[-1:] == ("to",) else path


def healed(document: JsonObject) -> Healed | None:
    """Return the document without what its schema refuses, with placeholders for what it requires; None where that does not help."""
    kind = str(document["kind"])
    value: JsonObject = copy.deepcopy(document)
    unsound: set[Path] = set()
    for _ in range(_ROUNDS):
        if accepts(kind)(value):
            return Healed(value, frozenset(unsound))
        for failure in list(schema_errors(value, schema_of(kind))):
            path: Path = tuple(failure.absolute_path)
            schema = failure.schema if isinstance(failure.schema, dict) else {}
            if failure.validator == "additionalProperties" and failure.validator_value is False:
                for name in set(failure.instance) - set(schema.get("properties", {})):
                    failure.instance.pop(name, None)
            elif failure.validator == "required":
                for name in failure.validator_value:
                    if name not in failure.instance:
                        _put(failure.instance, name, schema.get("properties", {}).get(name, {}))
                        unsound.add((*path, name))
            elif path:
                unsound.add(path)
                _replace(value, path, schema)
    return None


def _replace(value: Any, path: Path, schema: JsonObject) -> None:  # noqa: ANN401 - any JSON value
    """Put a placeholder in place of the value at `path`, which is there unless another failure has taken it away."""
    for step in path[:-1]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(value, dict) and not _put(value, path[-1], schema):
        value.pop(path[-1], None)
    elif isinstance(value, list) and isinstance(path[-1], int) and path[-1] < len(value):
        _put(value, path[-1], schema)


def _put(container: Any, key: str | int, schema: JsonObject) -> bool:  # noqa: ANN401 - a list or mapping
    placeholder = _placeholder(schema)
    if placeholder is None:
        return False
    container[key] = placeholder
    return True


def _placeholder(schema: JsonObject) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value that meets the schema, None where none is known; what it says does not matter."""
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    simple = {"boolean": False, "integer": schema.get("minimum", 1), "number": schema.get("minimum", 1)}
    if "enum" in schema or "const" in schema:
        return schema.get("enum", [schema.get("const")])[0]
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: _placeholder(parts.get(name, {})) for name in schema.get("required", ())}
    if kind == "array":
        return [_placeholder(schema.get("items", {}))] * int(schema.get("minItems", 0))
    if kind in simple:
        return simple[kind]
    test = compiled_test(schema)
    return next((text for text in _PLACEHOLDERS if test(text)), None)
