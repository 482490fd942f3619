"""What validation found, as a line and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sharectl.model.diagnostics import has_errors
from sharectl.render.formats import document
from sharectl.render.text import PLAIN, counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.render.text import Look


class Verdict(NamedTuple):
    """How many resources were looked at, and everything that is wrong with them."""

    resources: int
    diagnostics: tuple[Diagnostic, ...]


def validation_lines(verdict: Verdict, look: Look = PLAIN) -> Iterator[str]:
    """Yield that all is well; nothing where it is not, for the diagnostics say so."""
    del look
    if not has_errors(verdict.diagnostics):
        yield f"{counted(verdict.resources, 'resource')}, {'' if verdict.resources == 1 else 'all '}valid."


def validation_object(verdict: Verdict) -> JsonObject:
    """Return the verdict as a JSON object, `sharectl-validation` version 1."""
    from sharectl.planner.saved.document import diagnostic_to_object  # noqa: PLC0415 - text needs no document

    return document(
        "validation",
        valid=not has_errors(verdict.diagnostics),
        diagnostics=[diagnostic_to_object(found) for found in verdict.diagnostics],
    )
