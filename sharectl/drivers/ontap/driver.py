"""The driver itself: each call of the contract, given to the module that does it."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from sharectl.drivers.base import ConflictError, DriverError, NotFoundError, TransientError
from sharectl.drivers.ontap import snapshots
from sharectl.drivers.ontap.access import Access
from sharectl.drivers.ontap.creation import Creation
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.listing import Listing
from sharectl.drivers.ontap.luns import check_no_blocks
from sharectl.drivers.ontap.making import Making
from sharectl.drivers.ontap.names import CLOSED_POLICY, Note
from sharectl.drivers.ontap.policies import Policies
from sharectl.drivers.ontap.pool_listing import PoolChoice, choice_hindrances, list_pools
from sharectl.drivers.ontap.provisioning import RESERVE_NOTE
from sharectl.drivers.ontap.qtrees.settings import pool_called
from sharectl.drivers.ontap.qtrees.shares import QtreeShares
from sharectl.drivers.ontap.removal import Removal
from sharectl.drivers.ontap.rules import Rules
from sharectl.drivers.ontap.share_checks import protocol_problem, request_problem
from sharectl.drivers.ontap.sizes import Sizes
from sharectl.drivers.ontap.smb_access import SMB_NAME_NOTE, SmbAccess
from sharectl.drivers.ontap.snapshot_policies import SnapshotPolicies
from sharectl.drivers.ontap.volumes import NAME_NOTE, PROTOCOL_NOTE, Volumes, noted, why_not_adoptable
from sharectl.model.access import CIFS, NFS, joined_protocols
from sharectl.model.diagnostics import counted
from sharectl.model.observed import BackendReport, Hindrance

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.qtrees.records import Qtree
    from sharectl.drivers.ontap.settings import OntapSettings
    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject
    from sharectl.model.observed import ObservedShare, ObservedSnapshot, PoolReport
    from sharectl.model.requests import RuleStatus, ShareRef, ShareRequest, SnapshotRef
    from sharectl.model.specs import SnapshotPolicy

SVMS: Final = "svm/svms"
_NAMED: Final = 3


class OntapDriver:
    """Shares on the volumes of one SVM."""

    def __init__(self, settings: OntapSettings, array: Array, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Connect to nothing yet."""
        self._settings, self._array = settings, array
        svm = settings.svm
        self._volumes = Volumes(array, svm)
        self._policies = Policies(array, svm, sleep)
        self._access = Access(self._volumes, self._policies, settings.treatment)
        self._creation = Creation(self._volumes, self._policies)
        self._sizes = Sizes(self._volumes)
        self._smb = SmbAccess(self._volumes, svm)
        self._rules = Rules(self._volumes, self._access, self._smb, settings.smb)
        self._snapshot_policies = SnapshotPolicies(self._volumes, svm)
        self._removal = Removal(
            self._volumes,
            self._access,
            self._rules,
            self._creation,
            self._snapshot_policies,
            past_queue=settings.past_recovery_queue,
        )
        self._making = Making(self._volumes, self._creation, settings)
        self._qtrees = QtreeShares(self._volumes, self._policies, self._creation.smb_paths, settings, sleep)
        self._listing = Listing(
            self._volumes, self._policies, self._access, self._smb, self._snapshot_policies, self._qtrees, settings
        )

    def report(self) -> BackendReport:
        """As in the contract; the identity is that of the cluster and the SVM, once the policy without rules is there, or shares are."""
        svm = self._svm_record("uuid", "name", "state")
        closed = self._policies.closed(self._svm)
        is_prepared = closed is not None or any(each.note is not None for each in self._volumes.all())
        identity = f"{self._array.cluster.get('uuid')}/{svm['uuid']}" if is_prepared else None
        hindrances = []
        if svm.get("state", "running") != "running":
            hindrances.append(
                Hindrance(f"the SVM {self._svm} is {svm['state']}, and serves nobody", "start it on the array")
            )
        if closed is not None and closed.get("rules"):
            summary = f"the export policy {CLOSED_POLICY}, which is for shares that nobody may reach, has rules"
            hindrances.append(Hindrance(summary, "remove its rules on the array"))
        hindrances += self._hindrances()
        protocols = (NFS,) if self._settings.smb is None else (NFS, CIFS)
        capabilities = {
            "vendor_name": "NetApp",
            "storage_protocol": joined_protocols(protocols),
            "netapp_storage_family": "ontap_cluster",
            "driver_handles_share_servers": False,
            "mount_snapshot_support": False,
            "ipv4_support": True,
            "ipv6_support": True,
            **self._snapshot_policies.capabilities(),
        }
        return BackendReport(identity, protocols, capabilities, None, tuple(hindrances))

    def _hindrances(self) -> Iterator[Hindrance]:
        """Yield what of the configuration the array does not have, or does not follow."""
        yield from choice_hindrances(self._array, self._pool_choice)
        percent = self._settings.snapshot_reserve_percent
        others: Mapping[str, int] = {}
        with suppress(TransientError):  # it is told of the next time
            others = self._volumes.with_another_reserve(f"{RESERVE_NOTE}=backend", percent)
        if others:
            shown = ", ".join(f"{name} {kept} %" for name, kept in sorted(others.items())[:_NAMED])
            summary = (
                f"snapshotReserve is {percent}, and {counted(len(others), 'volume')} of shares, made when it was another, "
                f"{'keep' if len(others) > 1 else 'keeps'} another part for snapshots ({shown}{', …' if len(others) > _NAMED else ''})"
            )
            remedy = f"it is for new volumes: give those that are there the same on the array, or put it back (`volume modify -percent-snapshot-space {percent}`)"
            yield Hindrance(summary, remedy)

    @property
    def _svm(self) -> str:
        if self._settings.svm is None:
            raise AssertionError
        return self._settings.svm

    def svm_of(self, share_server_id: str | None) -> str:
        """Return the SVM that a share is to be on. Raises DriverError where there is none."""
        del share_server_id
        return self._svm

    def place_of(self, backend_id: str) -> tuple[str, str]:
        """Return the SVM and the name of a volume by what the listing calls it."""
        return self._svm, backend_id

    def svms(self) -> Collection[str]:
        """Return the SVMs with shares."""
        return [self._svm]

    def _svm_record(self, *fields: str) -> JsonObject:
        found = self._array.records(SVMS, svm=self._svm, query={"name": self._svm}, fields=fields)
        if not found:
            message = f"{self._array.name}: there is no SVM called {self._svm!r}, or the login may not see it"
            raise DriverError(message)
        return found[0]

    def prepare(self) -> str:
        """As in the contract: make the policy of shares that nobody may reach."""
        svm = self._svm_record("uuid")
        self._policies.ensure_closed(self._svm)
        return f"{self._array.cluster.get('uuid')}/{svm['uuid']}"

    def pools(self) -> Sequence[PoolReport]:
        """As in the contract: the aggregates that the SVM is assigned, and sets of them."""
        return list_pools(self._array, self._pool_choice)

    @property
    def _pool_choice(self) -> PoolChoice:
        settings = self._settings
        return PoolChoice(settings.svm, settings.aggregates, settings.flexgroups, qtrees=settings.qtrees)

    def list_shares(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShare]:
        """As in the contract."""
        return self._listing.shares(resource_ids)

    def create_share(self, request: ShareRequest) -> ObservedShare:
        """As in the contract."""
        if (problem := request_problem(request, self._settings)) is not None:
            raise DriverError(problem)
        svm = self.svm_of(request.share_server_id)
        if (pool := pool_called(request.pool, self._settings.qtrees)) is not None:
            qtree, container = self._qtrees.create(request, svm, pool)
            if container is None or qtree.policy != CLOSED_POLICY:
                return self._listing.qtree(qtree)
            return self._listing.new_qtree(qtree, container, request.size_bytes)
        volume = self._making.make(request, svm)
        return self._listing.new_share(volume) if volume.policy == CLOSED_POLICY else self._listing.share(volume)

    def delete_share(self, share: ShareRef) -> None:
        """As in the contract; the array keeps the volume in its recovery queue for a while, unless the backend says otherwise."""
        if self._is_qtree(share) and self._qtrees.delete(share.resource_id):
            return
        self._removal.delete(share.resource_id, self._svm)

    def update_access(
        self,
        share: ShareRef,
        rules: Collection[AccessRule],
        add: Collection[AccessRule],
        delete: Collection[AccessRule],
    ) -> Mapping[AccessRule, RuleStatus]:
        """As in the contract; the whole set is put in force each time, in one step."""
        repairs = not add and all(rule.is_remark for rule in delete)
        if self._is_qtree(share):
            return self._qtrees.update_access(share, rules, repairs=repairs)
        return self._rules.update(share, rules, repairs=repairs)

    def change_protocols(self, share: ShareRef, protocol: str) -> None:
        """As in the contract."""
        if (problem := protocol_problem(protocol, self._settings.smb)) is not None:
            raise DriverError(problem)
        if self._is_qtree(share):
            self._qtrees.change_protocols(share, protocol)
        else:
            self._rules.change_protocols(share, protocol)

    def extend_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """As in the contract."""
        if self._is_qtree(share):
            return self._qtrees.extend(share, size_bytes)
        return self._sizes.extend(share.resource_id, size_bytes)

    def shrink_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """As in the contract."""
        if self._is_qtree(share):
            return self._qtrees.shrink(share, size_bytes)
        return self._sizes.shrink(share.resource_id, size_bytes)

    def list_snapshots(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedSnapshot]:
        """As in the contract; those that the array takes by its own policies have no id."""
        found = snapshots.list_snapshots(self._array, self.svms(), resource_ids)
        return [snapshots.observed(record, self._listing.backend_id_of(record)) for record in found]

    def create_snapshot(self, share: ShareRef, resource_id: str, name: str) -> ObservedSnapshot:
        """As in the contract."""
        self._refuse_qtree(share, "snapshots of it would be of its whole volume")
        volume = self._volumes.known(share.resource_id) or self._volumes.needed(share.resource_id)
        taken = snapshots.take(self._array, volume.uuid, resource_id, name)
        return snapshots.observed(taken, self._listing.backend_id(volume))

    def delete_snapshot(self, snapshot: SnapshotRef) -> None:
        """As in the contract."""
        snapshots.remove_known(self._array, snapshot, self.svms())

    def schedule_snapshots(self, share: ShareRef, policy: SnapshotPolicy | None) -> None:
        """As in the contract; the array takes them, by a policy that all volumes of its SVM with the same one follow."""
        self._refuse_qtree(share, "snapshots of it would be of its whole volume")
        self._snapshot_policies.give(self._volumes.needed(share.resource_id), policy)

    @property
    def clones_within(self) -> Literal["pool", "backend"]:
        """As in the contract: a clone is where the blocks of its parent are."""
        return "pool"

    def revert_share(self, share: ShareRef, snapshot: SnapshotRef) -> None:
        """As in the contract; newer snapshots that the array's own policies took go, and any other keeps it from being done."""
        self._refuse_qtree(share, "only a whole volume is turned back")
        volume = self._volumes.needed(share.resource_id)
        if snapshot.backend_id.partition("/")[0] != volume.uuid:
            message = f"{self._array.name}: the snapshot {snapshot.name!r} is not of the volume {volume.name}, which the share is now; nothing was turned back"
            raise NotFoundError(message)
        check_no_blocks(self._array, volume.svm, volume.uuid, volume.name)
        snapshots.revert(self._array, snapshot, share.size_bytes)
        self._volumes.forget(share.resource_id)

    def used_bytes(self, share: ShareRef) -> int:
        """As in the contract."""
        if self._is_qtree(share):
            return self._qtrees.used_bytes(share)
        return self._sizes.used_bytes(share.resource_id)

    def trash_share(self, share: ShareRef) -> None:
        """As in the contract."""
        now = datetime.now(UTC)
        if self._is_qtree(share):
            self._qtrees.trash(share, now.strftime("%Y%m%dT%H%M%SZ"))
            return
        self._removal.trash(share.resource_id, now.strftime("%Y-%m-%dT%H:%M:%SZ"))

    def restore_share(self, resource_id: str) -> ObservedShare:
        """As in the contract."""
        try:
            volume = self._removal.restore(resource_id)
        except NotFoundError:
            if (qtree := self._trashed_qtree(resource_id)) is None:
                raise
            return self._listing.qtree(qtree)
        return self._listing.share(self._snapshot_policies.resume(volume))

    def _trashed_qtree(self, resource_id: str) -> Qtree | None:
        """Return the qtree of a share, brought back, None where there is none: without pools of qtrees the login may be without a right to look."""
        try:
            return self._qtrees.restore(resource_id)
        except ArrayError as problem:
            if problem.kind != "auth" or self._settings.qtrees:
                raise
            return None

    def adopt_share(self, backend_id: str, resource_id: str, size_bytes: int | None) -> ObservedShare:
        """As in the contract: the volume gets a note in its comment, and nothing else of it changes; the array knows its size."""
        del size_bytes
        if self._names_qtree(backend_id):
            return self._adopt_qtree(backend_id, resource_id)
        svm, name = self.place_of(backend_id)
        volume = self._volumes.named(svm, name)
        if volume is None:
            message = f"{self._array.name}: the SVM {svm} has no volume {name!r}"
            raise NotFoundError(message)
        if volume.note is not None:
            if volume.note.resource_id != resource_id:
                message = f"{self._array.name}: the volume {backend_id} is the share {volume.note.resource_id} already"
                raise ConflictError(message)
            return self._listing.share(volume)
        words = str(volume.record.get("comment") or "")
        seen = self._listing.share(volume)
        if not why_not_adoptable(volume) and self._listing.holds_qtrees(volume):
            message = f"{self._array.name}: the volume {backend_id} cannot be taken over: qtrees are in it that are shares, or can be"
            raise ConflictError(message)
        if seen.not_adoptable:
            message = f"{self._array.name}: the volume {backend_id} cannot be taken over: {seen.not_adoptable}"
            raise ConflictError(message)
        exports = [] if self._settings.smb is None else self._smb.of(volume)
        values = {NAME_NOTE: volume.name, PROTOCOL_NOTE: seen.protocol or NFS}
        if exports and exports[0]["name"] != volume.name:
            values[SMB_NAME_NOTE] = str(exports[0]["name"])
        note = Note(resource_id, values, words)
        self._volumes.change(volume, noted(volume, note))
        return self._listing.share(self._volumes.needed(resource_id))

    def _names_qtree(self, backend_id: str) -> bool:
        """Tell whether this is the name of a qtree: volumes, and SVMs, have no `/` in theirs."""
        return backend_id.count("/") > (0 if self._settings.svm is not None else 1)

    def _is_qtree(self, share: ShareRef) -> bool:
        return (
            self._names_qtree(share.backend_id)
            if share.backend_id
            else pool_called(share.pool, self._settings.qtrees) is not None
        )

    def _refuse_qtree(self, share: ShareRef, why: str) -> None:
        if self._is_qtree(share):
            message = f"{self._array.name}: the share {share.name} is a qtree, and {why}"
            raise DriverError(message)

    def _adopt_qtree(self, backend_id: str, resource_id: str) -> ObservedShare:
        place, _, name = backend_id.rpartition("/")
        svm, volume = self.place_of(place)
        found = self._qtrees.qtrees.at(svm, volume, name)
        if found is not None and found.owner is None and not self._qtrees.qtrees.claiming(resource_id):
            seen = self._listing.qtree(found)
            if seen.not_adoptable:
                message = f"{self._array.name}: the qtree {backend_id} cannot be taken over: {seen.not_adoptable}"
                raise ConflictError(message)
        return self._listing.qtree(self._qtrees.adopt(svm, volume, name, resource_id))

    def close(self) -> None:
        """As in the contract."""
        self._array.close()
