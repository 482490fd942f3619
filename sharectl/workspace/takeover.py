"""Taking over what other servers export: the folders in their configuration, found on a backend, with their clients as access rules."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from sharectl.drivers.base import Capability, SettlesExports
from sharectl.drivers.registry import driver_factory
from sharectl.drivers.share_checks import NamesShareFolders
from sharectl.legacy.findings import Finding, Outcome
from sharectl.legacy.nfs_clients import Said, rules_of_exports, shown_export
from sharectl.legacy.smb_sections import findings_of_globals, rules_of_section, why_no_share
from sharectl.manifests.names import is_name
from sharectl.model.checks import WantedShare
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.export_names import canonical, problem
from sharectl.model.frozen import dataclass, field
from sharectl.model.kinds import Kind, name_of
from sharectl.model.quantities import GIB
from sharectl.model.specs import Protocol
from sharectl.planner.options import Import, PlanOptions
from sharectl.planner.shares.checks import ShareChecks
from sharectl.planner.strays import importable_shares
from sharectl.workspace.import_manifests import documents_of, guesses_in, manifest_text
from sharectl.workspace.imports import FoundImports, ImportRequest, _all, _differences, _escaped
from sharectl.workspace.lookup import require_backends
from sharectl.workspace.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.legacy.exports import ExportedTo
    from sharectl.legacy.findings import Place
    from sharectl.legacy.nfs_clients import RuleCheck
    from sharectl.legacy.smb_conf import Section, SmbConf
    from sharectl.manifests.desired import Desired
    from sharectl.model.access import AccessRule, ExportSettings
    from sharectl.model.backends import BackendSpec
    from sharectl.model.checks import StoragePlace
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record
    from sharectl.planner.observed import BackendObservation
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends


@dataclass(frozen=True, slots=True)
class TakeoverRequest:
    """What the files say, and the backend that the folders are on; size and protocol as in an ImportRequest.

    A folder that both files name becomes a share of this `protocol`.
    """

    backend: str
    exports: tuple[ExportedTo, ...]
    smb: SmbConf | None = None
    size_bytes: int = GIB
    protocol: str = Protocol.NFS


class TakenFolder(NamedTuple):
    """A folder of the files that is a share, or becomes one; `rules` are those that its manifest has because of the files.

    `is_new` tells of one whose manifest is to be written.
    """

    folder: str
    address: Address
    backend_id: str
    protocol: str
    rules: tuple[AccessRule, ...]
    is_new: bool


@dataclass(frozen=True, slots=True)
class TakeoverReport:
    """What becomes of everything in the files: the folders, what was not taken over as it is, and the manifests to be written."""

    backend: str
    folders: tuple[TakenFolder, ...]
    findings: tuple[Finding, ...]
    manifests: str = ""

    @property
    def is_whole(self) -> bool:
        """Tell whether everything was taken over as it is."""
        return all(found.outcome is Outcome.AS_SERVED for found in self.findings)


@dataclass(frozen=True, slots=True)
class Takeover:
    """What is to be imported, and the report."""

    imports: FoundImports
    report: TakeoverReport


def find_takeover(
    desired: Desired, store: StateStore, backends: Backends, request: TakeoverRequest, base_directory: str
) -> Takeover:
    """Ask the backend for its shares, and return what becomes of the files. Raises DiagnosticError where it does not answer."""
    require_backends([request.backend], desired.backends)
    places = _share_folders(desired.backends[request.backend], base_directory)
    seen = survey(desired.backends, backends, {request.backend: Question(lists=True)}).observed[request.backend]
    if seen.shares is None:
        summary = f"backend {request.backend} could not be read: {seen.error}"
        raise DiagnosticError(error("import.unreadable", summary, remedy="see to it first"))
    with store.read() as reader:
        records = reader.view().records
    return _Takeover(desired, request, records, _Shelf(seen, records, places)).made()


def _share_folders(spec: BackendSpec, base_directory: str) -> Mapping[str, StoragePlace]:
    factory = driver_factory(spec.driver)
    if not isinstance(factory, NamesShareFolders):
        raise DiagnosticError(
            error(
                "import.no-folders",
                f"the {spec.driver} driver of backend {spec.name} knows no folders",
                detail="the files name folders, and its shares are none.",
                remedy=f"take its shares over with `sharectl import --backend {spec.name} --all --write DIR`, and write their rules",
            )
        )
    return factory.share_folders(spec, base_directory)


class _Found(NamedTuple):
    """The share that a folder is; `address` is that of the state, None where it does not know it."""

    share: ObservedShare
    address: Address | None = None


class _Lost(NamedTuple):
    """Why a folder is no share that can be taken over, and what to do."""

    why: str
    remedy: str


class _Shelf:
    """The shares of a backend by the paths of their folders."""

    def __init__(
        self, seen: BackendObservation, records: Mapping[Address, Record], places: Mapping[str, StoragePlace]
    ) -> None:
        self._name, self._places = seen.backend, places
        by_id = {record.resource_id: address for address, record in records.items() if record.kind == Kind.SHARE}
        strays = importable_shares(by_id.keys(), seen)
        self._strays = {share.backend_id: share for share in strays if share.trashed_at is None}
        self._managed = {
            share.backend_id: (share, by_id[resource_id])
            for resource_id, share in (seen.shares or {}).items()
            if resource_id in by_id and share.trashed_at is None
        }

    def place(self, folder: str) -> _Found | _Lost:
        for prefix, place in self._places.items():
            path = os.path.normpath(folder) if place.host else os.path.realpath(folder)
            if path == place.location:
                remedy = "export the shares in it one by one; what lies in it beside them stays out"
                return _Lost(f"it is {place.what} of backend {self._name}, and no share", remedy)
            inside = path.removeprefix(f"{place.location.rstrip('/')}/")
            if inside != path:
                return self._in_pool(prefix, place, inside)
        pools = ", ".join(sorted(place.location for place in self._places.values())) or "none"
        remedy = (
            f"move it into a pool ({pools}), or make a pool of the folder that it is in; docs/linux.md, Existing data"
        )
        return _Lost(f"the folder is in no pool of backend {self._name}", remedy)

    def _in_pool(self, prefix: str, place: StoragePlace, inside: str) -> _Found | _Lost:
        name, slash, _ = inside.partition("/")
        backend_id = f"{prefix}{_escaped(name)}"
        if slash:
            why = f"the folder lies within another, {place.location}/{name}, and shares do not"
            return _Lost(why, f"let its clients mount that one, or move it to {place.location}")
        if backend_id in self._managed:
            return _Found(*self._managed[backend_id])
        share = self._strays.get(backend_id)
        if share is None:
            why = f"backend {self._name} has no share {backend_id}: there is no such folder, or (on btrfs) it is no subvolume"
            return _Lost(why, "make it one, then import again; docs/linux.md, Existing data")
        if share.not_adoptable:
            return _Lost(f"it cannot be taken over: {share.not_adoptable}", "mend that, then import again")
        return _Found(share)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the files say of a folder that is a share."""

    place: _Found
    exports: list[ExportedTo] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)

    def protocol(self, wanted: str) -> str:
        """Return the protocol of the share: its own, if it has one, else that of the files, else the one that is wanted of both."""
        if self.exports and self.sections:
            return self.place.share.protocol or wanted
        return Protocol.NFS if self.exports else Protocol.CIFS

    @property
    def folder(self) -> str:
        """The folder as the files have it."""
        return self.exports[0].path if self.exports else self.sections[0].value("path")


