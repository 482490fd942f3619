"""The fields that the JSON Schemas of network plugins' configurations are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.canonical import JsonObject


def text(description: str, **more: object) -> JsonObject:
    """Return the schema of a field that holds one line of text."""
    return {"type": "string", "minLength": 1, "maxLength": 255, "description": description, **more}


def choice(names: Sequence[str], description: str, **more: object) -> JsonObject:
    """Return the schema of a field that holds one of these names, the first by default."""
    return {"enum": list(names), "default": names[0], "description": description, **more}


def whole(minimum: int, maximum: int, description: str, **more: object) -> JsonObject:
    """Return the schema of a field that holds a whole number."""
    return {"type": "integer", "minimum": minimum, "maximum": maximum, "description": description, **more}


def seconds(default: float, description: str) -> JsonObject:
    """Return the schema of a field that holds a time of up to an hour."""
    limits = {"exclusiveMinimum": 0, "maximum": 3600}
    return {"type": "number", **limits, "default": default, "description": description}
