"""The folders of volumes as the servers export them: the right volume is attached there, or nothing is exported."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent.database import UNREAD
from sharectl.model.access import protocols_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.rows import ShareRow
    from sharectl.drivers.linux.agent.servers import Servers
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom


class ServedVolumes:
    """The volumes of the shares of a backend."""

    def __init__(self, pools: PoolRoom, records: Records) -> None:
        """Touch nothing."""
        self._pools = pools
        self._records = records

    def attach(self, row: ShareRow) -> str:
        """Return the folder of the share's volume; raises NOT_FOUND where that is gone, or another has its name."""
        pool = self._pools.usable(row.pool)
        if row.identity == UNREAD:  # it was read before the pool was usable
            row = self._records.share(row.resource_id) or row
        return pool.attach(row.volume, row.identity)

    def path(self, row: ShareRow) -> str:
        """Return where that folder is, whatever is there now."""
        return self._pools.path(row.pool, row.volume)

    def rows(self, servers: Servers, protocol: str, wanted: Collection[str] | None) -> Iterable[ShareRow]:
        """Yield the shares that the instance exports over the protocol, of those with the ids `wanted`; None stands for all."""
        for row in self._records.shares_of_instance(servers.instance.name):
            is_wanted = wanted is None or row.resource_id in wanted
            is_whole = row.is_made and not row.is_removing
            if is_wanted and is_whole and row.trashed_at is None and protocol in protocols_in(row.protocol):
                yield row


def is_attached(path: str) -> bool:
    """Tell whether a folder of a pool is a volume: a file system of its own, or a subvolume, which has a device number of its own too."""
    with suppress(OSError):
        status = os.lstat(path)
        return stat.S_ISDIR(status.st_mode) and status.st_dev != os.stat(os.path.dirname(path)).st_dev  # noqa: PTH116, PTH120 - paths are text everywhere in the agent
    return False
