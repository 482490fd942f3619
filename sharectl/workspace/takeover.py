"""Taking over what other servers export: the folders in their configuration, found on a backend, with their clients as access rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sharectl.drivers.base import Capability, SettlesExports
from sharectl.drivers.registry import driver_factory
from sharectl.legacy.findings import Finding, Outcome
from sharectl.legacy.nfs_clients import Said, rules_of_exports, shown_export
from sharectl.legacy.smb_sections import findings_of_globals, rules_of_section, why_no_share
from sharectl.manifests.names import is_name
from sharectl.model.access import AccessLevel, AccessType, protocols_in
from sharectl.model.checks import WantedShare
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.export_names import canonical, key, problem
from sharectl.model.frozen import dataclass, field
from sharectl.model.quantities import GIB
from sharectl.model.specs import Protocol
from sharectl.planner.options import Import, PlanOptions
from sharectl.planner.shares.checks import ShareChecks
from sharectl.planner.shares.export_names import exported_as
from sharectl.state.rows import share_spec_of
from sharectl.workspace.folders import FoundFolder, LostFolder, Shelf, share_folders
from sharectl.workspace.import_manifests import documents_of, guesses_in, manifest_text, spec_of
from sharectl.workspace.imports import FoundImports, ImportRequest, _all, _differences
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
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record
    from sharectl.model.specs import ShareSpec
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends


@dataclass(frozen=True, slots=True)
class TakeoverRequest:
    """What the files say, and the backend that the folders are on; size and protocol as in an ImportRequest.

    A folder that both files name becomes a share of both protocols, unless `protocol` is CIFS.
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
    places = share_folders(desired.backends[request.backend], base_directory)
    seen = survey(desired.backends, backends, {request.backend: Question(lists=True)}).observed[request.backend]
    if seen.shares is None:
        summary = f"backend {request.backend} could not be read: {seen.error}"
        raise DiagnosticError(error("import.unreadable", summary, remedy="see to it first"))
    with store.read() as reader:
        records = reader.view().records
    return _Takeover(desired, request, records, Shelf(seen, records, places)).made()


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the files say of a folder that is a share."""

    place: FoundFolder
    exports: list[ExportedTo] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)

    @property
    def folder(self) -> str:
        """The folder as the files have it."""
        return self.exports[0].path if self.exports else self.sections[0].value("path")


class _Takeover:
    """Puts together what becomes of each folder."""

    def __init__(
        self, desired: Desired, request: TakeoverRequest, records: Mapping[Address, Record], shelf: Shelf
    ) -> None:
        self._desired, self._request, self._records, self._shelf = desired, request, records, shelf
        self._import = ImportRequest(
            None, None, request.backend, everything=True, size_bytes=request.size_bytes, protocol=request.protocol
        )
        self._checks = ShareChecks(desired)
        self._findings: list[Finding] = [] if request.smb is None else list(findings_of_globals(request.smb))
        self._of_both: dict[str, Said | str] = {}

    def made(self) -> Takeover:
        claims, backend = self._claims(), self._request.backend
        self._of_both = {claim.place.share.backend_id: self._both(claim) for claim in claims}
        strays = {claim.place.share.backend_id: self._named(claim) for claim in claims if claim.place.address is None}
        chosen = _all(self._desired, self._records, [(backend, share) for share in strays.values()])
        addresses = {share.backend_id: address for address, (_, share) in chosen.items()}
        taken = [self._taken(claim, addresses) for claim in claims]
        unwritten = {
            folder.address: (backend, strays[folder.backend_id]._replace(access=folder.rules))
            for folder in taken
            if folder.is_new
        }
        imports = {address: Import(backend, share.backend_id) for address, (_, share) in chosen.items()}
        found = FoundImports(
            PlanOptions(imports=imports, targets=frozenset(imports)),
            documents_of(unwritten, self._import, self._desired.defaults, self._notes(taken)),
            (*_differences(self._desired, chosen), *guesses_in(unwritten, self._import)),
        )
        findings = tuple(found.printable() for found in sorted(self._findings, key=lambda each: each.place))
        report = TakeoverReport(backend, tuple(taken), findings, manifest_text(found) if found.documents else "")
        return Takeover(found, report)

    def _claims(self) -> list[_Claim]:
        """Return what the files say of each folder that is a share; of the others it is said why they are none."""
        places: dict[str, FoundFolder | LostFolder] = {}
        found: dict[str, _Claim] = {}

        def claim(folder: str, at: Place, what: str) -> _Claim | None:
            place = places.get(folder)
            if place is None:
                place = places[folder] = self._shelf.place(folder)
            if isinstance(place, FoundFolder):
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

    def _protocol(self, claim: _Claim) -> str:
        """Return the protocol of the share of a folder: both, where both files name it and rules can say that."""
        if not (claim.exports and claim.sections):
            return Protocol.NFS if claim.exports else Protocol.CIFS
        if isinstance(self._of_both[claim.place.share.backend_id], Said):
            return Protocol.NFS_CIFS
        known = claim.place.share.protocol
        return known if known in {Protocol.NFS, Protocol.CIFS} else self._one_protocol

    @property
    def _one_protocol(self) -> str:
        return Protocol.CIFS if self._request.protocol == Protocol.CIFS else Protocol.NFS

    def _why_one_protocol(self, claim: _Claim) -> str | None:
        """Return why a share is not of both protocols, whatever the rules of a folder are; None where it may be."""
        has = claim.place.share.protocol
        if has not in {None, Protocol.NFS_CIFS}:
            return f"it is exported over {has} already"
        if has is None and self._request.protocol == Protocol.CIFS:
            return "--protocol CIFS asks for that"
        return None if claim.exports and claim.sections else "one file names it"

    def _both(self, claim: _Claim) -> Said | str:
        """Return the rules of a share of both protocols, or why there can be none: its address rules are for both."""
        share = claim.place.share
        why_one = self._why_one_protocol(claim)
        if why_one is not None:
            return why_one
        nfs, smb = self._said_of_exports(claim, "", Protocol.NFS_CIFS), self._said_of_section(claim, "")
        people = [(rule, place) for rule, place in smb.rules if rule.access_type != AccessType.IP]
        if len(people) < len(smb.rules):
            return "the section has hosts of its own, and a share of both protocols has the same for both"
        if not people or not any(rule.access_level == AccessLevel.READ_WRITE for rule, _ in nfs.rules):
            return "a share of both protocols lets users of SMB in from where NFS clients may write, and there are no such rules"
        rules = (*nfs.rules, *people)
        wanted = WantedShare("a", self._size(share), Protocol.NFS_CIFS, tuple(r for r, _ in rules), pool=share.pool)
        refused = self._checks.problems(self._request.backend, wanted, None)
        if refused:
            return refused[0].summary
        section = claim.sections[0]
        why = "its users come from where NFS clients may write, and from nowhere else"
        found = Finding(section.place, Outcome.NARROWED, f"[{section.name}]", why, _MORE_HOSTS, claim.folder)
        return Said(rules, (*nfs.findings, *smb.findings, found))

    def _named(self, claim: _Claim) -> ObservedShare:
        """Return the share of a folder with the protocol and the name that it is to have: that of its section, where it is one of CIFS."""
        share, protocol = claim.place.share, self._protocol(claim)
        if protocol == Protocol.NFS:
            return share._replace(protocol=protocol)
        name = canonical(claim.sections[0].name)
        if problem(name, protocols_in(protocol)) is not None or self._refuses_name(share, name, protocol):
            return share._replace(protocol=protocol)
        return share._replace(protocol=protocol, name=name, export_name=name)

    def _refuses_name(self, share: ObservedShare, name: str, protocol: str) -> bool:
        """Tell whether the backend's driver cannot export a share under the name."""
        if is_name(name):
            return False
        if Capability.EXPORT_NAME not in self._checks.capabilities(self._request.backend):
            return True
        wanted = WantedShare("a", self._size(share), protocol, pool=share.pool, export_name=name)
        problems = self._checks.problems(self._request.backend, wanted, None)
        return any(each.path[:1] == ("export_name",) for each in problems)

    def _size(self, share: ObservedShare) -> int:
        return share.size_bytes or self._request.size_bytes

    def _taken(self, claim: _Claim, addresses: Mapping[str, Address]) -> TakenFolder:
        share, protocol = claim.place.share, self._protocol(claim)
        address = claim.place.address or addresses[share.backend_id]
        of_both = self._of_both[share.backend_id]
        if isinstance(of_both, Said):
            said = of_both
        elif protocol == Protocol.NFS:
            said = self._said_of_exports(claim, address)
            why, remedy = self._why_left_out(claim, protocol, of_both)
            for section in claim.sections:
                self._leave_out(section, why, remedy)
        else:
            said = self._said_of_section(claim, address)
            why, remedy = self._why_left_out(claim, protocol, of_both)
            self._findings += (
                Finding(each.place, Outcome.LEFT_OUT, shown_export(each), why, remedy, each.path)
                for each in claim.exports
            )
        self._findings += said.findings
        if protocol != Protocol.NFS:
            self._tell_name(claim, address)
        is_new = claim.place.address is None and address not in self._desired.digests
        if not is_new:
            self._tell_missing(address, said, claim.folder)
        rules = tuple(rule for rule, _ in said.rules)
        return TakenFolder(claim.folder, address, share.backend_id, share.protocol or protocol, rules, is_new)

    @staticmethod
    def _why_left_out(claim: _Claim, protocol: str, why: str) -> tuple[str, str]:
        """Return why what one of both files says is not taken over, and what to do; `why` tells why it is not both."""
        has = claim.place.share.protocol
        if has == Protocol.NFS_CIFS:
            return f"only what the other file says is taken over: {why}", ""
        return f"the share is of {protocol} alone: {why}", _ONE_PROTOCOL[protocol] if has is None else ""

    def _said_of_exports(self, claim: _Claim, address: Address, protocol: str = Protocol.NFS) -> Said:
        """Return the rules of NFS clients, beside the settings that a share of this protocol has."""
        check = self._check(claim.place.share, Protocol.NFS)
        return rules_of_exports(claim.exports, self._settings(address, protocol), check)

    def _said_of_section(self, claim: _Claim, address: Address) -> Said:
        if self._request.smb is None:
            return Said((), ())
        settings, check = self._settings(address, Protocol.CIFS), self._check(claim.place.share, Protocol.CIFS)
        return rules_of_section(self._request.smb, claim.sections[0], settings, check)

    def _tell_name(self, claim: _Claim, address: Address) -> None:
        """Say where clients have to look for the share under another name."""
        section, name = claim.sections[0], exported_as(self._spec(claim, address))
        if key(name) != key(section.name):
            why = f"clients know the share under this name, and will see it as {name}"
            found = Finding(section.place, Outcome.LEFT_OUT, f"[{section.name}]", why, "tell them", claim.folder)
            self._findings.append(found)

    def _spec(self, claim: _Claim, address: Address) -> ShareSpec:
        """Return what the share is by its manifest, which may be still to be written, or by the state."""
        if address in self._desired.digests:
            return self._desired.share(address)
        if address in self._records:
            return share_spec_of(self._records[address])
        return spec_of(address, self._named(claim), self._import)

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
_ONE_PROTOCOL: Mapping[str, str] = {
    Protocol.NFS: "--protocol CIFS takes its section over, in place of its exports",
    Protocol.CIFS: "without --protocol CIFS its exports are taken over",
}
_MORE_HOSTS = "add rules of type ip for others, which are for NFS as well"
_WORDS = {Outcome.LEFT_OUT: "Left out", Outcome.NARROWED: "Narrowed"}
