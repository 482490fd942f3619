"""Find the line and column of any field of a manifest, by reading the file again with positions."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.manifests.places import (
    ODD_LINE_END,
    SHARES,
    TEMPLATE,
    Node,
    Step,
    document_starts,
    entry_alone,
    keys_of_set,
    names_in,
    node_at,
    read_places,
    says,
)
from sharectl.model.diagnostics import Source
from sharectl.model.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.manifests.findings import Path

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


_WORD_BYTES: Final = frozenset(b"_.:/\\-" + f"{ascii_letters}{digits}".encode())
_MAX_EXCERPT_CHARACTERS: Final = 200
_MARKS: Final = (b"---", b"...")
_SET: Final = Kind.SHARE_SET.document_kind.encode()
_LARGE_BYTES: Final = 50_000
"""From so many on a share in a set is read without the others."""
_MOST_ALONE: Final = 10
"""For so many shares; for more of them the whole set is read once."""


class Spot(NamedTuple):
    """Where a value stands: line and column from 1, and the text of a scalar as it was written."""

    line: int
    column: int
    text: str | None


class SetEntry(NamedTuple):
    """Where a share stands in a ShareSet: the key of its entry, the set's own place, the fields that the entry says and those of the template, and all keys."""

    key: str
    path: str
    line: int
    fields: frozenset[str]
    template: frozenset[str]
    keys: Sequence[str]


class FilePositions:
    """The positions of one file's content, or of one document in it, under the name that the user gave the file."""

    def __init__(self, path: str, data: bytes, concealed: set[tuple[int, Path]] | None = None) -> None:
        """Keep the content; it is read with positions when the first one is asked for. Nothing is shown of the values in `concealed`."""
        self.path = path
        self._data = data
        self._first_line = 1
        self._roots: dict[int, Node] | None = None
        self._lines: list[str] | None = None
        self._has_odd_lines: bool | None = None
        self._concealed = set() if concealed is None else concealed
        self._spans: dict[int, list[Span]] | None = None
        self._starts: tuple[list[int], list[int]] | None = None
        self._last: tuple[tuple[int, int], FilePositions] | None = None
        self._only: int | None = None
        self._keys: dict[int, dict[tuple[int, int], str]] = {}
        self._read_alone = 0

    def in_document(self, document: int, line: int, column: int = 0) -> FilePositions:
        """Return the positions in one document, which `line` is in: without reading all others of the file.

        Where the name of a share in a ShareSet stands at that column, they are those of the share: by the paths of a Share document.
        """
        found = self._in_document(document, line)
        return found.of_share(document, line, column) if column else found

    def of_share(self, document: int, line: int, column: int) -> FilePositions:
        """Return the positions of the share in a ShareSet whose key stands there; these where none does."""
        if self._roots is None and len(self._data) >= _LARGE_BYTES and self._read_alone < _MOST_ALONE:
            self._read_alone += 1
            alone = self._with_one_entry(document, line, column)
            if alone is not None:
                return alone
        key = self.key_at(document, line, column)
        return self if key is None else _SharePositions(self, document, key)

    def _with_one_entry(self, document: int, line: int, column: int) -> FilePositions | None:
        """Return the positions of a share in a ShareSet, for which the set's other entries were not read; None where that cannot be."""
        data = entry_alone(self._data, line - self._first_line, column - 1)
        if data is None or _SET not in data:
            return None
        alone = FilePositions(self.path, data, self._concealed)
        alone._first_line, alone._only = self._first_line, document
        alone._roots = dict(zip((document,), read_places(data, whole=True).values(), strict=False))
        keys = keys_of_set(alone._roots.get(document))
        place = line - self._first_line, column - 1
        return _SharePositions(alone, document, keys[place]) if list(keys) == [place] else None

    def _in_document(self, document: int, line: int) -> FilePositions:
        if self._starts is None:
            self._starts = document_starts(self._data)
        lines, offsets = self._starts
        number = bisect_right(lines, line) - 1
        if number < 0 or self._first_line > 1:
            return self
        if self._last is None or self._last[0] != (number, document):
            end = offsets[number + 1] if number + 1 < len(offsets) else len(self._data)
            positions = FilePositions(self.path, self._data[offsets[number] : end], self._concealed)
            positions._first_line = lines[number]
            positions._only = document
            self._last = (number, document), positions
        return self._last[1]

    def _tree(self) -> dict[int, Node]:
        """Return the places in each document, read when they are first asked for."""
        if self._roots is None:
            self._roots = read_places(self._data)
            if self._only is not None:
                self._roots = {self._only: self._roots[min(self._roots)]} if self._roots else {}
        return self._roots

    def key_at(self, document: int, line: int, column: int) -> str | None:
        """Return the key of `spec.shares` that stands at a place of a ShareSet."""
        if document not in self._keys:
            self._keys[document] = keys_of_set(self._tree().get(document))
        return self._keys[document].get((line - self._first_line, column - 1))

    def entry_at(self, document: int, line: int, column: int) -> SetEntry | None:
        """Return the entry of a ShareSet whose key stands at a place."""
        key, root = self.key_at(document, line, column), self._tree().get(document)
        entry = None if key is None or root is None else node_at(root, (*SHARES, key))
        if key is None or root is None or entry is None:
            return None
        common = [node for node in (node_at(root, TEMPLATE), node_at(root, ("metadata",))) if node is not None]
        template = frozenset(name for node in common for name in names_in(node))
        first = self.spot(document, ("metadata", "name")).line
        return SetEntry(key, self.path, first, names_in(entry), template, tuple(self._keys[document].values()))

    def in_set(self, document: int, key: str, path: Sequence[Step]) -> Path:
        """Return where a ShareSet says what would stand at `path` in the document of its share `key`: in the entry, or else for all."""
        own: Path = (*SHARES, key)
        rest = tuple(path[1:])
        if not path or tuple(path[:2]) == ("metadata", "name"):
            return own
        base: Path = TEMPLATE if path[0] == "spec" else ("metadata",)
        if not rest:
            return base
        root = self._tree().get(document)
        return (*own, *rest) if says(root, own, rest) or not says(root, base, rest) else (*base, *rest)

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
        data, wanted = self._data, text.encode(errors="replace")
        if self._has_odd_lines is None:
            self._has_odd_lines = b"\r" in data or (not data.isascii() and ODD_LINE_END.search(data) is not None)
        found: Source | None = None
        number, counted, start = self._first_line, 0, -1
        at = -1 if self._has_odd_lines else _word_in(data, wanted)
        while at >= 0:
            number, counted = number + data.count(b"\n", counted, at), at
            if number >= line:
                start = _start_of(data, at, number - line) if start < 0 else start
                if any(data.startswith(mark, start) or data.find(b"\n" + mark, start, at) >= 0 for mark in _MARKS):
                    break
                begin, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
                if found is not None or b"#" in data[begin : None if end < 0 else end]:
                    return None  # it may be said in a comment alone
                found = Source(self.path, number, len(data[begin:at].decode(errors="replace")) + 1)
            at = _word_in(data, wanted, at + 1)
        return found

    def spot(self, document: int, path: Sequence[Step], *, key: bool = False) -> Spot:
        """Return line, column and text of the value (or key) at `path`, or of the nearest value around it that exists."""
        node = self._tree().get(document)
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
                for span in _secrets_in(self._tree(), self._concealed):
                    for line in range(span.line, span.end_line + 1):
                        self._spans.setdefault(line, []).append(span)
        return self._spans


