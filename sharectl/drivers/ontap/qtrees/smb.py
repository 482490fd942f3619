"""Qtrees over SMB: CIFS shares whose paths lead into a qtree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError, RuleStatus
from sharectl.drivers.ontap import smb
from sharectl.drivers.ontap.acls import entries_of, rules_in_force
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.smb import SHARE_FIELDS, SHARES, SmbShare
from sharectl.drivers.ontap.smb_paths import lets_in, parents_of
from sharectl.model.access import AccessRule, AccessType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.qtrees.records import Qtree
    from sharectl.drivers.ontap.smb_access import SmbListed
    from sharectl.model.canonical import JsonObject


class QtreeSmb:
    """What qtrees are over SMB."""

    def __init__(self, array: Array, svm: str | None) -> None:
        """Look at this SVM; at all where None."""
        self._array, self._svm = array, svm

    def update(self, qtree: Qtree, rules: Collection[AccessRule]) -> dict[AccessRule, RuleStatus]:
        """Make these the users of a qtree; what others have made to export it goes."""
        if qtree.path is None:
            reason = "the volume that the qtree is in is not mounted, so that nothing can be exported"
            return dict.fromkeys(rules, RuleStatus("error", reason))
        share = SmbShare(qtree.svm, qtree.share_name, qtree.path, qtree.volume_uuid)
        exports = self.of(qtree)
        for record in exports:
            if record["name"] != share.name:
                self._remove(qtree, record)
        return smb.update_access(self._array, share, rules, exports)

    def withdraw(self, qtree: Qtree) -> None:
        """End all exports of a qtree over SMB."""
        for record in self.of(qtree):
            self._remove(qtree, record)

    def of(self, qtree: Qtree) -> list[JsonObject]:
        """Return the records of the SMB shares that lead into a qtree."""
        query = {"svm.name": qtree.svm, "volume.uuid": qtree.volume_uuid}
        return exports_of(qtree, self._array.records(SHARES, svm=self._svm, query=query, fields=SHARE_FIELDS))

    def check_nothing_above(self, qtree: Qtree) -> None:
        """Raise DriverError where users of another SMB share reach a qtree by a folder above it."""
        query = {"svm.name": qtree.svm, "path": parents_of(qtree.path or "")}
        records = self._array.records(SHARES, svm=self._svm, query=query, fields=SHARE_FIELDS)
        if higher := [record for record in records if lets_in(record)]:
            names = " and ".join(f"{str(each['name'])!r} ({each['path']})" for each in higher)
            message = (
                f"{self._array.name}: the SMB share {names} of the SVM {qtree.svm} leads to a folder above {qtree.path}: whoever it lets in "
                "reaches the share; remove it on the array, or leave BUILTIN\\Administrators alone in its list"
            )
            raise DriverError(message)

    def _remove(self, qtree: Qtree, record: JsonObject) -> None:
        try:
            self._array.delete((SHARES, record["svm"]["uuid"], record["name"]), svm=qtree.svm)
        except ArrayError as problem:
            if problem.kind != "gone":
                raise


def exports_of(qtree: Qtree, records: Iterable[JsonObject]) -> list[JsonObject]:
    """Return the SMB shares that lead into a qtree, of those of its volume."""
    return [each for each in records if qtree.path is not None and _leads_into(str(each.get("path")), qtree.path)]


def _leads_into(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def above(qtree: Qtree, found: SmbListed) -> list[JsonObject]:
    """Return the SMB shares that lead to a folder which a qtree is below, and let somebody in there."""
    return [
        record
        for folder in parents_of(qtree.path or "")
        for record in found.by_folder.get((qtree.svm, folder), ())
        if lets_in(record)
    ]


def access_over_smb(
    qtree: Qtree, records: Sequence[JsonObject], higher: Iterable[JsonObject] = ()
) -> tuple[AccessRule, ...]:
    """Return what a qtree lets in over SMB: by its own share rules, by others, and by those of folders above it, remarks on whoever may come that way."""
    own = [each for each in records if each["name"] == qtree.share_name and each.get("path") == qtree.path]
    rules = [rule for record in own for rule in rules_in_force(entries_of(record))]
    remarks = [_remark(record, "of another SMB share") for record in records if record not in own]
    return (*rules, *remarks, *(_remark(record, "of an SMB share of a folder above") for record in higher))


def _remark(record: JsonObject, words: str) -> AccessRule:
    shown = "".join(letter if letter.isprintable() else "?" for letter in str(record["name"]))
    return AccessRule(AccessType.USER, f"somebody: users {words}, {shown}", "rw")
