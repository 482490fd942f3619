"""The contract of a driver: one Protocol that all meet, one for each optional capability, and their values and errors.

Capabilities are found by type: a driver that has the methods of `ExtendsShares` can extend shares, and the planner knows it
before anything is called. Each call is idempotent by `resource_id`: repeated after a crash it ends in the same state and
returns the same answer; share servers and factories have modules of their own, `share_servers` and `factories`. Calls may come from several threads at once, never twice at once for the same share.
`sharectl.drivers.testing` holds the suite that every driver must pass.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from sharectl.drivers.factories import (
    ChecksConfig,
    DriverEnvironment,
    DriverFactory,
    KnowsPasswords,
    SecretResolver,
    SettlesExports,
)
from sharectl.drivers.share_servers import HandlesShareServers, UpdatesShareServers
from sharectl.model.access import AccessRule, ExportSettings
from sharectl.model.checks import ConfigProblem
from sharectl.model.observed import BackendReport, CapacityBytes, ObservedShare, ObservedSnapshot, PoolReport
from sharectl.model.requests import RuleStatus, ShareRef, ShareRequest, SnapshotRef

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sharectl.model.specs import SnapshotPolicy

__all__ = [
    "AccessRule",
    "AdoptsShares",
    "BackendReport",
    "BackendUnavailableError",
    "Capability",
    "CapacityBytes",
    "ChangesProtocols",
    "ChecksConfig",
    "ClonesSnapshots",
    "ConfigProblem",
    "ConflictError",
    "Driver",
    "DriverEnvironment",
    "DriverError",
    "DriverFactory",
    "ExportSettings",
    "ExtendsShares",
    "FencedError",
    "FencesEachLease",
    "KnowsPasswords",
    "MeasuresUsage",
    "NamesExports",
    "NotFoundError",
    "ObservedShare",
    "ObservedSnapshot",
    "PoolError",
    "PoolReport",
    "RefusesOldFences",
    "RevertsShares",
    "RuleStatus",
    "SchedulesSnapshots",
    "SecretResolver",
    "SettlesExports",
    "ShareInUseError",
    "ShareRef",
    "ShareRequest",
    "ShrinksShares",
    "SnapshotRef",
    "SnapshotsShares",
    "TransientError",
    "TrashesShares",
    "capabilities_of",
    "fenced",
    "members_of",
]


@runtime_checkable
class Driver(Protocol):
    """What every driver meets. Any method may raise the errors at the end of this module, and no others."""

    def report(self) -> BackendReport:
        """Say what the backend is and can do; cheap, and without effect."""
        ...

    def prepare(self) -> str:
        """Make the backend ready for its first share, once; return its identity. Nothing that exists is overwritten."""
        ...

    def pools(self) -> Sequence[PoolReport]:
        """Return every pool with its capacity now."""
        ...

    def list_shares(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShare]:
        """Return all shares (those in the trash and those that sharectl did not make too), or just those with these ids.

        The answer is whole: a driver that could not see everything raises BackendUnavailableError instead of leaving some out.
        """
        ...

    def create_share(self, request: ShareRequest) -> ObservedShare:
        """Make a share that nobody may reach yet, or finish making it if an earlier call was cut short."""
        ...

    def delete_share(self, share: ShareRef) -> None:
        """Remove the share with its data, its exports and its access; a missing one is not an error."""
        ...

    def update_access(
        self,
        share: ShareRef,
        rules: Collection[AccessRule],
        add: Collection[AccessRule],
        delete: Collection[AccessRule],
    ) -> Mapping[AccessRule, RuleStatus]:
        """Make `rules` the whole access of the share, and return the status of each of them.

        `add` and `delete` are the change since the last call; with both empty the driver makes `rules` so whatever it finds
        (repair). Deleting a rule that is not there succeeds. As Manila's `update_access`.
        """
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...


@runtime_checkable
class ExtendsShares(Protocol):
    """Can make a share larger while it is in use."""

    def extend_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """Make the share at least `size_bytes` large, never smaller; doing so again is not an error.

        What counts is the size that it has when it is changed, not the one in `share`: somebody may have made room since the plan.
        Returns the size that it keeps where it was larger already; None where it is as asked.
        """
        ...


@runtime_checkable
class ShrinksShares(Protocol):
    """Can make a share smaller."""

    def shrink_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """Make the share at most `size_bytes` large, never larger; raises ShareInUseError where more than that is used.

        Nothing is ever cut off. Returns the size that it keeps where it was smaller already; None where it is as asked.
        """
        ...


@runtime_checkable
class SnapshotsShares(Protocol):
    """Can take snapshots, list and delete them."""

    def list_snapshots(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedSnapshot]:
        """Return all snapshots, or just those with these ids; whole, as `list_shares`."""
        ...

    def create_snapshot(self, share: ShareRef, resource_id: str, name: str) -> ObservedSnapshot:
        """Take a snapshot of the share as it is now, unless the one with this id exists."""
        ...

    def delete_snapshot(self, snapshot: SnapshotRef) -> None:
        """Remove the snapshot; a missing one is not an error. One that may not have been taken has no `backend_id`, and is known by its id."""
        ...


@runtime_checkable
class SchedulesSnapshots(Protocol):
    """Can take snapshots of a share by itself, by a policy, and let go of those that it took so.

    They are not among those that `list_snapshots` returns, and go with their share when it is deleted.
    """

    def schedule_snapshots(self, share: ShareRef, policy: SnapshotPolicy | None) -> None:
        """Take snapshots by this policy from now on (`ObservedShare.snapshot_policy`); by none where it is None.

        Those that were taken stay, until the policy keeps less of their interval. Asked again with the same policy it changes nothing.
        """
        ...


@runtime_checkable
class ClonesSnapshots(Protocol):
    """Can make a share from a snapshot: `create_share` honours `ShareRequest.snapshot`."""

    @property
    def clones_within(self) -> Literal["pool", "backend"]:
        """Say how far from its snapshot a clone may be placed."""
        ...


@runtime_checkable
class RevertsShares(Protocol):
    """Can turn a share back to a snapshot."""

    def revert_share(self, share: ShareRef, snapshot: SnapshotRef) -> None:
        """Make the content of the share that of the snapshot; the newer data goes only when the old is in place.

        Size and access stay as they are; the next plan mends a size that the backend cannot keep. The one call that is not repeated
        by itself: after a TransientError only where that says when to come again (`retry_after_seconds`), which means that
        nothing was begun. Cut short, it leaves the newer content or the old, whole, once `update_access` has been called.
        """
        ...


@runtime_checkable
class TrashesShares(Protocol):
    """Can put a share aside, out of everybody's reach, so that it can be had back."""

    def trash_share(self, share: ShareRef) -> None:
        """Withdraw every access and move the share to the trash, where `list_shares` shows it with `trashed_at`."""
        ...

    def restore_share(self, resource_id: str) -> ObservedShare:
        """Bring a share back from the trash, without access rules; raises NotFoundError where it is not there."""
        ...


