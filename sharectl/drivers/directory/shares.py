"""Shares: made, removed, put aside, brought back and taken over, each so that a call cut short at any instant can be repeated."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from sharectl.drivers.base import ConflictError, DriverError, NotFoundError, ShareInUseError, TransientError
from sharectl.drivers.directory import files, names, trees
from sharectl.drivers.directory.access import export_name_problem, require_exportable
from sharectl.drivers.directory.records import ShareRecord, checked_id
from sharectl.drivers.directory.settings import backend_id_of, split_backend_id
from sharectl.drivers.directory.storage import TREE
from sharectl.drivers.directory.whereabouts import locate, opened_record, opened_share, require_live
from sharectl.model.quantities import approximate_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.drivers.directory.access import AccessFiles
    from sharectl.drivers.directory.reservations import Reservations
    from sharectl.drivers.directory.storage import Metadata, Pool, Storage
    from sharectl.model.requests import ShareRef, ShareRequest, SnapshotRef


class Shares:
    """The life of the shares of one backend."""

    def __init__(
        self, storage: Storage, access: AccessFiles, reservations: Reservations, now: Callable[[], str]
    ) -> None:
        """Work in `storage`; `now` gives the time as it is written into records (UTC, ISO 8601)."""
        self._storage = storage
        self._access = access
        self._reservations = reservations
        self._now = now
        # Each taken by the first sweep of its kind of call, and never given back.
        self._swept_by_creation = threading.Lock()
        self._swept_by_deletion = threading.Lock()

    def create(
        self, request: ShareRequest, fill: Callable[[Metadata, SnapshotRef, int], None]
    ) -> tuple[ShareRecord, Literal["made", "found"]]:
        """Make the share, or finish making it; `fill` copies a snapshot into an opened directory, for a clone."""
        checked_id(request.resource_id)
        names.check_share_name(request.name)
        export_name = request.export_name or request.name
        require_exportable(export_name_problem(request.export_name, request.protocol))
        require_exportable(self._access.problem(request.protocol, request.pool, request.name, export_name))
        with self._storage.metadata() as metadata:
            earlier = metadata.shares.read(request.resource_id)
            if earlier is not None:
                with self._storage.pool(metadata, earlier.pool) as pool:
                    place = locate(metadata, pool, earlier)
                    if place == "live":
                        return self._placed(metadata, earlier), "found"
                    if place == "trash":
                        message = f"the share {earlier.name!r} with this id is in the trash; restore it instead"
                        raise DriverError(message)
                    if earlier.pool != request.pool:
                        self._reservations.forget(metadata, earlier)
        self._prepare_new_pool(request.pool)
        with self._storage.metadata() as metadata, self._storage.pool(metadata, request.pool) as pool:
            self.sweep(metadata, self._swept_by_creation)
            return self._make(metadata, pool, request, fill), "made"

    def delete(self, share: ShareRef) -> None:
        """Remove the share; its directory disappears at one instant, then what was in it."""
        with self._storage.metadata() as metadata:
            record = metadata.shares.read(share.resource_id)
            if record is not None:
                with self._storage.pool(metadata, record.pool) as pool:
                    self._access.withdraw(metadata, record)
                    record = _marked_as_removing(metadata, pool, record)
                    self._remove(metadata, pool, record)
            else:
                self._empty_workspaces(metadata, share.resource_id)
            self.sweep(metadata, self._swept_by_deletion)

    def resize(self, share: ShareRef, size_bytes: int, bound: Callable[[int, int], int]) -> int | None:
        """Record the new size, unless the `bound` of it and the size that the share has is the latter, which is returned then.

        Raises ShareInUseError where more than the new size is used.
        """
        with opened_share(self._storage, share.resource_id) as (metadata, pool, record):
            is_smaller = record.size_bytes is None or bound(record.size_bytes, size_bytes) < record.size_bytes
            if is_smaller:
                with files.opened_directory(record.directory, pool.fd) as share_fd:
                    used_bytes = trees.used_bytes(share_fd)
                if used_bytes > size_bytes:
                    message = (
                        f"the share {record.name!r} uses {approximate_size(used_bytes)}, more than the "
                        f"{approximate_size(size_bytes)} that it is to be shrunk to"
                    )
                    raise ShareInUseError(message)
            with self._storage.locked(metadata):  # of two that make room, none takes back what the other made
                found = metadata.shares.read(share.resource_id) or record
                if found.size_bytes is None or bound(found.size_bytes, size_bytes) != found.size_bytes:
                    metadata.shares.write(replace(found, size_bytes=size_bytes))
                    return None
                return None if found.size_bytes == size_bytes else found.size_bytes

    def used_bytes(self, share: ShareRef) -> int:
        """Measure what the share's data occupies."""
        with (
            opened_share(self._storage, share.resource_id) as (_, pool, record),
            files.opened_directory(record.directory, pool.fd) as share_fd,
        ):
            return trees.used_bytes(share_fd)

    def trash(self, share: ShareRef) -> None:
        """Withdraw every access and move the directory to the trash of its pool."""
        with opened_record(self._storage, share.resource_id) as found:
            metadata, pool, record = found
            if locate(metadata, pool, record) != "trash":
                require_live(found)
                self._access.withdraw(metadata, record)
                metadata.shares.write(replace(record, trashed_at=self._now()), guard=pool.locked)
                with self._storage.locked(metadata):
                    files.rename_to_free(record.directory, pool.fd, f"trash/{record.resource_id}", pool.private_fd)
                os.fsync(pool.fd)
                files.sync_directory("trash", pool.private_fd)
            self._reservations.release(metadata, record)

    def restore(self, resource_id: str) -> ShareRecord:
        """Move the share out of the trash, under its old name or, where that is taken, a new one."""
        with opened_record(self._storage, resource_id) as (metadata, pool, record):
            place = locate(metadata, pool, record)
            if place is None:
                message = f"the share {record.name!r} is not in the trash"
                raise NotFoundError(message)
            if place == "live":
                return self._placed(metadata, record)
            trashed = f"trash/{resource_id}"
            with self._storage.locked(metadata):
                named = None if record.export_name == record.directory else record.export_name
                if named is not None and names.is_taken(metadata, resource_id, named):
                    named = None
                chosen = self._reservations.claim(metadata, pool, resource_id, record.directory, named)
            inode = os.stat(trashed, dir_fd=pool.private_fd, follow_symlinks=False).st_ino
            moved = replace(
                record, directory=chosen.directory, export_name=chosen.export_name, placed=False, inode=inode
            )
            metadata.shares.write(moved, guard=pool.locked)
            _put_in_place(trashed, pool.private_fd, moved, pool)
            return self._placed(metadata, moved)

    def adopt(self, backend_id: str, resource_id: str, size_bytes: int | None) -> ShareRecord:
        """Put an existing directory under an id."""
        pool_name, directory = split_backend_id(backend_id)
        if pool_name not in self._storage.settings.pools:
            message = f"the backend has no share {backend_id!r}: it has no pool {pool_name!r}"
            raise NotFoundError(message)
        self._prepare_new_pool(pool_name)
        with self._storage.metadata() as metadata, self._storage.pool(metadata, pool_name) as pool:
            status = None
            if names.is_adoptable(directory):
                status = files.status_of(directory, pool.fd)
            if status is None or not stat.S_ISDIR(status.st_mode):
                message = f"the backend has no share {backend_id!r}: the pool {pool_name!r} has no such directory"
                raise NotFoundError(message)
            with self._storage.locked(metadata):
                known = metadata.shares.read(resource_id)
                if known is not None:
                    if (known.pool, known.directory) == (pool_name, directory) and known.trashed_at is None:
                        return known
                    message = f"the id is that of the share {backend_id_of(known.pool, known.directory)!r} already"
                    raise ConflictError(message)
                holder = names.holder_of(metadata, pool_name, directory)
                other = None if holder is None else metadata.shares.read(holder)
                held = other is not None and (other.pool, other.directory) == (pool_name, directory)
                if other is not None and held and locate(metadata, pool, other) is not None:
                    message = f"the share {backend_id!r} is managed already, under the id {other.resource_id}"
                    raise ConflictError(message)
                chosen = names.claim_existing_directory(metadata, pool, resource_id, directory)
                record = ShareRecord(
                    resource_id=resource_id,
                    name=directory,
                    pool=pool_name,
                    directory=directory,
                    export_name=chosen.export_name,
                    size_bytes=size_bytes,
                    protocol=None,
                    placed=True,
                    inode=status.st_ino,
                )
                metadata.shares.write(record)
            return record

    def sweep(self, metadata: Metadata, once: threading.Lock) -> None:
        """Remove, `once` in the life of a driver, what calls that were cut short left, and the records of shares that went with it."""
        if once.acquire(blocking=False):
            self._storage.sweep_temporaries(metadata)
            for pool_name in sorted(metadata.pool_names & self._storage.settings.pools.keys()):
                with self._storage.pool(metadata, pool_name) as pool:
                    for resource_id in pool.leftovers():
                        with suppress(TransientError):  # taken up again meanwhile by a repeated call
                            self._sweep_one(metadata, pool, resource_id)

    def _empty_workspaces(self, metadata: Metadata, resource_id: str) -> None:
        """Remove what a deletion that was cut short has left: its record goes before its data."""
        for pool_name in sorted(metadata.pool_names & self._storage.settings.pools.keys()):
            with self._storage.pool(metadata, pool_name) as pool:
                if files.is_directory(f"work/{checked_id(resource_id)}", pool.private_fd):
                    with pool.workspace(resource_id):
                        pass

    def _sweep_one(self, metadata: Metadata, pool: Pool, resource_id: str) -> None:
        # Looked at before the workspace is emptied: what is in it keeps its inode from being that of another directory.
        record = metadata.shares.read(resource_id)
        gone = record is not None and record.pool == pool.name and locate(metadata, pool, record) is None
        with pool.workspace(resource_id):
            if record is not None and gone:
                self._reservations.forget(metadata, record)
            elif record is not None and record.pool == pool.name:
                self._reservations.end_rename(metadata, record)

    def _remove(self, metadata: Metadata, pool: Pool, record: ShareRecord) -> None:
        """Take the data away at one instant, then the record, and only then what was in it: no record outlives its data unmarked."""
        place = locate(metadata, pool, record)
        with pool.workspace(record.resource_id) as work_fd:
            if place == "live" and files.status_of(record.directory, pool.fd) is not None:
                with pool.locked():
                    os.rename(record.directory, "live", src_dir_fd=pool.fd, dst_dir_fd=work_fd)
                os.fsync(pool.fd)
            for folder in ("trash", "displaced"):
                if files.status_of(f"{folder}/{record.resource_id}", pool.private_fd) is not None:
                    with pool.locked():
                        os.rename(
                            f"{folder}/{record.resource_id}", folder, src_dir_fd=pool.private_fd, dst_dir_fd=work_fd
                        )
                    files.sync_directory(folder, pool.private_fd)
            self._reservations.forget(metadata, record)

    def _make(
        self,
        metadata: Metadata,
        pool: Pool,
        request: ShareRequest,
        fill: Callable[[Metadata, SnapshotRef, int], None],
    ) -> ShareRecord:
        resource_id = request.resource_id
        with pool.workspace(resource_id) as work_fd:
            os.mkdir(TREE, 0o700, dir_fd=work_fd)
            with files.opened_directory(TREE, work_fd) as tree_fd:
                if request.snapshot is None:
                    os.fchmod(tree_fd, self._storage.settings.share_mode)
                else:
                    fill(metadata, request.snapshot, tree_fd)
                    files.sync_file_system(tree_fd)
                inode = os.fstat(tree_fd).st_ino
            with self._storage.locked(metadata):
                self._reservations.require_name(metadata, pool, request)
                chosen = self._reservations.claim(metadata, pool, resource_id, request.name, request.export_name)
            record = ShareRecord(
                resource_id=resource_id,
                name=request.name,
                pool=pool.name,
                directory=chosen.directory,
                export_name=chosen.export_name,
                size_bytes=request.size_bytes,
                protocol=request.protocol,
                placed=False,
                inode=inode,
            )
            metadata.shares.write(record, guard=pool.locked)
            _put_in_place(TREE, work_fd, record, pool)
            return self._placed(metadata, record)

    def _placed(self, metadata: Metadata, record: ShareRecord) -> ShareRecord:
        if record.placed and record.trashed_at is None:
            return record
        record = replace(record, placed=True, trashed_at=None)
        metadata.shares.write(record, guard=partial(self._storage.locked, metadata))
        return record

    def _prepare_new_pool(self, pool_name: str) -> None:
        with self._storage.metadata() as metadata:
            is_new = pool_name in self._storage.settings.pools.keys() - metadata.pool_names
        if is_new:  # added to the configuration since the backend was prepared
            self._storage.prepare()


def _marked_as_removing(metadata: Metadata, pool: Pool, record: ShareRecord) -> ShareRecord:
    """Note durably which directory is to go, so that another one of its name is not taken for it after a call that was cut short."""
    if record.removing:
        return record
    status = files.status_of(record.directory, pool.fd) if locate(metadata, pool, record) == "live" else None
    marked = replace(record, removing=True, inode=record.inode if status is None else status.st_ino)
    metadata.shares.write(marked, guard=pool.locked)
    return marked


def _put_in_place(name: str, from_fd: int, record: ShareRecord, pool: Pool) -> None:
    try:
        with pool.locked():
            files.rename_to_free(name, from_fd, record.directory, pool.fd)
    except FileExistsError as cause:
        message = f"something appeared at {record.directory!r} in the pool {pool.name!r} that sharectl did not make"
        raise ConflictError(message) from cause
    os.fsync(pool.fd)
