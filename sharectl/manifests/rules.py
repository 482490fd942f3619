"""The access rules of each share, from its own document, AccessRule documents and ClientLists, as one set: each rule once, and no two that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.model.access import CLIENTS, OF_CLIENTS, AccessLevel, AccessType, access_digest, rule_of
from sharectl.model.canonical import DIGEST_SIZE_BYTES
from sharectl.model.diagnostics import counted
from sharectl.model.kinds import Kind, address_of
from sharectl.model.specs import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sharectl.manifests.clients import Client, Conflict
    from sharectl.manifests.compiled import ResourceRecord
    from sharectl.manifests.findings import Checker, Path
    from sharectl.manifests.linked import Linked, RuleEntry
    from sharectl.manifests.positions import FilePositions
    from sharectl.model.access import AccessRule
    from sharectl.model.kinds import Address

    Place = tuple[int, Sequence[int], Path]
    """The number of a file, the place of a document in it, and the path of a field."""

_MOST_KEPT: Final = 1000
_ONE_LEVEL: Final = (
    "give both the same, or take the client out of one; of an address and a network around it, the narrower one decides"
)


class RuleLinker:
    """Checks the rules of shares, and puts the digest of what they come to in place of that of the inline rules."""

    def __init__(
        self,
        linked: Linked,
        positions: Callable[[int], FilePositions],
        at: Callable[[int, Sequence[int], Address], Checker],
        is_written: Callable[..., bool],
    ) -> None:
        """Report by `at`; `positions` finds places in the file of a number, `is_written` tells whether a field says what was written."""
        self._linked = linked
        self._positions = positions
        self._report_at = at
        self._reports = 0
        self._sound: dict[str, bytes] = {}
        self._is_written = is_written
        self._told: set[Conflict] = set()

    def link(self, share: Address) -> None:
        """Link the rules of a share. Inline rules in which nothing is wrong are looked into once, however many shares have the same."""
        entries = sorted(self._linked.rules.get(share, ()), key=_rule_order)
        listing = self._linked.listing.get(share)
        written = "" if entries or listing is None else repr(listing)
        digest = self._sound.get(written)
        if digest is None:
            before = self._reports
            digest = self._checked(share, entries, self._record(share).access if listing is None else listing)
            if written and self._reports == before and len(self._sound) < _MOST_KEPT:
                self._sound[written] = digest
        self._linked.digests[share] = self._linked.digests[share][:DIGEST_SIZE_BYTES] + digest

    def _checked(self, share: Address, entries: Sequence[RuleEntry], inline: Sequence[Sequence[Any]]) -> bytes:
        """Report what is wrong with the rules of a share, and return the digest of what they come to."""
        if entries:
            self._check_documents(share, entries)
        rules = [*map(rule_of, inline), *(entry.rule.rule for entry in entries)]
        if not any(rule.access_type == CLIENTS for rule in rules):
            return access_digest(rules)
        self._check_lists(share, rules, entries)
        return self._linked.lists.digest(rules)

    def _at(self, file: int, place: Sequence[int], address: Address) -> Checker:
        self._reports += 1
        return self._report_at(file, place, address)

    def _check_documents(self, share: Address, entries: Sequence[RuleEntry]) -> None:
        plain = self._record(share).plain
        seen = {(rule.access_type, rule.access_to): place for rule, place in self._inline(share) if rule.access_to}
        is_known = self._is_written(share, "spec", "protocol") and self._is_written(share, "spec", "protocols")
        protocol = plain["protocol"] if is_known else None
        is_nfs, is_cifs = protocol == Protocol.NFS, protocol == Protocol.CIFS
        for file, rule in entries:
            address = address_of(Kind.ACCESS_RULE, rule.name)
            if (is_nfs and rule.access_type not in OF_CLIENTS) or (rule.options and is_cifs):
                from sharectl.manifests.builders import add_misplaced  # noqa: PLC0415 - only a mistake needs it

                add_misplaced(rule.rule, self._at(file, rule.place, address), "spec")
            here: Place = (file, rule.place, ("spec", "to"))
            other = seen.setdefault((rule.access_type, rule.access_to), here)
            if other != here:
                summary = f"the access rule {rule.key} of {share} stands twice; the other place is {self._shown(other)}"
                checker = self._at(file, rule.place, address)
                checker.add("duplicate-access", summary, "keep one of the two", "spec", "to")

    def _check_lists(self, share: Address, rules: Sequence[AccessRule], entries: Sequence[RuleEntry]) -> None:
        """Report where two lists, or a list and a rule, give one client something else; where they give it the same, nothing is wrong."""
        expansion = self._linked.lists.expansion(rules)
        self._check_empty(share, rules, entries)
        for conflict in expansion.conflicts:
            self._add_conflict(share, conflict, entries)
        keys = expansion.rules.keys() & {rule.key for rule in rules if rule.access_level}
        for rule, place, address in self._placed(share, entries) if keys else ():
            listed = expansion.rules.get(rule.key)
            if listed is not None and listed.rule != rule and rule.access_level:
                file, document, path = place
                there = self._shown(self._place_of(listed.client))
                summary = f"the access rule {rule.key} of {share} gives {rule.grant}, and {listed.client.client_list} gives {listed.rule.grant}; the other place is {there}"
                self._at(file, document, address).add("duplicate-access", summary, _ONE_LEVEL, *path)

    def _check_empty(self, share: Address, rules: Sequence[AccessRule], entries: Sequence[RuleEntry]) -> None:
        """Refuse lists of nobody where they are all that says from where people may come: without a rule of type `ip` they come from everywhere."""
        granting = [rule for rule in rules if rule.access_level not in {"", AccessLevel.NONE}]
        naming = [rule for rule in granting if rule.access_type == CLIENTS]
        types = {rule.access_type for rule in granting} - {CLIENTS}
        if not naming or not types or AccessType.IP in types or not all(map(self._is_empty, naming)):
            return
        places = {rule: (place, document) for rule, place, document in self._placed(share, entries)}
        (file, document, path), address = places[naming[0]]
        where = address_of(Kind.CLIENT_LIST, naming[0].access_to)
        summary = f"{where} is empty, and without clients the users of {share} could come from everywhere"
        remedy = "add a client, or take the rule out if that is meant"
        self._at(file, document, address).add("empty-list", summary, remedy, *path)

    def _is_empty(self, rule: AccessRule) -> bool:
        """Tell whether the list that a rule names is known to hold nobody."""
        return not self._linked.lists.clients(rule.access_to) and self._linked.lists.is_known(rule.access_to)

    def _add_conflict(self, share: Address, conflict: Conflict, entries: Sequence[RuleEntry]) -> None:
        """Report at a client that stands in two lists, once for all shares; of a list that two rules name, itself or within another, at the second rule."""
        first, second = conflict.first, conflict.second
        if first.by.access_to == second.by.access_to:
            return  # it is told already that the rule stands twice
        at, other, address = self._place_of(second.client), self._place_of(first.client), second.client.client_list
        if at == other:
            places = {rule: (place, document) for rule, place, document in self._placed(share, entries)}
            (at, address), (other, _) = places[second.by], places[first.by]
        elif conflict in self._told:
            return
        self._told.add(conflict)
        more = f"; and {counted(conflict.more, 'more client')}" if conflict.more else ""
        summary = (
            f"{share} gives {second.rule.access_to} {second.rule.grant} by {address_of(Kind.CLIENT_LIST, second.by.access_to)}, and "
            f"{first.rule.grant} by {address_of(Kind.CLIENT_LIST, first.by.access_to)}; the other place is {self._shown(other)}{more}"
        )
        file, document, path = at
        self._at(file, document, address).add("duplicate-access", summary, _ONE_LEVEL, *path)

    def _place_of(self, client: Client) -> Place:
        file, setting = self._linked.settings[client.client_list]
        return file, setting.place, client.path

    def _placed(self, share: Address, entries: Sequence[RuleEntry]) -> Iterator[tuple[AccessRule, Place, Address]]:
        """Yield the rules of a share that are its own, each with its place and the document that it stands in."""
        for rule, place in self._inline(share):
            yield rule, place, share
        for file, found in entries:
            yield found.rule, (file, found.place, ("spec", "to")), address_of(Kind.ACCESS_RULE, found.name)

    def _inline(self, share: Address) -> Iterator[tuple[AccessRule, Place]]:
        entry = self._linked.entries[share]
        record = self._linked.record(entry)
        for number, rule in enumerate(record.access):
            yield rule_of(rule), (entry.file, record.place, ("spec", "access", number, "to"))

    def _record(self, share: Address) -> ResourceRecord:
        return self._linked.record(self._linked.entries[share])

    def _shown(self, place: Place) -> str:
        file, (document, line, column), path = place
        return str(self._positions(file).in_document(document, line, column).source(document, path))


def _rule_order(entry: RuleEntry) -> tuple[int, int]:
    return entry.file, entry.rule.place[0]
