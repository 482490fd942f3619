"""The published schemas of what commands write, which are closed: a new field is in its schema, or a test fails."""

from __future__ import annotations

from typing import Any, get_args

import jsonschema
import orjson
import pytest

from sharectl.model import events
from sharectl.render.output import json_parts
from sharectl.render.outputs import output_names, schema_of_output
from sharectl.render.plan_json import drift_object, plan_object
from tests.outputs import check_outputs, documents_in, faults_of
from tests.render.samples import rich_plan
from tests.render.test_json_contract import CONTRACT, formats


def schemas_in(schema: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a part of a schema
    """Return the schemas of objects in a schema."""
    if isinstance(schema, list):
        return [found for each in schema for found in schemas_in(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if "properties" in schema and isinstance(schema["properties"], dict) and "type" in schema else []
    return own + [found for each in schema.values() for found in schemas_in(each)]


def test_every_format_has_a_schema() -> None:
    """And no schema is of a format that nobody writes."""
    assert set(output_names()) == formats()


@pytest.mark.parametrize("name", output_names())
def test_a_schema_is_sound_closed_and_named(name: str) -> None:
    """Each object says all of its fields, and which are always there."""
    schema = orjson.loads(schema_of_output(name))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert (schema["title"], name in CONTRACT) == (name, True)
    found = schemas_in(schema)
    assert found
    assert all(each.get("additionalProperties") is False for each in found)


def test_a_field_that_is_not_in_the_schema_is_a_fault() -> None:
    """Wherever it stands."""
    document = orjson.loads("".join(json_parts(plan_object(rich_plan()))))
    assert faults_of(document) == []
    assert faults_of({**document, "news": 1})
    document["steps"][0]["news"] = 1
    assert faults_of(document)


def test_drift_is_as_its_schema_says() -> None:
    """As in the plan."""
    check_outputs(orjson.dumps(drift_object(rich_plan())).decode())


def test_each_event_has_its_schema() -> None:
    """No more and no fewer."""
    variants = orjson.loads(schema_of_output("sharectl-events"))["oneOf"]
    fields = {each["properties"]["event"]["const"]: set(each["properties"]) for each in variants}
    assert len(fields) == len(get_args(events.Event))


def test_documents_are_found_in_what_a_command_wrote() -> None:
    """One on all lines, or one on each; other text holds none."""
    one = '{"format": "sharectl-x"}'
    assert len(documents_in(one)) == 1
    assert len(documents_in(f"{one}\n{one}\n")) == 2
    assert documents_in("No changes.") == documents_in('{"a": 1}') == documents_in("{ no") == []