@runtime_checkable
class NamesExports(Protocol):
    """Can export a share under another name than its own: `create_share` honours `ShareRequest.export_name`."""

    def rename_export(self, share: ShareRef, export_name: str) -> None:
        """Give the share's export this name: the old one goes, with the sessions under it, and who has access has it under the new one.

        Where it has the name already, nothing is done. Raises ConflictError where another share of the same server has it, in whatever
        case, or exports what is below or above it; everything is as before then.
        """
        ...


@runtime_checkable
class ChangesProtocols(Protocol):
    """Can export one share over NFS and CIFS at once (`NFS_CIFS`): `create_share` honours it, and the rules of `model.access.smb_rules`."""

    def change_protocols(self, share: ShareRef, protocol: str) -> None:
        """Export the share over `protocol` from now on, which has one in common with what it has.

        A protocol that goes is withdrawn at once, also from clients that use it; over one that comes nobody has access until the
        `update_access` that follows. The same again changes nothing.
        """
        ...


@runtime_checkable
class AdoptsShares(Protocol):
    """Can take over a share that sharectl did not make."""

    def adopt_share(self, backend_id: str, resource_id: str, size_bytes: int | None) -> ObservedShare:
        """Put the existing share under `resource_id`, leaving its data and access as they are.

        `size_bytes` is the size to record where the backend itself knows none. Adopting under the same id again is not an error;
        raises NotFoundError, and ConflictError where it is managed under another id.
        """
        ...


@runtime_checkable
class MeasuresUsage(Protocol):
    """Can say how much of a share is used."""

    def used_bytes(self, share: ShareRef) -> int:
        """Return the bytes that the share's data occupies."""
        ...


@runtime_checkable
class RefusesOldFences(Protocol):
    """Can refuse the calls of a run that has lost its lock to another and does not know it yet: stopped, cut off, or late on the way."""

    def raise_fence(self, lineage: str, fence: int) -> None:
        """Work under `fence` from now on, which grows from run to run of the state called `lineage`, and let the backend remember it.

        Raises FencedError where the backend has been told of a higher one of that lineage. So does, from now on, each call of this
        driver that changes something: the backend's own record is looked at under the lock under which the change is made, so
        that a change is either over before another raises the fence, or refused. Fences of other lineages do not matter. Asked again
        with the same fence it changes nothing. A backend that was never prepared remembers the fence when it is.
        """
        ...


