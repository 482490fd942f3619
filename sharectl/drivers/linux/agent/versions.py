"""Previous versions: the snapshots of a share, those of manifests and those of its policy, where its SMB clients can look into them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent.contract import Problem
from sharectl.drivers.linux.agent.database import UNREAD
from sharectl.drivers.linux.agent.records import LOST
from sharectl.drivers.linux.agent.schedule_records import ScheduleRecords
from sharectl.drivers.linux.agent.smb import treatment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.linux.agent.records import Records, ShareRow
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom


class Versions:
    """The previous versions of the shares of one backend."""

    def __init__(self, records: Records, pools: PoolRoom) -> None:
        """Touch nothing."""
        self._records = records
        self._pools = pools
        self._schedules = ScheduleRecords(records)

    def refresh(self, share_id: str | None) -> None:
        """Show what there is now of a share that is to have them, and of another nothing.

        It is no reason for a change of access or snapshots to fail: what cannot be shown now (a full pool) the next change shows.
        Precondition: the share's pool is usable.
        """
        row = None if share_id is None else self._records.share(share_id)
        if row is not None:
            self.show(row)

    def show(self, row: ShareRow) -> None:
        """Do the same for a share by its record."""
        is_shown = row.protocol != "NFS" and treatment.of_options(row.options).previous_versions
        with suppress(Problem):
            self._pools.get(row.pool).show_versions(
                row.volume, (lambda: self._snapshots(row.resource_id)) if is_shown else None
            )

    def _snapshots(self, share_id: str) -> Mapping[str, str]:
        """Return the identities of the share's snapshots by id."""
        found = {row.resource_id: row.identity for row in self._schedules.snapshots(share_id)}
        for row in self._records.snapshots_of_share(share_id):
            found[row.resource_id] = None if row.is_removing else row.identity
        return {key: identity for key, identity in found.items() if identity not in {None, UNREAD, LOST}}
