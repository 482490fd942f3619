"""Where each value of a document stands: a tree of places, read from the events of the YAML parser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.syntax import MAX_DEPTH, MAX_EVENTS_PER_SET, Segment, segments, too_large
from sharectl.model.kinds import Kind

if TYPE_CHECKING:
    from sharectl.manifests.findings import Path
    from sharectl.manifests.syntax import Mark

Step = str | int
SHARES: Final[Path] = ("spec", "shares")
TEMPLATE: Final[Path] = ("spec", "template")
"""Where a ShareSet has its entries, and what it gives to all."""
ODD_LINE_END: Final = re.compile(rb"\r(?!\n)|\xc2\x85|\xe2\x80[\xa8\xa9]")
_DOCUMENT_START: Final = re.compile(rb"^(?:\xef\xbb\xbf)?---(?=\s|\Z)", re.MULTILINE)


class Node:
    """A value's place, and those of its parts; `end` is that of a scalar."""

    __slots__ = ("end", "entries", "is_mapping", "items", "mark", "merged", "text")

    def __init__(
        self, mark: Mark, text: str | None = None, end: Mark | None = None, *, is_mapping: bool = False
    ) -> None:
        """Begin at `mark`, with no parts yet."""
        self.mark, self.text, self.end, self.is_mapping = mark, text, end, is_mapping
        self.entries: dict[str, tuple[Mark, Node]] = {}
        self.items: list[Node] = []
        self.merged: list[Node] = []

    def part(self, step: Step) -> tuple[Mark, Node] | None:
        """Return the places of the key and of the value that a step leads to."""
        if isinstance(step, int):
            return (self.items[step].mark, self.items[step]) if 0 <= step < len(self.items) else None
        if step in self.entries:
            return self.entries[step]
        for merged in self.merged:
            for source in merged.items or [merged]:
                if step in source.entries:
                    return source.entries[step]
        return None


def keys_of_set(root: Node | None) -> dict[tuple[int, int], str]:
    """Return the keys of `spec.shares`, each by its place from 0; nothing where the document is no ShareSet."""
    kind = None if root is None else root.part("kind")
    found = (
        None if root is None or kind is None or kind[1].text != Kind.SHARE_SET.document_kind else node_at(root, SHARES)
    )
    return {} if found is None else {(mark.line, mark.column): name for name, (mark, _) in found.entries.items()}


def node_at(root: Node, path: Path) -> Node | None:
    """Return the node at a path, None where there is none."""
    node = root
    for step in path:
        found = node.part(step)
        if found is None:
            return None
        node = found[1]
    return node


def names_in(node: Node) -> frozenset[str]:
    """Return the keys of a mapping, those that it merges too."""
    sources = [source for merged in node.merged for source in (merged.items or [merged])]
    return frozenset((*node.entries, *(name for source in sources for name in source.entries)))


def says(root: Node | None, base: Path, path: Path) -> bool:
    """Tell whether the value at `path` below `base` is there, or a value other than a mapping around it."""
    node = None if root is None else node_at(root, base)
    if node is None:
        return False
    for step in path:
        found = node.part(step)
        if found is None:
            return not node.is_mapping and node.text not in {"", "~", "null"}
        node = found[1]
    return True


def document_starts(data: bytes) -> tuple[list[int], list[int]]:
    """Return the lines (from 1) and offsets at which documents begin; empty where lines may end with anything but a line feed."""
    if ODD_LINE_END.search(data):
        return [], []
    lines, offsets = [1], [0]
    for found in _DOCUMENT_START.finditer(data):
        if found.start():
            lines.append(lines[-1] + data.count(b"\n", offsets[-1], found.start()))
            offsets.append(found.start())
    return lines, offsets


def read_places(data: bytes, *, whole: bool = False) -> dict[int, Node]:
    """Return the places in each document, by its number; with `whole` none where a part of the data cannot be read."""
    roots: dict[int, Node] = {}
    for segment in segments(data):
        segment.read(_Reader(roots).read)
        if whole and segment.problem is not None:
            return {}
    return roots


def entry_alone(data: bytes, line: int, column: int) -> bytes | None:
    """Return a document with one entry of a block mapping, whose key stands at `line` and `column` (from 0), each on the line that it had.

    The other entries of that mapping are left blank. None where its lines are not plainly its own, or may refer to others; the
    caller sees whether what is left can be read.
    """
    parts = data.split(b"\n", line)
    if len(parts) <= line or column == 0 or parts[line][:column].strip(b" "):
        return None
    start = len(data) - len(parts[line])
    outside, beside = (re.compile(rb"^ {0,%d}[^ #\r\n]" % most, re.MULTILINE) for most in (column - 1, column))
    around = [found.start() for found in outside.finditer(data, 0, start)]
    if not around:
        return None
    first = data.index(b"\n", around[-1]) + 1
    own_end, end = (_begin(pattern.search(data, start + column + 1), data) for pattern in (beside, outside))
    if any(data.find(b"&", *between) >= 0 for between in ((first, start), (own_end, end))):
        return None  # what is left may name an anchor there
    blank = (b"\n" * data.count(b"\n", *between) for between in ((first, start), (own_end, end)))
    return b"".join((data[:first], next(blank), data[start:own_end], next(blank), data[end:]))


def _begin(found: re.Match[bytes] | None, data: bytes) -> int:
    return len(data) if found is None else found.start()


class _Reader:
    """Builds the tree of places from a segment's events; stops silently where the document is broken."""

    def __init__(self, roots: dict[int, Node]) -> None:
        self.roots = roots
        self.anchors: dict[str, Node] = {}
        self.stack: list[Node] = []
        self.key: tuple[Mark, str] | None = None

    def read(self, segment: Segment) -> None:
        count = 0
        for event in segment.events():
            kind = event.__class__.__name__
            count += 1
            if count > MAX_EVENTS_PER_SET:
                raise too_large(event.start_mark, MAX_EVENTS_PER_SET)
            if kind == "DocumentStartEvent":
                count = 0
                segment.documents_seen += 1
                self.anchors.clear()
                self.key = None
            elif kind in {"ScalarEvent", "AliasEvent"}:
                self.leaf(event, segment, is_alias=kind == "AliasEvent")
            elif kind in {"MappingStartEvent", "SequenceStartEvent"}:
                node = Node(event.start_mark, is_mapping=kind == "MappingStartEvent")
                self.attach(node, event.anchor, segment)
                self.stack.append(node)
                self.key = None
                if len(self.stack) > MAX_DEPTH:
                    return
            elif kind in {"MappingEndEvent", "SequenceEndEvent"}:
                self.stack.pop()
                self.key = None

    def leaf(self, event: Any, segment: Segment, *, is_alias: bool) -> None:  # noqa: ANN401 - a scalar or an alias
        node = self.anchors.get(event.anchor) if is_alias else None
        if node is None:
            node = Node(event.start_mark, None if is_alias else event.value, event.end_mark)
        if self.stack and self.stack[-1].is_mapping and self.key is None:
            self.key = (event.start_mark, node.text or "")
        else:
            self.attach(node, event.anchor, segment)

    def attach(self, node: Node, anchor: str | None, segment: Segment) -> None:
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.stack:
            self.roots[segment.first_document + max(0, segment.documents_seen - 1)] = node
        elif not self.stack[-1].is_mapping:
            self.stack[-1].items.append(node)
        elif self.key is not None:
            mark, name = self.key
            if name == "<<":
                self.stack[-1].merged.append(node)
            else:
                self.stack[-1].entries[name] = (mark, node)
            self.key = None