@runtime_checkable
class FencesEachLease(RefusesOldFences, Protocol):
    """Can refuse one run and work on for others of the same state, which hold leases on other addresses beside it."""

    def raise_fence_beside(self, lineage: str, fence: int, beside: Collection[int]) -> None:
        """Do as `raise_fence`, and keep letting through the smaller fences of `beside`: the runs that held a lease when this one began.

        A fence that some higher one has left out is refused for good, whatever later ones say: see `sharectl.model.fences`.
        """
        ...


def serves_runs_beside(driver: Driver) -> bool:
    """Tell whether several runs may work with the driver's backend at once: it refuses each by itself, or none."""
    return isinstance(driver, FencesEachLease) or not isinstance(driver, RefusesOldFences)


class Capability(StrEnum):
    """Optional capabilities, as the planner and the JSON output name them."""

    EXTEND = "extend"
    SHRINK = "shrink"
    SNAPSHOT = "snapshot"
    SNAPSHOT_POLICY = "snapshot-policy"
    CLONE = "clone"
    REVERT = "revert"
    TRASH = "trash"
    ADOPT = "adopt"
    USAGE = "usage"
    EXPORT_NAME = "export-name"
    PROTOCOLS = "protocols"
    SHARE_SERVERS = "share-servers"
    SHARE_SERVER_UPDATE = "share-server-update"


_CAPABILITY_PROTOCOLS: Mapping[Capability, type] = {
    Capability.EXTEND: ExtendsShares,
    Capability.SHRINK: ShrinksShares,
    Capability.SNAPSHOT: SnapshotsShares,
    Capability.SNAPSHOT_POLICY: SchedulesSnapshots,
    Capability.CLONE: ClonesSnapshots,
    Capability.REVERT: RevertsShares,
    Capability.TRASH: TrashesShares,
    Capability.ADOPT: AdoptsShares,
    Capability.USAGE: MeasuresUsage,
    Capability.EXPORT_NAME: NamesExports,
    Capability.PROTOCOLS: ChangesProtocols,
    Capability.SHARE_SERVERS: HandlesShareServers,
    Capability.SHARE_SERVER_UPDATE: UpdatesShareServers,
}


def capabilities_of(driver: Driver) -> frozenset[Capability]:
    """Return the optional capabilities that the driver's type has."""
    return frozenset(
        capability for capability, protocol in _CAPABILITY_PROTOCOLS.items() if isinstance(driver, protocol)
    )


def members_of(capability: Capability) -> tuple[str, ...]:
    """Return the names of what a driver with the capability has besides those of every driver."""
    protocol = _CAPABILITY_PROTOCOLS[capability]
    return tuple(name for name in vars(protocol) if not name.startswith("_"))


class DriverError(Exception):
    """The backend refused, for good: asking again will not help. `str()` is one line for people, without secrets."""


class NonsenseError(TypeError):
    """A driver has answered what its contract does not know."""

    def __init__(self, call: str, answer: object, what: str = "") -> None:
        """Say to which call, and with what; `what` names the part of the answer that is meant."""
        told = f"{what} is {answer!r:.80}" if what else f"{answer!r:.80}"
        super().__init__(f"its answer to {call} is not what the contract says: {told}")


class TransientError(DriverError):
    """The backend could not now, and may later; asked again after `retry_after_seconds`, or after the usual backoff."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        """Say what happened."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class BackendUnavailableError(TransientError):
    """The backend cannot be reached or read: what is on it is unknown."""


class UnservedError(BackendUnavailableError):
    """No worker is there who could ask the backend; the message says how to start one."""


class PoolError(DriverError):
    """The pool cannot take the share (full, offline); another may."""


class NotFoundError(DriverError):
    """The share or snapshot that the call needs is not there."""


class ConflictError(DriverError):
    """Something that sharectl does not own stands in the way; nothing of it was touched."""


class FencedError(DriverError):
    """A later run of the same state works on this backend; nothing was done."""


def fenced(fence: int, found: int) -> FencedError:
    """Return the error for a call under `fence` of a backend that knows the higher one `found`."""
    return FencedError(
        f"the backend works for a later run of this state (fence {found}, this run has {fence}); nothing was done here. "
        "If no other run is at work, this state is an older copy of the one that was used last"
    )


class ShareInUseError(DriverError):
    """The share cannot be changed so without losing data."""
