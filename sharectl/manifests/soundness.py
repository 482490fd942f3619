"""What of a document is sound: the rest is left out or stands in for what its schema requires, so that all that was written well is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.manifests.findings import touches
from sharectl.manifests.reader import UNREAD
from sharectl.manifests.schemas import schema_of
from sharectl.manifests.validation import accepts, compiled_test, explain, schema_errors

if TYPE_CHECKING:
    from sharectl.manifests.findings import Finding, Path
    from sharectl.model.canonical import JsonObject

_ROUNDS: Final = 8
_PLACEHOLDERS: Final = ("x", "1GiB", "1s", "10.0.0.0/8", "")
_MERGE_KEY: Final = "<<"


@dataclass(frozen=True, slots=True)
class SoundDocument:
    """A document that meets its schema, and the paths at which it does not say what was written."""

    value: JsonObject
    unsound: frozenset[Path] = frozenset()

    def is_written(self, *path: str | int) -> bool:
        """Tell whether the value at `path` is the user's, and whole."""
        return not self.unsound or not touches(path, self.unsound)

    def sound_findings(self, findings: list[Finding]) -> list[Finding]:
        """Return those findings that are about what was written, and do not follow from something that was not."""
        if not self.unsound:
            return findings
        return [each for each in findings if self.is_written(*each.path) and self.is_written(*_context(each.path))]


def _context(path: Path) -> Path:
    """Return the path of what a check at `path` may have compared with: the subnet of an address, the type of an access rule."""
    if path[:2] == ("spec", "subnets"):
        return path[:3]
    return (*path[:-1], "type") if path[-1:] == ("to",) else path


class ReadDocument(NamedTuple):
    """A copy of a document without what could not be read, and the paths at which that stood."""

    kind: str
    value: JsonObject
    unread: frozenset[Path]

    def findings(self, document: int) -> list[Finding]:
        """Return everything that keeps what was read from meeting the schema of its kind."""
        return [
            found
            for found in explain(self.value, schema_of(self.kind), document=document)
            if not any(found.path[: len(path)] == path for path in self.unread)
            and not (found.code == "manifest.missing" and (*found.path, _MERGE_KEY) in self.unread)
        ]

    def mended(self) -> SoundDocument | None:
        """Return the document without what its schema refuses, with placeholders for what it requires; None where that does not help."""
        value, kind = self.value, self.kind
        unsound = set(self.unread)
        for _ in range(_ROUNDS):
            if accepts(kind)(value):
                return SoundDocument(value, frozenset(unsound))
            for failure in list(schema_errors(value, schema_of(kind))):
                path: Path = tuple(failure.absolute_path)
                schema = failure.schema if isinstance(failure.schema, dict) else {}
                if failure.validator == "additionalProperties" and failure.validator_value is False:
                    for name in set(failure.instance) - set(schema.get("properties", {})):
                        failure.instance.pop(name, None)
                elif failure.validator == "required":
                    for name in set(failure.validator_value) - set(failure.instance):
                        failure.instance[name] = _placeholder(schema.get("properties", {}).get(name, {}))
                        unsound.add((*path, name))
                elif path:
                    unsound.add(path)
                    _leave_out(value, path, schema)
        return None


def what_was_read(document: JsonObject, kind: str) -> ReadDocument:
    """Return a document of this kind without what could not be read."""
    unread: set[Path] = set()
    return ReadDocument(kind, _read_part(document, (), unread), frozenset(unread))


def _read_part(value: Any, path: Path, unread: set[Path]) -> Any:  # noqa: ANN401 - any JSON value
    if value is UNREAD:
        unread.add(path)
        return None
    if isinstance(value, list):
        return [_read_part(part, (*path, number), unread) for number, part in enumerate(value)]
    if not isinstance(value, dict):
        return value
    unread.update((*path, str(key)) for key in value if key.__class__ is not str)
    return {key: _read_part(part, (*path, key), unread) for key, part in value.items() if key.__class__ is str}


def _leave_out(value: Any, path: Path, schema: JsonObject) -> None:  # noqa: ANN401 - any JSON value
    """Take away the value at `path`, or put a placeholder in its place where it is an item of a list; another failure may have taken it."""
    for step in path[:-1]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return
    step = path[-1]
    if isinstance(value, dict):
        value.pop(step, None)
    elif isinstance(value, list) and isinstance(step, int) and step < len(value):
        value[step] = _placeholder(schema)


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
