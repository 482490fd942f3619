"""Access over SMB, and over both protocols of one share: what of a set of rules is for which, and what volumes show of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError, RuleStatus
from sharectl.drivers.ontap import smb
from sharectl.drivers.ontap.acls import entries_of, rules_in_force
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.smb import SHARE_FIELDS, SHARES, SmbShare
from sharectl.drivers.ontap.smb_paths import lets_in, parents_of
from sharectl.drivers.ontap.volumes import PROTOCOL_NOTE
from sharectl.drivers.ontap.volumes import noted as comment_fields
from sharectl.model.access import BOTH, CIFS, NFS, AccessRule, AccessType, protocols_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sharectl.drivers.ontap.volumes import Volume, Volumes
    from sharectl.model.canonical import JsonObject

SMB_NAME_NOTE: Final = "smb"
"""Value of the note of a volume that was exported over SMB under another name than its share's before sharectl took it over."""


class SmbAccess:
    """What the shares of a backend are over SMB."""

    def __init__(self, volumes: Volumes, svm: str | None) -> None:
        """Look at this SVM, at all where None."""
        self._volumes, self._array, self._svm = volumes, volumes.array, svm

    def all(self) -> SmbListed:
        """Return all SMB shares, but for those of the server itself."""
        return listed(self._records({}))

    def of(self, volume: Volume) -> list[JsonObject]:
        """Return the records of those that export one volume."""
        found = self._records({"svm.name": volume.svm, "volume.uuid": volume.uuid})
        return [record for record in found if _volume_of(record) == volume.uuid]

    def around(self, volume: Volume) -> SmbListed:
        """Return those that export one volume, and those that lead to a folder above it."""
        return listed([*self.of(volume), *self.above(volume)])

    def above(self, volume: Volume) -> list[JsonObject]:
        """Return the records of those that lead to a folder which a volume is mounted below, and let somebody in there."""
        if volume.path is None:
            return []
        query = {"svm.name": volume.svm, "path": parents_of(volume.path)}
        found = self._array.records(SHARES, svm=self._svm, query=query, fields=SHARE_FIELDS)
        return [record for record in found if lets_in(record)]

    def check_nothing_above(self, volume: Volume) -> None:
        """Raise DriverError where users of another SMB share reach a volume by a folder above it."""
        if above := self.above(volume):
            names = " and ".join(f"{str(each['name'])!r} ({each['path']})" for each in above)
            message = (
                f"{self._array.name}: the SMB share {names} of the SVM {volume.svm} leads to a folder above {volume.path}: whoever it lets in "
                "reaches the share; remove it on the array, or leave BUILTIN\\Administrators alone in its list"
            )
            raise DriverError(message)

    def update(self, volume: Volume, rules: Collection[AccessRule]) -> dict[AccessRule, RuleStatus]:
        """Make these the users of a share; what others have made to export its volume goes."""
        share = share_of(volume)
        if share is None:
            return dict.fromkeys(
                rules, RuleStatus("error", "the volume is not mounted, so that nothing can be exported")
            )
        exports = self.of(volume)
        for record in exports:
            if record["name"] != share.name:
                self._remove(volume, record)
        return smb.update_access(self._array, share, rules, exports)

    def withdraw(self, volume: Volume) -> None:
        """End all exports of a volume over SMB; of one that somebody has unmounted, that of its name, which would export what is mounted there next."""
        for record in self.of(volume) if volume.path is not None else self._left_of(volume):
            self._remove(volume, record)

    def note_protocols(self, volume: Volume, protocol: str) -> Volume:
        """Note the protocols that a share has from now on."""
        if volume.note is None:
            raise AssertionError
        note = volume.note.having(**{PROTOCOL_NOTE: protocol})
        return self._volumes.change(volume, fields) if (fields := comment_fields(volume, note)) else volume

    def _left_of(self, volume: Volume) -> list[JsonObject]:
        """Return the record of the SMB share that has the name of a volume's, and leads to nothing."""
        query = {"svm.name": volume.svm, "name": smb_name(volume)}
        found = self._array.records(SHARES, svm=self._svm, query=query, fields=SHARE_FIELDS)
        return [record for record in found if (record.get("volume") or {}).get("uuid") is None]

    def _records(self, query: Mapping[str, str]) -> list[JsonObject]:
        asked = dict(query)
        if self._svm is not None:
            asked["svm.name"] = self._svm
        return self._array.records(SHARES, svm=self._svm, query=asked, fields=SHARE_FIELDS)

    def _remove(self, volume: Volume, record: JsonObject) -> None:
        try:
            self._array.delete((SHARES, record["svm"]["uuid"], record["name"]), svm=volume.svm)
        except ArrayError as problem:
            if problem.kind != "gone":
                raise


