"""Ids, and things as the state would know them, for the suite and for tests beside it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRef, SnapshotRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.drivers.base import Driver

    DriverMaker = Callable[[], Driver]
    from collections.abc import Callable

    from sharectl.drivers.base import (
        Driver,
    )
    from sharectl.model.observed import ObservedShare, ObservedSnapshot


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
