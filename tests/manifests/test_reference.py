"""The reference of kinds is made from the schemas, and current."""

from __future__ import annotations

import orjson

from sharectl.manifests.schemas import schema_names, schema_text
from sharectl.model.kinds import KIND_OF_DOCUMENT
from tools.reference import REFERENCE, reference


def test_the_reference_is_current() -> None:
    """After a change of a schema or an example: `python -m tools.reference`."""
    assert REFERENCE.read_text(encoding="utf-8") == reference()


def test_the_schema_of_any_document_leads_to_that_of_each_kind() -> None:
    """Kinds and schemas are those that there are."""
    schema = orjson.loads(schema_text("manifest"))
    led = {part["if"]["properties"]["kind"]["const"]: part["then"]["$ref"] for part in schema["allOf"]}
    assert list(led) == schema["properties"]["kind"]["enum"] == [*KIND_OF_DOCUMENT, "Project"]
    assert sorted(led.values()) == sorted(f"{name}.schema.json" for name in schema_names() if name != "manifest")
