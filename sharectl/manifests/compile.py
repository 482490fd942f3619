"""Compile one file of manifests: read it, check all that concerns this file alone, and keep what linking needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.manifests.builders import build, check_moves, check_rule, inline_rules
from sharectl.manifests.compiled import (
    NOTHING_GIVEN,
    PLACEMENT_FIELDS,
    CompiledFile,
    Index,
    RuleDocument,
    SetDocument,
    Setting,
    encoded_record,
    lists_named,
)
from sharectl.manifests.fields import references_of
from sharectl.manifests.findings import Checker
from sharectl.manifests.names import is_name
from sharectl.manifests.positions import is_secret_name
from sharectl.manifests.proposals import NO_VARIABLES, instead_of_secret_name, places_of_variables
from sharectl.manifests.reader import UNREAD, Document, read_documents
from sharectl.manifests.rule_options import check_options
from sharectl.manifests.schemas import accepts
from sharectl.manifests.validation import SoundDocument, explain, what_was_read
from sharectl.model.access import CLIENTS, access_digest, rule_of
from sharectl.model.canonical import JsonObject, canonical_json, digest_of
from sharectl.model.diagnostics import did_you_mean
from sharectl.model.kinds import API_VERSION, KIND_OF_DOCUMENT, MANAGED_KINDS, Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.manifests.defaults import Defaults
    from sharectl.manifests.findings import Path
    from sharectl.manifests.forms import Forms
    from sharectl.manifests.reader import Reading
    from sharectl.manifests.schemas import DriverSchemas
    from sharectl.model.kinds import Address

_EDGES: Final[dict[Path, str]] = {
    ("spec", "sourceSnapshot"): "clones",
    ("spec", "revertTo", "snapshot"): "reverts",
    ("spec", "share"): "snapshots_of",
}
"""The references of shares and snapshots that have a place of their own in the index, by the path of the field."""
_KUSTOMIZES: Final = frozenset({"resources", "patches", "components", "namePrefix", "patchesStrategicMerge"})
_NO_LISTS: Final = "write each item as a document of its own, with a line `---` between"
_MOST_EXPLAINED: Final = 1000
_SET: Final = Kind.SHARE_SET.document_kind.encode()
_NAME_IN_TEXT: Final = re.compile(rb"\bname[\"']?\s*:\s*[\"']?([a-z0-9._-]+)")


def compile_file(
    data: bytes, drivers: DriverSchemas, defaults: Defaults | None = None, forms: Forms | None = None
) -> tuple[CompiledFile, Reading]:
    """Return the compiled form of a file's bytes with the project's defaults, its findings included, and what reading it gave.

    With `forms`, documents of forms that were met in other files are not parsed again.
    """
    compiler = _Compiler(drivers, defaults, may_hold_variables=b"$" in data or b"{{" in data)
    reading = read_documents(data, compiler.take) if forms is None else forms.read(data, compiler.take)
    compiled = compiler.finish()
    compiled.findings += reading.problems
    return compiled, reading


def names_in_text(text: bytes) -> set[str]:
    """Return what look like names of documents, and of shares in sets, in text that could not be read."""
    names = {name.decode() for name in _NAME_IN_TEXT.findall(text)}
    if _SET not in text:
        return names
    from sharectl.manifests.share_sets import names_in_text_of_sets  # noqa: PLC0415 - most projects have no sets

    return names | names_in_text_of_sets(text.decode(errors="replace"))


class _Compiler:
    """Compiles the documents of one file. Encoded resources are copied at once: the encoder's buffers are much larger than what is in them."""

    def __init__(self, drivers: DriverSchemas, defaults: Defaults | None, *, may_hold_variables: bool) -> None:
        self.drivers = drivers
        self.defaults = defaults
        self.may_hold_variables = may_hold_variables
        self.file = CompiledFile()
        self.file.index = self.index = Index()
        self.findings = self.file.findings
        self.has_unexplained = False
        self.references: dict[str, None] = {}
        self.placements: dict[tuple[str | None, str | None, bool], None] = {}
        self.digests = bytearray()
        self.records = bytearray()

    def take(self, document: Document) -> None:
        """Compile one document, unless it is empty; what is sound in it is checked and linked even where something is wrong."""
        if document.value is None:
            return
        self.index.documents += 1
        kind = self._kind(document.value, Checker((document.number, document.line), "", self.findings))
        if kind is None:
            return
        metadata = document.value.get("metadata")
        name: Any = metadata.get("name") if isinstance(metadata, dict) else None
        checker = Checker((document.number, document.line), address_of(kind, name) if is_name(name) else "", [])
        place = (document.number, document.name_line, document.name_column)
        value, given = document.value, NOTHING_GIVEN
        if self.defaults is not None:
            value, given, matched = self.defaults.applied(value)
            self.file.defaults_matched |= matched
        sound: SoundDocument | None = SoundDocument(value)
        if not document.sound or not accepts(value["kind"])(value):
            sound = self._mended(document._replace(value=value), checker.address)
        if kind is Kind.SHARE_SET:
            self._expand(document, sound, checker)
        self._keep(kind, sound, place, checker, _Origin(given))
        if self.may_hold_variables:
            self._check_variables(document, checker.address)

    def _keep(
        self, kind: Kind, sound: SoundDocument | None, place: Sequence[int], checker: Checker, origin: _Origin
    ) -> None:
        """Keep what is sound of a document, and what is wrong with it."""
        if sound is not None:
            self._build(kind, sound, place, checker, origin)
            self.findings += sound.sound_findings(checker.findings)
            if sound.unsound and checker.address:
                self.file.unsound[checker.address] = sound.unsound
        elif checker.address:
            self.file.declared.append((checker.address, place))

    def _expand(self, document: Document, sound: SoundDocument | None, checker: Checker) -> None:
        """Compile each share of a set as if it had a document of its own."""
        from sharectl.manifests.defaults import Defaults  # noqa: PLC0415 - most files have no sets
        from sharectl.manifests.set_faults import SetFaults  # noqa: PLC0415 - as above
        from sharectl.manifests.share_sets import members_of  # noqa: PLC0415 - as above

        defaults, faults = self.defaults or Defaults(), SetFaults()
        first, kind = len(self.index.addresses), Kind.SHARE
        for share in members_of(document, sound, checker):
            member = Checker(share.place, address_of(kind, share.name), [])
            given: Mapping[str, int] = NOTHING_GIVEN
            whole: SoundDocument | None = None
            if share.value is not None:
                value, given, matched = share.with_defaults(defaults)
                self.file.defaults_matched |= matched
                whole = SoundDocument(value, share.unsound)
                if not accepts(kind.document_kind)(value):
                    whole = faults.mended(share, whole, Checker(share.place, member.address, self.findings))
            self._keep(kind, whole, share.place, member, _Origin(given, is_in_set=True))
        if sound is not None and checker.address:
            name, place = sound.value["metadata"]["name"], (document.number, document.name_line, document.name_column)
            self.index.sets.append(SetDocument(name, place, first, len(self.index.addresses)))

    def _mended(self, document: Document, address: str) -> SoundDocument | None:
        """Explain what is wrong with the form of a document, and return what is sound in it; None where there are too many to explain."""
        if self.drivers.explained >= _MOST_EXPLAINED:
            if not self.has_unexplained:
                self.has_unexplained = True
                summary = (
                    f"there are mistakes in more than {_MOST_EXPLAINED:,} documents; those from here on are not shown"
                )
                Checker((document.number, document.line), "", self.findings).add(
                    "too-many", summary, "fix the others first"
                )
            return None
        self.drivers.explained += 1
        read = what_was_read(document.value, document.value["kind"])
        found = read.findings(document.number)
        self.findings += [each._replace(address=address or None, line=document.line) for each in found]
        return read.mended()

    def _kind(self, value: Any, checker: Checker) -> Kind | None:  # noqa: ANN401 - any JSON value
        """Return the kind of a document; None, and a finding, where it is not a manifest of any kind."""
        if not isinstance(value, dict):
            remedy = "write apiVersion, kind, metadata and spec, or move the file out of the manifests"
            summary = "this document is not a mapping, so it is not a manifest"
            checker.add("not-a-manifest", summary, _NO_LISTS if isinstance(value, list) else remedy)
            return None
        version, kind = value.get("apiVersion"), value.get("kind")
        if version is UNREAD or kind is UNREAD:
            return None
        if isinstance(value.get("sops"), dict):
            remedy = "decrypt it first: `sops decrypt FILE | sharectl plan -f -`"
            checker.add("encrypted", "this document is encrypted with sops", remedy, "sops")
            return None
        if version != API_VERSION:
            shown = "has no apiVersion" if version is None else f"is {str(version)[:60]!r}, not {API_VERSION}"
            remedy = f"write `apiVersion: {API_VERSION}`, or move the file out of the manifests"
            if isinstance(kind, str) and kind.endswith("List"):
                remedy = _NO_LISTS
            elif str(version).startswith("kustomize.config.k8s.io/") or (
                version is None and value.keys() & _KUSTOMIZES
            ):
                remedy = "kustomize reads it: `kustomize build … | sharectl plan -f -`; keep it out of the folders of manifests"
            elif str(version).startswith("sharectl/"):
                remedy = f"write `apiVersion: {API_VERSION}`; if a newer sharectl wrote it, use that one"
            summary = f"this document {shown}, so it is not a manifest of sharectl"
            checker.add("not-a-manifest", summary, remedy, *(() if version is None else ("apiVersion",)))
            return None
        known = KIND_OF_DOCUMENT.get(kind) if isinstance(kind, str) else None
        if kind == "Project":
            summary = "a Project belongs in the file sharectl.yaml at the root"
            checker.add("kind", summary, "rename or move the file", "kind")
        elif known is None:
            guess = did_you_mean(str(kind), list(KIND_OF_DOCUMENT))
            remedy = f"{guess + ' ' if guess else ''}kinds: {', '.join(KIND_OF_DOCUMENT)}"
            summary = "`kind` is missing" if kind is None else f"there is no kind {str(kind)[:60]!r}"
            checker.add("kind", summary, remedy, *(() if kind is None else ("kind",)))
        return known

    def _check_variables(self, document: Document, address: str) -> None:
        """Refuse variables that nothing has filled in, but for those in descriptions: a folder called `${HOME}` would be made."""
        parts = {part: document.value[part] for part in ("metadata", "spec") if part in document.value}
        places = list(places_of_variables(parts, ()))
        known = {finding.path for finding in self.findings if places and finding.document == document.number}
        checker = Checker((document.number, document.line), address, self.findings)
        for path in places:
            if path not in known:
                where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
                is_secret = path[-1] == "env" and is_secret_name(str(path[-2]))
                remedy = instead_of_secret_name(_value_at(parts, path)) if is_secret else NO_VARIABLES
                checker.add("variable", f"{where} holds a variable that nothing has filled in", remedy, *path)

    def _build(self, kind: Kind, sound: SoundDocument, place: Sequence[int], checker: Checker, origin: _Origin) -> None:
        former = check_moves(sound.value, checker, may_move=kind in MANAGED_KINDS)
        if former and checker.address:
            self.index.moves[checker.address] = [address_of(kind, old) for old in former]
        if kind is Kind.ACCESS_RULE:
            self._rule(sound, place, checker)
        elif kind in MANAGED_KINDS:
            self._resource(kind, sound, place, checker, origin)
        elif kind is not Kind.SHARE_SET:  # whose shares are built one by one
            self._setting(kind, sound, place, checker)

    def _resource(
        self, kind: Kind, sound: SoundDocument, place: Sequence[int], checker: Checker, origin: _Origin
    ) -> None:
        """Keep a share, a snapshot or another resource that a plan makes."""
        protocol_is_known = sound.is_written("spec", "protocol") and sound.is_written("spec", "protocols")
        plain = build(kind, sound.value, checker, protocol_is_known=protocol_is_known)
        rules: list[list[Any]] = []
        if kind is Kind.SHARE:
            rules = inline_rules(sound.value["spec"], plain["protocol"] if protocol_is_known else None, checker)
            if sound.unsound:
                for number, rule in enumerate(rules):
                    rule[1:3] = _rule_as_written(sound, rule, "spec", "access", number)
            self._check_twins(rules, checker)
        references = [(target, path) for target, path, _ in references_of(kind, plain)]
        for target, path in (*references, *lists_named(rules)):
            self._refer(target, path, sound, checker, is_linked=bool(checker.address))
        if not checker.address:
            return
        if kind is Kind.SHARE and all(sound.is_written("spec", name) for name in PLACEMENT_FIELDS):
            self.placements[plain.get("share_type"), plain.get("availability_zone"), "share_network" in plain] = None
        if any(rule[0] == CLIENTS for rule in rules):
            self.index.listing[checker.address] = rules
        self.index.addresses.append(checker.address)
        spec_json = canonical_json(plain)
        self.digests += digest_of(spec_json) + access_digest(map(rule_of, rules))
        given, is_in_set = origin
        more = [dict(given), True] if is_in_set else [given] if given else []
        self.records += encoded_record(spec_json, [rules, place, *more])

    def _refer(self, target: Address, path: Path, sound: SoundDocument, checker: Checker, *, is_linked: bool) -> None:
        """Keep what a document refers to; where the document itself is not linked, with the place."""
        if not sound.is_written(*path):
            return
        if not is_linked:
            self.file.loose.append(((checker.document, checker.line), path, target, checker.address))
            return
        self.references[target] = None
        if path in _EDGES and not checker.address.startswith(Kind.ACCESS_RULE.prefix):
            getattr(self.index, _EDGES[path]).append((checker.address, target))

    @staticmethod
    def _check_twins(rules: list[list[Any]], checker: Checker) -> None:
        seen: dict[tuple[str, str], int] = {}
        for number, (access_type, access_to, *_) in enumerate(rules):
            first = seen.setdefault((access_type, access_to), number)
            if first != number and access_to:
                summary = f"the access rule {access_type}:{access_to} stands twice; the other place is {{other}}"
                other = ("spec", "access", first, "to")
                path = ("spec", "access", number, "to")
                checker.add("duplicate-access", summary, "keep one of the two", *path, other=other)

    def _rule(self, sound: SoundDocument, place: Sequence[int], checker: Checker) -> None:
        spec, metadata = sound.value["spec"], sound.value["metadata"]
        is_listed = "shares" in spec
        named: dict[Path, str] = {("spec", "share"): spec["share"]} if not is_listed else {}
        named |= {("spec", "shares", number): share for number, share in enumerate(spec.get("shares", ()))}
        shares = [address_of(Kind.SHARE, share) if sound.is_written(*path) else "" for path, share in named.items()]
        rule = [spec["type"], check_rule(spec, None, checker, "spec") or "", spec["level"]]
        access_to, level = _rule_as_written(sound, rule, "spec")
        is_linked = bool(access_to) and any(shares) and bool(checker.address)
        labels, options = metadata.get("labels", {}), check_options(spec, None, checker, "spec")
        found = RuleDocument(
            metadata["name"], shares, spec["type"], access_to, level, labels, place, is_listed, options or None
        )
        for path, share in found.references():
            self._refer(share, path, sound, checker, is_linked=is_linked)
        for target, path in found.lists():
            self._refer(target, path, sound, checker, is_linked=is_linked)
        if is_linked:
            self.index.rules.append(found)
        elif checker.address:
            self.file.declared.append((checker.address, place))

    def _setting(self, kind: Kind, sound: SoundDocument, place: Sequence[int], checker: Checker) -> None:
        plain = build(kind, sound.value, checker)
        if kind is Kind.BACKEND:
            self._check_driver(plain["driver"], plain["config"], checker)
        if checker.address:
            self.file.settings.append(Setting(kind.value, plain, place))
        else:
            for target, path, _ in references_of(kind, plain):
                self._refer(target, path, sound, checker, is_linked=False)

    def _check_driver(self, driver: str, config: JsonObject, checker: Checker) -> None:
        schema = self.drivers.schema(driver)
        if schema is None:
            known = sorted(self.drivers.known())
            guess = did_you_mean(driver, known)
            remedy = f"{guess + ' ' if guess else ''}installed: {', '.join(known)}"
            checker.add("driver", f"there is no driver {driver!r}", remedy, "spec", "driver")
            return
        self.file.drivers[driver] = self.drivers.digest(driver)
        if not self.drivers.accepts(driver, config):
            known_paths = {finding.path for finding in checker.findings}
            findings = explain(config, schema, document=checker.document, prefix=("spec", "config"))
            checker.findings += [
                f._replace(address=checker.address or None, line=checker.line)
                for f in findings
                if f.path not in known_paths
            ]

    def finish(self) -> CompiledFile:
        """Return the compiled file."""
        self.index.references = list(self.references)
        self.index.placements = list(self.placements)
        self.file.digests, self.file.records = bytes(self.digests), bytes(self.records)
        return self.file


class _Origin(NamedTuple):
    """Which fields a document has by default, and whether it is that of a share in a ShareSet."""

    given: Mapping[str, int]
    is_in_set: bool = False


def _value_at(value: Any, path: Path) -> Any:  # noqa: ANN401 - any JSON value
    for step in path:
        value = value[step]
    return value


def _rule_as_written(sound: SoundDocument, rule: Sequence[str], *path: str | int) -> tuple[str, str]:
    """Return to whom a rule gives access and at what level, each empty where that was not said."""
    says_who = sound.is_written(*path, "type") and sound.is_written(*path, "to")
    return rule[1] if says_who else "", rule[2] if sound.is_written(*path, "level") else ""
