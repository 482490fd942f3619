"""Access over SMB, and over both protocols of one share: what of a set of rules is for which, and what volumes show of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import RuleStatus
from sharectl.drivers.ontap import smb
from sharectl.drivers.ontap.acls import entries_of, rules_in_force
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.smb import SHARE_FIELDS, SHARES, SmbShare
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

    def all(self) -> dict[str, list[JsonObject]]:
        """Return the records of all SMB shares by the volumes that they export; those of the server itself export none of these."""
        return self._by_volume({})

    def of(self, volume: Volume) -> list[JsonObject]:
        """Return the records of those that export one volume."""
        return self._by_volume({"svm.name": volume.svm, "volume.uuid": volume.uuid}).get(volume.uuid, [])

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

    def _by_volume(self, query: Mapping[str, str]) -> dict[str, list[JsonObject]]:
        asked = dict(query)
        if self._svm is not None:
            asked["svm.name"] = self._svm
        found: dict[str, list[JsonObject]] = {}
        for record in self._array.records(SHARES, svm=self._svm, query=asked, fields=SHARE_FIELDS):
            if (uuid := (record.get("volume") or {}).get("uuid")) is not None:
                found.setdefault(uuid, []).append(record)
        return found

    def _remove(self, volume: Volume, record: JsonObject) -> None:
        try:
            self._array.delete((SHARES, record["svm"]["uuid"], record["name"]), svm=volume.svm)
        except ArrayError as problem:
            if problem.kind != "gone":
                raise


def share_of(volume: Volume) -> SmbShare | None:
    """Return what a volume is over SMB; None where it is not mounted."""
    if volume.path is None:
        return None
    return SmbShare(volume.svm, smb_name(volume), volume.path, volume.uuid)


def smb_name(volume: Volume) -> str:
    """Return the name under which users of SMB see a share."""
    return volume.share_name if volume.note is None else volume.note.values.get(SMB_NAME_NOTE, volume.share_name)


def access_over_smb(volume: Volume, records: Iterable[JsonObject]) -> tuple[AccessRule, ...]:
    """Return what a volume lets in over SMB: by its own share rules, by others remarks on whoever may come that way."""
    own: list[JsonObject] = []
    others: list[JsonObject] = []
    for record in records:
        (own if record["name"] == smb_name(volume) and record.get("path") == volume.path else others).append(record)
    rules = [rule for record in own for rule in rules_in_force(entries_of(record))]
    return (*rules, *(_remark(record) for record in others))


def _remark(record: JsonObject) -> AccessRule:
    shown = "".join(letter if letter.isprintable() else "?" for letter in str(record["name"]))
    return AccessRule(AccessType.USER, f"somebody: users of another SMB share, {shown}", "rw")


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
