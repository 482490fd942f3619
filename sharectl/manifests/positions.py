"""Find the line and column of any field of a manifest, by reading the file again with positions."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.manifests.reader import MAX_DEPTH
from sharectl.manifests.syntax import MAX_EVENTS_PER_DOCUMENT, Segment, segments, too_large
from sharectl.model.diagnostics import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.manifests.findings import Path
    from sharectl.manifests.syntax import Mark

MASK: Final = "***"
_SECRET_NAME: Final = re.compile(
    r"(?:passw(?:or)?d|passphrase|secret|token|credentials?|(?:api|private|access|secret)[-_]?key)\Z", re.IGNORECASE
)
_PART_OF_SECRET_NAME: Final = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|psk|(?:api|private|access|secret|auth|ssh|encryption)key"
    r"|^(?:pass|pw|auth|cred|creds)$|(?:pw|pass)$"
)
_SECRET_WORDS: Final = ("password", "passwd", "passphrase", "secret", "token", "credential", "credentials")
_NEAR: Final = 0.8
_KEY_ON_LINE: Final = re.compile(
    r"""(?P<name>[A-Za-z][\w.-]{0,63}(?: [\w.-]{1,63})?)["']?\s*:\s*(?!\{\s*["']?(?:env|file)["']?\s*:)(?=\S)"""
)
_OPEN_KEY: Final = re.compile(r"""\s*(?:-\s+)*["']?(?P<name>[A-Za-z][\w. -]{0,63})["']?\s*:(?:\s.*)?\Z""")
_REFERENCE: Final = re.compile(r"""\s*["']?(?:env|file)["']?\s*:""")
_MAYBE_SECRETS: Final = re.compile(
    rb"config|SecurityService|pas|pwd|pw|sec[er]|tok|cred|key|psk|auth|phrase", re.IGNORECASE
)


class Span(NamedTuple):
    """The place of a text, from its first line and column to the column behind its last; all count from 0."""

    line: int
    column: int
    end_line: int
    end_column: int


def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name is made to hold a secret."""
    return _SECRET_NAME.search(name) is not None


@lru_cache(maxsize=4096)
def may_name_secret(name: str) -> bool:
    """Tell whether somebody may have typed a secret under this name: that of a secret, or nearly so (`passwrd`, `bind_pw`)."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - only mistakes are shown

    if is_secret_name(name):
        return True
    plain = re.sub(r"[^a-z]", "", name.lower())
    if _PART_OF_SECRET_NAME.search(plain):
        return True
    return any(
        abs(len(plain) - len(word)) <= 3 and SequenceMatcher(None, plain, word).ratio() >= _NEAR  # noqa: PLR2004 - a slip or two
        for word in _SECRET_WORDS
    )


def masked_line(lines: list[str], number: int, spans: list[Span], most_characters: int) -> str:
    """Return the beginning of line `number` (from 0) with every secret in it masked: those at `spans`, and what its own text gives away.

    The text alone is all there is where a document is broken and its parts are not known.
    """
    text = lines[number]
    for span in sorted(spans, reverse=True):
        if span.line <= number <= span.end_line:
            start = span.column if span.line == number else len(text) - len(text.lstrip())
            end = span.end_column if span.end_line == number else len(text)
            if start < end:
                text = text[:start] + MASK + text[end:]
    text = text[:most_characters]
    for found in _KEY_ON_LINE.finditer(text):
        words = found["name"].split(" ")
        if may_name_secret(words[-1]) or may_name_secret(found["name"]):
            return text[: found.end()] + MASK
    return MASK if _within_secret(lines, number) else text


def _within_secret(lines: list[str], number: int) -> bool:
    """Tell whether the line goes on with the value of a secret's key above it, by indentation."""
    indent = _indent(lines[number])
    for above in range(number - 1, max(-1, number - 200), -1):
        line = lines[above]
        if line.strip() and _indent(line) < indent:
            found = _OPEN_KEY.match(line)
            return found is not None and may_name_secret(found["name"]) and not _REFERENCE.match(lines[number])
    return False


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


Step = str | int
_DOCUMENT_START: Final = re.compile(rb"^(?:\xef\xbb\xbf)?---(?=\s|\Z)", re.MULTILINE)
_ODD_LINE_END: Final = re.compile(rb"\r(?!\n)|\xc2\x85|\xe2\x80[\xa8\xa9]")
_WORD_BYTES: Final = frozenset(b"_.:/\\-" + f"{ascii_letters}{digits}".encode())
_MAX_EXCERPT_CHARACTERS: Final = 200


class Spot(NamedTuple):
    """Where a value stands: line and column from 1, and the text of a scalar as it was written."""

    line: int
    column: int
    text: str | None


class _Node:
    """A value's place, and those of its parts; `end` is that of a scalar."""

    __slots__ = ("end", "entries", "is_mapping", "items", "mark", "merged", "text")

    def __init__(
        self, mark: Mark, text: str | None = None, end: Mark | None = None, *, is_mapping: bool = False
    ) -> None:
        self.mark, self.text, self.end, self.is_mapping = mark, text, end, is_mapping
        self.entries: dict[str, tuple[Mark, _Node]] = {}
        self.items: list[_Node] = []
        self.merged: list[_Node] = []

    def part(self, step: Step) -> tuple[Mark, _Node] | None:
        if isinstance(step, int):
            return (self.items[step].mark, self.items[step]) if 0 <= step < len(self.items) else None
        if step in self.entries:
            return self.entries[step]
        for merged in self.merged:
            for source in merged.items or [merged]:
                if step in source.entries:
                    return source.entries[step]
        return None


class FilePositions:
    """The positions of one file's content, or of one document in it, under the name that the user gave the file."""

    def __init__(self, path: str, data: bytes, concealed: set[tuple[int, Path]] | None = None) -> None:
        """Keep the content; it is read with positions when the first one is asked for. Nothing is shown of the values in `concealed`."""
        self.path = path
        self._data = data
        self._first_line = 1
        self._roots: dict[int, _Node] | None = None
        self._lines: list[str] | None = None
        self._plain_lines: list[bytes] | None = None
        self._concealed = set() if concealed is None else concealed
        self._spans: dict[int, list[Span]] | None = None
        self._starts: tuple[list[int], list[int]] | None = None
        self._last: tuple[tuple[int, int], FilePositions] | None = None

    def in_document(self, document: int, line: int) -> FilePositions:
        """Return the positions in one document, which `line` is in: without reading all others of the file."""
        if self._starts is None:
            self._starts = _document_starts(self._data)
        lines, offsets = self._starts
        number = bisect_right(lines, line) - 1
        if number < 0 or self._first_line > 1:
            return self
        if self._last is None or self._last[0] != (number, document):
            end = offsets[number + 1] if number + 1 < len(offsets) else len(self._data)
            positions = FilePositions(self.path, self._data[offsets[number] : end], self._concealed)
            positions._first_line = lines[number]
            roots = _read_positions(positions._data)
            positions._roots = {document: roots[min(roots)]} if roots else {}
            self._last = (number, document), positions
        return self._last[1]

    def conceal(self, document: int, path: Sequence[Step]) -> None:
        """Show nothing of the value at `path`, nor of those within it."""
        self._concealed.add((document, tuple(path)))
        self._spans = self._last = None

    def source(self, document: int, path: Sequence[Step], *, key: bool = False) -> Source:
        """Return the place of the value at `path` (of its key, with `key`) in `document`, or of the nearest value around it that exists."""
        spot = self.spot(document, path, key=key)
        secret = any(isinstance(step, str) and is_secret_name(step) for step in path)
        return self.place(spot.line, spot.column, document, secret=secret)

    def place(self, line: int, column: int, document: int, *, secret: bool = False) -> Source:
        """Return a Source with its excerpt; secrets on the line are masked, a `secret` line is left out altogether."""
        return Source(self.path, line, column, document, None if secret else self.excerpt(line))

    def line_with(self, line: int, text: str) -> Source | None:
        """Return where `text` stands as a word of its own, from `line` to the end of the document, without reading any YAML; None where that is not plain."""
        if self._plain_lines is None:
            data = self._data
            is_odd = b"\r" in data or (not data.isascii() and _ODD_LINE_END.search(data) is not None)
            self._plain_lines = [] if is_odd else self._data.split(b"\n")
        found: Source | None = None
        wanted = text.encode(errors="replace")
        for number, content in enumerate(self._plain_lines[line - self._first_line :], line):
            if content.startswith((b"---", b"...")):
                break
            at = _word_in(content, wanted)
            if at is None:
                continue
            if found is not None or b"#" in content:  # it may be said in a comment alone
                return None
            found = Source(self.path, number, len(content[:at].decode(errors="replace")) + 1)
        return found

    def spot(self, document: int, path: Sequence[Step], *, key: bool = False) -> Spot:
        """Return line, column and text of the value (or key) at `path`, or of the nearest value around it that exists."""
        if self._roots is None:
            self._roots = _read_positions(self._data)
        node = self._roots.get(document)
        if node is None:
            return Spot(self._first_line, 1, None)
        mark = node.mark
        for step in path:
            found = node.part(step)
            if found is None:
                return Spot(mark.line + self._first_line, mark.column + 1, None)
            node = found[1]
            mark = found[0] if key and step is path[-1] else node.mark
        return Spot(mark.line + self._first_line, mark.column + 1, node.text)

    def written(self, document: int, path: Path) -> str:
        """Return the text of the scalar at `path` as it was written; that of a secret is masked."""
        may_be_secret = any(isinstance(step, str) and may_name_secret(step) for step in path)
        return MASK if may_be_secret else self.spot(document, path).text or ""

    def excerpt(self, line: int) -> str | None:
        """Return the text of `line` (from 1) without its line end, shortened where it is very long, secrets masked."""
        if self._lines is None:
            self._lines = self._data.decode(errors="replace").removeprefix("\ufeff").splitlines()
        number = line - self._first_line
        if not 0 <= number < len(self._lines):
            return None
        text = masked_line(self._lines, number, self._secret_spans().get(number, []), _MAX_EXCERPT_CHARACTERS)
        return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)

    def _secret_spans(self) -> dict[int, list[Span]]:
        """Return the spans of secrets by the lines (from 0, as all in here) that they touch."""
        if self._spans is None:
            self._spans = {}
            if self._concealed or _MAYBE_SECRETS.search(self._data):  # else there is nothing to look for
                if self._roots is None:
                    self._roots = _read_positions(self._data)
                for span in _secrets_in(self._roots, self._concealed):
                    for line in range(span.line, span.end_line + 1):
                        self._spans.setdefault(line, []).append(span)
        return self._spans


