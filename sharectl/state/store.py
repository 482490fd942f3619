"""The contract of a state store: its records, its changes, its lock and its errors.

`sharectl.state.testing` holds the suite that every store must pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from sharectl.model import AccessRule, Address, ShareSpec, SnapshotSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sharectl.model import Kind


class Record(NamedTuple):
    """A resource as it was last applied: one row, read a hundred thousand at a time and therefore a tuple.

    `resource_id` was made by sharectl before the backend was asked for anything. `version` starts at 1 and grows by one with
    each change of the row. `digest` is the digest of `spec` (or a mark, where an access rule was refused) followed by
    that of the access rules in force (16 bytes each).
    `spec` and `attributes` are canonical JSON; `attributes` holds what the backend answered: `backend_id`, `export_locations`,
    a backend's `identity`.
    """

    address: Address
    kind: str
    resource_id: str
    backend: str | None
    pool: str | None
    version: int
    digest: bytes
    size_bytes: int | None
    protect: bool
    spec: bytes
    attributes: bytes


class RuleRecord(NamedTuple):
    """An access rule in force on a share, or one that the backend refused, with its reason."""

    rule: AccessRule
    status: str  # "active" or "error"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """An intent: committed before a driver call, removed with the commit of its result.

    One that is found later belongs to a run that died or gave up; whoever finds it asks the backend for `resource_id`.
    `payload` is canonical JSON, whatever the verb needs in order to be finished by another process. Times are UTC, ISO 8601.
    """

    operation_id: str
    run_id: str
    address: Address
    verb: str
    resource_id: str
    backend: str | None
    pool: str | None
    started_at: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One command that changed the state: who ran it, where, from which commit and in which CI job."""

    run_id: str
    command: str
    user: str
    host: str
    started_at: str
    git_commit: str | None = None
    ci_job_url: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What a run did to one address. `outcome` is `done`, `failed`, or `recovered` by a later run; `detail` is canonical JSON: changes, or the error."""

    run_id: str
    at: str
    address: Address
    verb: str
    outcome: str
    detail: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """A history entry with its number and its run."""

    sequence: int
    entry: HistoryEntry
    run: RunRecord


@dataclass(frozen=True, slots=True)
class PutResource:
    """Write `record`, whose `version` is ignored: it becomes `expected_version` + 1, or 1 where the row must not exist yet (None)."""

    record: Record
    expected_version: int | None


@dataclass(frozen=True, slots=True)
class RemoveResource:
    """Remove the row and its access rules; it must be at `expected_version`."""

    address: Address
    expected_version: int


@dataclass(frozen=True, slots=True)
class RenameResource:
    """Give the row (and its access rules) another address, which must be free; its version grows by one."""

    address: Address
    new_address: Address
    expected_version: int


@dataclass(frozen=True, slots=True)
class RenameBackend:
    """Give a backend another name: its row (at `expected_version`; None where there is none), and all that is on it follow.

    The version of each row that follows grows by one. Share servers, whose addresses end with `@BACKEND`, get the addresses of the
    new name; open intents follow too. The address of the new backend must be free.
    """

    backend: str
    new_backend: str
    expected_version: int | None


@dataclass(frozen=True, slots=True)
class PutRules:
    """Make `rules` the whole set of access rules recorded for the share."""

    share_address: Address
    rules: tuple[RuleRecord, ...]


@dataclass(frozen=True, slots=True)
class BeginOperation:
    """Record an intent."""

    operation: OperationRecord


@dataclass(frozen=True, slots=True)
class EndOperation:
    """Remove an intent; one that is gone already is no error."""

    operation_id: str


@dataclass(frozen=True, slots=True)
class AddHistory:
    """Append to the history; the run must have been recorded."""

    entry: HistoryEntry


@dataclass(frozen=True, slots=True)
class PutRun:
    """Record a run, once."""

    run: RunRecord


Change = (
    PutResource
    | RemoveResource
    | RenameResource
    | RenameBackend
    | PutRules
    | BeginOperation
    | EndOperation
    | AddHistory
    | PutRun
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who wants the lock, in the words that the next person reads."""

    user: str
    host: str
    process_id: int
    command: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write. `token` grows with every acquisition: a store refuses a commit whose token is not the newest.

    Backends remember it too. It is no less than the time of day in seconds, so that a state which was restored from an older copy
    does not fall behind what they remember.
    """

    token: int
    holder: Holder
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class LockStatus:
    """The lock as it stands: its holder, when it was taken, its last heartbeat, and whether it can be taken over now, and why."""

    token: int
    holder: Holder
    acquired_at: str
    heartbeat_at: str
    expired: bool
    reason: str


class ContentMark(NamedTuple):
    """What tells that two moments of a state hold the same; `lineage` is empty where nothing has ever been written."""

    lineage: str
    resources: int
    last_history: int
    last_operation: int


@dataclass(frozen=True, slots=True)
class StateView:
    """A consistent copy of the records that were asked for, and of all open intents.

    `rules` holds the access rules of those shares for which somebody has asked the reader; it does not hold all. `rules_total` is
    how many the store holds in all, None where it does not say. `writer` is another process that was at work on the state while it
    was read, where somebody has looked.
    """

    lineage: str
    serial: int
    records: Mapping[Address, Record]
    operations: tuple[OperationRecord, ...]
    rules: Mapping[Address, tuple[RuleRecord, ...]] = field(default_factory=dict)
    rules_total: int | None = None
    writer: LockStatus | None = None

    def share_spec(self, address: Address) -> ShareSpec:
        """Return the spec last applied to the share at `address`."""
        import orjson  # noqa: PLC0415 - only changed resources are decoded

        return ShareSpec.from_plain(orjson.loads(self.records[address].spec))

    def on_backends(self, backends: frozenset[str]) -> StateView:
        """Return the view of what is on these backends; of an empty set, the whole view."""
        if not backends:
            return self
        records = {address: record for address, record in self.records.items() if record.backend in backends}
        return replace(self, records=records)

    def snapshot_spec(self, address: Address) -> SnapshotSpec:
        """Return the spec last applied to the snapshot at `address`."""
        import orjson  # noqa: PLC0415 - only changed resources are decoded

        return SnapshotSpec.from_plain(orjson.loads(self.records[address].spec))


class StateReader(Protocol):
    """One consistent view of the store; what it returns does not change while it is open, whatever others commit."""

    def view(self, addresses: Collection[Address] | None = None) -> StateView:
        """Return the records at `addresses` (None: all of them; unknown addresses are left out) and every open intent."""
        ...

    def of_kind(self, kind: Kind) -> Mapping[Address, Record]:
        """Return all records of one kind; costs in proportion to those."""
        ...

    def rules(self, share_addresses: Collection[Address] | None = None) -> Mapping[Address, tuple[RuleRecord, ...]]:
        """Return the recorded rules of these shares (None: of all), sorted by key; shares without rules are left out."""
        ...


class StateStore(Protocol):
    """Where the state lives. Reading never needs the lock. Methods may be called from any thread."""

    @property
    def location(self) -> str:
        """Where the state is, for people."""
        ...

    def read(self) -> AbstractContextManager[StateReader]:
        """Open one consistent view. Raises StateError."""
        ...

    def commit(self, lease: Lease, changes: Sequence[Change]) -> None:
        """Make all of `changes` durable, or none: when this returns, a power cut does not undo them.

        Raises LeaseLostError where `lease` is not the newest, VersionConflictError where a row is not at the expected version,
        and StateUnavailableError where the medium refuses (disk full, read-only, vanished); none of these changes anything.
        """
        ...

    def acquire(self, holder: Holder, *, duration_seconds: float, wait_seconds: float = 0.0) -> Lease:
        """Take the lock, waiting up to `wait_seconds` for its holder; raises LockedError, which carries the holder's LockStatus.

        A lock whose lease has run out, or whose holder is known to be dead, is taken over.
        """
        ...

    def renew(self, lease: Lease) -> None:
        """Write a heartbeat; raises LeaseLostError where somebody has taken the lock over."""
        ...

    def release(self, lease: Lease) -> None:
        """Give the lock back; a lease that was lost already is no error."""
        ...

    def lock_status(self) -> LockStatus | None:
        """Return the lock as it stands, or None where nobody holds it."""
        ...

    def break_lock(self, token: int) -> bool:
        """Remove the lock if its token still is `token`; return whether it was. Its holder's next commit is refused."""
        ...

    def history(self, *, address: Address | None = None, limit: int | None = None) -> Iterator[HistoryLine]:
        """Yield history, newest first; `address` also matches the access rules of that share."""
        ...

    def export_document(self) -> bytes:
        """Return everything but the lock as one JSON document (format version inside), for `state pull`."""
        ...

    def import_document(self, lease: Lease, document: bytes, *, force: bool = False) -> None:
        """Replace everything by an exported document; refuses another lineage or an older serial unless forced (StateRefusedError)."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the store is not used afterwards."""
        ...


