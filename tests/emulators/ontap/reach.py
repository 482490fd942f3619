"""Who reaches what at one moment: an NFS client through the policies on its way, a Windows account through a share's list."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap import volume_names
from tests.emulators.ontap.export_rules import NOTHING, Level, level_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.emulators.ontap.access_records import AclEntry, CifsShare, ExportPolicy, Qtree
    from tests.emulators.ontap.client_matches import Address
    from tests.emulators.ontap.volume_records import Volume

EVERYONE: Final = "everyone"
_RANKS: Final = {"read": Level(read=True), "change": Level(read=True, write=True)}
_FULL: Final = Level(read=True, write=True, root=True)


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """What of the array decides on access."""

    volumes: Mapping[str, Volume]
    policies: Mapping[int, ExportPolicy]
    shares: Mapping[tuple[str, str], CifsShare]
    qtrees: Mapping[tuple[str, int], Qtree]
    serving: frozenset[str]
    """The SVMs that are running."""

    def mounted(self, svm: str) -> dict[str, Volume]:
        """Return the volumes of an SVM that are in its namespace, by their paths."""
        return {
            volume.path: volume
            for volume in self.volumes.values()
            if volume.svm == svm and volume.path is not None and volume.deleted_at is None
        }

    def nfs(self, volume: str, client: Address, qtree: str = "") -> Level:
        """Return what a client may do in a volume, or in a qtree of it; nothing if a policy on the way does not let it read."""
        target = self.volumes.get(volume)
        if target is None or target.path is None or not self._served(target):
            return NOTHING
        levels = {
            path: level_of(self._rules(each), client)
            for path, each in self.mounted(target.svm).items()
            if volume_names.is_below(target.path, path)
        }
        if not all(level.read for level in levels.values()):
            return NOTHING
        return self._in_qtree(target, client, qtree) if qtree else levels[target.path]

    def _in_qtree(self, volume: Volume, client: Address, name: str) -> Level:
        found = next((each for each in self.qtrees.values() if each.uuid == volume.uuid and each.name == name), None)
        if found is None:
            return NOTHING
        policy = self.policies.get(volume.policy if found.policy is None else found.policy)
        return NOTHING if policy is None else level_of(policy.rules, client)

    def _rules(self, volume: Volume) -> tuple[object, ...]:
        policy = self.policies.get(volume.policy)
        return () if policy is None or not self._served(volume) else policy.rules

    def _served(self, volume: Volume) -> bool:
        return volume.state == "online" and volume.deleted_at is None and volume.svm in self.serving

    def cifs(self, svm: str, share: str, accounts: Iterable[str]) -> Level:
        """Return what somebody who is all of these accounts (and everyone) may do by a CIFS share."""
        row = self.shares.get((svm, share.lower()))
        if row is None or self.behind(row) is None:
            return NOTHING
        return level_by(row.entries, accounts)

    def behind(self, share: CifsShare) -> Volume | None:
        """Return the volume to which a share's path leads, if it is served."""
        mounted = self.mounted(share.uuid)
        above = [path for path in mounted if volume_names.is_below(share.path, path)]
        volume = mounted[max(above, key=len)] if above else None
        if volume is None or not self._served(volume) or (volume.root and share.path != "/"):
            return None
        return volume


def level_by(entries: Iterable[AclEntry], accounts: Iterable[str]) -> Level:
    """Return what a list grants: `no_access` for one of the accounts outweighs all, else the greatest counts."""
    own = {account.lower() for account in accounts} | {EVERYONE}
    granted = [entry.permission for entry in entries if entry.account.lower() in own]
    if not granted or "no_access" in granted:
        return NOTHING
    return _FULL if "full_control" in granted else _RANKS["change" if "change" in granted else "read"]
