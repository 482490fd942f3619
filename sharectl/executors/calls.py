"""What a run asks of a backend.

A call names everything that it needs in the words of the driver's contract. It holds no row of the state and no secret:
drivers resolve the references in their own configuration. What comes back is in `sharectl.executors.answers`, and the JSON form of
both in `sharectl.executors.wire`. No other values may leave the process of a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from sharectl.executors.answers import (
    AccessUpdated,
    Allocated,
    AllocationsListed,
    Answer,
    Described,
    Done,
    Identity,
    PoolsListed,
    ServerMade,
    ServersCounted,
    ServersListed,
    ShareMade,
    SharesListed,
    Size,
    SnapshotMade,
    SnapshotsListed,
    SubnetChecked,
)
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Generator

    from sharectl.model.access import AccessRule
    from sharectl.model.networks import AllocationRequest
    from sharectl.model.requests import ShareRef, ShareRequest, ShareServerRef, ShareServerRequest, SnapshotRef
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.model.specs import SnapshotPolicy

AnswerT_co = TypeVar("AnswerT_co", bound=Answer, covariant=True)


class Call(Generic[AnswerT_co]):
    """One thing to ask of a backend, idempotent by the resource id in it."""

    __slots__ = ()
    repeatable: ClassVar[bool] = True
    """Whether it may be repeated if nobody knows whether it was done."""
    of_network: ClassVar[bool] = False
    """Whether the network service of the backend is asked, and not the backend."""
    is_question: ClassVar[bool] = False
    """Whether it has no effect: it needs no run with the lock, and holds up nothing if it hangs."""


@dataclass(frozen=True, slots=True)
class Identify(Call[Identity]):
    """Open the driver and ask which storage it works on; with `network`, open the backend's network service too."""

    is_question: ClassVar[bool] = True

    network: bool = False


@dataclass(frozen=True, slots=True)
class PrepareBackend(Call[Identity]):
    """Make the backend ready. Refused where it holds shares of another state and was not `planned_identity` when the plan was made."""

    backend: str
    planned_identity: str | None


@dataclass(frozen=True, slots=True)
class Describe(Call[Described]):
    """Ask what the backend is, and what its driver can do."""

    is_question: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class ListPools(Call[PoolsListed]):
    """List the pools with their capacity now."""

    is_question: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class MeasureUsage(Call[Size]):
    """Ask how much of a share is used."""

    is_question: ClassVar[bool] = True

    share: ShareRef


@dataclass(frozen=True, slots=True)
class ListShares(Call[SharesListed]):
    """List the shares with these ids; None: all that there are. An older sharectl does not take listings `with_usage`."""

    is_question: ClassVar[bool] = True

    resource_ids: tuple[str, ...] | None
    with_usage: bool = False


@dataclass(frozen=True, slots=True)
class CreateShare(Call[ShareMade]):
    """Make a share."""

    request: ShareRequest


@dataclass(frozen=True, slots=True)
class ResizeShare(Call[Size]):
    """Make a share at least this large if it `grows`, else at most this large."""

    share: ShareRef
    size_bytes: int
    grows: bool


@dataclass(frozen=True, slots=True)
class RevertShare(Call[Done]):
    """Revert a share to a snapshot. Never repeated in doubt: that would destroy what was written after it."""

    repeatable: ClassVar[bool] = False

    share: ShareRef
    snapshot: SnapshotRef


@dataclass(frozen=True, slots=True)
class UpdateAccess(Call[AccessUpdated]):
    """Make `rules` the access of a share to which sharectl has given `given` so far.

    With `repairs` the backend may hold something other than `given`, so that only the whole set counts. With `lists` the share is
    listed afterwards. One that `may_be_gone` has no access then. `export_name` and `protocol` are set where the export is to have
    others first.
    """

    share: ShareRef
    rules: tuple[AccessRule, ...]
    given: tuple[AccessRule, ...] = ()
    repairs: bool = False
    lists: bool = False
    may_be_gone: bool = False
    export_name: str | None = None
    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleSnapshots(Call[Done]):
    """Have snapshots of a share taken by this policy, or by none."""

    share: ShareRef
    policy: SnapshotPolicy | None


@dataclass(frozen=True, slots=True)
class DeleteShare(Call[Done]):
    """Remove a share with its data."""

    share: ShareRef


@dataclass(frozen=True, slots=True)
class TrashShare(Call[Done]):
    """Put a share into the trash."""

    share: ShareRef


@dataclass(frozen=True, slots=True)
class RestoreShare(Call[ShareMade]):
    """Bring a share back from the trash."""

    resource_id: str


@dataclass(frozen=True, slots=True)
class AdoptShare(Call[ShareMade]):
    """Take over a share that sharectl did not make."""

    backend_id: str
    resource_id: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class ListSnapshots(Call[SnapshotsListed]):
    """List the snapshots with these ids; None: all that there are."""

    is_question: ClassVar[bool] = True

    resource_ids: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class CreateSnapshot(Call[SnapshotMade]):
    """Take a snapshot."""

    share: ShareRef
    resource_id: str
    name: str


@dataclass(frozen=True, slots=True)
class DeleteSnapshot(Call[Done]):
    """Remove a snapshot."""

    snapshot: SnapshotRef


@dataclass(frozen=True, slots=True)
class Allocate(Call[Allocated]):
    """Take one address for a share server."""

    of_network: ClassVar[bool] = True

    request: AllocationRequest


@dataclass(frozen=True, slots=True)
class Deallocate(Call[Done]):
    """Give one address of a share server back."""

    of_network: ClassVar[bool] = True

    allocation_id: str
    share_server_id: str


@dataclass(frozen=True, slots=True)
class ListAllocations(Call[AllocationsListed]):
    """List the addresses with these ids; None: all that there are."""

    of_network: ClassVar[bool] = True
    is_question: ClassVar[bool] = True

    allocation_ids: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class CheckSubnet(Call[SubnetChecked]):
    """Ask what would prevent this many more addresses in a subnet."""

    of_network: ClassVar[bool] = True
    is_question: ClassVar[bool] = True

    subnet: ShareNetworkSubnet
    addresses: int


@dataclass(frozen=True, slots=True)
class MakeServer(Call[ServerMade]):
    """Make or repair a share server; with `updates`, change one in use as requested."""

    request: ShareServerRequest
    updates: bool = False


@dataclass(frozen=True, slots=True)
class ListServers(Call[ServersListed]):
    """List the share servers with these ids; None: all that there are."""

    is_question: ClassVar[bool] = True

    resource_ids: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class CountServers(Call[ServersCounted]):
    """Count the share servers with these ids."""

    is_question: ClassVar[bool] = True

    resource_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteServer(Call[Done]):
    """Remove a share server, or what is left of one."""

    server: ShareServerRef


def ask(call: Call[AnswerT_co]) -> Generator[Call[Answer], Answer, AnswerT_co]:
    """Yield the call and return its answer. Raises CallFailedError."""
    answer: AnswerT_co = yield call  # type: ignore[assignment]
    return answer
