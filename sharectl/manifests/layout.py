"""The order of fields in manifests: that of the reference, with every line and comment as it was written."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from sharectl.manifests.schemas import schema_of
from sharectl.model.kinds import API_VERSION, KIND_OF_DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from yaml.nodes import MappingNode, Node

_KINDS: Final = frozenset((*KIND_OF_DOCUMENT, "Project"))
_ENDS: Final = ("---", "...")

Entry = tuple[str, int, "Node"]
"""A field of a mapping: its name, the line that it begins in, and its value."""


def arranged(text: str) -> str:
    """Return the text of a file with the fields of its manifests in the order of the reference.

    A field takes along the comments above it. Left as they are: what is written between brackets, the fields of list items, documents of
    others and with anchors. Raises YAMLError.
    """
    import yaml  # noqa: PLC0415 - only where manifests are arranged

    # A last line without an end gets that of the others, for it may not stay the last one.
    is_of_windows = not text.endswith("\n") and 0 < text.count("\n") == text.count("\r\n")
    end_of_last = "\r\n" if is_of_windows else ""
    lines = f"{text}{end_of_last}".split("\n")
    for root in yaml.compose_all(text, Loader=yaml.CSafeLoader):
        order = _order_of(root)
        if order is not None and _is_block(root):
            begin = root.start_mark.line
            end = next((n for n in range(begin + 1, len(lines)) if lines[n].startswith(_ENDS)), len(lines))
            lines[begin:end] = _arranged(lines, root, order, begin, end)
    after = "\n".join(lines).removesuffix(end_of_last)
    return after if _is_same(text, after) else text


def is_left_for_aliases(text: str) -> bool:
    """Tell whether a manifest in the text is left as it is because a part of it stands in two places. Raises YAMLError."""
    import yaml  # noqa: PLC0415 - as above

    if "&" not in text:
        return False
    return any(
        root is not None and not _is_tree(root) and _kind_of(root) is not None
        for root in yaml.compose_all(text, Loader=yaml.CSafeLoader)
    )


def _order_of(root: Node | None) -> Mapping[str, Any] | None:
    """Return the fields of the document's kind in their order, by the schema; None for a document that is left as it is."""
    if root is None or not _is_tree(root):
        return None
    kind = _kind_of(root)
    return None if kind is None else schema_of(kind)


def _kind_of(root: Node) -> str | None:
    """Return the kind of a manifest; None for a document of others."""
    from yaml.nodes import MappingNode, ScalarNode  # noqa: PLC0415 - as above

    if not isinstance(root, MappingNode):
        return None
    fields = {key.value: value.value for key, value in root.value if isinstance(value, ScalarNode)}
    kind: str | None = fields.get("kind")
    return kind if fields.get("apiVersion") == API_VERSION and kind in _KINDS else None


def _is_tree(root: Node) -> bool:
    """Tell whether no part stands in two places, as it does with anchors, whose order matters."""
    from yaml.nodes import ScalarNode  # noqa: PLC0415 - as above

    seen, waiting = set(), [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            return False
        seen.add(id(node))
        if not isinstance(node, ScalarNode):
            waiting += [part for each in node.value for part in (each if isinstance(each, tuple) else (each,))]
    return True


def _arranged(lines: Sequence[str], node: MappingNode, schema: Mapping[str, Any], begin: int, end: int) -> list[str]:
    """Return the lines from `begin` to `end`, which hold the mapping `node`, in order."""
    entries = list(_entries(lines, node))
    if len(entries) < len(node.value) or not entries:
        return list(lines[begin:end])
    column = node.start_mark.column
    is_document = column == 0
    starts = [entries[0][1] if is_document else _with_comments(lines, entries[0][1], begin, column, over_blanks=False)]
    starts += [_with_comments(lines, line, above[1] + 1, column) for above, (_, line, _) in pairwise(entries)]
    last = _with_comments(lines, end, entries[-1][1] + 1, column)
    properties = schema.get("properties", {})
    places = {name: place for place, name in enumerate(properties)}
    parts = []
    for (name, line, value), start, stop in zip(entries, starts, [*starts[1:], last], strict=True):
        inner = properties.get(name) or schema.get("additionalProperties") or {}
        below = lines[line + 1 : stop]
        if _is_block(value) and value.start_mark.line > line and _orders(inner):
            below = _arranged(lines, value, inner, line + 1, stop)
        parts.append((places.get(name, len(places)), [*lines[start : line + 1], *below]))
    ordered = sorted(parts, key=lambda part: part[0])
    if ordered[0] is not parts[0]:
        _swap_blank_lines(ordered[0][1], parts[0][1])
    return [*lines[begin : starts[0]], *(line for _, part in ordered for line in part), *lines[last:end]]


def _orders(schema: Mapping[str, Any]) -> bool:
    """Tell whether a schema puts the fields of a mapping in order, or those within them."""
    others = schema.get("additionalProperties")
    return "properties" in schema or (isinstance(others, dict) and "properties" in others)


def _entries(lines: Sequence[str], node: MappingNode) -> Iterator[Entry]:
    """Yield the fields that begin in a line of their own."""
    from yaml.nodes import ScalarNode  # noqa: PLC0415 - as above

    if not _is_block(node):
        return
    before = -1
    for key, value in node.value:
        mark = key.start_mark
        if not isinstance(key, ScalarNode) or mark.line == before or lines[mark.line][: mark.column].strip():
            return
        before = mark.line
        yield key.value, mark.line, value


def _is_block(node: Node | None) -> TypeGuard[MappingNode]:
    from yaml.nodes import MappingNode  # noqa: PLC0415 - as above

    return isinstance(node, MappingNode) and not node.flow_style


def _with_comments(lines: Sequence[str], line: int, least: int, column: int, *, over_blanks: bool = True) -> int:
    """Return the first of the lines above `line` that belong to it: comments no deeper than `column`, and the blank lines among them."""
    while line > least:
        above = lines[line - 1]
        text = above.lstrip()
        if not (over_blanks if not text else text.startswith("#") and len(above) - len(text) <= column):
            break
        line -= 1
    return line


def _swap_blank_lines(first: list[str], former: list[str]) -> None:
    """Let the field that comes first now leave the blank lines above it to the one that was first."""
    blank = next((number for number, line in enumerate(first) if line.strip()), 0)
    former[:0] = first[:blank]
    del first[:blank]


def _is_same(text: str, after: str) -> bool:
    """Tell whether all documents say what they said, in the same lines."""
    import yaml  # noqa: PLC0415 - as above

    before, now = (Counter(line.rstrip("\r") for line in each.split("\n")) for each in (text, after))
    if before != now:
        return False
    documents = (list(yaml.load_all(each, Loader=yaml.CBaseLoader)) for each in (text, after))
    return next(documents) == next(documents)
