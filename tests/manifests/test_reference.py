"""The reference of kinds is made from the schemas, and current."""

from __future__ import annotations

from tools.reference import REFERENCE, reference


def test_the_reference_is_current() -> None:
    """After a change of a schema or an example: `python -m tools.reference`."""
    assert REFERENCE.read_text(encoding="utf-8") == reference()
