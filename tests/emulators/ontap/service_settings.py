"""What records of services have in common: they are kept as they are given, over what the array has by default."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap.facts import OPERATIONS, RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject, Node


def merged(old: JsonObject, new: JsonObject) -> JsonObject:
    """Return an object with the values of another put in, object by object."""
    result = dict(old)
    for name, value in new.items():
        inner = result.get(name)
        result[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def nested(body: JsonObject) -> JsonObject:
    """Return a body of a resource that is in no table made plain: dotted names as objects, and the name of an SVM for the SVM."""
    result: JsonObject = {}
    for dotted, value in body.items():
        *above, last = dotted.split(".")
        part = {last: {"name": value} if dotted in {"svm", "owner"} and isinstance(value, str) else value}
        for name in reversed(above):
            part = {name: part}
        result = merged(result, part)
    return result


def without(body: JsonObject, names: Iterable[str]) -> JsonObject:
    """Return an object without some of its dotted names: secrets, and what is shown from elsewhere."""
    result = dict(body)
    for dotted in names:
        first, _, rest = dotted.partition(".")
        if not rest:
            result.pop(first, None)
        elif isinstance(result.get(first), dict):
            result[first] = without(result[first], (rest,))
    return result


@cache
def _defaults(operation: str, resource: str) -> tuple[tuple[tuple[str, ...], Any], ...]:
    found = []
    for dotted, text in OPERATIONS[operation].get("defaults", {}).items():
        parts = tuple(dotted.split("."))
        leaf = _leaf(RESOURCES[resource].tree, parts)
        if leaf is not None:
            found.append((parts, _typed(str(leaf["t"]), text)))
    return tuple(found)


def _leaf(tree: Node, parts: tuple[str, ...]) -> Any:  # noqa: ANN401 - JSON
    for part in parts:
        if part not in tree.children:
            return None
        tree = tree.children[part]
    return tree.leaf


_PLAIN: Final = {"true": True, "false": False, '""': ""}


def _typed(kind: str, text: str) -> Any:  # noqa: ANN401 - JSON
    if kind == "size":
        return int(text)
    if kind.endswith("[]"):
        return [part.strip() for part in text.strip("[]").split(",")]
    return _PLAIN.get(text, text.strip("'"))


def defaults(operation: str, resource: str) -> JsonObject:
    """Return what the tables say that a POST sets where nothing is given."""
    result: JsonObject = {}
    for parts, value in _defaults(operation, resource):
        inner = result
        for part in parts[:-1]:
            inner = inner.setdefault(part, {})
        inner[parts[-1]] = value
    return result
