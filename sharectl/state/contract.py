"""The contract of a state store: what it reads and commits, its lock and its errors.

`sharectl.state.testing` holds the suite that every store must pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Protocol, runtime_checkable

from sharectl.model.records import ANY_ENTRY, EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sharectl.model.kinds import Address, Kind
    from sharectl.model.records import (
        Change,
        ContentMark,
        HistoryEntry,
        HistoryFilter,
        HistoryLine,
        Holder,
        Lease,
        LockStatus,
        OperationRecord,
        Promise,
        Record,
        RuleRecord,
        RunRecord,
        Scope,
        StateView,
    )
    from sharectl.model.usage import BackendUse, PoolSample, ShareSample, ShareUse


class StateReader(Protocol):
    """One consistent view of the store; what it returns does not change while it is open, whatever others commit."""

    def view(self, addresses: Collection[Address] | None = None) -> StateView:
        """Return the records at `addresses` (None: all of them; unknown addresses are left out) and every open intent."""

    def record(self, address: Address) -> Record | None:
        """Return the record at `address`, or None."""

    def find(
        self, *, kind: Kind | None = None, backend: str | None = None, after: Address = "", limit: int | None = None
    ) -> Mapping[Address, Record]:
        """Return the records of this kind and on this backend (None: of any), in the order of their addresses.

        Costs in proportion to what is returned. For a page, pass the last address of the one before it as `after`.
        """

    def with_ids(self, resource_ids: Collection[str]) -> Mapping[Address, Record]:
        """Return the records of these resources: of each one, or none. One question about many costs little more than about one."""

    def children(self, record: Record) -> Mapping[Address, Record]:
        """Return the snapshots of a share, or the shares on a share server."""

    def addresses(self, prefix: str = "", *, limit: int | None = None) -> Sequence[Address]:
        """Return the addresses that begin with `prefix`, in their order; for completion."""

    def addresses_like(self, address: Address) -> Sequence[Address]:
        """Return some hundred addresses among which is what was probably meant by one that is not there; for "did you mean"."""

    def operations(
        self, *, address: Address | None = None, backend: str | None = None, resource_id: str | None = None
    ) -> tuple[OperationRecord, ...]:
        """Return the open intents (about this resource or address, or on this backend), oldest first."""

    def rules(self, share_addresses: Collection[Address] | None = None) -> Mapping[Address, tuple[RuleRecord, ...]]:
        """Return the recorded rules of these shares (None: of all), sorted by key; shares without rules are left out."""

    def count_rules(self) -> int:
        """Return how many access rules are recorded."""

    def shares_of_clients(
        self, access_type: str, names: Collection[str] = (), beginnings: Collection[str] = ()
    ) -> Sequence[Address]:
        """Return the shares that have a rule of this type for one of these clients, or for one whose name begins so, in the order of their addresses.

        The case of ASCII letters says nothing. Costs in proportion to what is returned.
        """

    def share_addresses(
        self,
        *,
        holding: Collection[bytes] = (),
        backends: Collection[str] = (),
        refused_or_named: str | None = None,
        largest_first: bool = False,
        limit: int | None = None,
    ) -> Sequence[Address]:
        """Return the addresses of the shares that meet each condition which is given, in their order, or the largest first.

        `holding` are parts of the JSON of their specs. With `refused_or_named`, those of which the backend refused an access rule, and those
        that have this text in their address. No row is decoded for it.
        """

    def share_sizes(self) -> Sequence[tuple[Address, str, int | None]]:
        """Return address, resource id and size of all shares, in the order of their addresses, without decoding a row."""

    def client_names(self, access_type: str) -> Sequence[str]:
        """Return whom rules of this type name, each once; for "did you mean"."""

    def runs(self, prefix: str = "", *, limit: int | None = None) -> Sequence[RunRecord]:
        """Return the runs whose ids begin with `prefix`, the newest first."""

    def failures(self, *, limit: int) -> Mapping[Address, HistoryEntry]:
        """Return, by address, the last thing that failed and was not done since; the newest first, no more than `limit`."""


class StateStore(Protocol):
    """Where the state lives. Reading never needs the lock. Methods may be called from any thread."""

    @property
    def location(self) -> str:
        """Where the state is, for people."""

    def read(self) -> AbstractContextManager[StateReader]:
        """Open one consistent view. Raises StateError."""

    def commit(self, lease: Lease, changes: Sequence[Change]) -> None:
        """Make all of `changes` durable, or none: when this returns, a power cut does not undo them.

        Raises LeaseLostError where `lease` has been taken away, StateRefusedError where a change is beyond its scope, VersionConflictError where a row is not at the expected version,
        and StateUnavailableError where the medium refuses (disk full, read-only, vanished); none of these changes anything.
        """

    def acquire(
        self, holder: Holder, *, duration_seconds: float, wait_seconds: float = 0.0, scope: Scope = EVERYTHING
    ) -> Lease:
        """Take a lease, waiting up to `wait_seconds` for the holders of those that it touches; raises LockedError, which carries one's LockStatus.

        A lease that has run out, or whose holder is known to be dead, is taken over.
        """

    def renew(self, lease: Lease) -> None:
        """Write a heartbeat; raises LeaseLostError if the lock has been taken over."""

    def release(self, lease: Lease) -> None:
        """Give the lock back; one that was lost already is not an error."""

    def leases(self) -> Sequence[LockStatus]:
        """Return all leases that are held or have run out, the oldest first."""

    def lock_status(self, scope: Scope = EVERYTHING) -> LockStatus | None:
        """Return the oldest lease that touches `scope`, or None if there is none."""

    def break_lock(self, token: int) -> bool:
        """Remove the lock if its token still is `token`; return whether it was. Its holder's next commit is refused."""

    def history(
        self, *, address: Address | None = None, limit: int | None = None, among: HistoryFilter = ANY_ENTRY
    ) -> Iterator[HistoryLine]:
        """Yield history, newest first; `address` also matches the access rules of that share. Costs in proportion to what is yielded."""

    def export_document(self) -> Iterator[bytes]:
        """Yield everything but the lock as one JSON document (format version inside), part after part, for `state pull`.

        All parts are of one moment, and no more than one is held in memory.
        """

    def import_document(self, lease: Lease, document: bytes, *, force: bool = False) -> None:
        """Replace everything by an exported document; refuses another lineage or an older serial unless forced (StateRefusedError)."""

    def close(self) -> None:
        """Let go of files and connections; the store is not used afterwards."""


