"""All manifest files as one: where everything in them stands, before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import Address, Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sharectl.manifests.clients import ClientLists
    from sharectl.manifests.compiled import CompiledFile, ResourceRecord, RuleDocument, Setting
    from sharectl.manifests.defaults import Defaults
    from sharectl.manifests.findings import Path
    from sharectl.model.diagnostics import Source

Value = TypeVar("Value")

_MOST_RECORDS: Final = 2_000
"""So many are held of those that are asked for alone; the rest is decoded again."""


class Entry(NamedTuple):
    """Where a resource's record is: the file's number and the number within the file."""

    file: int
    number: int


class RuleEntry(NamedTuple):
    """An AccessRule document and its file's number."""

    file: int
    rule: RuleDocument


@dataclass(slots=True)
class Linked:
    """All files as one: digests of shares and snapshots, the rule documents of each share, and the former addresses.

    `listing` has the inline rules of those shares where some name ClientLists. `defaults` are those that the files were compiled with.
    """

    files: Sequence[CompiledFile]
    defaults: Defaults | None = None
    digests: dict[Address, bytes] = field(default_factory=dict)
    settings: dict[Address, tuple[int, Setting]] = field(default_factory=dict)
    rules: dict[Address, list[RuleEntry]] = field(default_factory=dict)
    moves: dict[Address, tuple[Address, ...]] = field(default_factory=dict)
    listing: dict[Address, Sequence[Sequence[Any]]] = field(default_factory=dict)
    _entries: dict[Address, Entry] | None = None
    _are_given: bool = False
    _lists: ClientLists | None = None
    _records: dict[Entry, ResourceRecord] = field(default_factory=dict)

    @property
    def lists(self) -> ClientLists:
        """The ClientLists among the settings, all of which are there when this is first asked for."""
        if self._lists is None:
            from sharectl.manifests.clients import ClientLists  # noqa: PLC0415 - only where lists are named

            self._lists = ClientLists(self.settings)
        return self._lists

    @property
    def entries(self) -> dict[Address, Entry]:
        """Where the record of every share and snapshot is (the first, where there are two)."""
        if self._entries is None:
            self._entries = {}
            for file_number, file in enumerate(self.files):
                for number, address in enumerate(file.index.addresses):
                    if address in self.digests:
                        self._entries.setdefault(address, Entry(file_number, number))
        return self._entries

    @entries.setter
    def entries(self, entries: dict[Address, Entry]) -> None:
        self._entries = entries
        self._are_given = True

    def let_go(self) -> None:
        """Hold nothing that can be had from the files again."""
        if not self._are_given:
            self._entries = None
        self._records.clear()
        for file in self.files:
            file.let_go()

    def record(self, entry: Entry) -> ResourceRecord:
        """Return the record of a share or snapshot; of a few that are all there is, it is asked for again and again."""
        if not self._are_given:
            return self.files[entry.file].record(entry.number)
        found = self._records.get(entry)
        if found is None:
            if len(self._records) >= _MOST_RECORDS:
                self._records.clear()
            found = self._records[entry] = self.files[entry.file].record(entry.number)
        return found

    def default_source(self, address: Address, path: Path) -> Source | None:
        """Return where a field of a share or snapshot stands in the project file, if that has given it."""
        entry = None if self.defaults is None else self.entries.get(address)
        if self.defaults is None or entry is None:
            return None
        return self.defaults.source(self.record(entry).given, path)

    def spec_json(self, entry: Entry) -> bytes:
        """Return the spec in the record of a share or snapshot, as canonical JSON."""
        return self.files[entry.file].spec_json(entry.number)

    def spec_texts(self, addresses: Collection[Address]) -> Iterator[tuple[Address, bytes]]:
        """Yield the specs of these shares and snapshots as `spec_json` returns them, file by file: of many, nobody needs to know where each is."""
        if self._are_given:
            yield from ((address, self.spec_json(self.entries[address])) for address in addresses)
            return
        for file in self.files:
            for number, address in enumerate(file.index.addresses):
                if address in addresses:
                    yield address, file.spec_json(number)

    def place_of(self, address: Address) -> tuple[int, Sequence[int]] | None:
        """Return the file's number and the place of the document that describes something else than an access rule."""
        if address in self.settings:
            number, setting = self.settings[address]
            return number, setting.place
        entry = self.entries.get(address)
        return None if entry is None else (entry.file, self.record(entry).place)

    def without(self, addresses: Collection[Address]) -> Linked:
        """Return the same without some documents."""
        rules = {
            share: [entry for entry in found if address_of(Kind.ACCESS_RULE, entry.rule.name) not in addresses]
            for share, found in self.rules.items()
        }
        return Linked(
            self.files,
            self.defaults,
            digests=_without(self.digests, addresses),
            settings=_without(self.settings, addresses),
            rules=_without(rules, addresses),
            moves=_without(self.moves, addresses),
            listing=_without(self.listing, addresses),
            _entries=None if self._entries is None else _without(self._entries, addresses),
            _are_given=self._are_given,
        )


def _without(part: dict[Address, Value], addresses: Collection[Address]) -> dict[Address, Value]:
    return {address: value for address, value in part.items() if address not in addresses}