class _SharePositions(FilePositions):
    """The positions of a share in a ShareSet."""

    def __init__(self, around: FilePositions, document: int, key: str) -> None:
        """Translate the paths in its document to those in the set's."""
        self.path = around.path
        self._around, self._document, self._key = around, document, key

    def spot(self, document: int, path: Sequence[Step], *, key: bool = False) -> Spot:
        """Return what the set says there, or gives to all."""
        is_name = tuple(path[:2]) == ("metadata", "name")
        return self._around.spot(document, self._around.in_set(document, self._key, path), key=key or is_name)

    def excerpt(self, line: int) -> str | None:
        """Return the text of a line of the file."""
        return self._around.excerpt(line)


def _secrets_in(roots: dict[int, Node], concealed: set[tuple[int, tuple[Step, ...]]]) -> Iterator[Span]:
    """Yield the spans of all scalars that may be secrets: those under a secret's name, and those that are concealed."""
    visited: set[tuple[int, bool]] = set()
    open_nodes: list[tuple[Node, bool]] = [(root, False) for root in roots.values()]
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


def _word_in(data: bytes, word: bytes, start: int = 0) -> int:
    """Return where `word` stands next with nothing around it that could belong to it; -1 where it does not."""
    at = data.find(word, start) if word else -1
    while at >= 0:
        end = at + len(word)
        if _WORD_BYTES.isdisjoint(data[max(0, at - 1) : at]) and _WORD_BYTES.isdisjoint(data[end : end + 1]):
            break
        at = data.find(word, at + 1)
    return at


def _start_of(data: bytes, at: int, lines_above: int) -> int:
    """Return where the line begins that is so many above that at `at`."""
    for _ in range(lines_above):
        at = data.rfind(b"\n", 0, at)
    return data.rfind(b"\n", 0, at) + 1
