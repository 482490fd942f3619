"""Previous versions: the snapshots of a share, those of manifests and those of its policy, where its clients can look into them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent.contract import Problem
from sharectl.drivers.linux.agent.smb import treatment
from sharectl.drivers.linux.agent.snapshot_views import snapshots_of
from sharectl.drivers.linux.agent.volumes.folders import versions_folder
from sharectl.model.access import protocols_in

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sharectl.drivers.linux.agent.access import Access
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.rows import ShareRow
    from sharectl.drivers.linux.agent.servers import ServerRoom
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom


class Versions:
    """The previous versions of the shares of one backend."""

    def __init__(self, records: Records, pools: PoolRoom, room: ServerRoom, access: Access) -> None:
        """Touch nothing."""
        self._records = records
        self._pools = pools
        self._room = room
        self._access = access

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
        self._show_over_smb(row)
        self._show_over_nfs(row)

    def prepare(self, row: ShareRow) -> None:
        """Do the same before access to the share changes: to NFS clients they come after that, with what it then is, and go before it."""
        self._show_over_smb(row)
        if not row.options.get("snapshots"):
            self._show_over_nfs(row)

    def hide(self, row: ShareRow) -> None:
        """Take the names of previous versions away from a volume that goes. Precondition: the record says so, or there is none."""
        with self._locked(row):
            self._pools.get(row.pool).show_versions(row.volume, None)

    def _show_over_smb(self, row: ShareRow) -> None:
        """Do so by what the record says now: who changes it holds another lock than who makes a snapshot of the share."""
        if not _has_versions(row) and not os.path.lexists(versions_folder(self._pools.path(row.pool, row.volume))):
            return
        with suppress(Problem), self._locked(row):
            known = self._records.share(row.resource_id)
            if known is None or known.is_removing:
                return
            self._pools.get(known.pool).show_versions(
                known.volume,
                (lambda: snapshots_of(self._records, known.resource_id)) if _has_versions(known) else None,
            )

    def _locked(self, row: ShareRow) -> AbstractContextManager[None]:
        return self._access.nfs.views.locked(self._room.servers(row.instance), row)

    def _show_over_nfs(self, row: ShareRow) -> None:
        if "NFS" in protocols_in(row.protocol):
            self._access.nfs.views.refresh(self._room.servers(row.instance), row)


def _has_versions(row: ShareRow) -> bool:
    return row.protocol != "NFS" and treatment.of_options(row.options).previous_versions
