"""The driver itself: each call of the contract, given to the module that does it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError, DriverError, NotFoundError
from sharectl.drivers.ontap.access import Access
from sharectl.drivers.ontap.creation import Creation, usual_fields
from sharectl.drivers.ontap.listing import Listing
from sharectl.drivers.ontap.names import CLOSED_POLICY, Note
from sharectl.drivers.ontap.policies import Policies
from sharectl.drivers.ontap.pools import Facts, aggregate_pool, promised_on, svm_aggregates
from sharectl.drivers.ontap.removal import Removal
from sharectl.drivers.ontap.share_checks import share_problem
from sharectl.drivers.ontap.sizes import Sizes
from sharectl.drivers.ontap.volumes import NAME_NOTE, PROTOCOL_NOTE, Volumes, noted, why_not_adoptable
from sharectl.model.access import NFS
from sharectl.model.observed import BackendReport, Hindrance

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.settings import OntapSettings
    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject
    from sharectl.model.observed import ObservedShare, PoolReport
    from sharectl.model.requests import RuleStatus, ShareRef, ShareRequest

SVMS: Final = "svm/svms"


class OntapDriver:
    """Shares on the volumes of one SVM."""

    def __init__(self, settings: OntapSettings, array: Array, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Connect to nothing yet."""
        self._settings, self._array = settings, array
        svm = settings.svm
        self._volumes = Volumes(array, svm)
        self._policies = Policies(array, svm, sleep)
        self._access = Access(self._volumes, self._policies, settings.treatment)
        self._creation = Creation(self._volumes)
        self._removal = Removal(self._volumes, self._access, self._creation, past_queue=settings.past_recovery_queue)
        self._sizes = Sizes(self._volumes)
        self._listing = Listing(self._volumes, self._policies, self._access, svm)

    def report(self) -> BackendReport:
        """As in the contract; the identity is that of the cluster and the SVM, once the policy without rules is there."""
        svm = self._svm_record("uuid", "name", "state")
        closed = self._policies.named(self._svm, CLOSED_POLICY)
        identity = None if closed is None else f"{self._array.cluster.get('uuid')}/{svm['uuid']}"
        hindrances = []
        if svm.get("state", "running") != "running":
            hindrances.append(
                Hindrance(f"the SVM {self._svm} is {svm['state']}, and serves nobody", "start it on the array")
            )
        if closed is not None and closed.get("rules"):
            summary = f"the export policy {CLOSED_POLICY}, which is for shares that nobody may reach, has rules"
            hindrances.append(Hindrance(summary, "remove its rules on the array"))
        capabilities = {
            "vendor_name": "NetApp",
            "storage_protocol": NFS,
            "netapp_storage_family": "ontap_cluster",
            "driver_handles_share_servers": False,
            "mount_snapshot_support": False,
            "ipv4_support": True,
            "ipv6_support": True,
        }
        return BackendReport(identity, (NFS,), capabilities, None, tuple(hindrances))

    @property
    def _svm(self) -> str:
        if self._settings.svm is None:
            message = f"backend {self._settings.backend}: the ontap driver makes no share servers yet; name an `svm`"
            raise DriverError(message)
        return self._settings.svm

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
        """As in the contract: the aggregates that the SVM is assigned."""
        aggregates = svm_aggregates(self._svm_record("name", "aggregates"))
        volumes = self._volumes.all()
        own = {volume.uuid for volume in volumes if volume.note is not None}
        promised = promised_on((volume.record for volume in volumes), lambda record: record["uuid"] in own)
        facts = Facts(is_cluster_login=False, promised=promised)
        return [aggregate_pool(aggregate, facts) for aggregate in aggregates]

    def list_shares(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShare]:
        """As in the contract."""
        return self._listing.shares(resource_ids)

    def create_share(self, request: ShareRequest) -> ObservedShare:
        """As in the contract."""
        problem = share_problem(request.name, request.protocol, request.size_bytes)
        if problem is None and request.snapshot is not None:
            problem = "the ontap driver makes no share from a snapshot yet"
        if problem is not None:
            raise DriverError(problem)
        volume = self._creation.create(request, self._svm, usual_fields(self._settings))
        return self._listing.new_share(volume) if volume.policy == CLOSED_POLICY else self._listing.share(volume)

    def delete_share(self, share: ShareRef) -> None:
        """As in the contract; the array keeps the volume in its recovery queue for a while, unless the backend says otherwise."""
        self._removal.delete(share.resource_id, self._svm)

    def update_access(
        self,
        share: ShareRef,
        rules: Collection[AccessRule],
        add: Collection[AccessRule],
        delete: Collection[AccessRule],
    ) -> Mapping[AccessRule, RuleStatus]:
        """As in the contract; the whole set is put in force each time, in one step."""
        return self._access.update(share, rules, repairs=not add and not delete)

    def extend_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """As in the contract."""
        return self._sizes.extend(share.resource_id, size_bytes)

    def shrink_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """As in the contract."""
        return self._sizes.shrink(share.resource_id, size_bytes)

    def used_bytes(self, share: ShareRef) -> int:
        """As in the contract."""
        return self._sizes.used_bytes(share.resource_id)

    def trash_share(self, share: ShareRef) -> None:
        """As in the contract."""
        self._removal.trash(share.resource_id, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))

    def restore_share(self, resource_id: str) -> ObservedShare:
        """As in the contract."""
        return self._listing.share(self._removal.restore(resource_id))

    def adopt_share(self, backend_id: str, resource_id: str, size_bytes: int | None) -> ObservedShare:
        """As in the contract: the volume gets a note in its comment, and nothing else of it changes; the array knows its size."""
        del size_bytes
        volume = self._volumes.named(self._svm, backend_id)
        if volume is None:
            message = f"{self._array.name}: the SVM {self._svm} has no volume {backend_id!r}"
            raise NotFoundError(message)
        if volume.note is not None:
            if volume.note.resource_id != resource_id:
                message = f"{self._array.name}: the volume {backend_id} is the share {volume.note.resource_id} already"
                raise ConflictError(message)
            return self._listing.share(volume)
        if why_not := why_not_adoptable(volume):
            message = f"{self._array.name}: the volume {backend_id} cannot be taken over: {why_not}"
            raise ConflictError(message)
        words = str(volume.record.get("comment") or "")
        note = Note(resource_id, {NAME_NOTE: volume.name, PROTOCOL_NOTE: NFS}, words)
        self._volumes.change(volume, noted(volume, note))
        return self._listing.share(self._volumes.needed(resource_id))

    def close(self) -> None:
        """As in the contract."""
        self._array.close()