@runtime_checkable
class WritesCopies(Protocol):
    """A store that can write copies of itself, which `sharectl.state.sqlite.open_store` reads."""

    def content_mark(self) -> tuple[ContentMark, int]:
        """Return a mark of what the state holds, and its serial; runs that changed nothing leave the mark as it is. Raises StateError."""
        ...

    def write_copy(self, target: Path) -> None:
        """Write one moment of the state to `target`: whole, checked, durable, mode 0600, in one step. Raises StateError."""
        ...


@runtime_checkable
class KnowsRuns(Protocol):
    """A store that can tell whether it comes after a copy: it knows the last run of the copy, or it does not."""

    def has_run(self, run_id: str) -> bool:
        """Tell whether the state knows this run. Raises StateError."""
        ...


class StateProblem(StrEnum):
    """Why a store cannot be used; part of the diagnostic's code."""

    NOT_OURS = "not-ours"
    NEWER = "newer-version"
    CORRUPT = "corrupt"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    BUSY = "busy"


class StateError(Exception):
    """The store cannot do what was asked, and has changed nothing."""

    problem: StateProblem = StateProblem.UNAVAILABLE

    def __init__(self, location: str, reason: str, remedy: str = "") -> None:
        """Say where, why, and how to mend it."""
        super().__init__(f"{location}: {reason}")
        self.location = location
        self.reason = reason
        self.remedy = remedy


class StateUnavailableError(StateError):
    """The medium refuses: no space, no permission, gone."""


class StateBusyError(StateUnavailableError):
    """Another process keeps the file for itself for longer than can be waited; nobody knows whether it is a holder of the lock."""

    problem = StateProblem.BUSY


class StateNotOursError(StateError):
    """The file is something else."""

    problem = StateProblem.NOT_OURS


class StateNewerError(StateError):
    """The file was written by a newer sharectl."""

    problem = StateProblem.NEWER


class StateCorruptError(StateError):
    """The file is damaged."""

    problem = StateProblem.CORRUPT


class StateRefusedError(StateError):
    """The change would lose something, and was not forced."""

    problem = StateProblem.REFUSED


class LockedError(Exception):
    """Somebody else holds the lock."""

    def __init__(self, location: str, status: LockStatus) -> None:
        """Carry the holder's own record."""
        super().__init__(f"{location} is locked by {status.holder.user}@{status.holder.host}")
        self.location = location
        self.status = status


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
