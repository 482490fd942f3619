"""What one file of manifests comes to: a compact form that is linked with the others."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson

from sharectl.model.access import CLIENTS, AccessRule, options_of
from sharectl.model.canonical import DIGEST_SIZE_BYTES, canonical_json
from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sharectl.manifests.findings import Finding, Path
    from sharectl.manifests.packs import Pack
    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address

NOTHING_GIVEN: Final[Mapping[str, int]] = MappingProxyType({})
"""What a document has by the project's defaults, where that is nothing."""

_FEW_ADDRESSES: Final = 8
"""Few are looked for one by one; of many, all texts of a file are looked up."""

ENTRY_DIGEST_SIZE_BYTES: Final = 2 * DIGEST_SIZE_BYTES
PLACEMENT_FIELDS: Final = ("type", "availabilityZone", "shareNetwork")
"""What a share asks for that its type may rule out."""


class Setting(NamedTuple):
    """A document of a kind that is always loaded whole: a backend, share type, client list, share network or security service; as all here, with its place.

    A place is where a document's name stands: the document's number from 0, line and column from 1.
    """

    kind: str
    plain: JsonObject
    place: Sequence[int]

    @property
    def address(self) -> Address:
        """The address of what it describes."""
        return f"{self.kind}/{self.plain['name']}"


_BETWEEN: Final = b"\t"
"""Stands between the spec and the rest of a record; within JSON it is escaped."""


def encoded_record(spec_json: bytes, others: Sequence[object]) -> bytes:
    """Return the line of a file's records for a share or snapshot; `others` are the fields of its record but for the spec."""
    return b"".join((spec_json, _BETWEEN, canonical_json(others), b"\n"))


class RuleDocument(NamedTuple):
    """An AccessRule document; `access_to` is canonical, and a share that was not readable is empty. `is_listed` tells `shares` from `share`."""

    name: str
    shares: list[str]
    access_type: str
    access_to: str
    access_level: str
    labels: dict[str, str]
    place: Sequence[int]
    is_listed: bool
    options: dict[str, str] | None = None

    @property
    def rule(self) -> AccessRule:
        """The rule itself."""
        return AccessRule(self.access_type, self.access_to, self.access_level, options_of(self.options))

    @property
    def key(self) -> str:
        """The key of the rule within its shares."""
        return f"{self.access_type}:{self.access_to}"

    def references(self) -> Iterator[tuple[Path, str]]:
        """Yield the shares, each with the path at which the document names it."""
        for number, share in enumerate(self.shares):
            if share:
                yield (("spec", "shares", number) if self.is_listed else ("spec", "share")), share

    def lists(self) -> Iterator[tuple[Address, Path]]:
        """Yield the ClientList that the document names, if it names one, with the path."""
        if self.access_type == CLIENTS and self.access_to:
            yield address_of(Kind.CLIENT_LIST, self.access_to), ("spec", "to")


class ResourceRecord(NamedTuple):
    """A share or snapshot: its spec as `as_plain` writes it, its inline rules in their order, and its place.

    `given` has which of the project's defaults gave it which fields; `is_in_set` tells whether it stands in a ShareSet.
    """

    plain: JsonObject
    access: list[list[Any]]
    place: Sequence[int]
    given: Mapping[str, int] = NOTHING_GIVEN
    is_in_set: bool = False


class SetDocument(NamedTuple):
    """A ShareSet: its name, its place, and which of the file's resources are its shares."""

    name: str
    place: Sequence[int]
    first: int
    end: int


@dataclass(slots=True)
class Index:
    """What linking needs to know of a file's shares, snapshots and access rules. Every reference is an address.

    `placements` are the distinct (type, zone, has network) of shares. `listing` has the inline rules of those shares where some name ClientLists.
    `clones` and `reverts` are edges share to snapshot, `snapshots_of` are those snapshot to share. `moves` leads from new to former addresses.
    """

    documents: int = 0
    addresses: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    placements: list[tuple[str | None, str | None, bool]] = field(default_factory=list)
    clones: list[tuple[str, str]] = field(default_factory=list)
    reverts: list[tuple[str, str]] = field(default_factory=list)
    snapshots_of: list[tuple[str, str]] = field(default_factory=list)
    moves: dict[str, list[str]] = field(default_factory=dict)
    listing: dict[str, list[list[str]]] = field(default_factory=dict)
    sets: list[SetDocument] = field(default_factory=list)
    rules: list[RuleDocument] = field(default_factory=list)


LooseReference = tuple[tuple[int, int], "Path", str, str]
"""A reference of a document that is not linked: the document's number and line, the field's path, what it names, and the document's address, if it has one."""


