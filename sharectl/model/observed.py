"""What backends report: what they are, their pools, and the shares, snapshots and share servers on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sharectl.model.access import (
    AccessRule,  # noqa: TC001 - a NamedTuple resolves its annotations at run time
    ExportSettings,  # noqa: TC001 - as above
)
from sharectl.model.frozen import NamedTuple, dataclass, field
from sharectl.model.specs import SnapshotPolicy  # noqa: TC001 - as above

if TYPE_CHECKING:
    from collections.abc import Mapping


CapacityBytes = int | Literal["unknown", "infinite"]


@dataclass(frozen=True, slots=True)
class PoolReport:
    """What a driver says of one pool now. Capacities are in bytes; `capabilities` are further facts under Manila's names.

    `allocated_bytes` is the sum of the sizes of the shares that this driver made there, `provisioned_bytes` the sum of all
    sizes promised there (None: the same as allocated). A pool whose shares are thin or thick as their types ask has
    `thin_provisioning: [True, False]` among its capabilities.
    """

    name: str
    total_bytes: CapacityBytes
    free_bytes: CapacityBytes
    allocated_bytes: int = 0
    provisioned_bytes: int | None = None
    thin_provisioning: bool = False
    max_over_subscription_ratio: float | None = None
    reserved_percentage: float = 0.0
    reserved_snapshot_percentage: float | None = None
    reserved_share_extend_percentage: float | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict)


class Hindrance(NamedTuple):
    """What keeps clients out although the backend serves them, such as a parent folder without permissions, and how to fix it."""

    summary: str
    remedy: str


@dataclass(frozen=True, slots=True)
class BackendReport:
    """What a driver says of its backend as a whole.

    `identity` names the storage itself and stays the same for its life (a file system's UUID, a cluster's and an SVM's UUID):
    sharectl pins it in the state and refuses to work on another. It is None until `prepare` has been called the first time.
    `protocols` are the protocols that it exports; `capabilities` are inherited by its pools as in Manila. `max_share_servers` is
    how many share servers it can have at all, None where it knows no limit. Each plan warns of the `hindrances`. `unreadable_pools` are
    pools that cannot be seen while others can, each with the reason: their shares are listed as recorded, and a command that involves
    them is no success.
    """

    identity: str | None
    protocols: tuple[str, ...]
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    max_share_servers: int | None = None
    hindrances: tuple[Hindrance, ...] = ()
    unreadable_pools: Mapping[str, str] = field(default_factory=dict)


class ScheduledSnapshots(NamedTuple):
    """The snapshots that a backend took by a share's policy and keeps: how many, when the oldest and newest were taken, and when the next is.

    Times are UTC in ISO 8601, None where there is none.
    """

    number: int
    oldest: str | None = None
    newest: str | None = None
    next_due: str | None = None


class ObservedShare(NamedTuple):
    """A share that exists on the backend.

    `resource_id` is the id under which sharectl asked for it, None for a share that sharectl did not make. `backend_id` is the
    backend's own name for it, which `sharectl import` takes. `access` are the rules in force, canonical as in AccessRule.
    A share in the backend's trash has `trashed_at` (UTC, ISO 8601). One on a share server, in the trash or not, has the
    `resource_id` of that server as `share_server_id`. `not_adoptable` says why a share that sharectl did not make cannot be taken
    over as it is (its name cannot be written down, and is escaped here), and is empty if it can.
    `snapshot_policy` is the one by which the backend takes snapshots by itself, and `scheduled_snapshots` what there is of them. `export_name` is the name under which clients see it, or
    would see it if they had access; None where the driver cannot give it another.
    `used_bytes` is what its live data occupies, as the backend counts it against the size; None where that is not cheap to know. It is said
    where shares are listed, and decides nothing.
    """

    resource_id: str | None
    backend_id: str
    name: str
    pool: str
    size_bytes: int | None
    protocol: str | None
    access: tuple[AccessRule, ...] = ()
    export_locations: tuple[str, ...] = ()
    trashed_at: str | None = None
    share_server_id: str | None = None
    not_adoptable: str = ""
    export_settings: ExportSettings | None = None
    ignored_access: tuple[AccessRule, ...] = ()
    snapshot_policy: SnapshotPolicy | None = None
    scheduled_snapshots: ScheduledSnapshots | None = None
    export_name: str | None = None
    used_bytes: int | None = None


class Before(NamedTuple):
    """How a share, or a snapshot, stood when the plan was made: what a step takes away or changes is seen from it.

    `access` are the rules in force, as listed where the backend was asked, else as recorded; None where that is not known. `others`
    are rules that the backend's manifest leaves alone. `used_bytes` is what the data occupies, None where the backend does not say.
    `is_recorded`: nobody has looked, and all this is as the state has it. `scheduled_number` is how many snapshots there are that were
    taken by policies, None where that is not known.
    """

    protocol: str | None = None
    access: tuple[AccessRule, ...] | None = None
    others: tuple[AccessRule, ...] = ()
    size_bytes: int | None = None
    used_bytes: int | None = None
    is_recorded: bool = False
    scheduled_number: int | None = None


class ObservedSnapshot(NamedTuple):
    """A snapshot that exists on the backend; `share_backend_id` is the `backend_id` of its share."""

    resource_id: str | None
    backend_id: str
    name: str
    share_backend_id: str
    size_bytes: int | None = None


class ObservedShareServer(NamedTuple):
    """A share server that exists on the backend, or what is left of one.

    `resource_id` is the id under which sharectl asked for it, None for one that sharectl did not make. `ip_addresses` are those on
    which it answers, canonical and sorted. One that is not whole or does not answer is not `healthy`, and `problem` says why in a
    few words; `create_share_server` mends it.
    """

    resource_id: str | None
    backend_id: str
    name: str
    ip_addresses: tuple[str, ...]
    healthy: bool = True
    problem: str = ""