@dataclass(frozen=True, slots=True)
class SmbListed:
    """SMB shares as they were read: by the UUIDs of the volumes that they export, and by the SVM and the folder that they lead to."""

    by_volume: Mapping[str, Sequence[JsonObject]] = field(default_factory=dict)
    by_folder: Mapping[tuple[str, str], Sequence[JsonObject]] = field(default_factory=dict)

    def of(self, volume: Volume) -> Sequence[JsonObject]:
        """Return those that export a volume."""
        return self.by_volume.get(volume.uuid, ())

    def above(self, volume: Volume) -> list[JsonObject]:
        """Return those that lead to a folder above a volume, and let somebody in there."""
        if volume.path is None or not self.by_folder:
            return []
        return [
            record
            for folder in parents_of(volume.path)
            for record in self.by_folder.get((volume.svm, folder), ())
            if lets_in(record)
        ]


def listed(records: Iterable[JsonObject]) -> SmbListed:
    """Return SMB shares by what they export."""
    volumes: dict[str, list[JsonObject]] = {}
    folders: dict[tuple[str, str], list[JsonObject]] = {}
    for record in records:
        if (uuid := _volume_of(record)) is not None:
            volumes.setdefault(uuid, []).append(record)
        svm = str((record.get("svm") or {}).get("name"))
        folders.setdefault((svm, str(record.get("path"))), []).append(record)
    return SmbListed(volumes, folders)


def _volume_of(record: JsonObject) -> str | None:
    return (record.get("volume") or {}).get("uuid")


def share_of(volume: Volume) -> SmbShare | None:
    """Return what a volume is over SMB; None where it is not mounted."""
    if volume.path is None:
        return None
    return SmbShare(volume.svm, smb_name(volume), volume.path, volume.uuid)


def smb_name(volume: Volume) -> str:
    """Return the name under which users of SMB see a share."""
    return volume.share_name if volume.note is None else volume.note.values.get(SMB_NAME_NOTE, volume.share_name)


def access_over_smb(
    volume: Volume, records: Iterable[JsonObject], above: Iterable[JsonObject] = ()
) -> tuple[AccessRule, ...]:
    """Return what a volume lets in over SMB: by its own share rules, by others, and by those of folders `above` it, remarks on whoever may come that way."""
    own: list[JsonObject] = []
    others: list[JsonObject] = []
    for record in records:
        (own if record["name"] == smb_name(volume) and record.get("path") == volume.path else others).append(record)
    rules = [rule for record in own for rule in rules_in_force(entries_of(record))]
    remarks = [_remark(record, "of another SMB share") for record in others]
    return (*rules, *remarks, *(_remark(record, "of an SMB share of a folder above") for record in above))


def _remark(record: JsonObject, words: str) -> AccessRule:
    shown = "".join(letter if letter.isprintable() else "?" for letter in str(record["name"]))
    return AccessRule(AccessType.USER, f"somebody: users {words}, {shown}", "rw")


def protocol_of_foreign(records: Sequence[JsonObject], *, has_clients: bool) -> str:
    """Return the protocol of a volume that sharectl did not make: of both where it has clients over each."""
    if not records:
        return NFS
    return BOTH if has_clients else CIFS


def has_smb(protocol: str | None) -> bool:
    """Tell whether a share is exported over SMB."""
    return CIFS in protocols_in(protocol)


def is_noted_for_smb(volume: Volume) -> bool:
    """Tell whether a volume was made for a share that is exported over SMB; it may be, whatever the settings say by now."""
    return volume.note is not None and CIFS in protocols_in(volume.note.values.get(PROTOCOL_NOTE, NFS))