class CompiledFile:
    """A compiled file. The records are decoded when they are first asked for.

    `digests` are those of the resources `index.addresses`, one behind the other; `records` has a line of JSON for each. `settings` are
    read on every load; `drivers` holds the digests of the schemas that their configs were checked against. `defaults_matched` has a bit for
    each of the project's defaults that is for some document.
    `unsound` holds the paths at which a document does not say what was written, `declared` the documents that are named and of which
    nothing else can be used, with their places, `loose` the references of those and of documents without a name. A file that has some of these, or
    `findings`, is never cached.
    """

    __slots__ = (
        *("_index_json", "_kept", "_lines", "_text", "declared", "defaults_matched", "digests", "drivers", "findings"),
        *("index", "loose", "records", "settings", "unsound"),
    )
    digests: bytes
    index: Index
    records: bytes

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.settings: list[Setting] = []
        self.drivers: dict[str, str] = {}
        self.defaults_matched = 0
        self.declared: list[tuple[str, Sequence[int]]] = []
        self.findings: list[Finding] = []
        self.loose: list[LooseReference] = []
        self.unsound: dict[Address, frozenset[Path]] = {}
        self._index_json = b""
        self._lines: tuple[bytes, array[int]] | None = None
        self._text: bytes | None = None
        self._kept: tuple[Pack, int, Callable[[CompiledFile], CompiledFile]] | None = None

    def keep_in(self, pack: Pack, number: int, recompile: Callable[[CompiledFile], CompiledFile]) -> None:
        """Take the records from a pack from now on; `recompile` compiles the file again where they turn out to be lost."""
        if self._kept is None:
            del self.records
        self._index_json = b""
        self._kept = pack, number, recompile

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a part of any type, which this object does not hold
        """Return the records that a pack keeps."""
        if name != "records" or self._kept is None:
            raise AttributeError(name)
        pack, number, recompile = self._kept
        records = pack.records(number)
        return recompile(self).records if records is None else records

    @property
    def is_sound(self) -> bool:
        """Tell whether everything in the file can be used as it is."""
        return not (self.findings or self.declared or self.unsound)

    @property
    def index_json(self) -> bytes:
        """The index as JSON."""
        if not self._index_json:
            values: list[Any] = [getattr(self.index, name) for name in Index.__slots__]
            values[-2:] = [tuple(each) for each in self.index.sets], [tuple(rule) for rule in self.index.rules]
            self._index_json = orjson.dumps(values)
        return self._index_json

    def mentions(self, text: bytes) -> bool:
        """Tell whether the index holds this text, which is a part of JSON."""
        return text in self.index_json

    def mentions_any(self, addresses: AbstractSet[str]) -> bool:
        """Tell whether the file may hold or refer to one of many addresses."""
        index = self.index
        return not (addresses.isdisjoint(index.addresses) and addresses.isdisjoint(index.references)) or not all(
            map(addresses.isdisjoint, index.moves.values())
        )

    def digest(self, number: int) -> bytes:
        """Return the digest of the resource `index.addresses[number]`."""
        return self.digests[number * ENTRY_DIGEST_SIZE_BYTES : (number + 1) * ENTRY_DIGEST_SIZE_BYTES]

    def record(self, number: int) -> ResourceRecord:
        """Return the resource `index.addresses[number]`."""
        spec_json, _, others = self._line(number).partition(_BETWEEN)
        return ResourceRecord(orjson.loads(spec_json), *orjson.loads(others))

    def spec_json(self, number: int) -> bytes:
        """Return the spec in the record of that number as the canonical JSON that the digest is of."""
        text, starts = self._lines or self._split()
        start = starts[number]
        return text[start : text.index(_BETWEEN, start)]

    def _line(self, number: int) -> bytes:
        if self._lines is None and self._text is None:
            self._text = self.records
            return self._text.split(b"\n", number + 1)[number]  # of most files one is all that is asked for
        text, starts = self._lines or self._split()
        return text[starts[number] : starts[number + 1]]

    def _split(self) -> tuple[bytes, array[int]]:
        """Return the records, and where the line of each begins."""
        text, self._text = self.records if self._text is None else self._text, None
        self._lines = text, array("Q", [0, *accumulate(map(len, text.splitlines(keepends=True)))])
        return self._lines

    def let_go(self) -> None:
        """Hold no records any more that can be had again."""
        self._lines = self._text = None


def numbers_mentioning(files: Sequence[CompiledFile], addresses: Collection[Address]) -> Iterator[int]:
    """Yield the numbers of the files that may hold or refer to one of the addresses."""
    if len(addresses) <= _FEW_ADDRESSES:
        quoted = [f'"{address}"'.encode() for address in addresses]
        yield from (number for number, file in enumerate(files) if any(map(file.mentions, quoted)))
        return
    wanted = frozenset(addresses)
    yield from (number for number, file in enumerate(files) if file.mentions_any(wanted))


def decoded_index(values: Sequence[Any]) -> Index:
    """Return the index that `index_json` gives the values of."""
    index = Index(*values)
    shared = sys.intern  # the same in many files
    index.references = list(map(shared, index.references))
    index.placements = [
        (share_type and shared(share_type), zone and shared(zone), network)
        for share_type, zone, network in index.placements
    ]
    index.sets = [SetDocument(*each) for each in index.sets]
    index.rules = [RuleDocument(*rule) for rule in index.rules]
    return index


def lists_named(rules: Iterable[Sequence[str]]) -> Iterator[tuple[Address, Path]]:
    """Yield the ClientLists that the inline rules of a share name, each with the path of the field that does."""
    for number, rule in enumerate(rules):
        if rule[0] == CLIENTS and rule[1]:
            yield address_of(Kind.CLIENT_LIST, rule[1]), ("spec", "access", number, "to")
