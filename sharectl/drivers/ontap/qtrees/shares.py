"""Shares that are qtrees: each call of the contract for them."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError, DriverError, NotFoundError, TransientError
from sharectl.drivers.ontap.acls import rules_for
from sharectl.drivers.ontap.errors import ArrayError, OutcomeUnknownError
from sharectl.drivers.ontap.extra_specs import Asked
from sharectl.drivers.ontap.luns import check_no_blocks
from sharectl.drivers.ontap.names import CLOSED_POLICY
from sharectl.drivers.ontap.qtrees.access import STYLES, QtreeAccess, marks_among, marks_of
from sharectl.drivers.ontap.qtrees.containers import Containers
from sharectl.drivers.ontap.qtrees.names import Marks, deleted_name, pool_of_container, qtree_name
from sharectl.drivers.ontap.qtrees.quotas import Quotas, limit_in
from sharectl.drivers.ontap.qtrees.records import QTREES, Qtree, Qtrees, qtree_of
from sharectl.drivers.ontap.qtrees.smb import QtreeSmb
from sharectl.drivers.ontap.volumes import check_served
from sharectl.drivers.share_checks import taken_since
from sharectl.model.access import CIFS, NFS, may_become, protocols_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sharectl.drivers.ontap.policies import Policies
    from sharectl.drivers.ontap.qtrees.settings import QtreePool
    from sharectl.drivers.ontap.settings import OntapSettings
    from sharectl.drivers.ontap.smb_paths import SmbPaths
    from sharectl.drivers.ontap.volumes import Volume, Volumes
    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject
    from sharectl.model.requests import RuleStatus, ShareRef, ShareRequest

_OPEN_PERMISSIONS: Final = 777
_FULL: Final = 5242886
_TRIES: Final = 3


class QtreeShares:
    """Makes, changes and removes shares that are qtrees."""

    def __init__(
        self,
        volumes: Volumes,
        policies: Policies,
        smb_paths: SmbPaths,
        settings: OntapSettings,
        sleep: Callable[[float], None],
    ) -> None:
        """Look at nothing yet."""
        self._array, self._policies, self._settings = volumes.array, policies, settings
        self._smb_paths = smb_paths
        self.qtrees = Qtrees(volumes.array, settings.svm, policies)
        self.quotas = Quotas(volumes.array, settings.svm, sleep)
        self.access = QtreeAccess(self.qtrees, policies, settings.treatment)
        self.smb = QtreeSmb(volumes.array, settings.svm)
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self.containers = Containers(volumes, policies, self.quotas, smb_paths)

    # Making

    def create(self, request: ShareRequest, svm: str, pool: QtreePool) -> tuple[Qtree, Volume | None]:
        """Return the qtree of a share, limited to its size, that nobody may reach, and its volume where it was made just now.

        What an earlier call has done of it stays.
        """
        found, others = self.qtrees.look(request.resource_id, svm, request.name)
        if found is not None:
            if found.is_deleted:
                message = f"{self._array.name}: the qtree of the share {request.name} is being removed"
                raise ConflictError(message)
            self._mend_limit(found, request.size_bytes)
            return found, None
        self._check_name(request, others)
        self._policies.check_closed(svm)
        made, volume = self._in_some_room(request, svm, pool)
        self.quotas.limit(made, request.size_bytes, is_new=True)
        return self.qtrees.remember(made), volume

    def _check_name(self, request: ShareRequest, others: Collection[Qtree]) -> None:
        """Raise ConflictError where a share that is not expected has the name, or a qtree of others: that may be the share, come loose."""
        for other in others:
            if other.owner is None:
                message = (
                    f"{self._array.name}: the qtree {other.volume}/{other.name}, which sharectl did not make, has the name of the share; "
                    "nothing of it was touched"
                )
                raise ConflictError(message)
            if request.is_in_the_way(other.owner):
                raise ConflictError(taken_since(request.name))

    def _in_some_room(self, request: ShareRequest, svm: str, pool: QtreePool) -> tuple[Qtree, Volume]:
        """Make the qtree in a volume that has room for it; one whose number of qtrees the array finds too large counts as full."""
        last: ArrayError | None = None
        for _ in range(_TRIES):
            room = self.containers.room_for(svm, pool, request.size_bytes)
            self._smb_paths.check(svm, f"{room.volume.path}/{qtree_name(request.name, request.resource_id)}")
            try:
                return self._made(request, svm, room.volume.uuid, room.volume.name), room.volume
            except ArrayError as problem:
                if problem.code != _FULL:
                    raise
                room.is_full, last = True, problem
        raise last or AssertionError

    def _made(self, request: ShareRequest, svm: str, volume_uuid: str, volume: str) -> Qtree:
        asked = Asked(request.extra_specs)
        name, style = qtree_name(request.name, request.resource_id), STYLES[request.protocol]
        permissions = asked.value("ontap:unix_permissions")
        body: JsonObject = {
            "svm": {"name": svm},
            "volume": {"uuid": volume_uuid},
            "name": name,
            "security_style": style,
            "export_policy": {"name": CLOSED_POLICY},
        }
        if permissions is not None or style != STYLES[CIFS]:
            body["unix_permissions"] = _OPEN_PERMISSIONS if permissions is None else permissions
        try:
            record = self._array.post(QTREES, body, svm=svm)
        except OutcomeUnknownError:
            record = {}
        except ArrayError as problem:
            if problem.kind != "dup":
                raise
            record = {}
        if {"id", "nas", "export_policy"} <= record.keys():
            return qtree_of({**body, "volume": {"uuid": volume_uuid, "name": volume}, **record})
        found = self.qtrees.find(request.resource_id)
        if found is None:
            message = f"{self._array.name}: the qtree {volume}/{name} was to be made, and is not shown yet"
            raise OutcomeUnknownError(message)
        return found

    def adopt(self, svm: str, volume: str, name: str, resource_id: str) -> Qtree:
        """Take over a qtree under its own name, by a policy of its own with the rules that hold for it now."""
        qtree = self.qtrees.at(svm, volume, name)
        if qtree is None:
            message = f"{self._array.name}: the SVM {svm} has no qtree {volume}/{name}"
            raise NotFoundError(message)
        before = self.qtrees.find(resource_id)
        if before is not None and before.key == qtree.key:
            return before
        if before is not None or qtree.owner is not None:
            other = qtree.owner if before is None else f"{before.volume}/{before.name}"
            message = (
                f"{self._array.name}: the qtree {volume}/{name} cannot be the share {resource_id}: {other} is already"
            )
            raise ConflictError(message)
        policy = self._policies.named(svm, qtree.policy)
        if policy is None:
            message = (
                f"{self._array.name}: the export policy {qtree.policy!r} of the qtree {volume}/{name} is not listed"
            )
            raise DriverError(message)
        protocol = self._protocol_of_foreign(qtree, has_clients=bool(policy.get("rules")))
        taken = replace(qtree, owner=resource_id)
        return self.access.give(taken, policy.get("rules", ()), Marks(protocol, place=qtree.place))

    def _protocol_of_foreign(self, qtree: Qtree, *, has_clients: bool) -> str:
        if self._settings.smb is None or not self.smb.of(qtree):
            return NFS
        return "NFS_CIFS" if has_clients else CIFS

    # Access

    def update_access(
        self, share: ShareRef, rules: Collection[AccessRule], *, repairs: bool
    ) -> Mapping[AccessRule, RuleStatus]:
        """Make these the clients and the users of a share."""
        known = None if repairs else self.qtrees.known(share.resource_id)
        qtree = known or self.qtrees.needed(share.resource_id)
        passage = self._passage(qtree, repairs=repairs)
        if repairs:
            self._mend_limit(qtree, share.size_bytes)
        hosts, people, statuses = rules_for(share.protocol, rules, self._settings.smb)
        marks = replace(marks_of(qtree), protocol=share.protocol)
        if NFS in protocols_in(share.protocol):
            statuses |= self.access.update(share, qtree, marks, hosts, passage, cleans=known is None)
        elif repairs or qtree.policy != CLOSED_POLICY:
            self.access.close(qtree, marks)
        is_for_smb = CIFS in protocols_in(share.protocol)
        if is_for_smb:
            statuses |= self.smb.update(qtree, people)
        if repairs and (is_for_smb or self._settings.smb is not None):
            if not is_for_smb:
                self.smb.withdraw(qtree)
            self.smb.check_nothing_above(qtree)
        return statuses

    def _passage(self, qtree: Qtree, *, repairs: bool) -> JsonObject | None:
        """Return the policy of the volume of a qtree where not all may pass by it. One of sharectl's own volumes is mended where it `repairs`."""
        if not repairs and read_volume_is_ours(qtree):
            return None
        volume = self.containers.volume_of(qtree)
        if repairs:
            check_served(self._array, volume)
            self.containers.mend(volume)
        if pool_of_container(volume.record.get("comment")) is not None:
            return None
        return self._policies.named(volume.svm, volume.policy) or {"name": volume.policy}

    def _mend_limit(self, qtree: Qtree, size_bytes: int) -> None:
        limit = limit_in(self.quotas.rule_of(qtree))
        self.quotas.limit(qtree, size_bytes if limit is None else limit)

    def change_protocols(self, share: ShareRef, protocol: str) -> None:
        """Export a share over these protocols; what goes is withdrawn before it is forgotten."""
        qtree = self.qtrees.needed(share.resource_id)
        if not may_become(share.protocol, protocol):
            return
        if CIFS not in protocols_in(protocol):
            self.smb.withdraw(qtree)
        marks = replace(marks_of(qtree), protocol=protocol)
        if NFS not in protocols_in(protocol):
            self.access.close(qtree, marks)
            return
        policy = self._policies.named(qtree.svm, qtree.policy)
        if policy is None:
            message = f"{self._array.name}: the export policy {qtree.policy!r} of the qtree {qtree.volume}/{qtree.name} is not listed"
            raise DriverError(message)
        self.access.give(qtree, policy.get("rules", ()), marks)

    # Sizes

    def extend(self, share: ShareRef, size_bytes: int) -> int | None:
        """Limit the qtree to so much, unless it may have more; return the size that it keeps then."""
        with self._alone(share.resource_id):
            qtree = self.qtrees.needed(share.resource_id)
            limit = limit_in(self.quotas.rule_of(qtree))
            if limit is not None and limit > size_bytes:
                return limit
            if limit == size_bytes:
                self.quotas.limit(qtree, size_bytes)
                return None
            with self.containers.grown(qtree, size_bytes - (limit or 0)):
                self.quotas.limit(qtree, size_bytes)
            return None

    def shrink(self, share: ShareRef, size_bytes: int) -> int | None:
        """Limit the qtree to so much, unless it has less; return the size that it keeps then."""
        with self._alone(share.resource_id):
            qtree = self.qtrees.needed(share.resource_id)
            limit = limit_in(self.quotas.rule_of(qtree))
            if limit is not None and limit < size_bytes:
                return limit
            if limit != size_bytes:
                self.quotas.check_room(qtree, size_bytes)
            self.quotas.limit(qtree, size_bytes)
            self.containers.forget(qtree.svm)
            return None

    def _alone(self, resource_id: str) -> threading.Lock:
        """Return the lock of a share: the array itself takes the limit that comes last."""
        with self._lock:
            return self._locks.setdefault(resource_id, threading.Lock())

    def used_bytes(self, share: ShareRef) -> int:
        """Return what the files of a share take."""
        return self.quotas.used_bytes(self.qtrees.needed(share.resource_id))

    # Going

    def trash(self, share: ShareRef, now: str) -> None:
        """Withdraw a share from everybody; `now` goes into the name of its policy."""
        qtree = self.qtrees.needed(share.resource_id)
        marks = marks_of(qtree)
        if marks.trashed:
            return
        self._withdraw_smb(qtree, marks)
        self.access.close(qtree, replace(marks, trashed=now))

    def restore(self, resource_id: str) -> Qtree | None:
        """Bring a share back, with nobody who may reach it; None where no qtree is it."""
        qtree = self.qtrees.find(resource_id)
        if qtree is None:
            self.qtrees.check_gone(resource_id)
        if qtree is None or qtree.is_deleted:
            return None
        names = [str(each["name"]) for each in self._policies.of_share(qtree.svm, resource_id)]
        marks = marks_among(qtree, names)
        if not marks.trashed:
            return qtree
        if qtree.path is not None:
            self._smb_paths.check(qtree.svm, qtree.path)
        return self.access.close(qtree, replace(marks, trashed=""))

    def delete(self, resource_id: str) -> bool:
        """Withdraw a share and have the array remove its files, which may take it minutes and is not waited for; tell whether it was a qtree."""
        qtree = self.qtrees.find(resource_id)
        if qtree is None:
            self.qtrees.check_gone(resource_id)
            return False
        if not qtree.is_deleted:
            check_no_blocks(self._array, qtree.svm, qtree.volume_uuid, qtree.volume)
            self._withdraw_smb(qtree, marks_of(qtree))
            qtree = self._renamed(qtree, resource_id)
        if qtree.policy == CLOSED_POLICY:
            self.access.remove_policies(qtree.svm, resource_id)
        if qtree.key not in self.qtrees.being_removed():
            try:
                self._array.begin("DELETE", (QTREES, qtree.volume_uuid, qtree.number))
            except ArrayError as problem:
                if problem.kind != "gone":
                    raise
        self.qtrees.forget(resource_id)
        self.containers.forget(qtree.svm)
        return True

    def _renamed(self, qtree: Qtree, resource_id: str) -> Qtree:
        """Close a qtree and give it the name of one that is being removed, in one step, after which no policy of its own is left."""
        name = deleted_name(resource_id)
        try:
            if self._policies.is_closed(qtree.svm):
                self.qtrees.change(qtree, {"name": name, "export_policy": {"name": CLOSED_POLICY}})
                return replace(qtree, name=name, policy=CLOSED_POLICY)
            return replace(self.access.close(qtree, more={"name": name}), name=name)
        except ArrayError as problem:
            if problem.kind == "partial":
                raise TransientError(str(problem)) from problem
            raise

    def _withdraw_smb(self, qtree: Qtree, marks: Marks) -> None:
        if self._settings.smb is not None or CIFS in protocols_in(marks.protocol):
            self.smb.withdraw(qtree)


def read_volume_is_ours(qtree: Qtree) -> bool:
    """Tell whether sharectl made the qtree, and with it, the volume that it is in: then its name has the id."""
    return qtree.share_name != qtree.name
