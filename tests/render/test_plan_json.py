"""A plan for programs."""

from __future__ import annotations

import orjson

from sharectl.planner.saved.document import plan_from_document
from sharectl.render.output import json_parts
from sharectl.render.plan_json import drift_object, plan_object
from tests.render.samples import rich_plan


def test_the_object_is_the_saved_plan() -> None:
    """It is JSON, and reading it gives an equal plan."""
    plan = rich_plan()
    document = orjson.loads("".join(json_parts(plan_object(plan))))
    assert (document["format"], document["version"]) == ("sharectl-plan", 1)
    assert plan_from_document(document) == plan


def test_drift_alone_has_a_format_of_its_own() -> None:
    """Its entries are those of the plan's document."""
    document = drift_object(rich_plan())
    assert (document["format"], document["version"]) == ("sharectl-drift", 1)
    assert document["drift"] == plan_object(rich_plan())["drift"]
    assert document["diagnostics"][0]["code"] == "backend.unknown"
