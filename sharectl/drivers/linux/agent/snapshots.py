"""Snapshots of shares, and shares turned back to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.holdings import Holdings, checked_id
from sharectl.drivers.linux.agent.rows import SnapshotRow
from sharectl.drivers.linux.agent.volumes.contract import Claim, Resize

if TYPE_CHECKING:
    from sharectl.drivers.linux.agent.access import Access
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.versions import Versions
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom


class Snapshots:
    """The snapshots of one backend."""

    def __init__(self, records: Records, pools: PoolRoom, access: Access, versions: Versions) -> None:
        """Touch nothing."""
        self._versions = versions
        self._records = records
        self._pools = pools
        self._access = access
        self._holdings = Holdings(records, pools)

    def create(self, share_id: str, resource_id: str, name: str) -> SnapshotRow:
        """Take a snapshot of the share, unless the one with this id is there."""
        checked_id(resource_id)
        row, pool = self._holdings.present(share_id)
        # The record comes first, so that a snapshot which is taken before a crash is found by its id, and can be removed.
        self._records.put_snapshot(
            SnapshotRow(resource_id, row.pool, name, row.backend_id, row.size_bytes, row.resource_id)
        )
        known = self._holdings.known_snapshot(resource_id)
        identity = pool.create_snapshot(row.volume, resource_id, row.identity)
        if (known.identity, known.is_removing) != (identity, False):
            self._records.update_snapshot(resource_id, identity=identity, is_removing=False)
        self._versions.refresh(share_id)
        return self._holdings.known_snapshot(resource_id)

    def delete(self, resource_id: str) -> None:
        """Remove a snapshot; its record says first that this has begun."""
        row = self._records.snapshot(checked_id(resource_id))
        if row is not None:
            self._records.update_snapshot(resource_id, is_removing=True)
            pool = self._pools.usable(row.pool)
            row = self._records.snapshot(resource_id)  # as it is once the pool is usable
            if row is not None:
                self._versions.refresh(row.share_id)
                pool.delete_snapshot(resource_id, row.identity)
                self._records.remove_snapshot(resource_id)

    def revert(self, share_id: str, snapshot_id: str) -> None:
        """Turn the share back; what its servers enforced is withdrawn meanwhile.

        It is put in force again whether the pool did it or refused, and after a crash between by the same call repeated.
        """
        row, pool = self._holdings.present(share_id)
        snapshot = self._holdings.known_snapshot(snapshot_id)
        if snapshot.share_id != share_id if snapshot.share_id else snapshot.share_backend_id != row.backend_id:
            message = f"the snapshot {snapshot.name!r} was not taken of the share {row.export_name!r}"
            raise Problem(ProblemKind.REFUSED, message)
        before = row.suspended
        if before is None:
            before = self._access.kept(row)
            self._records.update_share(share_id, suspended=before)
        self._access.suspend(row)
        try:
            pool.detach(row.volume, row.identity)
            claim = Claim(row.identity, lambda identity: self._holdings.record(share_id, next_identity=identity))
            pool.revert(row.volume, snapshot_id, claim, snapshot_identity=snapshot.identity)
            # Whatever has come under the name; somebody may have made the volume larger by hand.
            row = self._holdings.settled(share_id, pool) or row
            pool.resize(row.volume, row.size_bytes, Resize.EXTEND, identity=row.identity)
        finally:
            row = self._holdings.settled(share_id, pool) or row
            self._access.resume(row, before)
            self._records.update_share(share_id, suspended=None)
