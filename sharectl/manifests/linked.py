"""All files as one: what linking them gives, and where each record is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sharectl.model.kinds import Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sharectl.manifests.compiled import CompiledFile, RuleDocument, Setting
    from sharectl.model.kinds import Address

Value = TypeVar("Value")


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
    """All files as one: digests of shares and snapshots, the rule documents of each share, and the former addresses."""

    digests: dict[Address, bytes] = field(default_factory=dict)
    settings: dict[Address, tuple[int, Setting]] = field(default_factory=dict)
    rules: dict[Address, list[RuleEntry]] = field(default_factory=dict)
    moves: dict[Address, tuple[Address, ...]] = field(default_factory=dict)
    entries: dict[Address, Entry] | None = None

    def without(self, addresses: Collection[Address], files: Sequence[CompiledFile]) -> Linked:
        """Return the same without some documents."""
        entries = entries_of(files) if self.entries is None else self.entries
        rules = {
            share: [entry for entry in found if address_of(Kind.ACCESS_RULE, entry.rule.name) not in addresses]
            for share, found in self.rules.items()
        }
        return Linked(
            digests=_without(self.digests, addresses),
            settings=_without(self.settings, addresses),
            rules=_without(rules, addresses),
            moves=_without(self.moves, addresses),
            entries=_without(entries, addresses),
        )


def _without(part: dict[Address, Value], addresses: Collection[Address]) -> dict[Address, Value]:
    return {address: value for address, value in part.items() if address not in addresses}


def cycles(clones: Mapping[Address, Address], snapshots_of: Mapping[Address, Address]) -> Iterator[list[Address]]:
    """Yield the members of each cycle share → source snapshot → its share, in order, from its least share on."""
    done: set[Address] = set()
    for start in sorted(clones):
        trail: list[Address] = []
        on_trail: set[Address] = set()
        share: Address | None = start
        while share is not None and share in clones and share not in done and share not in on_trail:
            trail.append(share)
            on_trail.add(share)
            share = snapshots_of.get(clones[share])
        if share in on_trail:
            members = trail[trail.index(share) :]
            least = members.index(min(members))
            yield [part for member in members[least:] + members[:least] for part in (member, clones[member])]
        done.update(trail)


def entries_of(files: Sequence[CompiledFile]) -> dict[Address, Entry]:
    """Return where the record of every share and snapshot is (the first, where there are two)."""
    entries: dict[Address, Entry] = {}
    for file_number, file in enumerate(files):
        for number, address in enumerate(file.index.addresses):
            entries.setdefault(address, Entry(file_number, number))
    return entries
