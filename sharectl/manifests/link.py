"""Link compiled files: unique names, references that lead somewhere, no cycles, and each rule once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.manifests.compiled import ENTRY_DIGEST_SIZE_BYTES, PLACEMENT_FIELDS, lists_named, numbers_mentioning
from sharectl.manifests.fields import references_of
from sharectl.manifests.findings import Checker, touches
from sharectl.manifests.linked import Entry, Linked, RuleEntry
from sharectl.manifests.sources import LOST_LISTS, STANDARD_INPUT_NAME
from sharectl.model.diagnostics import did_you_mean
from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of, is_of, kind_of, name_of, of_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sharectl.manifests.compiled import CompiledFile
    from sharectl.manifests.defaults import Defaults
    from sharectl.manifests.findings import Finding, Path
    from sharectl.manifests.positions import FilePositions
    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address

_MAX_GUESSES: Final = 50
_MAX_CANDIDATES: Final = 2000
_NEAR_CHARACTERS: Final = 2


class Linker:
    """Links files, all that is in them or only what some addresses need; `linked` is what they come to together."""

    def __init__(
        self,
        files: Sequence[CompiledFile],
        positions: Callable[[int], FilePositions],
        possible_names: Collection[str],
        defaults: Defaults | None = None,
    ) -> None:
        """Link `files`, compiled with `defaults`; `positions` finds places in the file of a number; `possible_names` may exist in documents that could not be read."""
        self.linked = Linked(files, defaults)
        self._files = files
        self._positions = positions
        self._possible_names = possible_names
        self._declared: set[Address] = {address for file in files for address, _ in file.declared}
        self._unsound = {address: paths for file in files for address, paths in file.unsound.items()}
        self._is_partial = False
        self._mentioned: tuple[frozenset[Address], list[int]] | None = None
        self._guesses = 0
        self._checkers: list[tuple[int, Checker]] = []

    @property
    def findings(self) -> list[tuple[int, Finding]]:
        """What is wrong, each with its file's number, but for what follows from something that is not what was written."""
        return [
            (file, finding)
            for file, checker in self._checkers
            for finding in checker.findings
            if self._is_written(checker.address, *finding.path)
        ]

    def link_all(self) -> Linked:
        """Link everything."""
        linked, indexes = self.linked, [file.index for file in self._files]
        for file, index in zip(self._files, indexes, strict=True):
            digests, size = file.digests, ENTRY_DIGEST_SIZE_BYTES
            linked.digests.update(
                zip(index.addresses, [digests[i : i + size] for i in range(0, len(digests), size)], strict=True)
            )
            linked.moves.update((new, tuple(old)) for new, old in index.moves.items())
        self._link_settings()
        self._collect_rules(None)
        if sum(len(index.addresses) for index in indexes) != len(linked.digests):
            self._report_twins(self._find(None))
        self._check_declared(self._rule_names())
        self._check_sets()
        misplaced = {
            each for each in {each for index in indexes for each in index.placements} if self._misplaced(*each)
        }
        for number, index in enumerate(indexes):
            if not all(map(self._exists, index.references)) or not misplaced.isdisjoint(index.placements):
                for position in range(len(index.addresses)):
                    self._check_document(Entry(number, position))
                for rule in index.rules:
                    self._check_rule(RuleEntry(number, rule))
            for place, path, target, address in self._files[number].loose:
                self._check_reference(number, place, path, target, address)
        linked.listing = {share: rules for index in indexes for share, rules in index.listing.items()}
        self._link_rules()
        self._check_moves(linked.moves, linked.digests)
        self._check_order(self._files)
        return linked

    def link_only(self, only: Collection[Address]) -> Linked:
        """Link the shares and snapshots in `only`, those that they are made from or turned back to, and what has a name of them now."""
        self._is_partial = True
        self.linked.entries = {}  # records are kept from now on
        self._link_settings()
        wanted = {address for address in only if kind_of(address) in MANAGED_KINDS}
        wanted |= self._moves_from(wanted).keys()
        places: dict[Address, list[Entry]] = {}
        chosen: set[Address] = set()
        hints: set[Address] = set()
        while wanted:
            found = self._find(wanted)
            places.update(found)
            chosen |= wanted
            wanted = set()
            for address, entries in found.items():
                for entry in entries:
                    for reference in references_of(kind_of(address), self.linked.record(entry).plain):
                        if kind_of(reference.address) not in MANAGED_KINDS:
                            continue
                        is_needed = reference.is_prerequisite or "revertTo" in reference.path
                        (wanted if is_needed else hints).add(reference.address)
            wanted -= chosen
        self._take({address: entries[0] for address, entries in places.items()})
        self._declared.update(self._find(hints - places.keys()))
        self._collect_rules(chosen)
        self._report_twins(places)
        for address in sorted(places):
            for entry in places[address]:
                self._check_document(entry)
        indexes = {address: self._files[entry.file].index for address, entry in self.linked.entries.items()}
        self.linked.listing = {a: index.listing[a] for a, index in indexes.items() if a in index.listing}
        self._link_rules()
        formers = {former for moved in self.linked.moves.values() for former in moved}
        self._check_moves(self._moves_from(formers), {*self.linked.digests, *self._find(formers)})
        self._check_order(
            [self._files[number] for number in sorted({entry.file for entry in self.linked.entries.values()})]
        )
        return self.linked

    # -- what is in the files

    def _moves_from(self, formers: AbstractSet[Address]) -> dict[Address, tuple[Address, ...]]:
        """Return the moves, among all files, of what says that it was one of `formers`."""
        return {
            new: tuple(old)
            for _, file in self._mentioning(formers)
            for new, old in file.index.moves.items()
            if not formers.isdisjoint(old)
        }

    def _find(self, addresses: Collection[Address] | None) -> dict[Address, list[Entry]]:
        """Return where shares and snapshots are described: all, or those at some addresses."""
        found: dict[Address, list[Entry]] = {}
        for file_number, file in self._mentioning(addresses):
            for number, address in enumerate(file.index.addresses):
                if addresses is None or address in addresses:
                    found.setdefault(address, []).append(Entry(file_number, number))
        return found

    def _mentioning(self, addresses: Collection[Address] | None) -> Iterator[tuple[int, CompiledFile]]:
        """Yield the files, with their numbers, that may hold or refer to one of the addresses; without addresses, all."""
        if addresses is None:
            yield from enumerate(self._files)
            return
        wanted = frozenset(addresses)
        if wanted and (
            self._mentioned is None or self._mentioned[0] != wanted
        ):  # most often the same are looked for again
            self._mentioned = wanted, list(numbers_mentioning(self._files, wanted))
        for number in self._mentioned[1] if wanted and self._mentioned else ():
            yield number, self._files[number]

    def _take(self, entries: dict[Address, Entry]) -> None:
        self.linked.entries = entries
        for address, entry in entries.items():
            file = self._files[entry.file]
            self.linked.digests[address] = file.digest(entry.number)
            if address in file.index.moves:
                self.linked.moves[address] = tuple(file.index.moves[address])

    def _link_settings(self) -> None:
        settings = [(number, each) for number, file in enumerate(self._files) for each in file.settings]
        for number, setting in settings:
            first = self.linked.settings.setdefault(setting.address, (number, setting))
            if first[1] is not setting:
                self._report_twin(setting.address, number, setting.place, first[0], first[1].place)
        for number, setting in settings:
            for target, path, _ in references_of(Kind(setting.kind), setting.plain):
                self._check_reference(number, setting.place, path, target, setting.address)
        if of_kind(Kind.CLIENT_LIST, self.linked.settings):
            self._check_circles()

    def _check_circles(self) -> None:
        from sharectl.manifests.clients import circles_of_lists  # noqa: PLC0415 - only where there are lists

        for circle in circles_of_lists(
            {address: setting.plain for address, (_, setting) in self.linked.settings.items()}
        ):
            number, setting = self.linked.settings[circle[0]]
            path = ("spec", "lists", setting.plain["lists"].index(name_of(circle[1 % len(circle)])))
            summary = f"a cycle: {' → '.join((*circle, circle[0]))}"
            self._at(number, setting.place, circle[0]).add(
                "cycle", summary, "take one of the lists out of another", *path
            )

    def _collect_rules(self, shares: Collection[Address] | None) -> None:
        for number, file in self._mentioning(shares):
            for rule in file.index.rules:
                entry = RuleEntry(number, rule)
                for share in rule.shares:
                    if share and (shares is None or share in shares):
                        self.linked.rules.setdefault(share, []).append(entry)

    # -- findings

    def _at(self, file: int, place: Sequence[int], address: Address) -> Checker:
        """Return what takes findings about a document."""
        checker = Checker(place, address, [])
        self._checkers.append((file, checker))
        return checker

    def _is_written(self, address: Address, *path: str | int) -> bool:
        return address not in self._unsound or not touches(path, self._unsound[address])

    def _exists(self, address: Address) -> bool:
        return (
            address in self.linked.digests
            or address in self.linked.settings
            or address in self._declared
            or name_of(address) in self._possible_names
        )

    # -- names

    def _rule_names(self) -> dict[Address, tuple[int, Sequence[int]]]:
        """Return where the document of each access rule is, and report what has the name of another."""
        names: dict[Address, tuple[int, Sequence[int]]] = {}
        for number, rule in ((number, rule) for number, file in enumerate(self._files) for rule in file.index.rules):
            address, here = address_of(Kind.ACCESS_RULE, rule.name), (number, rule.place)
            first = names.setdefault(address, here)
            if first is not here:
                self._report_twin(address, *here, *first)
        return names

    def _check_sets(self) -> None:
        """Report sets that have the name of another."""
        names: dict[str, tuple[int, Sequence[int]]] = {}
        for number, file in enumerate(self._files):
            for each in file.index.sets:
                here = number, each.place
                first = names.setdefault(each.name, here)
                if first is not here:
                    self._report_twin(address_of(Kind.SHARE_SET, each.name), *here, *first)

    def _check_declared(self, known: dict[Address, tuple[int, Sequence[int]]]) -> None:
        """Report documents of which only the name can be used, where another has it; `known` are the places of rules."""
        for number, file in enumerate(self._files):
            for address, place in file.declared:
                first = self.linked.place_of(address) or known.setdefault(address, (number, place))
                if first != (number, place):
                    self._report_twin(address, number, place, *first)

    def _report_twins(self, places: Mapping[Address, list[Entry]]) -> None:
        for address, (first, *others) in places.items():
            for entry in others:
                place = self.linked.record(entry).place
                self._report_twin(address, entry.file, place, first.file, self.linked.record(first).place)

    def _report_twin(
        self, address: Address, file: int, place: Sequence[int], first_file: int, first_place: Sequence[int]
    ) -> None:
        where = f"{self._positions(first_file).path}:{first_place[1]}:{first_place[2]}"
        kind, name = kind_of(address).document_kind, name_of(address)
        summary = f"the {kind} {name!r} is described twice; the other place is {where}"
        self._at(file, place, address).add("duplicate-name", summary, "rename one, or remove it", "metadata", "name")

    # -- references

    def _check_document(self, entry: Entry) -> None:
        """Check what a share or snapshot refers to."""
        address, record = self._files[entry.file].index.addresses[entry.number], self.linked.record(entry)
        references = [(target, path) for target, path, _ in references_of(kind_of(address), record.plain)]
        for target, path in (*references, *lists_named(record.access)):
            self._check_reference(entry.file, record.place, path, target, address)
        if is_of(Kind.SHARE, address):
            self._check_placement(entry.file, record.place, record.plain, address)

    def _check_rule(self, entry: RuleEntry, only: Collection[Address] | None = None) -> None:
        """Check what an AccessRule refers to; with `only`, those shares alone."""
        address = address_of(Kind.ACCESS_RULE, entry.rule.name)
        for path, share in entry.rule.references():
            if only is None or share in only:
                self._check_reference(entry.file, entry.rule.place, path, share, address)
        for client_list, path in entry.rule.lists():
            self._check_reference(entry.file, entry.rule.place, path, client_list, address)

    def _check_reference(self, file: int, place: Sequence[int], path: Path, target: Address, address: Address) -> None:
        if not self._exists(target):
            kind, name = kind_of(target), name_of(target)
            remedy = self._guess(kind, name) or f"describe the {kind.document_kind} {name!r}, or correct the name"
            summary = f"there is no {kind.document_kind} {name!r}"
            is_piped = kind is Kind.CLIENT_LIST and self._positions(file).path == STANDARD_INPUT_NAME
            detail = LOST_LISTS if is_piped else ""
            self._at(file, place, address).add("dangling", summary, remedy, *path, detail=detail)

    def _guess(self, kind: Kind, name: str) -> str:
        self._guesses += 1
        if self._guesses > _MAX_GUESSES:
            return ""
        if self._is_partial and kind in MANAGED_KINDS:
            addresses = [address for file in self._files for address in file.index.addresses]
        else:
            addresses = [*self.linked.digests, *self.linked.settings]
        names = [name_of(address) for address in of_kind(kind, addresses)]
        if len(names) > _MAX_CANDIDATES:
            names = [
                other
                for other in names
                if abs(len(other) - len(name)) <= _NEAR_CHARACTERS
                and (other[:2] == name[:2] or other[-2:] == name[-2:])
            ]
        return did_you_mean(name, names[:_MAX_CANDIDATES])

    def _misplaced(self, share_type: str | None, zone: str | None, has_network: bool) -> str:  # noqa: FBT001 - a row of the index
        """Return the field of a share that its type rules out, if one is."""
        found = self.linked.settings.get(address_of(Kind.SHARE_TYPE, share_type)) if share_type else None
        if found is None:
            return ""
        extra_specs: Mapping[str, str] = found[1].plain["extra_specs"]
        zones = [part.strip() for part in extra_specs.get("availability_zones", "").split(",") if part.strip()]
        if zone and zones and zone not in zones:
            return "availabilityZone"
        servers = extra_specs.get("driver_handles_share_servers", "").removeprefix("<is>").strip().lower()
        return "shareNetwork" if servers == str(not has_network).lower() else ""

    def _check_placement(self, file: int, place: Sequence[int], plain: JsonObject, address: Address) -> None:
        share_type, zone, network = plain.get("share_type"), plain.get("availability_zone"), plain.get("share_network")
        field = self._misplaced(share_type, zone, network is not None)
        related = [(address, each) for each in PLACEMENT_FIELDS]
        related.append((address_of(Kind.SHARE_TYPE, str(share_type)), "extraSpecs"))
        if field and all(self._is_written(where, "spec", each) for where, each in related):
            from sharectl.manifests.placement import misplacement  # noqa: PLC0415 - hardly any share is

            found = misplacement(field, plain)
            self._at(file, place, address).add("placement", found.summary, found.remedy, "spec", found.field)

    # -- rules, moves, order

    def _link_rules(self) -> None:
        """Link the rules of each share that has documents of them, or names lists in its own."""
        if not (self.linked.rules or self.linked.listing):
            return
        from sharectl.manifests.rules import RuleLinker  # noqa: PLC0415 - many have inline rules for clients alone

        linker = RuleLinker(self.linked, self._positions, self._at, self._is_written)
        for share in {**self.linked.rules, **self.linked.listing}:
            if share in self.linked.digests:
                linker.link(share)
        if self._is_partial:
            for entry in {id(entry): entry for entries in self.linked.rules.values() for entry in entries}.values():
                self._check_rule(entry, self.linked.rules)

    def _check_moves(self, moves: Mapping[Address, Sequence[Address]], described: Collection[Address]) -> None:
        claimed: dict[Address, Address] = {}
        for new in sorted(moves):
            for old in moves[new]:
                other = claimed.setdefault(old, new)
                if old in described:
                    summary = f"{old} is still described, so {new} cannot have been it"
                elif other != new:
                    summary = f"both {other} and {new} say that they were {old}"
                else:
                    continue
                remedy = "remove the old document, or the name from the annotation"
                self._blame(new, "moved", summary, remedy, "metadata", "annotations", "sharectl/moved-from")

    def _check_order(self, files: Sequence[CompiledFile]) -> None:
        """Check that shares and snapshots can be made one after the other, and that shares are turned back to snapshots of their own."""
        indexes = [file.index for file in files]
        clones, reverts, owners = (
            {edge[0]: edge[1] for index in indexes for edge in getattr(index, name) if edge[0] in self.linked.digests}
            for name in ("clones", "reverts", "snapshots_of")
        )
        if clones:
            self._report_cycles(clones | owners)
        for share, snapshot in reverts.items():
            owner = owners.get(snapshot, share)
            if owner != share:
                summary = f"{share} cannot be turned back to {snapshot}, which is a snapshot of {owner}"
                remedy = "name a snapshot of this share; a new share with sourceSnapshot holds the files of any"
                self._blame(share, "revert", summary, remedy, "spec", "revertTo", "snapshot")

    def _report_cycles(self, needs: Mapping[Address, Address]) -> None:
        from sharectl.manifests.dependencies import cycles_of_chains  # noqa: PLC0415 - few shares are made from others

        for cycle in cycles_of_chains(needs):
            summary = f"a cycle: {' → '.join((*cycle, cycle[0]))}"
            remedy = "make one of the shares without sourceSnapshot"
            detail = "Each would have to exist before the others."
            self._blame(cycle[0], "cycle", summary, remedy, "spec", "sourceSnapshot", detail=detail)

    def _blame(self, address: Address, code: str, summary: str, remedy: str, *path: str, detail: str = "") -> None:
        """Record an error about a share or snapshot at its own document, if there is one among the files."""
        entry = self.linked.entries.get(address) or next(iter(self._find({address}).get(address, ())), None)
        if entry is not None:
            checker = self._at(entry.file, self.linked.record(entry).place, address)
            checker.add(code, summary, remedy, *path, detail=detail)