def _secrets_in(roots: dict[int, _Node], concealed: set[tuple[int, tuple[Step, ...]]]) -> Iterator[Span]:
    """Yield the spans of all scalars that may be secrets: those under a secret's name, and those that are concealed."""
    visited: set[tuple[int, bool]] = set()
    open_nodes: list[tuple[_Node, bool]] = [(root, False) for root in roots.values()]
    for document, path in concealed:
        node = roots.get(document)
        for step in path:
            found = None if node is None else node.part(step)
            node = None if found is None else found[1]
        if node is not None:
            open_nodes.append((node, True))
    while open_nodes:
        node, is_secret = open_nodes.pop()
        if (id(node), is_secret) in visited:
            continue
        visited.add((id(node), is_secret))
        if is_secret and node.end is not None:
            yield Span(node.mark.line, node.mark.column, node.end.line, node.end.column)
        open_nodes += [(part, is_secret) for part in (*node.items, *node.merged)]
        for name, (_, part) in node.entries.items():
            is_reference = is_secret and name in {"env", "file"} and len(node.entries) == 1
            open_nodes.append((part, not is_reference and (is_secret or may_name_secret(name))))


def _word_in(line: bytes, word: bytes) -> int | None:
    """Return where a line has `word` with nothing around it that could belong to it; of a line without it, that is known at once."""
    at = line.find(word) if word else -1
    while at >= 0:
        end = at + len(word)
        if _WORD_BYTES.isdisjoint(line[max(0, at - 1) : at]) and _WORD_BYTES.isdisjoint(line[end : end + 1]):
            return at
        at = line.find(word, at + 1)
    return None


