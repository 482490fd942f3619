"""Shares as the backend lists them: volumes, with the access that their export policies give and the addresses that they are mounted from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError
from sharectl.drivers.ontap.autosize import asked_bytes
from sharectl.drivers.ontap.claims import claimed, why_uncertain
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.exports import owner_of_policy
from sharectl.drivers.ontap.flexgroups import pool_of
from sharectl.drivers.ontap.locations import (
    Places,
    data_lifs,
    export_locations,
    home_nodes,
    preferred_first,
    servers_by_svm,
)
from sharectl.drivers.ontap.luns import BlockVolumes, block_volumes
from sharectl.drivers.ontap.qtrees.inside import obstacles_in
from sharectl.drivers.ontap.qtrees.listing import Around, QtreeListing
from sharectl.drivers.ontap.qtrees.names import pool_of_container
from sharectl.drivers.ontap.qtrees.records import check_shown, hiding
from sharectl.drivers.ontap.smb_access import (
    SmbListed,
    access_over_smb,
    is_noted_for_smb,
    protocol_of_foreign,
    smb_name,
)
from sharectl.drivers.ontap.snapshots_seen import SnapshotsSeen
from sharectl.drivers.ontap.volumes import PROTOCOL_NOTE, TRASHED_NOTE, why_not_adoptable, why_not_served
from sharectl.model.access import NFS, AccessRule
from sharectl.model.observed import ObservedShare

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sharectl.drivers.ontap.access import Access
    from sharectl.drivers.ontap.policies import Policies
    from sharectl.drivers.ontap.qtrees.records import Qtree
    from sharectl.drivers.ontap.qtrees.shares import QtreeShares
    from sharectl.drivers.ontap.settings import OntapSettings
    from sharectl.drivers.ontap.smb_access import SmbAccess
    from sharectl.drivers.ontap.snapshot_policies import SnapshotPolicies
    from sharectl.drivers.ontap.volumes import Volume, Volumes
    from sharectl.model.canonical import JsonObject

_FEW: Final = 10
"""Shares that are asked for one by one; for more, all are read."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What shares are shown with: policies by id, SMB shares by the volumes that they export, names of policies that no volume has by the share that they were made for, where they are, which volumes hold LUNs, what the array has of snapshot policies, and why qtrees in volumes of others are in the way."""

    policies: Mapping[int, JsonObject] = field(default_factory=dict)
    smb: SmbListed = field(default_factory=SmbListed)
    unused: Mapping[str, Sequence[str]] = field(default_factory=dict)
    places: Places = field(default_factory=Places)
    luns: BlockVolumes = field(default_factory=BlockVolumes)
    snapshots: SnapshotsSeen = field(default_factory=SnapshotsSeen)
    inside: Mapping[str, str] = field(default_factory=dict)


