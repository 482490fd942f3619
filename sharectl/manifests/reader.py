"""Read the YAML documents of one file into plain values, quickly, with limits on everything and without recursion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from sharectl.manifests.findings import Finding
from sharectl.manifests.scalars import SPECIAL_FIRST, ScalarError, resolve
from sharectl.manifests.syntax import (
    MAX_DEPTH,
    MAX_EVENTS_PER_DOCUMENT,
    MAX_EVENTS_PER_SET,
    FatalError,
    binary_problem,
    segments,
    too_large,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.manifests.syntax import Mark, Segment

MAX_SCALAR_CHARACTERS: Final = 64 * 1024
MAX_EXPANDED_CHARACTERS: Final = 1_000_000
_MOST_KEYS_KNOWN: Final = 1000

_TOO_LONG: Final = (
    f"this text is longer than {MAX_SCALAR_CHARACTERS // 1024} KiB",
    "shorten it; no field of a manifest needs so much",
    "manifest.too-long",
)
_TOO_DEEP: Final = (
    f"more than {MAX_DEPTH} levels are nested here",
    "flatten it; no manifest is so deep",
    "manifest.too-deep",
)
_OF_DOCUMENTS: Final = frozenset({"apiVersion", "kind", "metadata", "spec"})
_KEY_NOT_TEXT: Final = (
    "a list or mapping cannot be a key",
    (
        "write the key as text; a value that begins with { or [ may need quotes, "
        "and {{ }} is for a program that fills it in before: sharectl expands no variables"
    ),
    "manifest.key",
)
_CORE_TAG: Final = "tag:yaml.org,2002:"
_SCALAR_TAGS: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "null": (type(None),),
}


class Document(NamedTuple):
    """One document: its number in the file, its value, and where it begins and where its `metadata.name` stands.

    A document that is not `sound` has lost something in reading, and the problem is reported: `UNREAD` stands in place of a value, and a
    key that is not text has a class of its own. Lines and columns count from 1. `entries` are the places of the keys in `spec.shares`, where
    that is a mapping.
    """

    number: int
    value: Any
    line: int
    name_line: int
    name_column: int
    sound: bool
    entries: Mapping[str, tuple[int, int]] = {}


@dataclass(slots=True)
class Reading:
    """What a file holds: its documents, its problems, and the text of the documents that could not be read."""

    documents: list[Document] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)
    unread: list[bytes] = field(default_factory=list)


class _Merge:
    """The type of the key under which a mapping keeps its `<<` until it is complete."""


class _Unread:
    """The type of what stands in place of a value that could not be read."""


class _OddKey(str):
    """A key that is not text, as JSON shows it."""

    __slots__ = ()


UNREAD: Final = _Unread()
_MERGE: Final = _Merge()
_NO_KEY: Final = object()
_IN_LIST: Final = object()


def read_documents(
    data: bytes, take: Callable[[Document], None] | None = None, *, first_document: int = 0, first_line: int = 1
) -> Reading:
    """Return all documents of `data` and all that is wrong with it; after an error, reading resumes at the next `---`.

    With `take`, each document is handed to it as soon as it is read, and not kept. The rest of a file is read from document `first_document` on,
    which begins in `first_line`; all lines before it are blank.

    Never raises for whatever bytes. Values are dicts with string keys, lists, strings, numbers, booleans and None; an
    alias is the same object as its anchor, so values must not be changed.
    """
    reading = Reading()
    unreadable = binary_problem(data)
    if unreadable is not None:
        reading.problems.append(unreadable)
        reading.unread.append(data)
        return reading
    for segment in segments(data, reading.problems, reading.unread, first_document, first_line):
        segment.read(_SegmentReader(reading, segment.first_document, take or reading.documents.append).read)
    return reading


class _SegmentReader:
    """Builds plain values from a segment's events."""

    def __init__(self, reading: Reading, number: int, take: Callable[[Document], None]) -> None:
        self.reading = reading
        self.take = take
        self.number = number - 1
        self.sound = True
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.expanded = 0

    def report(self, mark: Mark, code: str, summary: str, remedy: str) -> None:
        line, column = mark.line + 1, mark.column + 1
        self.reading.problems.append(
            Finding(f"manifest.{code}", summary, remedy=remedy, document=self.number, line=line, column=column)
        )

    def read(self, segment: Segment) -> None:  # noqa: C901, PLR0912, PLR0915 - one loop over all events: a call for each would double the time
        from yaml.events import (  # noqa: PLC0415 - reading unchanged files does without it
            AliasEvent,
            DocumentEndEvent,
            DocumentStartEvent,
            MappingEndEvent,
            MappingStartEvent,
            ScalarEvent,
            SequenceEndEvent,
            SequenceStartEvent,
        )

        stack: list[tuple[Any, Any, str | None, int, int]] = []
        container: Any = None
        key: Any = _IN_LIST
        line = values = 0
        most = MAX_EVENTS_PER_DOCUMENT
        name_mark: Mark | None = None
        shares: Any = None
        entries: dict[str, tuple[int, int]] = {}
        keys: set[str] = set()  # that are text even without quotes: a file has few, and each of them many times
        for event in segment.events():
            kind = event.__class__
            values += 1
            if values > most:
                raise too_large(event.start_mark, most)
            if kind is ScalarEvent:
                value: Any = event.value
                if key is _NO_KEY and value in keys and value not in container and event.anchor is event.tag is None:
                    key = value
                    if container is shares:
                        entries[value] = (event.start_mark.line + 1, event.start_mark.column + 1)
                    continue
                if len(value) > MAX_SCALAR_CHARACTERS:
                    raise FatalError(event.start_mark, *_TOO_LONG)
                if event.implicit[0]:
                    if value[:1] in SPECIAL_FIRST:
                        value = self.plain(event)
                    elif value == "<<" and key is _NO_KEY:
                        value = _MERGE
                elif event.tag is not None:
                    value = self.tagged(event)
                if event.anchor is not None:
                    self.anchors[event.anchor] = (value, len(event.value))
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                value = container
                if kind is MappingEndEvent and _MERGE in value:
                    self.merge(value, event.start_mark)
                container, key, anchor, start, expanded = stack.pop()
                if anchor is not None:
                    self.anchors[anchor] = (value, event.end_mark.index - start + self.expanded - expanded)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                if key is _NO_KEY:
                    raise FatalError(event.start_mark, *_KEY_NOT_TEXT)
                if len(stack) >= MAX_DEPTH:
                    raise FatalError(event.start_mark, *_TOO_DEEP)
                if event.tag is not None and event.tag not in {
                    "!",
                    _CORE_TAG + ("map" if kind is MappingStartEvent else "seq"),
                }:
                    self.bad_tag(event.start_mark, event.tag)
                if event.anchor is not None:
                    self.anchors.pop(event.anchor, None)
                stack.append((container, key, event.anchor, event.start_mark.index, self.expanded))
                is_shares = key == "shares" and len(stack) == 3 and kind is MappingStartEvent  # noqa: PLR2004 - spec.shares
                container, key = ({}, _NO_KEY) if kind is MappingStartEvent else ([], _IN_LIST)
                if is_shares:
                    shares, most = container, MAX_EVENTS_PER_SET
                continue
            elif kind is AliasEvent:
                value = self.alias(event)
            elif kind is DocumentStartEvent:
                segment.documents_seen += 1
                self.number += 1
                self.sound = True
                self.anchors.clear()
                self.expanded = 0
                container, key, name_mark, shares, entries = [], _IN_LIST, None, None, {}
                line, values, most = event.start_mark.line, 0, MAX_EVENTS_PER_DOCUMENT
                continue
            elif kind is DocumentEndEvent:
                mark = name_mark or event.start_mark
                place = (mark.line + 1, mark.column + 1) if name_mark else (line + 1, 1)
                self.take(Document(self.number, container[0], line + 1, *place, self.sound, entries))
                continue
            else:
                continue
            if key is _IN_LIST:
                container.append(value)
            elif key is not _NO_KEY:
                container[key] = value
                if key == "name" and len(stack) == 2 and kind is ScalarEvent and name_mark is None:  # noqa: PLR2004 - metadata.name lies two mappings deep
                    name_mark = event.start_mark
                key = _NO_KEY
            else:
                key = self.key(value, container, event.start_mark)
                if container is shares:
                    entries["<<" if key is _MERGE else key] = (event.start_mark.line + 1, event.start_mark.column + 1)
                if kind is ScalarEvent and event.implicit[0] and key.__class__ is str and len(keys) < _MOST_KEYS_KNOWN:
                    keys.add(key)

    def key(self, value: Any, container: dict[Any, Any], mark: Mark) -> Any:  # noqa: ANN401 - a string or the merge marker
        if value.__class__ is not str and value is not _MERGE:
            if value is UNREAD:
                return _OddKey()
            if isinstance(value, dict | list):
                raise FatalError(mark, *_KEY_NOT_TEXT)
            shown = orjson.dumps(value).decode()
            self.sound = False
            self.report(mark, "key", f"the key {shown} is not text", f'put it in quotes: "{shown}"')
            return _OddKey(shown)
        if value in container:
            is_second_document = len(container) > 1 and "apiVersion" in container and value in _OF_DOCUMENTS
            shown = "<<" if value is _MERGE else str(value)
            remedy = "merge several with one list: `<<: [*a, *b]`" if value is _MERGE else "keep one of the two"
            if is_second_document:
                remedy = "keep one of the two, or separate two documents with a line `---`"
            self.report(mark, "duplicate-key", f"the key `{shown[:80]}` stands twice in the same mapping", remedy)
        return value

    def plain(self, event: Any) -> Any:  # noqa: ANN401 - a scalar event, any scalar
        if event.tag == "!":
            return event.value
        try:
            return resolve(event.value)
        except ScalarError as failure:
            self.sound = False
            self.report(event.start_mark, "number", str(failure), "write a smaller number, or put text in quotes")
            return UNREAD

    def tagged(self, event: Any) -> Any:  # noqa: ANN401 - a scalar event, any scalar
        if event.tag in {"!", _CORE_TAG + "str"}:
            return event.value
        types = _SCALAR_TAGS.get(event.tag.removeprefix(_CORE_TAG))
        value = self.plain(event) if types else event.value
        if types is None or value.__class__ not in types:
            self.bad_tag(event.start_mark, event.tag)
            return UNREAD
        return value

    def bad_tag(self, mark: Mark, tag: str) -> None:
        # A tag that is not YAML's own may be a password that begins with an exclamation mark.
        shown = f"tag `{tag.replace(_CORE_TAG, '!!')[:80]}`" if tag.startswith(_CORE_TAG) else "tag"
        self.sound = False
        remedy = "leave the tag out; text that begins with ! goes in quotes"
        self.report(mark, "tag", f"the {shown} does not fit here", remedy)

    def alias(self, event: Any) -> Any:  # noqa: ANN401 - whatever the anchor names
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            summary = "the alias has no anchor before it in this document, or stands inside its own anchor"
            remedy = "define it with `&` earlier in the same document; text that begins with * goes in quotes"
            raise FatalError(event.start_mark, summary, remedy, "manifest.alias")
        value, weight = anchored
        self.expanded += weight + 1
        if self.expanded > MAX_EXPANDED_CHARACTERS:
            summary = f"the aliases of this document stand for more than {MAX_EXPANDED_CHARACTERS:,} characters"
            raise FatalError(
                event.start_mark, summary, "write the values out, or use fewer aliases", "manifest.alias-bomb"
            )
        return value

    def merge(self, mapping: dict[Any, Any], mark: Mark) -> None:
        merged = mapping.pop(_MERGE)
        for source in merged if isinstance(merged, list) else [merged]:
            if not isinstance(source, dict):
                self.sound = False
                summary, remedy = "`<<` takes a mapping or a list of mappings", "refer to a mapping: `<<: *anchor`"
                self.report(mark, "merge", summary, remedy)
                mapping[_OddKey("<<")] = UNREAD
                return
            for key, value in source.items():
                mapping.setdefault(key, value)