class _Takeover:
    """Puts together what becomes of each folder."""

    def __init__(
        self, desired: Desired, request: TakeoverRequest, records: Mapping[Address, Record], shelf: _Shelf
    ) -> None:
        self._desired, self._request, self._records, self._shelf = desired, request, records, shelf
        self._checks = ShareChecks(desired)
        self._findings: list[Finding] = [] if request.smb is None else list(findings_of_globals(request.smb))

    def made(self) -> Takeover:
        claims, backend = self._claims(), self._request.backend
        strays = {claim.place.share.backend_id: self._named(claim) for claim in claims if claim.place.address is None}
        chosen = _all(self._desired, self._records, [(backend, share) for share in strays.values()])
        addresses = {share.backend_id: address for address, (_, share) in chosen.items()}
        taken = [self._taken(claim, addresses) for claim in claims]
        unwritten = {
            folder.address: (backend, strays[folder.backend_id]._replace(access=folder.rules))
            for folder in taken
            if folder.is_new
        }
        request = ImportRequest(
            None, None, backend, everything=True, size_bytes=self._request.size_bytes, protocol=self._request.protocol
        )
        imports = {address: Import(backend, share.backend_id) for address, (_, share) in chosen.items()}
        found = FoundImports(
            PlanOptions(imports=imports, targets=frozenset(imports)),
            documents_of(unwritten, request, self._notes(taken)),
            (*_differences(self._desired, chosen), *guesses_in(unwritten, request)),
        )
        findings = tuple(found.printable() for found in sorted(self._findings, key=lambda each: each.place))
        report = TakeoverReport(backend, tuple(taken), findings, manifest_text(found) if found.documents else "")
        return Takeover(found, report)

    def _claims(self) -> list[_Claim]:
        """Return what the files say of each folder that is a share; of the others it is said why they are none."""
        places: dict[str, _Found | _Lost] = {}
        found: dict[str, _Claim] = {}

        def claim(folder: str, at: Place, what: str) -> _Claim | None:
            place = places.get(folder)
            if place is None:
                place = places[folder] = self._shelf.place(folder)
            if isinstance(place, _Found):
                return found.setdefault(place.share.backend_id, _Claim(place))
            self._findings.append(Finding(at, Outcome.LEFT_OUT, what, place.why, place.remedy, folder))
            return None

        for export in self._request.exports:
            if (exporting := claim(export.path, export.place, shown_export(export))) is not None:
                exporting.exports.append(export)
        for section in () if self._request.smb is None else self._request.smb.sections:
            what, why_not = f"[{section.name}]", why_no_share(section)
            if why_not is not None:
                self._leave_out(section, *why_not)
            elif (sharing := claim(section.value("path"), section.place, what)) is None:
                self._leave_out_lines(section)
            elif sharing.sections:
                other = sharing.sections[0]
                self._leave_out(section, f"[{other.name}] in line {other.place.line} has the same folder", _ONE_SHARE)
            else:
                sharing.sections.append(section)
        return list(found.values())

    def _leave_out(self, section: Section, why: str, remedy: str) -> None:
        """Say of a section, and of each line in it, that it is not taken over."""
        folder = section.value("path")
        self._findings.append(Finding(section.place, Outcome.LEFT_OUT, f"[{section.name}]", why, remedy, folder))
        self._leave_out_lines(section)

    def _leave_out_lines(self, section: Section) -> None:
        why, folder = "its section is not taken over", section.value("path")
        self._findings += (
            Finding(own.place, Outcome.LEFT_OUT, f"[{section.name}] {own}", why, "", folder) for own in section.own
        )

    def _named(self, claim: _Claim) -> ObservedShare:
        """Return the share of a folder with the protocol and the name that it is to have: that of its section, where it is one of CIFS."""
        share, protocol = claim.place.share, claim.protocol(self._request.protocol)
        if protocol == Protocol.NFS:
            return share._replace(protocol=protocol)
        name = canonical(claim.sections[0].name)
        if problem(name, (protocol,)) is not None or self._refuses_name(share, name):
            return share._replace(protocol=protocol)
        return share._replace(protocol=protocol, name=name, export_name=name)

    def _refuses_name(self, share: ObservedShare, name: str) -> bool:
        """Tell whether the backend's driver cannot export a share under the name."""
        if is_name(name):
            return False
        if Capability.EXPORT_NAME not in self._checks.capabilities(self._request.backend):
            return True
        wanted = WantedShare("a", self._size(share), Protocol.CIFS, pool=share.pool, export_name=name)
        problems = self._checks.problems(self._request.backend, wanted, None)
        return any(each.path[:1] == ("export_name",) for each in problems)

    def _size(self, share: ObservedShare) -> int:
        return share.size_bytes or self._request.size_bytes

    def _taken(self, claim: _Claim, addresses: Mapping[str, Address]) -> TakenFolder:
        share, protocol = claim.place.share, claim.protocol(self._request.protocol)
        address = claim.place.address or addresses[share.backend_id]
        if protocol == Protocol.NFS:
            said = rules_of_exports(claim.exports, self._settings(address, protocol), self._check(share, protocol))
            for section in claim.sections:
                self._leave_out(section, f"the share has one protocol, which is {protocol}", _ONE_PROTOCOL)
        else:
            said = self._said_of_section(claim, address)
        self._findings += said.findings
        is_new = claim.place.address is None and address not in self._desired.digests
        if not is_new:
            self._tell_missing(address, said, claim.folder)
        rules = tuple(rule for rule, _ in said.rules)
        return TakenFolder(claim.folder, address, share.backend_id, protocol, rules, is_new)

    def _said_of_section(self, claim: _Claim, address: Address) -> Said:
        share, section = claim.place.share, claim.sections[0]
        for export in claim.exports:
            why = f"the share has one protocol, which is {Protocol.CIFS}"
            self._findings.append(
                Finding(export.place, Outcome.LEFT_OUT, shown_export(export), why, _ONE_PROTOCOL, export.path)
            )
        seen = self._named(claim)
        if not (name_of(address) == section.name.casefold() or seen.export_name == canonical(section.name)):
            why = f"clients know the share under this name, and will see it as {name_of(address)}"
            found = Finding(section.place, Outcome.LEFT_OUT, f"[{section.name}]", why, "tell them", claim.folder)
            self._findings.append(found)
        conf = self._request.smb
        if conf is None:
            return Said((), ())
        return rules_of_section(
            conf, section, self._settings(address, Protocol.CIFS), self._check(share, Protocol.CIFS)
        )

    def _check(self, share: ObservedShare, protocol: str) -> RuleCheck:
        """Return the check of rules of this share by the driver of the backend."""

        def check(rules: Sequence[AccessRule]) -> dict[AccessRule, str]:
            by_key = {rule.key: rule for rule in rules}
            wanted = WantedShare("a", self._size(share), protocol, tuple(rules), pool=share.pool)
            problems = self._checks.problems(self._request.backend, wanted, None)
            return {
                by_key[each.path[1]]: each.summary
                for each in problems
                if each.path[:1] == ("access",) and each.path[1:]
            }

        return check

    def _settings(self, address: Address, protocol: str) -> ExportSettings:
        """Return the settings that the exports of a share have, whose type its manifest says, if there is one."""
        spec = self._desired.backends[self._request.backend]
        factory = driver_factory(spec.driver)
        if not isinstance(factory, SettlesExports):
            return ()
        named = self._desired.share(address).share_type if address in self._desired.digests else None
        share_type = self._desired.share_types.get(named or "")
        return factory.export_settings(spec, protocol, {} if share_type is None else share_type.extra_specs)

    def _tell_missing(self, address: Address, said: Said, folder: str) -> None:
        """Say which rules the manifest that is there already does not have."""
        has = set(self._desired.access(address)) if address in self._desired.digests else set()
        for rule, place in said.rules:
            if rule not in has:
                what = f"{folder} {rule.key} {rule.grant}"
                why = f"the manifest of {address} is there already, and has no such rule"
                if address not in self._desired.digests:
                    why = f"{address} is in the state, and has no manifest"
                remedy = f"add {{type: {rule.access_type}, to: {rule.access_to!r}, level: {rule.access_level}}} to it, if it is still meant"
                self._findings.append(Finding(place, Outcome.LEFT_OUT, what, why, remedy, folder))

    def _notes(self, taken: Sequence[TakenFolder]) -> dict[Address, list[str]]:
        """Return what is to stand above each manifest: what was left out, and what was narrowed."""
        of_folder = {folder.folder: folder.address for folder in taken}
        notes: dict[Address, list[str]] = {}
        for found in self._findings:
            address = of_folder.get(found.folder)
            if address is not None and found.outcome is not Outcome.AS_SERVED:
                notes.setdefault(address, []).append(f"{_WORDS[found.outcome]}: {found.printable()}")
        return notes


_ONE_SHARE = "a folder is one share, under one name"
_ONE_PROTOCOL = "--protocol chooses the one that is taken over"
_WORDS = {Outcome.LEFT_OUT: "Left out", Outcome.NARROWED: "Narrowed"}
