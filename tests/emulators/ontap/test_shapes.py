"""What is shown has the names and the types of the table, so that clients with typed records can read it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulators.ontap import resources  # noqa: F401 - registers what is shown
from tests.emulators.ontap.facts import RESOURCES, Node, shape_of
from tests.emulators.ontap.operations import ROWS
from tests.emulators.ontap.server import new_world

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHOWN = [name for name, resource in RESOURCES.items() if shape_of(resource.path) in ROWS]
TYPES = {"str": str, "bool": bool, "size": int, "number": (int, float), "datetime": str}


def wrong(node: Node, value: Any, dotted: str) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Find what is not as the table says."""
    if node.opaque or value is None:
        return
    if node.many:
        if not isinstance(value, list):
            yield f"{dotted}: not an array"
            return
        for each in value:
            yield from wrong_one(node, each, dotted)
    else:
        yield from wrong_one(node, value, dotted)


def wrong_one(node: Node, value: Any, dotted: str) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Find what is wrong with an object or a value."""
    if node.children:
        if not isinstance(value, dict):
            yield f"{dotted}: not an object"
            return
        for name, each in value.items():
            if name not in node.children:
                yield f"{dotted}.{name}: unknown"
            else:
                yield from wrong(node.children[name], each, f"{dotted}.{name}")
    elif node.leaf is not None:
        yield from wrong_leaf(node.leaf, value, dotted)


def wrong_leaf(leaf: Mapping[str, Any], value: Any, dotted: str) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Find what is wrong with a value."""
    kind = leaf["t"].removesuffix("[]")
    if leaf["t"].endswith("[]") is not isinstance(value, list):
        yield f"{dotted}: {value!r} is not of type {leaf['t']}"
        return
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, TYPES[kind]) or (kind in {"size", "number"} and isinstance(each, bool)):
            yield f"{dotted}: {each!r} is not of type {kind}"
        elif isinstance(leaf.get("enum"), list) and each not in leaf["enum"]:
            yield f"{dotted}: {each!r} is none of {leaf['enum']}"
        elif kind == "datetime":
            datetime.fromisoformat(each)


@pytest.mark.parametrize("resource", SHOWN)
def test_records_are_as_the_table_says(resource: str) -> None:
    """Of all that the array of the fixture holds: no unknown name, and every value of its type."""
    world = new_world("9.19.1")
    found = [
        problem
        for row in ROWS[shape_of(RESOURCES[resource].path)](world)
        for problem in wrong_one(RESOURCES[resource].tree, row.record(), resource)
    ]
    assert sorted(set(found)) == []
