"""What a run asks of a backend, and what it gets back. No other values may leave the process of a run.

A call names everything that it needs in the words of the driver's contract. It holds no row of the state and no secret:
drivers resolve the references in their own configuration. `sharectl.executors.wire` has the JSON form of both.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Final, Generic, TypeVar

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Generator

    from sharectl.model.access import AccessRule
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.networks import AllocationRequest, NetworkAllocation
    from sharectl.model.observed import BackendReport, ObservedShare, ObservedShareServer, ObservedSnapshot, PoolReport
    from sharectl.model.requests import ShareRef, ShareRequest, ShareServerRef, ShareServerRequest, SnapshotRef
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.model.specs import SnapshotPolicy


class Answer:
    """What a call brought back; each kind of call has its own."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Done(Answer):
    """It is done, and there is nothing to tell."""


@dataclass(frozen=True, slots=True)
class Identity(Answer):
    """The identity of the storage behind a backend; None where it was never prepared."""

    identity: str | None


@dataclass(frozen=True, slots=True)
class ShareMade(Answer):
    """A share as its backend holds it now."""

    share: ObservedShare


@dataclass(frozen=True, slots=True)
class SnapshotMade(Answer):
    """A snapshot as its backend holds it now."""

    snapshot: ObservedSnapshot


@dataclass(frozen=True, slots=True)
class SharesListed(Answer):
    """Shares as their backend lists them; those that it does not have are left out."""

    shares: tuple[ObservedShare, ...]


@dataclass(frozen=True, slots=True)
class SnapshotsListed(Answer):
    """Snapshots as their backend lists them; those that it does not have are left out."""

    snapshots: tuple[ObservedSnapshot, ...]


@dataclass(frozen=True, slots=True)
class Size(Answer):
    """The size that a share has now."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What became of one access rule: `status` is `active` or `error`."""

    rule: AccessRule
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AccessUpdated(Answer):
    """What became of each rule, and the share as it is listed now, where that was asked for."""

    rules: tuple[RuleOutcome, ...]
    share: ObservedShare | None = None


@dataclass(frozen=True, slots=True)
class Allocated(Answer):
    """An address that is taken."""

    allocation: NetworkAllocation


@dataclass(frozen=True, slots=True)
class ServerMade(Answer):
    """A share server as it is now, with the addresses that it was given."""

    server: ObservedShareServer
    allocations: tuple[NetworkAllocation, ...]


@dataclass(frozen=True, slots=True)
class AllocationsListed(Answer):
    """The addresses that the network service of a backend holds for it."""

    allocations: tuple[NetworkAllocation, ...]


@dataclass(frozen=True, slots=True)
class SubnetChecked(Answer):
    """What would prevent further addresses in a subnet, where something would."""

    findings: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class ServersListed(Answer):
    """Share servers as their backend lists them; those that it does not have are left out."""

    servers: tuple[ObservedShareServer, ...]


@dataclass(frozen=True, slots=True)
class ServersCounted(Answer):
    """How many of the share servers that were asked for are there."""

    count: int


AnswerT_co = TypeVar("AnswerT_co", bound=Answer, covariant=True)


RUNS_BESIDE: Final = "runs-beside"
"""Older workers do not say it, and cannot tell such runs apart."""


@dataclass(frozen=True, slots=True)
class Described(Answer):
    """What a driver says of its backend, and which optional capabilities it has.

    `clones_within` is said where it clones snapshots, `server_addresses` where it makes share servers: how many each new one needs.
    Among the capabilities of a driver that several runs may work on at once is `RUNS_BESIDE`.
    """

    report: BackendReport
    capabilities: tuple[str, ...]
    clones_within: str | None = None
    server_addresses: int | None = None


@dataclass(frozen=True, slots=True)
class PoolsListed(Answer):
    """The pools of a backend, with their capacity now."""

    pools: tuple[PoolReport, ...]


class Call(Generic[AnswerT_co]):
    """One thing to ask of a backend, idempotent by the resource id in it."""

    __slots__ = ()
    repeatable: ClassVar[bool] = True
    """Whether it may be made again where nobody knows whether it was done."""
    of_network: ClassVar[bool] = False
    """Whether the network service of the backend is asked, and not the backend."""
    is_question: ClassVar[bool] = False
    """Whether it has no effect: it needs no run that has the lock, and holds up nothing when it hangs."""


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
    """List the shares with these ids; None: all that there are."""

    is_question: ClassVar[bool] = True

    resource_ids: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class CreateShare(Call[ShareMade]):
    """Make a share."""

    request: ShareRequest


@dataclass(frozen=True, slots=True)
class ResizeShare(Call[Size]):
    """Make a share at least so large where it `grows`, else at most so large."""

    share: ShareRef
    size_bytes: int
    grows: bool


@dataclass(frozen=True, slots=True)
class RevertShare(Call[Done]):
    """Turn a share back to a snapshot. Never made again in doubt: that would destroy what was written after it."""

    repeatable: ClassVar[bool] = False

    share: ShareRef
    snapshot: SnapshotRef


@dataclass(frozen=True, slots=True)
class UpdateAccess(Call[AccessUpdated]):
    """Make `rules` the access of a share to which sharectl has given `given` so far.

    With `repairs` the backend may hold something else than `given`, so that only the whole set counts. With `lists` the share is
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
    """Ask what would prevent so many more addresses in a subnet."""

    of_network: ClassVar[bool] = True
    is_question: ClassVar[bool] = True

    subnet: ShareNetworkSubnet
    addresses: int


@dataclass(frozen=True, slots=True)
class MakeServer(Call[ServerMade]):
    """Make a share server, or make it well; with `updates`, make one that is in use as requested."""

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


class FailureKind(StrEnum):
    """Why a call has no answer."""

    REFUSED = "refused"
    CONFLICT = "conflict"
    """Something that sharectl does not own is in the way."""
    FENCED = "fenced"
    """The backend works for a later run."""
    TRANSIENT = "transient"
    UNAVAILABLE = "unavailable"
    MISBEHAVED = "misbehaved"
    """The driver did what its contract does not know: nobody knows how the call ended."""
    NOT_PERMITTED = "not-permitted"
    """The run has lost its right to begin calls."""
    SILENT = "silent"
    """No answer within its time: nobody knows how it ended."""
    WORKER_LOST = "worker-lost"
    """Whoever ran it is gone: nobody knows how it ended."""
    NOT_ASKED = "not-asked"
    """Its backend does not answer others, and was not asked this."""
    WITHDRAWN = "withdrawn"
    """It was taken back before it began, because the run ends."""
    CUT_SHORT = "cut-short"
    """A cancel came before it was tried again."""


TRANSIENT_KINDS = frozenset({FailureKind.TRANSIENT, FailureKind.UNAVAILABLE})
UNBEGUN_KINDS = frozenset({FailureKind.NOT_ASKED, FailureKind.WITHDRAWN})
UNANSWERED_KINDS = frozenset({FailureKind.SILENT, FailureKind.WORKER_LOST})


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call failed; `message` is one line for people, without secrets."""

    kind: FailureKind
    message: str
    retry_after_seconds: float | None = None


class CallFailedError(Exception):
    """A call has failed for good."""

    def __init__(self, failure: Failure) -> None:
        """Carry the failure."""
        super().__init__(failure.message)
        self.failure = failure


def ask(call: Call[AnswerT_co]) -> Generator[Call[Answer], Answer, AnswerT_co]:
    """Yield the call and return its answer. Raises CallFailedError."""
    answer: AnswerT_co = yield call  # type: ignore[assignment]
    return answer
