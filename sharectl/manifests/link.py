"""Link compiled files: unique names, references that lead somewhere, no cycles, and each rule once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.manifests.compiled import PLACEMENT_FIELDS
from sharectl.manifests.fields import references_of
from sharectl.manifests.findings import Checker
from sharectl.manifests.link_report import LinkReport
from sharectl.manifests.linked import Entry, Linked, RuleEntry, cycles, entries_of
from sharectl.model.access import AccessRule, access_digest
from sharectl.model.canonical import DIGEST_SIZE_BYTES
from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of, is_of, kind_of, name_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sharectl.manifests.findings import Path
    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address


class Linker(LinkReport):
    """Links files, all of them or only what some addresses need."""

    def link_all(self) -> Linked:
        """Link everything."""
        linked, total = self.linked, 0
        placements: set[tuple[str | None, str | None, bool]] = set()
        clones: dict[Address, Address] = {}
        reverts: dict[Address, Address] = {}
        snapshots_of: dict[Address, Address] = {}
        for file in self.files:
            index, digests = file.index, file.digests
            linked.digests.update(
                zip(index.addresses, [digests[i : i + 32] for i in range(0, len(digests), 32)], strict=True)
            )
            total += len(index.addresses)
            placements.update(index.placements)
            clones.update(index.clones)
            reverts.update(index.reverts)
            snapshots_of.update(index.snapshots_of)
            if index.moves:
                linked.moves.update((new, tuple(old)) for new, old in index.moves.items())
        self._link_settings()
        rule_count = self._collect_rules(None)
        self._check_duplicates(total, rule_count)
        misplaced = {placement for placement in placements if self._misplaced(*placement)}
        for number, file in enumerate(self.files):
            index = file.index
            if not all(map(self._exists, index.references)) or not misplaced.isdisjoint(index.placements):
                self._check_file(number, range(len(index.addresses)))
        self._check_loose()
        self._check_rules()
        self._check_moves(linked.moves, linked.digests)
        if clones or reverts:
            self._check_cycles(clones, snapshots_of)
            self._check_reverts(reverts, snapshots_of)
        return linked

    def link_only(self, only: Collection[Address]) -> Linked:
        """Link the shares and snapshots in `only`, those that they are made from or turned back to, and what has a name of them now."""
        self._link_settings()
        places: dict[Address, list[Entry]] = {}
        clones: dict[Address, Address] = {}
        reverts: dict[Address, Address] = {}
        snapshots_of: dict[Address, Address] = {}
        wanted = {address for address in only if kind_of(address) in MANAGED_KINDS}
        wanted |= self._moves_from(wanted).keys()
        chosen = set(wanted)
        hints: set[Address] = set()
        while wanted:
            found = self._find(wanted)
            places.update(found)
            wanted = set()
            for address, entries in found.items():
                for entry in entries:
                    plain = self.files[entry.file].record(entry.number).plain
                    if is_of(Kind.SHARE, address):
                        hints.update(
                            found.address
                            for found in references_of(Kind.SHARE, plain)
                            if "schedulerHints" in found.path
                        )
                        if "source_snapshot" in plain:
                            clones[address] = address_of(Kind.SNAPSHOT, plain["source_snapshot"])
                        if "revert_to" in plain:
                            reverts[address] = address_of(Kind.SNAPSHOT, plain["revert_to"]["snapshot"])
                            wanted.add(reverts[address])
                    elif is_of(Kind.SNAPSHOT, address):
                        snapshots_of[address] = address_of(Kind.SHARE, plain["share"])
                    wanted.update(
                        reference.address
                        for reference in references_of(kind_of(address), plain)
                        if reference.is_prerequisite and kind_of(reference.address) in MANAGED_KINDS
                    )
            wanted -= chosen
            chosen |= wanted
        self._take(places)
        self._declared.update(self._find(hints - places.keys()))
        self._collect_rules(chosen)
        self._report_twins({address: entries for address, entries in places.items() if len(entries) > 1})
        for address in sorted(places):
            for entry in places[address]:
                self._check_file(entry.file, (entry.number,), rules=False)
        self._check_rules()
        formers = {former for moved in self.linked.moves.values() for former in moved}
        self._check_moves(self._moves_from(formers), {*self.linked.digests, *self._find(formers)})
        self._check_cycles(clones, snapshots_of)
        self._check_reverts(reverts, snapshots_of)
        return self.linked

    def _moves_from(self, formers: AbstractSet[Address]) -> dict[Address, tuple[Address, ...]]:
        """Return the moves, among all files, of what says that it was one of `formers`."""
        needles = [f'"{former}"'.encode() for former in formers]
        return {
            new: tuple(old)
            for file in self.files
            if needles and file.mentions(needles)
            for new, old in file.index.moves.items()
            if not formers.isdisjoint(old)
        }

    def _find(self, addresses: Collection[Address]) -> dict[Address, list[Entry]]:
        needles = [f'"{address}"'.encode() for address in addresses]
        found: dict[Address, list[Entry]] = {}
        for file_number, file in enumerate(self.files):
            if needles and file.mentions(needles):
                for number, address in enumerate(file.index.addresses):
                    if address in addresses:
                        found.setdefault(address, []).append(Entry(file_number, number))
        return found

    def _take(self, places: Mapping[Address, list[Entry]]) -> None:
        self.linked.entries = {address: entries[0] for address, entries in places.items()}
        for address, entry in self.linked.entries.items():
            file = self.files[entry.file]
            self.linked.digests[address] = file.digest(entry.number)
            if address in file.index.moves:
                self.linked.moves[address] = tuple(file.index.moves[address])

    def _check_loose(self) -> None:
        for number, file in enumerate(self.files):
            for place, path, target, address in file.loose:
                self._check_reference(number, place, path, target, address)

    def _link_settings(self) -> None:
        settings = [(number, each) for number, file in enumerate(self.files) for each in file.settings.settings]
        for number, setting in settings:
            address = f"{setting.kind}/{setting.name}"
            first = self.linked.settings.setdefault(address, (number, setting))
            if first[1] is not setting:
                self._twin(address, number, setting.place, first[0], first[1].place)
        for number, setting in settings:
            for position, name in enumerate(setting.plain.get("security_services", ())):
                path, target = ("spec", "securityServices", position), address_of(Kind.SECURITY_SERVICE, name)
                self._check_reference(number, setting.place, path, target, f"{setting.kind}/{setting.name}")

    def _collect_rules(self, shares: Collection[Address] | None) -> int:
        count = 0
        needles = None if shares is None else [f'"{share}"'.encode() for share in shares]
        for number, file in enumerate(self.files):
            if needles is not None and not file.mentions(needles):
                continue
            for rule in file.index.rules:
                count += 1
                if shares is None or rule.share in shares:
                    self.linked.rules.setdefault(rule.share, []).append(RuleEntry(number, rule))
        return count

    def entries(self) -> dict[Address, Entry]:
        """Return where every share's and snapshot's record is."""
        if self.linked.entries is None:
            self.linked.entries = entries_of(self.files)
        return self.linked.entries

    # -- names

    def _check_duplicates(self, resource_count: int, rule_count: int) -> None:
        if resource_count != len(self.linked.digests):
            places: dict[Address, list[Entry]] = {}
            for file_number, file in enumerate(self.files):
                for number, address in enumerate(file.index.addresses):
                    places.setdefault(address, []).append(Entry(file_number, number))
            self._report_twins({address: entries for address, entries in places.items() if len(entries) > 1})
        if rule_count:
            names: dict[str, RuleEntry] = {}
            for entry in sorted(
                (entry for entries in self.linked.rules.values() for entry in entries), key=_rule_order
            ):
                first = names.setdefault(entry.rule.name, entry)
                if first is not entry:
                    address = address_of(Kind.ACCESS_RULE, entry.rule.name)
                    self._twin(address, entry.file, entry.rule.place, first.file, first.rule.place)
        self._check_declared(names if rule_count else {})

    def _check_declared(self, rule_names: Mapping[str, RuleEntry]) -> None:
        known: dict[Address, tuple[int, Sequence[int]]] = {}
        for number, file in enumerate(self.files):
            for address, place in file.declared:
                first = known.setdefault(address, (number, place))
                if address in self.linked.digests:
                    entry = self.entries()[address]
                    first = (entry.file, self.files[entry.file].record(entry.number).place)
                elif address in self.linked.settings:
                    file_number, setting = self.linked.settings[address]
                    first = (file_number, setting.place)
                elif address.startswith(f"{Kind.ACCESS_RULE}/") and name_of(address) in rule_names:
                    rule_entry = rule_names[name_of(address)]
                    first = (rule_entry.file, rule_entry.rule.place)
                if first != (number, place):
                    self._twin(address, number, place, *first)

    def _report_twins(self, twins: Mapping[Address, list[Entry]]) -> None:
        for address, entries in twins.items():
            first = entries[0]
            first_place = self.files[first.file].record(first.number).place
            for entry in entries[1:]:
                place = self.files[entry.file].record(entry.number).place
                self._twin(address, entry.file, place, first.file, first_place)

    # -- references

    def _check_file(self, file_number: int, numbers: Iterable[int], *, rules: bool = True) -> None:
        file = self.files[file_number]
        addresses = file.index.addresses
        for number in numbers:
            record = file.record(number)
            address, plain, place = addresses[number], record.plain, record.place
            for reference, path, _ in references_of(kind_of(address), plain):
                self._check_reference(file_number, place, path, reference, address)
            if is_of(Kind.SHARE, address):
                self._check_placement(file_number, place, plain, address)
        for rule in file.index.rules if rules else ():
            self._check_reference(
                file_number, rule.place, ("spec", "share"), rule.share, address_of(Kind.ACCESS_RULE, rule.name)
            )

    def _misplaced(self, share_type: str | None, zone: str | None, has_network: bool) -> str:  # noqa: FBT001 - a row of the index
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
        wrong = self._misplaced(share_type, zone, network is not None)
        related = [(address, field) for field in PLACEMENT_FIELDS]
        related.append((address_of(Kind.SHARE_TYPE, str(share_type)), "extraSpecs"))
        if not wrong or not all(self._is_written(where, "spec", field) for where, field in related):
            return
        if wrong == "availabilityZone":
            summary = f"the type {share_type!r} is not offered in the zone {zone!r}"
            remedy = "choose a zone among the type's availability_zones, or another type"
        elif network is None:
            summary = f"the type {share_type!r} is for backends with share servers, and the share names no shareNetwork"
            remedy = "add shareNetwork, or choose another type"
        else:
            summary = (
                f"the type {share_type!r} is for backends without share servers, and the share names a shareNetwork"
            )
            remedy = "remove shareNetwork, or choose another type"
        path = ("spec", wrong) if wrong == "availabilityZone" or network is not None else ("spec", "type")
        self._add(file, place, "placement", summary, remedy, path, address)

    # -- rules, moves, cycles

    def _check_rules(self) -> None:
        for share, rule_entries in self.linked.rules.items():
            if share not in self.linked.digests:
                if self.linked.entries is not None:
                    for rule_entry in rule_entries:
                        self._check_reference(
                            rule_entry.file,
                            rule_entry.rule.place,
                            ("spec", "share"),
                            share,
                            address_of(Kind.ACCESS_RULE, rule_entry.rule.name),
                        )
                continue
            entry = self.entries()[share]
            record = self.files[entry.file].record(entry.number)
            seen: dict[tuple[str, str], tuple[int, Sequence[int], Path]] = {
                (rule[0], rule[1]): (entry.file, record.place, ("spec", "access", number, "to"))
                for number, rule in enumerate(record.access)
                if rule[1]
            }
            is_nfs = record.plain["protocol"] == "NFS" and self._is_written(share, "spec", "protocol")
            for file_number, rule in sorted(rule_entries, key=_rule_order):
                checker = Checker(rule.place, address_of(Kind.ACCESS_RULE, rule.name), [])
                if rule.access_type == "user" and is_nfs:
                    from sharectl.manifests.builders import add_user_on_nfs  # noqa: PLC0415 - only a mistake needs it

                    add_user_on_nfs(checker, "spec")
                here = (file_number, rule.place, ("spec", "to"))
                other = seen.setdefault((rule.access_type, rule.access_to), here)
                if other != here:
                    file, (document, line, _), path = other
                    place = self.positions(file).in_document(document, line).source(document, path)
                    key = f"{rule.access_type}:{rule.access_to}"
                    summary = f"the access rule {key} of {share} stands twice; the other place is {place}"
                    checker.add("duplicate-access", summary, "keep one of the two", "spec", "to")
                self._keep(file_number, checker)
            grants = [AccessRule(*rule) for rule in record.access]
            grants += [AccessRule(rule.access_type, rule.access_to, rule.access_level) for _, rule in rule_entries]
            self.linked.digests[share] = self.linked.digests[share][:DIGEST_SIZE_BYTES] + access_digest(grants)

    def _check_moves(self, moves: Mapping[Address, Sequence[Address]], described: Collection[Address]) -> None:
        claimed: dict[Address, Address] = {}
        for new in sorted(moves):
            for old in moves[new]:
                other = claimed.setdefault(old, new)
                summary = ""
                if old in described:
                    summary = f"{old} is still described, so {new} cannot have been it"
                elif other != new:
                    summary = f"both {other} and {new} say that they were {old}"
                if summary:
                    path = ("metadata", "annotations", "sharectl/moved-from")
                    self._blame(new, "moved", summary, "remove the old document, or the name from the annotation", path)

    def _check_cycles(self, clones: Mapping[Address, Address], snapshots_of: Mapping[Address, Address]) -> None:
        for cycle in cycles(clones, snapshots_of):
            summary = f"a cycle: {' → '.join((*cycle, cycle[0]))}"
            detail = "Each would have to exist before the others."
            remedy = "make one of the shares without sourceSnapshot"
            self._blame(cycle[0], "cycle", summary, remedy, ("spec", "sourceSnapshot"), detail)

    def _check_reverts(self, reverts: Mapping[Address, Address], snapshots_of: Mapping[Address, Address]) -> None:
        for share, snapshot in reverts.items():
            owner = snapshots_of.get(snapshot, share)
            if owner != share:
                summary = f"{share} cannot be turned back to {snapshot}, which is a snapshot of {owner}"
                remedy = "name a snapshot of this share; a new share with sourceSnapshot holds the files of any"
                self._blame(share, "revert", summary, remedy, ("spec", "revertTo", "snapshot"))

    def _blame(  # noqa: PLR0913, PLR0917 - the parts of a Finding
        self, address: Address, code: str, summary: str, remedy: str, path: Path, detail: str = ""
    ) -> None:
        """Record an error about a share or snapshot at its own document, if there is one among the files."""
        entry = self.entries().get(address) or next(iter(self._find({address}).get(address, ())), None)
        if entry is not None:
            place = self.files[entry.file].record(entry.number).place
            self._add(entry.file, place, code, summary, remedy, path, address, detail)


def _rule_order(entry: RuleEntry) -> tuple[int, int]:
    return entry.file, entry.rule.place[0]
