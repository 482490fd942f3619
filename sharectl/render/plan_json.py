"""A plan for programs: the document that a saved plan holds, and its review."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.planner.review.answers import review_of
from sharectl.planner.review.document import review_to_object
from sharectl.planner.saved.document import streamed_document
from sharectl.render.formats import document

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject
    from sharectl.model.plans import Plan


def plan_object(plan: Plan) -> JsonObject:
    """Return the plan as a JSON object, `sharectl-plan` version 1, with an iterator of its steps; see docs/json.md."""
    plain = streamed_document(plan)
    steps = plain.pop("steps")
    return {**plain, "review": review_to_object(review_of(plan)), "steps": steps}


def drift_object(plan: Plan) -> JsonObject:
    """Return what differs between the backends and the state, `sharectl-drift` version 1, in the words of the plan's document."""
    plain = streamed_document(plan)
    return document(
        "drift", lineage=plan.lineage, serial=plan.serial, drift=plain["drift"], diagnostics=plain["diagnostics"]
    )
