"""What one file of manifests comes to: a compact form that is written to the cache and linked with the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from sharectl.model.canonical import DIGEST_SIZE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.manifests.findings import Finding, Path
    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address

ENTRY_DIGEST_SIZE_BYTES: Final = 2 * DIGEST_SIZE_BYTES


class Place(NamedTuple):
    """Where a document's name stands: the document's number from 0, line and column from 1."""

    document: int
    line: int
    column: int


class Setting(NamedTuple):
    """A document of a kind that is always loaded whole: a backend, share type, share network or security service."""

    kind: str
    name: str
    plain: JsonObject
    place: Sequence[int]


class RuleDocument(NamedTuple):
    """An AccessRule document; `access_to` is canonical."""

    name: str
    share: str
    access_type: str
    access_to: str
    access_level: str
    labels: dict[str, str]
    place: Sequence[int]


class ResourceRecord(NamedTuple):
    """A share or snapshot: its spec as `as_plain` writes it, its inline rules in their order, and its place."""

    plain: JsonObject
    access: list[list[str]]
    place: Sequence[int]


@dataclass(slots=True)
class Settings:
    """The small part of a file, read on every load; `drivers` holds the digests of the schemas that configs were checked against."""

    settings: list[Setting] = field(default_factory=list)
    drivers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Index:
    """What linking needs to know of a file's shares, snapshots and access rules. Every reference is an address.

    `addresses` holds shares and then snapshots. `placements` are the distinct (type, zone, has network) of shares.
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
    rules: list[RuleDocument] = field(default_factory=list)


LooseReference = tuple[tuple[int, int], "Path", str, str]
"""A reference of a document that is not linked: the document's number and line, the field's path, what it names, and the document's address, if it has one."""


class CompiledFile:
    """A compiled file. The records are decoded when they are first asked for.

    `unsound` holds the paths at which a document does not say what was written, `declared` the documents that are named and of which
    nothing else can be used, with their places, `loose` the references of those and of documents without a name. A file that has some of these, or
    `findings`, is never cached.
    """

    __slots__ = (
        "_digests",
        "_index",
        "_index_json",
        "_lines",
        "_records",
        "declared",
        "findings",
        "loose",
        "settings",
        "unsound",
    )

    def __init__(self, settings: Settings, index: Index, digests: bytes, records: bytes) -> None:
        """Keep what the compiler made; `records` holds a line of JSON for each resource."""
        self.settings = settings
        self.declared: list[tuple[str, Place]] = []
        self.findings: list[Finding] = []
        self.loose: list[LooseReference] = []
        self.unsound: dict[Address, frozenset[Path]] = {}
        self._index = index
        self._index_json = b""
        self._digests = digests
        self._records = records
        self._lines: list[bytes] | None = None

    @property
    def is_sound(self) -> bool:
        """Tell whether everything in the file can be used as it is."""
        return not (self.findings or self.declared or self.unsound)

    @property
    def index(self) -> Index:
        """The part for linking."""
        return self._index

    @property
    def index_json(self) -> bytes:
        """The same as JSON."""
        if not self._index_json:
            values: list[Any] = [getattr(self.index, name) for name in Index.__slots__]
            values[-1] = [tuple(rule) for rule in self.index.rules]
            self._index_json = orjson.dumps(values)
        return self._index_json

    @property
    def digests(self) -> bytes:
        """The digests of all resources, those of `index.addresses`, one behind the other."""
        return self._digests

    @property
    def records(self) -> bytes:
        """A line of JSON for each resource."""
        return self._records

    def mentions(self, quoted_addresses: Sequence[bytes]) -> bool:
        """Tell whether the file may hold or refer to one of these addresses, given as JSON strings."""
        index_json = self.index_json
        return any(address in index_json for address in quoted_addresses)

    def digest(self, number: int) -> bytes:
        """Return the digest of the resource `index.addresses[number]`."""
        return self.digests[number * ENTRY_DIGEST_SIZE_BYTES : (number + 1) * ENTRY_DIGEST_SIZE_BYTES]

    def record(self, number: int) -> ResourceRecord:
        """Return the resource `index.addresses[number]`."""
        if self._lines is None:
            self._lines = self.records.split(b"\n")
        return ResourceRecord(*orjson.loads(self._lines[number]))


def decoded_index(values: Sequence[Any]) -> Index:
    """Return the index that `index_json` gives the values of."""
    index = Index(*values)
    index.placements = [(share_type, zone, network) for share_type, zone, network in index.placements]
    index.rules = [RuleDocument(*rule) for rule in index.rules]
    return index
