"""What a backend holds: records looked up by id, and held against the volumes that are really there."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind

if TYPE_CHECKING:
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.rows import ShareRow, SnapshotRow
    from sharectl.drivers.linux.agent.volumes.contract import VolumePool
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom

_RESOURCE_ID: Final = re.compile(r"[0-9a-f][0-9a-f-]{0,62}[0-9a-f]")


class Holdings:
    """The records of one backend with the volumes that they are about."""

    def __init__(self, records: Records, pools: PoolRoom) -> None:
        """Read nothing yet."""
        self._records = records
        self._pools = pools

    def known_share(self, resource_id: str) -> ShareRow:
        """Return the row of a share; raises NOT_FOUND."""
        row = self._records.share(checked_id(resource_id))
        if row is None:
            message = f"the backend has no share with the id {resource_id}"
            raise Problem(ProblemKind.NOT_FOUND, message)
        return row

    def present(self, resource_id: str) -> tuple[ShareRow, VolumePool]:
        """Return the row of a share whose volume is really there, and its pool."""
        row = self.known_share(resource_id)
        was_in_use = self._pools.is_in_use(row.pool)
        pool = self._pools.usable(row.pool)
        if not was_in_use or row.next_identity is not None:  # the first use of a pool may change the record
            row = self.settled(resource_id, pool) or self.known_share(resource_id)
        require_own(row, pool.identify(row.volume))
        return row, pool

    def settled(self, resource_id: str, pool: VolumePool) -> ShareRow | None:
        """Return the row as it is once the pool is usable; where a revert has put a copy in place, it is that copy's from now on."""
        row = self._records.share(resource_id)
        if row is None or row.next_identity is None or row.next_identity != pool.identify(row.volume):
            return row
        self.record(resource_id, identity=row.next_identity, next_identity=None)
        return replace(row, identity=row.next_identity, next_identity=None)

    def record(self, resource_id: str, *, is_durable: bool = True, **values: str | None) -> None:
        """Change the record of a share; raises CONFLICT where it was taken away meanwhile."""
        if not self._records.update_share(resource_id, is_durable=is_durable, **values):
            message = f"the share with the id {resource_id} was removed by another call meanwhile"
            raise Problem(ProblemKind.CONFLICT, message)

    def known_snapshot(self, resource_id: str) -> SnapshotRow:
        """Return the row of a snapshot; raises NOT_FOUND."""
        row = self._records.snapshot(checked_id(resource_id))
        if row is None:
            message = f"the backend has no snapshot with the id {resource_id}"
            raise Problem(ProblemKind.NOT_FOUND, message)
        return row


def require_own(row: ShareRow, found: str | None) -> None:
    """Raise NOT_FOUND unless the volume with the identity `found`, which has the name, is that of the share."""
    if not row.owns(found):
        message = f"the volume {row.backend_id} of the share {row.export_name!r} is gone"
        if found is not None:
            message += ", and another that sharectl did not make has its name; import that, or move it away"
        raise Problem(ProblemKind.NOT_FOUND, message)


def checked_id(resource_id: str) -> str:
    """Return the id; raises REFUSED where it is none, since it becomes the name of a folder."""
    if not _RESOURCE_ID.fullmatch(resource_id):
        message = f"{resource_id[:80]!r} is not a resource id"
        raise Problem(ProblemKind.REFUSED, message)
    return resource_id
