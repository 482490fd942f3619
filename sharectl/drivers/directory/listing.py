"""Listing: every share that is really in the pools, with the access that the fragments put in force."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from sharectl.drivers.base import BackendUnavailableError
from sharectl.drivers.directory import files, names
from sharectl.drivers.directory.settings import backend_id_of
from sharectl.model.access import CIFS, NFS, protocols_in
from sharectl.model.observed import ObservedShare

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sharectl.drivers.directory.access import AccessFiles
    from sharectl.drivers.directory.records import ShareRecord, SnapshotRecord
    from sharectl.drivers.directory.settings import DirectorySettings
    from sharectl.drivers.directory.storage import Metadata, Storage
    from sharectl.model.access import AccessRule, ExportSettings


class _PoolContent(NamedTuple):
    """What is in a pool: inodes of its directories by name, and the ids in its trash and among the displaced."""

    directories: dict[str, int]
    trashed: frozenset[str]
    displaced: frozenset[str]


def list_shares(storage: Storage, access: AccessFiles, resource_ids: Collection[str] | None) -> list[ObservedShare]:
    """Return all shares, those that sharectl did not make too, or just those with these ids.

    Raises BackendUnavailableError where a pool or a record cannot be read, so that the answer is whole.
    """
    with storage.metadata_if_prepared() as metadata:
        if metadata is None:
            return [] if resource_ids is not None else _unmanaged_before_preparation(storage.settings, ())
        contents = {name: _content(storage, metadata, name) for name in sorted(metadata.pool_names)}
        reader = access.reader(metadata)
        found: list[ObservedShare] = []
        managed: set[tuple[str, str]] = set()
        for record in metadata.shares.read_all(resource_ids):
            content = contents[record.pool]
            if record.resource_id in content.trashed:
                found.append(observed(storage.settings, record, (), in_trash=True))
            elif _is_live(metadata, record, content):
                managed.add((record.pool, record.directory))
                rules, settings = reader.access(record)
                found.append(observed(storage.settings, record, rules, export_settings=settings))
        if resource_ids is None:
            found.extend(
                _unmanaged(name, directory)
                for name, content in contents.items()
                for directory in content.directories
                if (name, directory) not in managed
            )
            found.extend(_unmanaged_before_preparation(storage.settings, metadata.pool_names))
        return found


def list_snapshots(storage: Storage, resource_ids: Collection[str] | None) -> list[SnapshotRecord]:
    """Return the records of all snapshots that are whole, or of those with these ids."""
    with storage.metadata_if_prepared() as metadata:
        if metadata is None:
            return []
        wanted: dict[str, list[SnapshotRecord]] = {}
        for record in metadata.snapshots.read_all(resource_ids):
            wanted.setdefault(record.pool, []).append(record)
        whole: list[SnapshotRecord] = []
        for pool_name, records in wanted.items():
            with storage.pool(metadata, pool_name) as pool:
                there = set(files.names_in("copies", pool.private_fd))
            whole.extend(record for record in records if record.resource_id in there)
        return whole


def observed(
    settings: DirectorySettings,
    record: ShareRecord,
    rules: Iterable[AccessRule],
    *,
    in_trash: bool = False,
    export_settings: ExportSettings | None = None,
) -> ObservedShare:
    """Return a managed share as the driver reports it."""
    return ObservedShare(
        resource_id=record.resource_id,
        backend_id=backend_id_of(record.pool, record.directory),
        name=record.name,
        pool=record.pool,
        size_bytes=record.size_bytes,
        protocol=record.protocol,
        access=tuple(rules),
        export_locations=() if in_trash else _export_locations(settings, record),
        trashed_at=record.trashed_at if in_trash else None,
        export_settings=export_settings,
        export_name=record.export_name,
    )


def _export_locations(settings: DirectorySettings, record: ShareRecord) -> tuple[str, ...]:
    host = f"[{settings.export_host}]" if ":" in settings.export_host else settings.export_host
    by_protocol = {
        NFS: f"{host}:{settings.exported_path(record.pool, record.directory)}",
        CIFS: f"\\\\{settings.export_host}\\{record.export_name}",
    }
    return tuple(by_protocol[protocol] for protocol in protocols_in(record.protocol) if protocol in by_protocol)


def _is_live(metadata: Metadata, record: ShareRecord, content: _PoolContent) -> bool:
    # The same answer as whereabouts.locate() gives, for all shares of a pool from three directory listings.
    if record.resource_id in content.displaced:
        return True
    inode = content.directories.get(record.directory)
    if inode is None or ((record.removing or not record.placed) and inode != record.inode):
        return False
    return record.trashed_at is None or names.holder_of(metadata, record.pool, record.directory) == record.resource_id


def _content(storage: Storage, metadata: Metadata, pool_name: str) -> _PoolContent:
    if pool_name not in storage.settings.pools:
        message = f"the pool {pool_name!r} holds shares of this backend but is not in its configuration any more"
        raise BackendUnavailableError(message)
    with storage.pool(metadata, pool_name) as pool:
        before = _directories(pool.fd)
        trashed = frozenset(files.names_in("trash", pool.private_fd))
        displaced = frozenset(files.names_in("displaced", pool.private_fd))
        # Twice, so that a share that is moved meanwhile, whether into the trash or out of it, is seen in one place at least.
        return _PoolContent({**before, **_directories(pool.fd)}, trashed, displaced)


def _directories(pool_fd: int) -> dict[str, int]:
    with os.scandir(pool_fd) as entries:
        return {
            entry.name: entry.inode()
            for entry in entries
            if names.is_share_name(entry.name) and entry.is_dir(follow_symlinks=False)
        }


def _unmanaged_before_preparation(settings: DirectorySettings, prepared: Collection[str]) -> list[ObservedShare]:
    """Return what is in the pools that no share has been made in yet: all but those that are `prepared`."""
    found: list[ObservedShare] = []
    for pool_name, path in sorted(settings.pools.items()):
        if pool_name in prepared:
            continue
        try:
            with files.opened_directory(path) as pool_fd:
                found.extend(_unmanaged(pool_name, directory) for directory in _directories(pool_fd))
        except FileNotFoundError:  # the first apply makes it
            continue
    return found


def _unmanaged(pool_name: str, directory: str) -> ObservedShare:
    name, problem = names.shown(directory)
    return ObservedShare(None, backend_id_of(pool_name, name), name, pool_name, None, None, not_adoptable=problem)