@runtime_checkable
class WritesCopies(Protocol):
    """A store that can write copies of itself, which `sharectl.state.sqlite.open_store` reads."""

    def write_copy(self, target: Path) -> None:
        """Write one moment of the state to `target`: whole, checked, durable, mode 0600, in one step. Raises StateError.

        No more than a part of the state is held in memory.
        """


@runtime_checkable
class KeepsCopies(WritesCopies, Protocol):
    """A store of which a copy is kept after each change."""

    def content_mark(self) -> tuple[ContentMark, int]:
        """Return a mark of what the state holds, and its serial; runs that changed nothing leave the mark as it is. Raises StateError."""

    def has_run(self, run_id: str) -> bool:
        """Tell whether the state knows this run, and so comes after a copy whose last run it is. Raises StateError."""


@runtime_checkable
class TellsDoubts(Protocol):
    """A store whose medium may be set up so that it forgets."""

    def doubts(self) -> str:
        """Return why a commit might not survive a power cut, in words; an empty text where it does. Raises StateError."""


@runtime_checkable
class TellsWaiting(Protocol):
    """A store that may wait for its server."""

    def tell_waiting(self, tell: Callable[[str], object]) -> None:
        """Call `tell` with the reason, from any thread, where the server has been waited for in vain for some seconds; once until it answers."""


@runtime_checkable
class KeepsPromises(Protocol):
    """A store that keeps what runs have promised of the room in pools, as long as they hold their leases."""

    def promise(self, lease: Lease, room: Mapping[tuple[str, str], int]) -> Sequence[Promise]:
        """Make `room` (bytes by backend and pool) all that is promised under the lease, and return what others have promised.

        Of two that do so at once the second is told of the first's. Raises LeaseLostError and StateError.
        """

    def promises(self) -> Sequence[Promise]:
        """Return all that is promised now. Raises StateError."""


class UsageNotes(Protocol):
    """Notes of how much is used. They are no part of the state: no lease is needed, no serial moves, and nothing is decided by them."""

    def take(self, seen: Sequence[BackendUse]) -> bool:
        """Note what backends said; return False where that cannot be now: nothing is waited for long, and nothing migrated.

        Only what has changed is written. What is noted of a share goes when a whole listing is noted of which it is no part. Raises StateError.
        """

    def usage(self, resource_ids: Collection[str] | None = None) -> Mapping[str, ShareUse]:
        """Return what is known of the use of these shares (None: of all), by resource id; of some it costs in proportion to them. Raises StateError."""

    def largest(self, number: int) -> Collection[str]:
        """Return the ids of the so many shares that use most, and of those that use as much as the last of them.

        Empty where fewer are noted, or too many are alike: then all have to be looked at. Raises StateError.
        """

    def share_samples(self, resource_ids: Collection[str] | None = None) -> Mapping[str, Sequence[ShareSample]]:
        """Return the samples of these shares (None: of all), oldest first, with what was seen last. Raises StateError."""

    def pool_samples(self) -> Mapping[tuple[str, str], Sequence[PoolSample]]:
        """Return the samples of all pools by backend and pool, oldest first, with what was seen last. Raises StateError."""


