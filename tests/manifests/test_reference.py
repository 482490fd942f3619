"""The reference of kinds is made from the schemas, and current."""

from __future__ import annotations

from tools.reference import MANIFEST, REFERENCE, manifest_schema, reference


def test_the_reference_is_current() -> None:
    """After a change of a schema or an example: `python -m tools.reference`."""
    assert REFERENCE.read_text(encoding="utf-8") == reference()


def test_the_schema_of_any_document_leads_to_that_of_each_kind() -> None:
    """It is written by the same command."""
    assert MANIFEST.read_text(encoding="utf-8") == manifest_schema()
