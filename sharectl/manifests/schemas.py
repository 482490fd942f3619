"""The JSON Schemas of all kinds, from the wheel or from a source checkout, and those of drivers, with their quick yes-or-no tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.kinds import API_VERSION, KIND_OF_DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharectl.model.canonical import JsonObject

_SUFFIX: Final = ".schema.json"
_ANY_KIND: Final = "manifest"


@cache
def schemas_directory() -> Path:
    """Return where the schemas are: those of manifests in it, those of what commands write in its folder `outputs`."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "schemas"
    return shipped if shipped.is_dir() else package.parent / "schemas"


def schema_names() -> tuple[str, ...]:
    """Return the names of all schemas, sorted: one for each kind, `project`, and `manifest` for any of them."""
    return tuple(
        sorted([_ANY_KIND, *(path.name.removesuffix(_SUFFIX) for path in schemas_directory().glob(f"*{_SUFFIX}"))])
    )


def schema_text(name: str) -> str:
    """Return the schema `name` as JSON text; raises KeyError where there is none of that name."""
    if name not in schema_names():
        raise KeyError(name)
    if name == _ANY_KIND:
        return _schema_of_any_kind()
    return (schemas_directory() / f"{name}{_SUFFIX}").read_text(encoding="utf-8")


def _schema_of_any_kind() -> str:
    """Return the schema of a document of any kind, which leads editors to that of its kind."""
    import orjson  # noqa: PLC0415 - only editors need it

    kinds = (*KIND_OF_DOCUMENT, "Project")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Manifest",
        "description": "Any document that sharectl reads, for editors: the schema of its kind, found by `kind`.",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": {"const": API_VERSION, "description": "The version of this format."},
            "kind": {"enum": kinds, "description": "What the document describes."},
        },
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"{schema_name_of(kind)}{_SUFFIX}"},
            }
            for kind in kinds
        ],
    }
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def schema_name_of(document_kind: str) -> str:
    """Return the name of the schema of a document's kind: `share-type` for `ShareType`."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in document_kind).lstrip("-")


@cache
def schema_of(document_kind: str) -> JsonObject:
    """Return the parsed schema of a document's kind."""
    import orjson  # noqa: PLC0415 - only validation parses schemas

    schema: dict[str, Any] = orjson.loads(schema_text(schema_name_of(document_kind)))
    return schema


@cache
def schemas_digest() -> bytes:
    """Return the digest of all schemas together, but for that of any kind, which follows from the others' names."""
    from sharectl.model.canonical import digest_of  # noqa: PLC0415 - `sharectl schema` needs none

    return digest_of(b"\0".join(path.read_bytes() for path in sorted(schemas_directory().glob(f"*{_SUFFIX}"))))


@cache
def accepts(document_kind: str) -> Callable[[Any], bool]:
    """Return the compiled yes-or-no test of documents of this kind."""
    return compiled_test(schema_of(document_kind))


def compiled_test(schema: JsonObject) -> Callable[[Any], bool]:
    """Return the compiled yes-or-no test of `schema`."""
    import jsonschema_rs  # noqa: PLC0415 - unchanged manifests are not validated again

    test: Callable[[Any], bool] = jsonschema_rs.Draft202012Validator(schema).is_valid
    return test


class DriverSchemas:
    """The config schemas of drivers, each asked for and compiled once; and how many documents were explained with them."""

    def __init__(
        self, schema_of_driver: Callable[[str], JsonObject | None], known: Callable[[], Sequence[str]]
    ) -> None:
        """Ask `schema_of_driver` for a driver's schema (None where there is no such driver), and `known` for all names."""
        self.schema = cache(schema_of_driver)
        self.known = known
        self.explained = 0
        self.digest = cache(self._digest)
        self._tests: dict[str, Callable[[Any], bool]] = {}

    def _digest(self, driver: str) -> str:
        """Return the digest of that schema, empty where there is no such driver."""
        from sharectl.model.canonical import canonical_json, digest_of  # noqa: PLC0415 - as above

        schema = self.schema(driver)
        return "" if schema is None else digest_of(canonical_json(schema)).hex()

    def accepts(self, driver: str, config: JsonObject) -> bool:
        """Tell whether `config` meets the schema of a driver that exists."""
        if driver not in self._tests:
            self._tests[driver] = compiled_test(self.schema(driver) or {})
        return self._tests[driver](config)
