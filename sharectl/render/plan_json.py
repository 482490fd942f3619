"""A plan for programs: the document that a saved plan holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.planning.document import plan_to_document

if TYPE_CHECKING:
    from sharectl.model import JsonObject
    from sharectl.planning.types import Plan


def plan_object(plan: Plan) -> JsonObject:
    """Return the plan as a JSON object, `sharectl-plan` version 1; see docs/json.md."""
    return plan_to_document(plan)
