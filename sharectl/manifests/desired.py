"""What the manifests want, decoded as it is asked for."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sharectl.manifests.compiled import CompiledFile, Index, RuleDocument, Setting, Settings
from sharectl.manifests.findings import NO_FLAWS, Flaws
from sharectl.manifests.linked import Linked, entries_of
from sharectl.manifests.positions import FilePositions
from sharectl.model.access import NO_ACCESS_DIGEST, AccessRule, access_digest
from sharectl.model.canonical import canonical_json, digest_of
from sharectl.model.kinds import MANAGED_KINDS, Address, Kind, address_of, is_of, kind_of, name_of, split_rule_address
from sharectl.model.specs import ShareSpec, ShareTypeSpec, SnapshotSpec
from sharectl.model.table import SPECS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sharectl.manifests.linked import Entry
    from sharectl.model.backends import BackendSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.model.codec import Spec
    from sharectl.model.diagnostics import Source
    from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec

Step = str | int


class Desired:
    """Everything that the manifests describe. A share or snapshot is decoded when it is asked for.

    `digests` holds, for each share and snapshot, the digest of its spec followed by that of its access rules. `backends`,
    `share_types`, `share_networks` and `security_services` are by name, sorted. `moves` leads from an address to the former
    addresses that its manifest gives. Asking for an address that is not there raises KeyError. `flaws` are those of its documents.
    """

    def __init__(
        self,
        linked: Linked,
        files: Sequence[CompiledFile],
        positions: Callable[[int], FilePositions],
        flaws: Flaws = NO_FLAWS,
    ) -> None:
        """Read from `files`; `positions` gives the positions of the file with a number."""
        self.flaws = flaws
        self._linked = linked
        self._files = files
        self._positions = positions
        self._last: tuple[Address, Any] = ("", None)  # a spec and its access rules are asked for one after the other
        self._shares: dict[Address, ShareSpec] = {}  # a new share is asked for by several parts of the planner
        self.digests: Mapping[Address, bytes] = MappingProxyType(linked.digests)
        self.moves: Mapping[Address, tuple[Address, ...]] = MappingProxyType(linked.moves)
        self.backends: Mapping[str, BackendSpec] = self._settings(Kind.BACKEND)
        self.share_types: Mapping[str, ShareTypeSpec] = self._settings(Kind.SHARE_TYPE)
        self.share_networks: Mapping[str, ShareNetworkSpec] = self._settings(Kind.SHARE_NETWORK)
        self.security_services: Mapping[str, SecurityServiceSpec] = self._settings(Kind.SECURITY_SERVICE)

    @classmethod
    def of(  # noqa: PLR0913 - one argument for each kind, all optional
        cls,
        *,
        shares: Iterable[ShareSpec] = (),
        access: Mapping[Address, Iterable[AccessRule]] | None = None,
        snapshots: Iterable[SnapshotSpec] = (),
        backends: Iterable[BackendSpec] = (),
        share_types: Iterable[ShareTypeSpec] = (),
        share_networks: Iterable[ShareNetworkSpec] = (),
        security_services: Iterable[SecurityServiceSpec] = (),
        moves: Mapping[Address, tuple[Address, ...]] | None = None,
    ) -> Desired:
        """Return a Desired of these specs, without any file; `access` is by the address of the share. Nothing is checked."""
        addresses, digests, lines = [], [], []
        index = Index()
        for share in shares:
            address, plain = address_of(Kind.SHARE, share.name), share.as_plain()
            rules = list((access or {}).get(address, ()))
            addresses.append(address)
            digests.append(digest_of(canonical_json(plain)) + access_digest(rules))
            lines.append(canonical_json([plain, [list(rule) for rule in rules], (0, 1, 1)]))
        for snapshot in snapshots:
            plain = snapshot.as_plain()
            addresses.append(address_of(Kind.SNAPSHOT, snapshot.name))
            digests.append(digest_of(canonical_json(plain)) + NO_ACCESS_DIGEST)
            lines.append(canonical_json([plain, [], (0, 1, 1)]))
        index.addresses = addresses
        file = CompiledFile(Settings(), index, b"".join(digests), b"\n".join(lines))
        linked = Linked(dict(zip(addresses, digests, strict=True)), moves=dict(moves or {}))
        desired = cls(linked, [file], lambda _: FilePositions("<memory>", b""))
        desired.backends = _by_name(backends)
        desired.share_types = _by_name(share_types)
        desired.share_networks = _by_name(share_networks)
        desired.security_services = _by_name(security_services)
        return desired

    @property
    def settings(self) -> Mapping[Kind, Mapping[str, Any]]:
        """The specs of the kinds that no plan makes, changes or removes, by kind and name."""
        return {
            Kind.BACKEND: self.backends,
            Kind.SHARE_TYPE: self.share_types,
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
            spec = self._shares[address] = ShareSpec.from_plain(self._record(address, Kind.SHARE).plain)
        return spec

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
        inline = self._record(share_address, Kind.SHARE).access
        others = (rule[2:5] for _, rule in self._linked.rules.get(share_address, ()))
        rules: dict[str, AccessRule] = {}
        for rule in (AccessRule(*each) for each in (*inline, *others)):
            if rule.access_to and rule.access_level:
                rules.setdefault(rule.key, rule)
        return tuple(rules[key] for key in sorted(rules))

    def labels_of(self, address: Address) -> Mapping[str, str]:
        """Return the labels of the resource at `address`; those of a rule are its document's, or its share's where it is inline."""
        share_address, rule_key = split_rule_address(address)
        if rule_key is not None:
            rule = self._rule_document(share_address, rule_key)
            if rule is not None:
                return MappingProxyType(rule[1].labels)
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
        """Return where the resource is named (its `metadata.name`), or where an access rule stands."""
        file, place = self._place(address)
        if file is None:
            share_address, rule_key = split_rule_address(address)
            keys = [f"{rule[0]}:{rule[1]}" for rule in self._record(share_address, Kind.SHARE).access]
            if rule_key not in keys:
                raise KeyError(address)
            return self.field_source(share_address, "spec", "access", keys.index(rule_key))
        document, line, column = place
        return self._positions(file).in_document(document, line).place(line, column, document)

    def field_source(self, address: Address, *path: Step) -> Source:
        """Return where a field of the resource's document stands (`"spec", "size"`), or the nearest one around it that exists."""
        file, place = self._place(address)
        if file is None:
            return self.source(address)
        document, line, _ = place
        return self._positions(file).in_document(document, line).source(document, path)

    def describes(self, address: Address) -> bool:
        """Tell whether a backend, share type, share network or security service at `address` stands in a file."""
        return address in self._linked.settings

    def rule_documents(self) -> Mapping[Address, frozenset[str]]:
        """Return the keys of the access rules that are documents of their own, by the address of their share."""
        return {
            address: frozenset(f"{rule.access_type}:{rule.access_to}" for _, rule in rules)
            for address, rules in self._linked.rules.items()
        }

    def _place(self, address: Address) -> tuple[int | None, Sequence[int]]:
        """Return the number of the file and the place of the document that describes the resource; no number for a rule within its share's."""
        share_address, rule_key = split_rule_address(address)
        if rule_key is not None:
            found = self._rule_document(share_address, rule_key)
            return (None, ()) if found is None else (found[0], found[1].place)
        if address in self._linked.settings:
            number, setting = self._linked.settings[address]
            return number, setting.place
        entry = self._entries()[address]
        return entry.file, self._files[entry.file].record(entry.number).place

    def _record(self, address: Address, kind: Kind) -> Any:  # noqa: ANN401 - a ResourceRecord
        if not is_of(kind, address):
            raise KeyError(address)
        if self._last[0] != address:
            entry = self._entries()[address]
            self._last = address, self._files[entry.file].record(entry.number)
        return self._last[1]

    def _entries(self) -> Mapping[Address, Entry]:
        if self._linked.entries is None:
            self._linked.entries = entries_of(self._files)
        return self._linked.entries

    def _rule_document(self, share_address: Address, rule_key: str) -> tuple[int, RuleDocument] | None:
        for file, rule in self._linked.rules.get(share_address, ()):
            if f"{rule.access_type}:{rule.access_to}" == rule_key:
                return file, rule
        return None

    def _settings(self, kind: Kind) -> Mapping[str, Any]:
        settings: Iterable[Setting] = (setting for _, setting in self._linked.settings.values() if setting.kind == kind)
        ordered = sorted(settings, key=lambda setting: setting.name)
        spec = SPECS[kind]
        return MappingProxyType(
            {setting.name: spec.from_plain({"name": setting.name, **setting.plain}) for setting in ordered}
        )


def _by_name(specs: Iterable[Any]) -> Mapping[str, Any]:
    return MappingProxyType({spec.name: spec for spec in sorted(specs, key=lambda spec: str(spec.name))})
