"""Snapshots: copies of a share that share its blocks where the file system can, and the way back to them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError, NotFoundError
from sharectl.drivers.directory import files, trees
from sharectl.drivers.directory.records import SnapshotRecord, checked_id
from sharectl.drivers.directory.settings import backend_id_of
from sharectl.drivers.directory.storage import TREE
from sharectl.drivers.directory.whereabouts import opened_share
from sharectl.drivers.share_checks import smaller_than_snapshot

if TYPE_CHECKING:
    from sharectl.drivers.directory.storage import Metadata, Pool, Storage
    from sharectl.model.requests import ShareRef, SnapshotRef


class Snapshots:
    """The life of the snapshots of one backend."""

    def __init__(self, storage: Storage) -> None:
        """Work in `storage`."""
        self._storage = storage

    def create(self, share: ShareRef, resource_id: str, name: str) -> SnapshotRecord:
        """Copy the share as it is now; the copy appears whole at one instant."""
        checked_id(resource_id)
        with self._storage.metadata() as metadata:
            existing = metadata.snapshots.read(resource_id)
            if existing is not None:
                with self._storage.pool(metadata, existing.pool) as pool:
                    if _is_whole(pool, resource_id):
                        return existing
        with opened_share(self._storage, share.resource_id) as (metadata, pool, share_record):
            record = SnapshotRecord(
                resource_id=resource_id,
                name=name,
                pool=pool.name,
                share_resource_id=share.resource_id,
                share_backend_id=backend_id_of(pool.name, share_record.directory),
                size_bytes=share_record.size_bytes,
            )
            with pool.workspace(resource_id) as work_fd:
                with files.opened_directory(share_record.directory, pool.fd) as share_fd:
                    _copy_into_workspace(share_fd, work_fd)
                metadata.snapshots.write(record, guard=pool.locked)
                with pool.locked():
                    files.rename_to_free(TREE, work_fd, _copy_of(resource_id), pool.private_fd)
                files.sync_directory("copies", pool.private_fd)
            return record

    def delete(self, snapshot: SnapshotRef) -> None:
        """Remove the snapshot; it disappears at one instant, then what was in it."""
        with self._storage.metadata() as metadata:
            record = metadata.snapshots.read(snapshot.resource_id)
            if record is None:
                return
            with self._storage.pool(metadata, record.pool) as pool:
                with pool.workspace(record.resource_id) as work_fd:
                    if _is_whole(pool, record.resource_id):
                        copy = _copy_of(record.resource_id)
                        with pool.locked():
                            os.rename(copy, "copy", src_dir_fd=pool.private_fd, dst_dir_fd=work_fd)
                        files.sync_directory("copies", pool.private_fd)
                metadata.snapshots.remove(record.resource_id, guard=pool.locked)

    def require_fits(self, metadata: Metadata, snapshot: SnapshotRef, size_bytes: int) -> None:
        """Raise DriverError where a share of this size would be smaller than the one that the snapshot is of."""
        record = metadata.snapshots.read(snapshot.resource_id)
        if record is not None and record.size_bytes is not None and size_bytes < record.size_bytes:
            raise DriverError(smaller_than_snapshot(record.name, record.size_bytes, size_bytes))

    def fill(self, metadata: Metadata, snapshot: SnapshotRef, target_fd: int) -> None:
        """Copy the snapshot into an empty directory; raises NotFoundError where it is not there."""
        record = metadata.snapshots.read(snapshot.resource_id)
        if record is not None:
            with self._storage.pool(metadata, record.pool) as pool:
                if _is_whole(pool, record.resource_id):
                    with files.opened_directory(_copy_of(record.resource_id), pool.private_fd) as copy_fd:
                        trees.copy_tree(copy_fd, target_fd)
                    return
        message = f"the backend has no snapshot with the id {snapshot.resource_id}"
        raise NotFoundError(message)

    def revert(self, share: ShareRef, snapshot: SnapshotRef) -> None:
        """Put a copy of the snapshot in the place of the share; the newer data is removed after that."""
        with opened_share(self._storage, share.resource_id) as (metadata, pool, record):
            displaced = f"displaced/{record.resource_id}"
            with pool.workspace(record.resource_id) as work_fd:
                if files.is_directory(displaced, pool.private_fd):
                    # An earlier revert was done but for this: its newer data is superseded already.
                    os.rename(displaced, "superseded", src_dir_fd=pool.private_fd, dst_dir_fd=work_fd)
                os.mkdir(TREE, 0o700, dir_fd=work_fd)
                with files.opened_directory(TREE, work_fd) as tree_fd:
                    self.fill(metadata, snapshot, tree_fd)
                    files.sync_file_system(tree_fd)
                with pool.locked():
                    is_swapped = files.exchange(TREE, work_fd, record.directory, pool.fd)
                if not is_swapped:
                    # In two steps, with the newer data where a crash in between is noticed and mended.
                    with pool.locked():
                        files.rename_to_free(record.directory, pool.fd, displaced, pool.private_fd)
                    with pool.locked():
                        files.rename_to_free(TREE, work_fd, record.directory, pool.fd)
                    os.rename(displaced, "displaced", src_dir_fd=pool.private_fd, dst_dir_fd=work_fd)
                os.fsync(pool.fd)


def _copy_into_workspace(source_fd: int, work_fd: int) -> None:
    os.mkdir(TREE, 0o700, dir_fd=work_fd)
    with files.opened_directory(TREE, work_fd) as tree_fd:
        trees.copy_tree(source_fd, tree_fd)
        files.sync_file_system(tree_fd)


def _is_whole(pool: Pool, resource_id: str) -> bool:
    return files.is_directory(_copy_of(resource_id), pool.private_fd)


def _copy_of(resource_id: str) -> str:
    return f"copies/{resource_id}"