def _document_starts(data: bytes) -> tuple[list[int], list[int]]:
    """Return the lines (from 1) and offsets at which documents begin; empty where lines may end with anything but a line feed."""
    if _ODD_LINE_END.search(data):
        return [], []
    lines, offsets = [1], [0]
    for found in _DOCUMENT_START.finditer(data):
        if found.start():
            lines.append(lines[-1] + data.count(b"\n", offsets[-1], found.start()))
            offsets.append(found.start())
    return lines, offsets


def _read_positions(data: bytes) -> dict[int, _Node]:
    roots: dict[int, _Node] = {}
    for segment in segments(data):
        segment.read(_PositionReader(roots).read)
    return roots


class _PositionReader:
    """Builds the tree of places from a segment's events; stops silently where the document is broken."""

    def __init__(self, roots: dict[int, _Node]) -> None:
        self.roots = roots
        self.anchors: dict[str, _Node] = {}
        self.stack: list[_Node] = []
        self.key: tuple[Mark, str] | None = None

    def read(self, segment: Segment) -> None:
        count = 0
        for event in segment.events():
            kind = event.__class__.__name__
            count += 1
            if count > MAX_EVENTS_PER_DOCUMENT:
                raise too_large(event.start_mark)
            if kind == "DocumentStartEvent":
                count = 0
                segment.documents_seen += 1
                self.anchors.clear()
                self.key = None
            elif kind in {"ScalarEvent", "AliasEvent"}:
                self.leaf(event, segment, is_alias=kind == "AliasEvent")
            elif kind in {"MappingStartEvent", "SequenceStartEvent"}:
                node = _Node(event.start_mark, is_mapping=kind == "MappingStartEvent")
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
            node = _Node(event.start_mark, None if is_alias else event.value, event.end_mark)
        if self.stack and self.stack[-1].is_mapping and self.key is None:
            self.key = (event.start_mark, node.text or "")
        else:
            self.attach(node, event.anchor, segment)

    def attach(self, node: _Node, anchor: str | None, segment: Segment) -> None:
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
