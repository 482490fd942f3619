"""All of the array's storage: what is imported here registers its operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.ontap import (
    aggregates,
    cifs_acls,  # noqa: F401 - registers its operations
    efficiency_policies,
    luns,  # noqa: F401 - registers its operations
    qos,
    quotas,  # noqa: F401 - registers its operations
    recovery_queue,  # noqa: F401 - registers its operations
    schedules,
    snapshot_policies,
    snapshots,  # noqa: F401 - registers its operations
    volume_delete,  # noqa: F401 - registers its operations
    volume_read,  # noqa: F401 - registers its operations
)

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World


def seed(world: World) -> None:
    """Make what every cluster has before it has an SVM."""
    aggregates.seed(world)
    schedules.seed(world)
    snapshot_policies.seed(world)
    efficiency_policies.seed(world)
    qos.seed(world)
