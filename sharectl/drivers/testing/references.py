"""Ids, and things as the state would know them, for the suite and for tests beside it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRef, SnapshotRef

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sharectl.drivers.base import Driver
    from sharectl.model.observed import ObservedShare, ObservedSnapshot

    DriverMaker = Callable[[], Driver]


def new_id() -> str:
    """Return a resource id such as the engine makes."""
    return str(uuid.uuid4())


def ref(share: ObservedShare) -> ShareRef:
    """Return the share as the state would know it."""
    return ShareRef(
        str(share.resource_id),
        share.backend_id,
        share.name,
        share.pool,
        share.protocol or "NFS",
        share.size_bytes or GIB,
        share.share_server_id,
    )


def snapshot_ref(snapshot: ObservedSnapshot, share: ObservedShare) -> SnapshotRef:
    """Return the snapshot as the state would know it."""
    return SnapshotRef(
        str(snapshot.resource_id), snapshot.backend_id, snapshot.name, str(share.resource_id), share.backend_id
    )


def shares_of(driver: Driver, resource_ids: Collection[str] | None = None) -> list[ObservedShare]:
    """Return the shares as the backend lists them now, but for what is used of them, which may be anything."""
    return [share._replace(used_bytes=None) for share in driver.list_shares(resource_ids)]
