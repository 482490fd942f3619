"""The tables of `data/`: which fields, operations and error codes the array has."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA: Final = Path(__file__).parent / "data"

Version = tuple[int, int, int]
JsonObject = dict[str, Any]


def version_of(text: str) -> Version:
    """Return `9.12.1` as numbers."""
    generation, major, minor = (int(part) for part in text.split("."))
    return generation, major, minor


@dataclass(slots=True)
class Node:
    """One name in the tree of a resource's fields; a leaf has a type, and whatever is left out of the tables is `opaque`."""

    children: dict[str, Node] = field(default_factory=dict)
    many: bool = False
    """An array of objects."""
    leaf: Mapping[str, Any] | None = None
    since: Version = (9, 10, 1)
    opaque: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A kind of object, with its collection's path and the tree of its fields."""

    name: str
    path: str
    tree: Node
    names: frozenset[str]
    """Every dotted name that may be asked for: leaves, objects and what is left out; arrays without their brackets."""


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return loaded


OPERATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    **_load("operations.json"),
    **{  # in no table; which volumes hold some is asked by it
        f"GET /storage/{kind}{key}": {"ok": [200]} for kind in ("luns", "namespaces") for key in ("", "/{uuid}")
    },
}
ERRORS: Final[Mapping[str, Mapping[str, Any]]] = _load("errors.json")
_FIELDS: Final = _load("fields.json")


def _grow(tree: Node, dotted: str) -> Node:
    for part in dotted.split("."):
        tree = tree.children.setdefault(part.removesuffix("[]"), Node())
        tree.many = tree.many or part.endswith("[]")
    return tree


def _resource(name: str, entry: Mapping[str, Any]) -> Resource:
    tree = Node()
    for dotted, leaf in entry["fields"].items():
        node = _grow(tree, dotted)
        node.leaf = leaf
        if "since" in leaf:
            node.since = version_of(leaf["since"])
    for dotted in entry.get("omitted", ()):
        node = _grow(tree, dotted.removesuffix(" {}"))
        if not node.children and node.leaf is None:
            node.opaque = True
    _date(tree)
    return Resource(name, entry["path"], tree, frozenset(_names(tree)))


def _date(node: Node) -> Version:
    """Let an object be as old as the oldest field in it."""
    if node.children:
        node.since = min(_date(child) for child in node.children.values())
    return node.since


def _names(node: Node, prefix: str = "") -> list[str]:
    found = []
    for name, child in node.children.items():
        found += [prefix + name, *_names(child, f"{prefix}{name}.")]
    return found


def shape_of(path: str) -> str:
    """Return a path with its keys left nameless, as the tables do not spell them alike."""
    return re.sub(r"\{[^}]*\}", "{}", path)


RESOURCES: Final[Mapping[str, Resource]] = {name: _resource(name, entry) for name, entry in _FIELDS.items()}
_BY_SHAPE: Final = {shape_of(resource.path): resource for resource in RESOURCES.values()}
_NAMED_AGAIN: Final = {"kerberos_interface": ("interface.name",)}
"""What clients give in a body although the path has said it, and the table has as read-only."""
ALSO_IN_BODY: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset((*entry.get("also_in_body", ()), *_NAMED_AGAIN.get(name, ()))) for name, entry in _FIELDS.items()
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of operations.json; `collection` is its path without the object's own keys."""

    name: str
    method: str
    path: str
    collection: str
    resource: Resource | None
    keys: tuple[str, ...]
    own_keys: tuple[str, ...]
    """The keys of the object itself, as opposed to those of its parents; none for a collection and for what there is one of."""
    ok: tuple[int, ...]
    query: frozenset[str]
    expensive: tuple[str, ...]

    @property
    def on_instance(self) -> bool:
        """Whether it is about one object that its path names."""
        return bool(self.own_keys)


_NOT_STANDARD: Final[Mapping[str, tuple[str, ...]]] = {
    "/storage/volumes": ("guarantee", "efficiency", "quota", "qos", "files", "snapshot_directory_access_enabled"),
}
"""What `fields=*` was seen not to give, beside what is described as expensive."""


def operation_of(name: str) -> Operation:
    """Return the operation `METHOD /path`; the command line's paths are in no table and take anything."""
    method, path = name.split(" ", 1)
    entry = OPERATIONS.get(name, {"ok": [200 if method != "POST" else 201]})
    collection, own = path, []
    while collection.endswith("}") and shape_of(collection) not in _BY_SHAPE:
        collection, _, key = collection.rpartition("/")
        own.insert(0, key.strip("{}"))
    return Operation(
        name,
        method,
        path,
        collection,
        _BY_SHAPE.get(shape_of(collection)),
        tuple(re.findall(r"\{([^}]*)\}", path)),
        tuple(own),
        tuple(entry["ok"]),
        frozenset(entry.get("query", ())),
        (*entry.get("expensive", ()), *_NOT_STANDARD.get(collection, ())),
    )


@cache
def operations() -> Mapping[str, Operation]:
    """Return all operations of the table by name."""
    return {name: operation_of(name) for name in OPERATIONS}
