"""The directory driver itself: the calls of the contract, and the errors of the operating system as errors of the contract."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from sharectl.drivers.base import BackendUnavailableError
from sharectl.drivers.directory import files, listing
from sharectl.drivers.directory.access import AccessFiles
from sharectl.drivers.directory.records import checked_id
from sharectl.drivers.directory.storage import Storage
from sharectl.model.access import protocol_words
from sharectl.model.observed import BackendReport, ObservedShare, ObservedSnapshot, PoolReport
from sharectl.model.specs import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sharectl.drivers.directory.records import SnapshotRecord
    from sharectl.drivers.directory.reservations import Reservations
    from sharectl.drivers.directory.serving import Serving
    from sharectl.drivers.directory.settings import DirectorySettings
    from sharectl.drivers.directory.shares import Shares
    from sharectl.drivers.directory.snapshots import Snapshots
    from sharectl.drivers.directory.storage import Metadata
    from sharectl.model.access import AccessRule, ExportSettings
    from sharectl.model.requests import RuleStatus, ShareRef, ShareRequest, SnapshotRef

_CAPABILITIES: Final = {
    "storage_protocol": "NFS_CIFS",
    "driver_handles_share_servers": False,
    "snapshot_support": True,
    "create_share_from_snapshot_support": True,
    "revert_to_snapshot_support": True,
    "mount_snapshot_support": False,
    "size_enforced": False,
}


def utc_now() -> str:
    """Return the time as records hold it: UTC, ISO 8601, whole seconds."""
    return datetime.now(tz=UTC).isoformat(timespec="seconds")


class DirectoryDriver:
    """Shares as directories. Sizes are recorded and not enforced; see docs/reference/directory-driver.md."""

    def __init__(self, settings: DirectorySettings, now: Callable[[], str] = utc_now) -> None:
        """Work under the folders of `settings`; nothing is opened between calls."""
        self._settings = settings
        self._storage = Storage(settings)
        self._access = AccessFiles(self._storage)
        self._now = now

    @cached_property
    def _reservations(self) -> Reservations:
        from sharectl.drivers.directory.reservations import Reservations  # noqa: PLC0415 - only for calls that change something

        return Reservations(self._storage, self._access)

    @cached_property
    def _shares(self) -> Shares:
        from sharectl.drivers.directory.shares import Shares  # noqa: PLC0415 - as above

        return Shares(self._storage, self._access, self._reservations, self._now)

    @cached_property
    def _snapshots(self) -> Snapshots:
        from sharectl.drivers.directory.snapshots import Snapshots  # noqa: PLC0415 - as above

        return Snapshots(self._storage)

    @cached_property
    def _serving(self) -> Serving:
        from sharectl.drivers.directory.serving import Serving  # noqa: PLC0415 - as above

        return Serving(self._storage, self._access, self._reservations)

    @property
    def clones_within(self) -> Literal["pool", "backend"]:
        """A clone may be in any pool; in another one its data is copied, not shared."""
        return "backend"

    def report(self) -> BackendReport:
        """As in the contract."""
        with _readable("the backend cannot be read"), self._storage.metadata_if_prepared() as metadata:
            identity = self._storage.identity()
            hindrances = () if metadata is None else tuple(self._access.hindrances(metadata))
        protocols = (Protocol.NFS.value, Protocol.CIFS.value)
        return BackendReport(identity, protocols, dict(_CAPABILITIES), hindrances=hindrances)

    def prepare(self) -> str:
        """As in the contract."""
        with _translated("the backend cannot be prepared"):
            return self._storage.prepare()

    def raise_fence(self, lineage: str, fence: int) -> None:
        """As in the contract."""
        self.raise_fence_beside(lineage, fence, ())

    def raise_fence_beside(self, lineage: str, fence: int, beside: Collection[int]) -> None:
        """As in the contract."""
        with _translated("the fence of this run cannot be raised"):
            self._storage.raise_fence(lineage, fence, beside)

    def pools(self) -> Sequence[PoolReport]:
        """As in the contract; a pool whose file system is not mounted has a capacity of zero, so that nothing is placed there."""
        with _readable("the pools cannot be read"), self._storage.metadata_if_prepared() as metadata:
            allocated: dict[str, int] = {}
            if metadata is not None:
                for record in metadata.shares.read_all():
                    allocated[record.pool] = allocated.get(record.pool, 0) + (record.size_bytes or 0)
            return tuple(
                self._pool_report(metadata, name, allocated.get(name, 0)) for name in sorted(self._settings.pools)
            )

    def list_shares(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShare]:
        """As in the contract."""
        with _readable("the shares cannot be listed"):
            return listing.list_shares(self._storage, self._access, resource_ids)

    def create_share(self, request: ShareRequest) -> ObservedShare:
        """As in the contract."""

        def fill(metadata: Metadata, snapshot: SnapshotRef, target_fd: int) -> None:
            self._snapshots.require_fits(metadata, snapshot, request.size_bytes)
            self._snapshots.fill(metadata, snapshot, target_fd)

        with _translated(f"the share {request.name!r} cannot be made"):
            record, outcome = self._shares.create(request, fill)
            rules: tuple[AccessRule, ...] = ()
            settings: ExportSettings | None = None
            if outcome == "found":
                with self._storage.metadata() as metadata:
                    rules, settings = self._access.access(metadata, record)
            return listing.observed(self._settings, record, rules, export_settings=settings)

    def delete_share(self, share: ShareRef) -> None:
        """As in the contract."""
        checked_id(share.resource_id)
        with _translated(f"the share {share.name!r} cannot be removed"):
            self._shares.delete(share)

    def update_access(
        self,
        share: ShareRef,
        rules: Collection[AccessRule],
        add: Collection[AccessRule],
        delete: Collection[AccessRule],
    ) -> Mapping[AccessRule, RuleStatus]:
        """As in the contract; the whole fragment is written each time, so the change itself does not matter."""
        del add, delete
        with _translated(f"the access of the share {share.name!r} cannot be written"):
            return self._serving.apply_access(share, rules)

    def rename_export(self, share: ShareRef, export_name: str) -> None:
        """As in the contract; sessions under the old name last until the administrator has Samba read its configuration again."""
        with _translated(f"the share {share.name!r} cannot be exported as {export_name!r}"):
            self._serving.rename_export(share, export_name)

    def change_protocols(self, share: ShareRef, protocol: str) -> None:
        """As in the contract; clients over a protocol that goes are cut off when the administrator has its server read its configuration."""
        with _translated(f"the share {share.name!r} cannot be exported over {protocol_words(protocol)}"):
            self._serving.change_protocols(share, protocol)

    def extend_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """As in the contract."""
        with _translated(f"the size of the share {share.name!r} cannot be changed"):
            return self._shares.resize(share, size_bytes, max)

    def shrink_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """As in the contract."""
        with _translated(f"the size of the share {share.name!r} cannot be changed"):
            return self._shares.resize(share, size_bytes, min)

    def used_bytes(self, share: ShareRef) -> int:
        """As in the contract."""
        with _translated(f"the share {share.name!r} cannot be measured"):
            return self._shares.used_bytes(share)

    def list_snapshots(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedSnapshot]:
        """As in the contract."""
        with _readable("the snapshots cannot be listed"):
            return [_observed_snapshot(record) for record in listing.list_snapshots(self._storage, resource_ids)]

    def create_snapshot(self, share: ShareRef, resource_id: str, name: str) -> ObservedSnapshot:
        """As in the contract."""
        with _translated(f"the snapshot {name!r} cannot be taken"):
            return _observed_snapshot(self._snapshots.create(share, resource_id, name))

    def delete_snapshot(self, snapshot: SnapshotRef) -> None:
        """As in the contract."""
        with _translated(f"the snapshot {snapshot.name!r} cannot be removed"):
            self._snapshots.delete(snapshot)

    def revert_share(self, share: ShareRef, snapshot: SnapshotRef) -> None:
        """As in the contract."""
        with _translated(f"the share {share.name!r} cannot be reverted"):
            self._snapshots.revert(share, snapshot)

    def trash_share(self, share: ShareRef) -> None:
        """As in the contract."""
        with _translated(f"the share {share.name!r} cannot be put into the trash"):
            self._shares.trash(share)

    def restore_share(self, resource_id: str) -> ObservedShare:
        """As in the contract."""
        with _translated("the share cannot be restored"):
            return listing.observed(self._settings, self._shares.restore(resource_id), ())

    def adopt_share(self, backend_id: str, resource_id: str, size_bytes: int | None) -> ObservedShare:
        """As in the contract; the protocol of the share is that of its first access rules."""
        with _translated(f"the share {backend_id!r} cannot be taken over"):
            record = self._shares.adopt(backend_id, resource_id, size_bytes)
            with self._storage.metadata() as metadata:
                rules, settings = self._access.access(metadata, record)
            return listing.observed(self._settings, record, rules, export_settings=settings)

    def close(self) -> None:
        """As in the contract; nothing is held between calls."""

    def _pool_report(self, metadata: Metadata | None, name: str, allocated_bytes: int) -> PoolReport:
        total_bytes, free_bytes = self._capacity(metadata, name)
        return PoolReport(
            name=name,
            total_bytes=total_bytes,
            free_bytes=free_bytes,
            allocated_bytes=allocated_bytes,
            provisioned_bytes=allocated_bytes,
            thin_provisioning=True,
        )

    def _capacity(self, metadata: Metadata | None, name: str) -> tuple[int, int]:
        if metadata is None or name not in metadata.pool_names:
            status = os.statvfs(_nearest_existing(self._settings.pools[name]))
        else:
            try:
                with self._storage.pool(metadata, name) as pool:
                    status = os.statvfs(pool.fd)
            except BackendUnavailableError:
                return 0, 0
        return status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize


def _observed_snapshot(record: SnapshotRecord) -> ObservedSnapshot:
    return ObservedSnapshot(
        resource_id=record.resource_id,
        backend_id=f"{record.share_backend_id}@{record.resource_id}",
        name=record.name,
        share_backend_id=record.share_backend_id,
        size_bytes=record.size_bytes,
    )


def _nearest_existing(path: str) -> str:
    """Return the folder in which a pool that is not there yet would be made."""
    while not os.path.isdir(path):  # noqa: PTH112 - paths are text everywhere here
        path = os.path.dirname(path)  # noqa: PTH120 - as above
    return path


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise files.error_from(cause, what) from cause


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Whatever keeps a listing from being whole means that the backend cannot be read."""
    try:
        yield
    except OSError as cause:
        message = str(files.error_from(cause, what))
        raise BackendUnavailableError(message) from cause
