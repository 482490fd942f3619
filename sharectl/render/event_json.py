"""Events of an apply for programs: one JSON object each, `sharectl-events` version 1."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from sharectl.render.formats import document

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject
    from sharectl.model.events import Event

_BETWEEN_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def event_name(event: Event) -> str:
    """Return `step-finished` for a StepFinished."""
    return _BETWEEN_WORDS.sub("-", type(event).__name__).lower()


def event_object(event: Event, at: str) -> JsonObject:
    """Return the event as a JSON object: its name, the time `at` (UTC, ISO 8601), and its fields under their names."""
    return document(
        "events", event=event_name(event), at=at, **{each.name: getattr(event, each.name) for each in fields(event)}
    )
