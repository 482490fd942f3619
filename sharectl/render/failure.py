"""A command that failed, in the form that was asked for: an object for programs, a table for the summary of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.planner.saved.document import diagnostic_to_object
from sharectl.render.formats import document
from sharectl.render.plan_markdown import diagnostic_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic


def failure_object(diagnostics: Sequence[Diagnostic], exit_code: int) -> JsonObject:
    """Return why there is no other answer as a JSON object, `sharectl-error` version 1."""
    return document(
        "error", exit_code=int(exit_code), diagnostics=[diagnostic_to_object(found) for found in diagnostics]
    )


def failure_markdown(diagnostics: Sequence[Diagnostic], exit_code: int) -> Iterator[str]:
    """Yield why there is no other answer, for the summary of a job."""
    del exit_code  # whoever reads the summary of a job sees it there
    yield "## sharectl failed"
    yield from diagnostic_lines(diagnostics)
