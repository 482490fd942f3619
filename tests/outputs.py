"""What commands write with `--output json`, held against the published schemas, wherever a test runs a command."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema_rs
import orjson

from sharectl.render.outputs import schema_of_output


@cache
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(orjson.loads(schema_of_output(name)))


def documents_in(text: str) -> list[dict[str, Any]]:
    """Return the JSON documents of sharectl in what a command wrote: one, or one on each line."""
    if not text.startswith("{"):
        return []
    try:
        found = [orjson.loads(text)]
    except orjson.JSONDecodeError:
        found = []
        for line in text.splitlines():
            try:
                found.append(orjson.loads(line))
            except orjson.JSONDecodeError:
                return []
    return [
        each
        for each in found
        if isinstance(each, dict)
        and str(each.get("format", "")).startswith("sharectl-")
        and "history" not in each  # the document of `state pull`, which docs/state.md describes
    ]


def faults_of(document: dict[str, Any]) -> list[str]:
    """Return in what a document is not as its schema says; a field that is not in it is one."""
    return [
        f"{document['format']} {'/'.join(map(str, fault.instance_path))}: {fault.message[:300]}"
        for fault in _validator(document["format"]).iter_errors(document)
    ]


def check_outputs(text: str) -> None:
    """Hold all that a command wrote against the schemas."""
    for document in documents_in(text):
        assert faults_of(document) == []
