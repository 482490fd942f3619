"""The rules of a share, given to the protocols that they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.ontap.acls import rules_for
from sharectl.drivers.ontap.smb_access import is_noted_for_smb
from sharectl.drivers.ontap.volumes import check_served
from sharectl.model.access import CIFS, NFS, may_become, protocols_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.drivers.ontap.access import Access
    from sharectl.drivers.ontap.settings import SmbSettings
    from sharectl.drivers.ontap.smb_access import SmbAccess
    from sharectl.drivers.ontap.volumes import Volume, Volumes
    from sharectl.model.access import AccessRule
    from sharectl.model.requests import RuleStatus, ShareRef


class Rules:
    """Puts the whole set of rules of a share in force, over each of its protocols."""

    def __init__(self, volumes: Volumes, access: Access, smb: SmbAccess, settings: SmbSettings | None) -> None:
        """Where there are no settings of SMB, only shares that were made for it are looked at."""
        self._volumes, self._access, self._smb, self._settings = volumes, access, smb, settings

    def update(
        self, share: ShareRef, rules: Collection[AccessRule], *, repairs: bool
    ) -> Mapping[AccessRule, RuleStatus]:
        """Make these the clients and the users of a share; what a protocol that it does not have lets in goes where it `repairs`."""
        hosts, people, statuses = rules_for(share.protocol, rules, self._settings)
        if NFS in protocols_in(share.protocol):
            statuses |= self._access.update(share, hosts, repairs=repairs)
        is_for_smb = CIFS in protocols_in(share.protocol)
        if not is_for_smb and (self._settings is None or not repairs):
            return statuses
        volume = None if repairs else self._volumes.known(share.resource_id)
        volume = volume or self._volumes.needed(share.resource_id)
        if repairs:
            check_served(self._volumes.array, volume)
        if NFS not in protocols_in(share.protocol) and not self._access.is_closed(volume):
            volume = self._access.close(volume)
        if is_for_smb:
            statuses |= self._smb.update(volume, people)
        else:
            self._smb.withdraw(volume)
        if repairs:
            self._smb.check_nothing_above(volume)
        return statuses

    def withdraw(self, volume: Volume) -> None:
        """End what a volume lets in over SMB."""
        if self._settings is not None or is_noted_for_smb(volume):
            self._smb.withdraw(volume)

    def change_protocols(self, share: ShareRef, protocol: str) -> None:
        """Export a share over these protocols; what goes is withdrawn before it is forgotten."""
        volume = self._volumes.needed(share.resource_id)
        if not may_become(share.protocol, protocol):
            return
        if CIFS not in protocols_in(protocol):
            self.withdraw(volume)
        if NFS not in protocols_in(protocol) and not self._access.is_closed(volume):
            volume = self._access.close(volume)
        self._smb.note_protocols(volume, protocol)