class Listing:
    """Lists the shares of a backend; `svm` is its one SVM, None where it has one for each share server."""

    def __init__(  # noqa: PLR0913, PLR0917 - one of each thing that shares are made of
        self,
        volumes: Volumes,
        policies: Policies,
        access: Access,
        smb: SmbAccess,
        snapshot_policies: SnapshotPolicies,
        qtrees: QtreeShares,
        settings: OntapSettings,
    ) -> None:
        """List nothing yet."""
        self._snapshot_policies = snapshot_policies
        self._volumes, self._policies, self._access, self._smb = volumes, policies, access, smb
        self._qtrees = qtrees.qtrees
        self._of_qtrees = QtreeListing(qtrees.qtrees, qtrees.quotas, qtrees.access, settings)
        self._has_qtrees = bool(settings.qtrees)
        self._svm, self._flexgroups = settings.svm, settings.flexgroups
        self._has_smb = settings.smb is not None
        self._places: Places | None = None

    def shares(self, resource_ids: Collection[str] | None) -> list[ObservedShare]:
        """Return all shares, or those with these ids."""
        if resource_ids is None or len(resource_ids) > _FEW:
            volumes, qtrees, policies = self._all()
            hidden = hiding(volumes, policies)
            if not hidden and any(pool_of_container(each.record.get("comment")) is not None for each in volumes):
                hidden = self._qtrees.hiding(())  # one may have gone offline between the two
            if resource_ids is not None:
                wanted = set(resource_ids)
                volumes = [each for each in claimed(volumes).values() if each.note and each.note.resource_id in wanted]
                qtrees = [each for each in qtrees if each.owner in wanted]
        else:
            volumes = self._volumes.find_all(resource_ids)
            qtrees = self._claiming(set(resource_ids) - {each.note.resource_id for each in volumes if each.note})
            policies = [policy for volume in volumes for policy in self._policies_of(volume)]
            policies += [policy for qtree in qtrees for policy in self._policies_of_qtree(qtree)]
            missing = set(resource_ids) - _ids_of(volumes, qtrees)
            hidden = self._qtrees.hiding(sorted(missing)) if missing else []
        if not volumes and not qtrees and not hidden:
            return []
        places = self._places = self._look_around()
        if resource_ids is None or set(resource_ids) - _ids_of(volumes, qtrees):
            is_ours = self._svm is not None
            check_shown(self._volumes.array, [each for each in hidden if is_ours or each.svm in places.servers])
        if self._svm is None:
            volumes = [volume for volume in volumes if volume.svm in places.servers]
            qtrees = [qtree for qtree in qtrees if qtree.svm in places.servers]
        used = {volume.policy_id for volume in volumes} | {qtree.policy_id for qtree in qtrees}
        unused: dict[str, list[str]] = {}
        for policy in policies:
            owner = owner_of_policy(str(policy["name"]))
            if owner is not None and policy["id"] not in used:
                unused.setdefault(owner, []).append(str(policy["name"]))
        smb, luns = self._smb_shares(volumes, reads_all=resource_ids is None), self._luns_in(volumes)
        seen = self._snapshot_policies.seen(volumes)
        by_id = {policy["id"]: policy for policy in policies}
        inside = obstacles_in(self._qtrees, _strange(volumes))
        around = Surroundings(by_id, smb, unused, places, luns, seen, inside)
        owners = {volume.uuid for volume in claimed(volumes).values()}
        plain = [each for each in volumes if pool_of_container(each.record.get("comment")) is None]
        found = [
            self.observed(volume, around, is_owner=volume.uuid in owners)._replace(used_bytes=volume.used_bytes)
            for volume in plain
        ]
        return self._with_qtrees(found, plain, volumes, qtrees, around) if qtrees else found

    def _all(self) -> tuple[list[Volume], list[Qtree], list[JsonObject]]:
        """Return all volumes, all qtrees that may be shares, and all policies."""
        for _ in range(2):
            volumes, policies = self._volumes.all(), self._policies.all()
            may_be = self._of_qtrees.may_be_there(volumes, policies)
            qtrees = self._of_qtrees.found(volumes, policies) if may_be else []
            given = {volume.policy_id for volume in volumes} | {qtree.policy_id for qtree in qtrees}
            if given - {None} <= {policy["id"] for policy in policies}:
                break  # else somebody gave one another policy between the two
        return volumes, qtrees, policies

    def _claiming(self, resource_ids: Collection[str]) -> list[Qtree]:
        """Return the qtrees that say that they are these shares; a backend without pools of qtrees may be without a right to look at some."""
        try:
            found = [each for resource_id in sorted(resource_ids) for each in self._qtrees.claiming(resource_id)]
        except ArrayError as problem:
            if problem.kind != "auth" or self._has_qtrees:
                raise
            return []
        return self._qtrees.still_there(found)

    def _with_qtrees(
        self,
        found: list[ObservedShare],
        plain: Sequence[Volume],
        volumes: Sequence[Volume],
        qtrees: Sequence[Qtree],
        around: Surroundings,
    ) -> list[ObservedShare]:
        """Return shares with those that are qtrees; a volume of others that holds some, or what can be some, is no share itself."""
        beside = self._around(volumes, qtrees, around)
        of_qtrees = self._of_qtrees.shares(qtrees, self._of_qtrees.limits(qtrees, beside), around.luns)
        holding = {each.backend_id.rpartition("/")[0] for each in of_qtrees}
        foreign = {self.backend_id(volume) for volume in plain if volume.note is None} & holding
        return [*(each for each in found if each.backend_id not in foreign), *of_qtrees]

    def _around(self, volumes: Sequence[Volume], qtrees: Sequence[Qtree], around: Surroundings) -> Around:
        by_uuid = {volume.uuid: volume for volume in volumes}
        if missing := {each.volume_uuid for each in qtrees} - by_uuid.keys():
            by_uuid |= {each.uuid: each for each in self._volumes.like({"uuid": tuple(sorted(missing))})}
        is_for_smb = self._has_smb or any(each.style != "unix" for each in qtrees)
        smb = self._smb.all() if is_for_smb and not (around.smb.by_folder and self._has_smb) else around.smb
        return Around(by_uuid, around.policies, smb, around.unused, around.places)

    def qtree(self, qtree: Qtree) -> ObservedShare:
        """Return the share that a qtree is as a listing would show it."""
        policies = {policy["id"]: policy for policy in self._policies_of_qtree(qtree)}
        volumes = self._volumes.like({"uuid": qtree.volume_uuid})
        around = Surroundings(policies, places=self._places_for(volumes[0]), luns=self._luns_in(volumes))
        beside = self._around([], [qtree], around)
        (share,) = self._of_qtrees.shares([qtree], self._of_qtrees.limits([qtree], beside), around.luns) or (None,)
        if share is None:
            message = f"{self._volumes.array.name}: no pool of qtrees has its volumes on the aggregate of the volume {qtree.volume}"
            raise ConflictError(message)
        return share._replace(used_bytes=None)

    def new_qtree(self, qtree: Qtree, volume: Volume, size_bytes: int) -> ObservedShare:
        """Return a share that is a qtree which nobody may reach yet, and that was limited just now, without looking."""
        rules = {qtree.key: {"space": {"hard_limit": size_bytes}}}
        around = Around({volume.uuid: volume}, places=self._places_for(volume), rules=rules)
        return self._of_qtrees.observed(qtree, around)

    def holds_qtrees(self, volume: Volume) -> bool:
        """Tell whether qtrees are in a volume of others that are shares, or can be."""
        if not self._has_qtrees:
            return False
        qtrees = [
            each for each in self._of_qtrees.found([volume], self._policies.all()) if each.volume_uuid == volume.uuid
        ]
        around = Around({volume.uuid: volume})
        return bool(qtrees) and bool(
            self._of_qtrees.shares(qtrees, self._of_qtrees.limits(qtrees, around), BlockVolumes())
        )

    def _policies_of_qtree(self, qtree: Qtree) -> Iterator[JsonObject]:
        """Yield the policy of a qtree, all that were made for its share, and the one of its volume."""
        found = [] if qtree.owner is None else self._policies.of_share(qtree.svm, qtree.owner)
        yield from found
        names = {qtree.policy} - {policy["name"] for policy in found}
        for volume in self._volumes.like({"uuid": qtree.volume_uuid}):
            names.add(volume.policy)
        for name in sorted(names - {""}):
            if (policy := self._policies.named(qtree.svm, name)) is not None:
                yield policy

    def share(self, volume: Volume) -> ObservedShare:
        """Return one share as a listing would show it."""
        policies = {policy["id"]: policy for policy in self._policies_of(volume)}
        smb, places = self._smb_shares([volume], reads_all=False), self._places_for(volume)
        seen = self._snapshot_policies.seen([volume])
        inside = obstacles_in(self._qtrees, _strange([volume]))
        around = Surroundings(policies, smb, {}, places, self._luns_in([volume]), seen, inside)
        return self.observed(volume, around, is_owner=True)

    def new_share(self, volume: Volume) -> ObservedShare:
        """Return a share that nobody may reach yet, without looking at policies."""
        return self.observed(volume, Surroundings(places=self._places_for(volume)), is_owner=True)

    def forget_places(self) -> None:
        """Look again where shares are: a share server was made or changed."""
        self._places = None

    def _places_for(self, volume: Volume) -> Places:
        """Return where shares are, as it was when last looked at, if the SVM of the volume was there then."""
        if self._places is None or (self._svm is None and volume.svm not in self._places.servers):
            self._places = self._look_around()
        return self._places

    def _look_around(self) -> Places:
        array = self._volumes.array
        servers = servers_by_svm(array) if self._svm is None else {}
        return Places(data_lifs(array, self._svm), home_nodes(array), servers)

    def _smb_shares(self, volumes: Sequence[Volume], *, reads_all: bool) -> SmbListed:
        """Return the SMB shares of these volumes; none of a backend that has nothing to do with SMB."""
        if not self._has_smb and not any(map(is_noted_for_smb, volumes)):
            return SmbListed()
        if reads_all or len(volumes) != 1:
            return self._smb.all()
        return self._smb.around(volumes[0])

    def _luns_in(self, volumes: Sequence[Volume]) -> BlockVolumes:
        """Return which of these volumes hold LUNs, as far as it decides whether somebody may take them over."""
        strange = _strange(volumes)
        if not strange:
            return BlockVolumes()
        return block_volumes(self._volumes.array, self._svm, strange[0].uuid if len(volumes) == 1 else None)

    def _policies_of(self, volume: Volume) -> Iterator[JsonObject]:
        """Yield the policy of a volume, and all that were made for its share."""
        found = [] if volume.note is None else self._policies.of_share(volume.svm, volume.note.resource_id)
        yield from found
        if all(policy["id"] != volume.policy_id for policy in found):
            policy = self._policies.named(volume.svm, volume.policy)
            if policy is not None:
                yield policy

    def observed(self, volume: Volume, around: Surroundings, *, is_owner: bool) -> ObservedShare:
        """Return the share that a volume is; one that says so of itself like another before it is nobody's."""
        note = volume.note if is_owner else None
        trashed_at = None if note is None else note.values.get(TRASHED_NOTE)
        unused = () if note is None else around.unused.get(note.resource_id, ())
        access, settings = self._access.listed(volume, around.policies, unused)
        exports = around.smb.of(volume)
        if note is None:
            protocol = protocol_of_foreign(exports, has_clients=bool(access))
        else:
            protocol = note.values.get(PROTOCOL_NOTE, NFS)
        over_smb = access_over_smb(volume, exports, () if note is None else around.smb.above(volume))
        if note is not None and trashed_at is None and (why := why_not_served(volume)):
            kind = "ip" if NFS in protocol else "user"
            over_smb = (*over_smb, AccessRule(kind, f"unserved: {why}", "none"))
        pool = pool_of(volume.aggregates, str(volume.record.get("style")), self._flexgroups)
        lifs = preferred_first(around.places.lifs, volume.svm, self._home_of(volume, around.places))
        why_not = "" if note is not None else why_not_adoptable(volume) or around.luns.why_not_adoptable(volume)
        if note is None:
            why_not = why_not or around.inside.get(volume.uuid, "")
        if note is None and not why_not and len(exports) > 1:
            why_not = "it is exported over SMB under several names, and a share has one"
        if volume.note is not None and note is None:
            why_not = (
                f"its comment says that it is the share {volume.note.resource_id}, which another volume is; change it"
                if volume.is_certain
                else why_uncertain(volume)
            )
        return ObservedShare(
            resource_id=None if note is None else note.resource_id,
            backend_id=self.backend_id(volume),
            name=volume.share_name,
            pool=pool,
            size_bytes=volume.size_bytes if note is None else asked_bytes(volume),
            protocol=protocol,
            access=tuple(sorted((*access, *over_smb))) if over_smb else access,
            export_locations=export_locations(lifs, volume.path, protocol, smb_name(volume))
            if trashed_at is None
            else (),
            trashed_at=trashed_at,
            share_server_id=around.places.servers.get(volume.svm),
            not_adoptable=why_not,
            export_settings=settings if NFS in protocol else None,
            snapshot_policy=None if note is None else around.snapshots.policy_of(volume),
            scheduled_snapshots=None if note is None else around.snapshots.scheduled_of(volume),
        )

    def _home_of(self, volume: Volume, places: Places) -> str | None:
        """Return the node that a volume is at home on; a FlexGroup is on several."""
        homes = {places.nodes.get(aggregate, "") for aggregate in volume.aggregates}
        return homes.pop() if len(homes) == 1 else None

    def backend_id(self, volume: Volume) -> str:
        """Return the array's own name for a share."""
        return volume.name if self._svm is not None else f"{volume.svm}/{volume.name}"

    def backend_id_of(self, snapshot: JsonObject) -> str:
        """Return the same of the share that a snapshot is of."""
        volume = str(snapshot["volume"]["name"])
        return volume if self._svm is not None else f"{snapshot['svm']['name']}/{volume}"


def _strange(volumes: Iterable[Volume]) -> list[Volume]:
    """Return the volumes of others that might be taken over, as far as they themselves tell."""
    return [volume for volume in volumes if volume.note is None and not why_not_adoptable(volume)]


def _ids_of(volumes: Iterable[Volume], qtrees: Iterable[Qtree]) -> set[str]:
    """Return the ids of the shares that these are."""
    return {each.note.resource_id for each in volumes if each.note} | {each.owner for each in qtrees if each.owner}
