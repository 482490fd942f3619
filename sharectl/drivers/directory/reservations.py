"""Which share has which name: names are reserved, given up by shares that have lost their directory, and released."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.drivers.base import ConflictError
from sharectl.drivers.directory import names
from sharectl.drivers.directory.whereabouts import locate
from sharectl.drivers.share_checks import taken_since

if TYPE_CHECKING:
    from sharectl.drivers.directory.access import AccessFiles
    from sharectl.drivers.directory.records import ShareRecord
    from sharectl.drivers.directory.storage import Metadata, Pool, Storage
    from sharectl.model.requests import ShareRequest


class Reservations:
    """The names of the shares of one backend."""

    def __init__(self, storage: Storage, access: AccessFiles) -> None:
        """Work in `storage`; the access of shares that lose their names is withdrawn from `access`."""
        self._storage = storage
        self._access = access

    def require_name(self, metadata: Metadata, pool: Pool, request: ShareRequest) -> None:
        """Raise ConflictError where a share that the plan has not seen has the name."""
        holder = names.holder_of(metadata, pool.name, request.name)
        if holder is not None and request.is_in_the_way(holder) and not self.gives_up(metadata, holder):
            raise ConflictError(taken_since(request.name))

    def claim(
        self, metadata: Metadata, pool: Pool, resource_id: str, name: str, export_name: str | None = None
    ) -> names.ChosenName:
        """Reserve names for a new share, as `names.claim_new_name` does. Precondition: the storage is locked."""
        return names.claim_new_name(
            metadata, pool, resource_id, name, lambda holder: self.gives_up(metadata, holder), export_name
        )

    def gives_up(self, metadata: Metadata, resource_id: str) -> bool:
        """Tell whether the holder of a name has lost its directory; its record then goes too, unless it is in the trash.

        One that keeps its own name lets go of the other one of a rename that was cut short.
        """
        # Asked first: what works on it now writes the record and puts the directory in place before it ends, so that what is read
        # afterwards is whole.
        if self._is_at_work(metadata, resource_id):
            return False
        record = metadata.shares.read(resource_id)
        if record is None:
            return True  # nothing is left of it
        if record.pool not in self._storage.settings.pools:
            return False
        with self._storage.pool(metadata, record.pool) as pool:
            place = locate(metadata, pool, record)
            if place == "live":
                self._end_rename_locked(metadata, record)
                return False
            if place is None:
                self._access.withdraw_locked(metadata, record)
                metadata.shares.remove(resource_id)
            return True

    def end_rename(self, metadata: Metadata, record: ShareRecord) -> ShareRecord:
        """Have the section of a share under its name, and let go of the other one that a rename has left it; return its record.

        Nothing is done where the section was changed by hand.
        """
        if record.former_export_name is None:
            return record
        with self._storage.locked(metadata):
            return self._end_rename_locked(metadata, record)

    def _end_rename_locked(self, metadata: Metadata, record: ShareRecord) -> ShareRecord:
        if record.former_export_name is None or not self._access.move_section(metadata, record):
            return record
        self._release_former(metadata, record)
        ended = replace(record, former_export_name=None)
        metadata.shares.write(ended)
        return ended

    @staticmethod
    def _release_former(metadata: Metadata, record: ShareRecord) -> None:
        former = record.former_export_name
        if former is not None and not names.is_same_export(former, record.export_name):
            names.release_export_name(metadata, record.resource_id, former)

    def _is_at_work(self, metadata: Metadata, resource_id: str) -> bool:
        for pool_name in sorted(metadata.pool_names & self._storage.settings.pools.keys()):
            with self._storage.pool(metadata, pool_name) as pool:
                if pool.is_at_work(resource_id):
                    return True
        return False

    def release(self, metadata: Metadata, record: ShareRecord) -> None:
        """Give up the names of a share."""
        with self._storage.locked(metadata):
            self._release_locked(metadata, record)

    def _release_locked(self, metadata: Metadata, record: ShareRecord) -> None:
        chosen = names.ChosenName(record.directory, record.export_name)
        names.release(metadata, record.pool, chosen, record.resource_id)
        self._release_former(metadata, record)

    def forget(self, metadata: Metadata, record: ShareRecord) -> None:
        """Remove the record of a share that is gone, with its names."""
        with self._storage.locked(metadata):
            self._release_locked(metadata, record)
            metadata.shares.remove(record.resource_id)
