"""What the manifests want, decoded as it is asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from sharectl.manifests.findings import NO_FLAWS, Flaws
from sharectl.model.access import CLIENTS, AccessRule, rule_of
from sharectl.model.codec import Likes
from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import MANAGED_KINDS, Address, Kind, address_of, is_of, kind_of, name_of, split_rule_address
from sharectl.model.specs import ClientListSpec, ShareSpec, ShareTypeSpec, SnapshotSpec
from sharectl.model.table import SPECS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from sharectl.manifests.clients import Listed
    from sharectl.manifests.compiled import ResourceRecord, RuleDocument, Setting
    from sharectl.manifests.defaults import Defaults
    from sharectl.manifests.linked import Entry, Linked, RuleEntry
    from sharectl.manifests.positions import FilePositions, SetEntry
    from sharectl.model.backends import BackendSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.model.codec import Like, Spec
    from sharectl.model.diagnostics import Source
    from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec


class WrittenRule(NamedTuple):
    """Where an access rule of a share stands: at `number` of its inline rules, in a document of its own, or as a client in a ClientList.

    `line` is within the document, `shares` are those that the document gives it to, in its order; `is_listed` tells `shares` from `share`.
    """

    key: str
    path: str
    line: int
    number: int | None = None
    shares: tuple[Address, ...] = ()
    is_listed: bool = False
    client_list: Address | None = None


class Desired:
    """Everything that the manifests describe. A share or snapshot is decoded when it is asked for.

    `digests` holds, for each share and snapshot, the digest of its spec followed by that of its access rules. `backends`,
    `share_types`, `client_lists`, `share_networks` and `security_services` are by name, sorted. `moves` leads from an address to the former
    addresses that its manifest gives. Asking for an address that is not there raises KeyError. `flaws` are those of its documents.
    """

    def __init__(self, linked: Linked, positions: Callable[[int], FilePositions], flaws: Flaws = NO_FLAWS) -> None:
        """Read what `linked` finds in files; `positions` gives the positions of the file with a number."""
        self.flaws = flaws
        self._linked = linked
        self._positions = positions
        # A spec and its access rules are asked for one after the other.
        self._last: tuple[Address, ResourceRecord] | None = None
        self._alike = Likes(ShareSpec)
        self._shares: dict[Address, ShareSpec] = {}  # a new share is asked for by several parts of the planner
        self.digests: Mapping[Address, bytes] = MappingProxyType(linked.digests)
        self.moves: Mapping[Address, tuple[Address, ...]] = MappingProxyType(linked.moves)
        self.backends: Mapping[str, BackendSpec] = self._settings(Kind.BACKEND)
        self.share_types: Mapping[str, ShareTypeSpec] = self._settings(Kind.SHARE_TYPE)
        self.client_lists: Mapping[str, ClientListSpec] = self._settings(Kind.CLIENT_LIST)
        self.share_networks: Mapping[str, ShareNetworkSpec] = self._settings(Kind.SHARE_NETWORK)
        self.security_services: Mapping[str, SecurityServiceSpec] = self._settings(Kind.SECURITY_SERVICE)

    @property
    def settings(self) -> Mapping[Kind, Mapping[str, Any]]:
        """The specs of the kinds that no plan makes, changes or removes, by kind and name."""
        return {
            Kind.BACKEND: self.backends,
            Kind.SHARE_TYPE: self.share_types,
            Kind.CLIENT_LIST: self.client_lists,
            Kind.SHARE_NETWORK: self.share_networks,
            Kind.SECURITY_SERVICE: self.security_services,
        }

    @property
    def addresses(self) -> Sequence[Address]:
        """The addresses of everything but access rules: shares and snapshots first, then the other kinds by name."""
        others = self.settings.items()
        return (*self.digests, *(address_of(kind, name) for kind, specs in others for name in specs))

    def share(self, address: Address) -> ShareSpec:
        """Return the share at `address`."""
        spec = self._shares.get(address)
        if spec is None:
            like = self._like(self._linked.spec_json(self._entry(address, Kind.SHARE)))
            spec = self._shares[address] = like.named(name_of(address))
        return spec

    def likes(self, addresses: Collection[Address]) -> Iterator[tuple[Address, Like[ShareSpec]]]:
        """Yield of each of these shares what it has in common with those that differ from it in their names alone, access rules apart.

        Where changed shares are looked at one after the other, its example does as well as the share, and costs less.
        """
        return ((address, self._like(text)) for address, text in self._linked.spec_texts(addresses))

    def _like(self, text: bytes) -> Like[ShareSpec]:
        return self._alike.like(text, lambda: ShareSpec.from_plain(orjson.loads(text)))

    def let_go(self, *, specs: bool = False) -> None:
        """Hold nothing any more that can be had from the files again, where it is asked for again; with `specs`, not what was made of it either."""
        self._last = None
        self._linked.let_go()
        if specs:
            self._shares.clear()

    def snapshot(self, address: Address) -> SnapshotSpec:
        """Return the snapshot at `address`."""
        return SnapshotSpec.from_plain(self._record(address, Kind.SNAPSHOT).plain)

    def spec(self, address: Address) -> Spec:
        """Return the spec at `address`, whatever its kind."""
        return (
            self.share(address)
            if is_of(Kind.SHARE, address)
            else SPECS[kind_of(address)].from_plain(self.plain(address))
        )

    def access(self, share_address: Address) -> tuple[AccessRule, ...]:
        """Return the access rules of a share, from its own document and from AccessRule documents, sorted by key.

        A rule that does not say what it gives to whom is left out, and of two for the same client the second.
        """
        return self._access_by(self._rules(share_address))

    def client_lists_of(self, share_address: Address) -> frozenset[Address]:
        """Return the ClientLists that the access rules of a share name; not those in them."""
        rules = self._rules(share_address)
        return frozenset(address_of(Kind.CLIENT_LIST, rule.access_to) for rule in rules if rule.access_type == CLIENTS)

    def clients_of_lists(self, share_address: Address) -> Mapping[str, Address]:
        """Return the keys of those access rules of a share that come from lists, each with the ClientList in which its client stands."""
        rules = self._rules(share_address)
        if not _name_lists(rules):
            return {}
        own = {rule.key for rule in rules}
        expansion = self._linked.lists.expansion(rules)
        return {key: each.client.client_list for key, each in expansion.rules.items() if key not in own}

    def users_of(self, client_list: Address) -> list[Address]:
        """Return the shares whose access rules name the list, or another that it is in."""
        around = {name_of(each) for each in self._linked.lists.around(client_list)}
        found = {
            share
            for share, rules in self._linked.listing.items()
            if any(rule[0] == CLIENTS and rule[1] in around for rule in rules)
        }
        for share, entries in self._linked.rules.items():
            if any(entry.rule.access_type == CLIENTS and entry.rule.access_to in around for entry in entries):
                found.add(share)
        return sorted(found & self.digests.keys())

    def labels_of(self, address: Address) -> Mapping[str, str]:
        """Return the labels of the resource at `address`; those of a rule are its document's, or its share's where it is inline."""
        share_address, rule_key = split_rule_address(address)
        if rule_key is not None:
            rule = self._rule_document(share_address, rule_key)
            if rule is not None:
                return MappingProxyType(rule.rule.labels)
            return self.labels_of(share_address)
        return MappingProxyType(self.plain(address).get("labels", {}))

    def plain(self, address: Address) -> JsonObject:
        """Return the plain form of the spec at `address`, whatever its kind."""
        kind = kind_of(address)
        if kind in MANAGED_KINDS:
            plain: JsonObject = self._record(address, kind).plain
            return plain
        found: JsonObject = self.settings[kind][name_of(address)].as_plain()
        return found

    def source(self, address: Address) -> Source:
        """Return where the resource is named (its `metadata.name`), where an access rule stands, or its client in a ClientList."""
        listed = self._listed(*split_rule_address(address))
        if listed is not None:
            return self.field_source(listed.client.client_list, *listed.client.path)
        file, (document, line, column) = self._place(address)
        if self._is_inline(address):
            share_address, rule_key = split_rule_address(address)
            keys = [f"{rule[0]}:{rule[1]}" for rule in self._record(share_address, Kind.SHARE).access]
            if rule_key not in keys:
                raise KeyError(address)
            return self.field_source(share_address, "spec", "access", keys.index(rule_key))
        return self._positions(file).in_document(document, line).place(line, column, document)

    def rule_source(self, address: Address) -> Source:
        """Return where an access rule stands, as `source` does, but for the column and the number of the document.

        Of hundreds of rules in as many files that is told much sooner where the client is written as the state has it.
        """
        share_address, rule_key = split_rule_address(address)
        listed = self._listed(share_address, rule_key)
        is_alone = listed is None and rule_key is not None and not self._record(share_address, Kind.SHARE).is_in_set
        if rule_key is not None and is_alone and self._is_inline(address):
            file, (document, line, _) = self._place(address)
            quick = self._positions(file).line_with(line, rule_key.partition(":")[2])
            if quick is not None:
                return replace(quick, document=document)
        return self.source(address)

    def written_rule(self, share_address: Address, rule_key: str) -> WrittenRule | None:
        """Return where a rule of a share stands; None where the share has none of that key."""
        listed = self._listed(share_address, rule_key)
        if listed is not None:
            source = self.field_source(listed.client.client_list, *listed.client.path)
            return WrittenRule(rule_key, source.path, source.line, client_list=listed.client.client_list)
        keys = [f"{rule[0]}:{rule[1]}" for rule in self._record(share_address, Kind.SHARE).access]
        if rule_key in keys:
            source = self.source(share_address)
            return WrittenRule(rule_key, source.path, source.line, keys.index(rule_key))
        return next((each for each in self.rule_documents_of(share_address) if each.key == rule_key), None)

    def rule_documents_of(self, share_address: Address) -> list[WrittenRule]:
        """Return the AccessRule documents that name the share."""
        found = []
        for file, rule in self._linked.rules.get(share_address, ()):
            path = self._positions(file).path
            found.append(WrittenRule(rule.key, path, rule.place[1], None, tuple(rule.shares), rule.is_listed))
        return found

    def field_source(self, address: Address, *path: str | int) -> Source:
        """Return where a field of the resource's document stands (`"spec", "size"`), or the nearest one around it that exists.

        One that the project's defaults have given stands there.
        """
        share_address, rule_key = split_rule_address(address)
        if self._is_inline(address) or self._listed(share_address, rule_key) is not None:
            return self.source(address)
        by_default = self._linked.default_source(address, path)
        if by_default is not None:
            return by_default
        file, (document, line, column) = self._place(address)
        return self._positions(file).in_document(document, line, column).source(document, path)

    def entry_in_set(self, address: Address) -> SetEntry | None:
        """Return where a share stands in a ShareSet; None for one with a document of its own, and for all else."""
        if not is_of(Kind.SHARE, address) or not self._record(address, Kind.SHARE).is_in_set:
            return None
        file, (document, line, column) = self._place(address)
        return self._positions(file).in_document(document, line).entry_at(document, line, column)

    def set_of(self, address: Address) -> Address | None:
        """Return the ShareSet that a share stands in; None for one with a document of its own, and for all else."""
        if not is_of(Kind.SHARE, address) or not self._record(address, Kind.SHARE).is_in_set:
            return None
        entry = self._linked.entries[address]
        sets = self._linked.files[entry.file].index.sets
        return next(
            (address_of(Kind.SHARE_SET, each.name) for each in sets if each.first <= entry.number < each.end), None
        )

    def shares_of_set(self, address: Address) -> Sequence[Address] | None:
        """Return the shares of the ShareSet at an address; None where there is none."""
        for file in self._linked.files:
            for each in file.index.sets:
                if address_of(Kind.SHARE_SET, each.name) == address:
                    return file.index.addresses[each.first : each.end]
        return None

    @property
    def defaults(self) -> Defaults | None:
        """The project's defaults, which its documents have been given; None where it has none."""
        return self._linked.defaults

    def by_default(self, address: Address) -> Mapping[str, Source | None]:
        """Return the fields (`spec.type`) that a share or snapshot has from the project's defaults, each with its place there."""
        if self.defaults is None or address not in self.digests:
            return {}
        return dict(self.defaults.sources(self._record(address, kind_of(address)).given))

    def describes(self, address: Address) -> bool:
        """Tell whether a backend, share type, client list, share network or security service at `address` stands in a file."""
        return address in self._linked.settings

    def access_rules(self) -> Mapping[str, RuleDocument]:
        """Return the AccessRule documents of the shares that were read, by name."""
        return {entry.rule.name: entry.rule for entries in self._linked.rules.values() for entry in entries}

    def rule_documents(self) -> Mapping[Address, frozenset[str]]:
        """Return the keys of the access rules that are documents of their own, or come from such, by the address of their share."""
        return {
            address: frozenset(rule.key for rule in self._access_by(rule.rule for _, rule in rules))
            for address, rules in self._linked.rules.items()
        }

    def _is_inline(self, address: Address) -> bool:
        """Tell whether an access rule stands in the document of its share."""
        share_address, rule_key = split_rule_address(address)
        return rule_key is not None and self._rule_document(share_address, rule_key) is None

    def _place(self, address: Address) -> tuple[int, Sequence[int]]:
        """Return the number of the file and the place of the document that describes the resource: for a rule within its share's, of that."""
        share_address, rule_key = split_rule_address(address)
        found = None if rule_key is None else self._rule_document(share_address, rule_key)
        if found is not None:
            return found.file, found.rule.place
        place = self._linked.place_of(share_address)
        if place is None:
            raise KeyError(address)
        return place

    def _record(self, address: Address, kind: Kind) -> ResourceRecord:
        entry = self._entry(address, kind)
        if self._last is None or self._last[0] != address:
            self._last = address, self._linked.record(entry)
        return self._last[1]

    def _entry(self, address: Address, kind: Kind) -> Entry:
        if not is_of(kind, address):
            raise KeyError(address)
        return self._linked.entries[address]

    def _rule_document(self, share_address: Address, rule_key: str) -> RuleEntry | None:
        """Return the document that gives the share this rule, itself or by a list that it names."""
        for entry in self._linked.rules.get(share_address, ()):
            rule = entry.rule
            names_it = rule.access_type == CLIENTS and rule_key in self._linked.lists.expansion([rule.rule]).rules
            if names_it or rule.key == rule_key:
                return entry
        return None

    def _rules(self, share_address: Address) -> tuple[AccessRule, ...]:
        """Return the rules of a share as they are written, those of its own document first."""
        own = tuple(map(rule_of, self._record(share_address, Kind.SHARE).access))
        documents = self._linked.rules.get(share_address)
        return (*own, *(rule.rule for _, rule in documents)) if documents else own

    def _access_by(self, rules: Iterable[AccessRule]) -> tuple[AccessRule, ...]:
        rules = tuple(rules)
        if _name_lists(rules):
            return self._linked.lists.access(rule for rule in rules if rule.access_to and rule.access_level)
        return _by_key(rules)

    def _listed(self, share_address: Address, rule_key: str | None) -> Listed | None:
        """Return what gives a share this rule, where that is a client in a list and no rule of its own."""
        if rule_key is None or share_address not in self._linked.entries:
            return None
        rules = self._rules(share_address)
        if not _name_lists(rules) or any(rule.key == rule_key for rule in rules):
            return None
        return self._linked.lists.expansion(rules).rules.get(rule_key)

    def _settings(self, kind: Kind) -> Mapping[str, Any]:
        settings: Iterable[Setting] = (setting for _, setting in self._linked.settings.values() if setting.kind == kind)
        specs = sorted((SPECS[kind].from_plain(setting.plain) for setting in settings), key=lambda spec: spec.name)
        return MappingProxyType({spec.name: spec for spec in specs})


@lru_cache(maxsize=10_000)
def _by_key(rules: tuple[AccessRule, ...]) -> tuple[AccessRule, ...]:
    """Return rules that are whole, sorted by key, of two with one key the first; shares with the same rules have the same tuple."""
    by_key: dict[str, AccessRule] = {}
    for rule in rules:
        if rule.access_to and rule.access_level:
            by_key.setdefault(rule.key, rule)
    return tuple(by_key[key] for key in sorted(by_key))


def _name_lists(rules: Iterable[AccessRule]) -> bool:
    """Tell whether any of the rules names a ClientList."""
    return any(rule.access_type == CLIENTS for rule in rules)