@runtime_checkable
class KeepsUsage(Protocol):
    """A store that keeps notes of how much is used."""

    def usage_notes(self) -> UsageNotes:
        """Return the notes, to be taken and read. Raises StateError."""


@runtime_checkable
class CanMove(Protocol):
    """A store that remembers that its state has gone elsewhere."""

    def mark_moved(self, lease: Lease, mark: str | None) -> None:
        """Note that the state is at the location `mark` now, or take a mark away (None). Raises as `commit`.

        A mark may also say that the state is not wholly here yet (`unfinished_from`). Nobody takes a lease where there is one:
        StateMovedError says why.
        """

    def moved_to(self) -> str | None:
        """Return the mark, or None. Raises StateError."""

    def go_on_moving(self, mark: str) -> None:
        """Let `acquire` give this store a lease in spite of this mark, to whoever finishes the move."""


RESTORE_REMEDY: Final = (
    "`sharectl state restore` lists the copies that sharectl keeps of it and brings one back; so does `sharectl state push` "
    "with a document that `sharectl state pull` wrote; "
    "the shares themselves are on their backends and have not been touched"
)


class StateError(Exception):
    """The store cannot do what was asked, and has changed nothing; `problem` is part of the diagnostic's code."""

    problem: ClassVar[str] = "unavailable"

    def __init__(self, location: str, reason: str, remedy: str = "") -> None:
        """Say where, why, and how to mend it."""
        super().__init__(f"{location}: {reason}")
        self.location = location
        self.reason = reason
        self.remedy = remedy


class StateUnavailableError(StateError):
    """The medium refuses: no space, no permission, gone."""


class StateBusyError(StateUnavailableError):
    """Another process keeps the file locked for longer than can be waited; it may or may not hold the lease."""

    problem = "busy"


class StateNotOursError(StateError):
    """The file is something else."""

    problem = "not-ours"


class StateNewerError(StateError):
    """The file was written by a newer sharectl."""

    problem = "newer-version"


class StateCorruptError(StateError):
    """The file is damaged."""

    problem = "corrupt"


class DamagedRowError(StateCorruptError):
    """A row holds what sharectl never writes."""

    def __init__(self, row: str, fault: str) -> None:
        """Name the row and what is wrong with it."""
        super().__init__("the state", f"it is damaged: the row of {row}: {fault}", RESTORE_REMEDY)
        self.fault = f"{row}: {fault}"


class StateRefusedError(StateError):
    """The change would lose something, and was not forced."""

    problem = "refused"


_UNFINISHED: Final = "here, but not wholly yet, from "


def unfinished_from(location: str) -> str:
    """Return the mark of a state that is being moved here from `location`, and is not to be written before all of that is done.

    A sharectl that knows no such mark takes it for a place, and does not write here either.
    """
    return f"{_UNFINISHED}{location}"


class StateMovedError(StateError):
    """The state has gone elsewhere and is not written here any more, or has not wholly come here yet."""

    problem = "moved"

    def __init__(self, location: str, moved_to: str) -> None:
        """Say where it is now."""
        self.moved_to = moved_to
        if moved_to.startswith(_UNFINISHED):
            source = moved_to.removeprefix(_UNFINISHED)
            remedy = (
                f"run `sharectl state migrate` to this place again, with {source} as the state; it finishes the move"
            )
            super().__init__(location, f"the move of the state from {source} to here was cut short", remedy)
            return
        remedy = "name that place in sharectl.yaml (`state.url`) or SHARECTL_STATE"
        super().__init__(location, f"the state has moved to {moved_to}; here it is not written any more", remedy)


class LockedError(Exception):
    """Somebody else holds the lock, of everything or of what was asked for."""

    def __init__(self, location: str, status: LockStatus, asked: Scope = EVERYTHING) -> None:
        """Carry the holder's own record, and what was asked for."""
        super().__init__(f"{location} is locked by {status.holder.name}")
        self.location = location
        self.status = status
        self.asked = asked


class LeaseLostError(Exception):
    """The lock has passed to somebody else; what was about to be written was not."""


class VersionConflictError(Exception):
    """A row has changed since it was read."""

    def __init__(self, address: Address, expected: int | None, found: int | None) -> None:
        """Name the row, the version that was expected and the one that is there (None: no row)."""
        super().__init__(f"{address}: expected version {expected}, found {found}")
        self.address = address
        self.expected = expected
        self.found = found
