"""What a state holds: rows of resources and rules, open intents, runs, history and the lock, and the changes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.canonical import DIGEST_SIZE_BYTES
from sharectl.model.frozen import NamedTuple, dataclass, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sharectl.model.access import AccessRule
    from sharectl.model.kinds import Address


class Record(NamedTuple):
    """A resource as it was last applied: one row, read a hundred thousand at a time and therefore a tuple.

    `resource_id` was made by sharectl before the backend was asked for anything. `version` starts at 1 and grows by one with
    each change of the row. `spec_digest` is that of the manifest that the row was applied from, None where the backend refused one of
    its access rules, so that no manifest equals the row; `access_digest` is that of the rules in force (16 bytes each).
    `spec` and `attributes` are canonical JSON; `attributes` holds what the backend answered: `backend_id`, `export_locations`,
    a backend's `identity`; and the `export_settings` that were last put in force.
    """

    address: Address
    kind: str
    resource_id: str
    backend: str | None
    pool: str | None
    version: int
    spec_digest: bytes | None
    access_digest: bytes
    size_bytes: int | None
    protect: bool
    spec: bytes
    attributes: bytes

    def at_version(self, version: int) -> Record:
        """Return the row at another version."""
        return Record._make((*self[:5], version, *self[6:]))

    def is_applied(self, digest: bytes) -> bool:
        """Tell whether the row is as a manifest wants it whose spec and access rules have `digest`, one after the other."""
        return self.spec_digest is not None and self.spec_digest + self.access_digest == digest

    def has_spec(self, digest: bytes) -> bool:
        """Tell the same of the spec alone."""
        return self.spec_digest == digest[:DIGEST_SIZE_BYTES]

    def has_access(self, digest: bytes) -> bool:
        """Tell the same of the access rules; not where one of them was refused."""
        return self.spec_digest is not None and self.access_digest == digest[DIGEST_SIZE_BYTES:]


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
    """One command that changed the state: who ran it, where, from which commit and in which CI job.

    `user` is the account on the host, `actor` who started the job as the forge knows them, `author` who wrote the commit.
    """

    run_id: str
    command: str
    user: str
    host: str
    started_at: str
    git_commit: str | None = None
    ci_job_url: str | None = None
    actor: str | None = None
    author: str | None = None


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
class HistoryFilter:
    """Which entries of the history are meant: those that meet each condition that is given.

    `since` is UTC, as the entries have it. `user` is the account or the actor of a run, or a part of its author, whatever the case of ASCII letters.
    """

    run_id: str | None = None
    since: str | None = None
    user: str | None = None
    failed: bool = False
    recovered: bool = False


ANY_ENTRY: Final = HistoryFilter()


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
    """Remove an intent; removing one that is gone is not an error."""

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

_ORDER: Final[Mapping[type, tuple[int, Callable[[Any], tuple[str, ...]]]]] = {
    kind: (number, names)
    for number, (kind, names) in enumerate(
        {
            PutRun: lambda _: (),
            RemoveResource: lambda change: (change.address,),
            RenameResource: lambda change: (change.address, change.new_address),
            PutResource: lambda change: (change.record.address,),
            PutRules: lambda change: (change.share_address,),
            EndOperation: lambda change: (change.operation_id,),
            BeginOperation: lambda change: (change.operation.operation_id,),
            AddHistory: lambda _: (),
            RenameBackend: lambda _: (),
        }.items()
    )
}
"""An order in which kinds of changes may be made together, and the names by which one must not be made before another."""


def batches_by_kind(changes: Sequence[Change]) -> Iterator[Mapping[type, list[Change]]]:
    """Yield the changes by kind, as many at a time as may be made in the order in which the kinds come, instead of their own."""
    batch: dict[type, list[Change]] = {}
    latest: dict[str, int] = {}
    for change in changes:
        kind = type(change)
        order, names_in = _ORDER[kind]
        names = names_in(change)
        is_late = RenameBackend in batch
        for name in names:
            is_late = is_late or latest.get(name, -1) >= order
        if is_late:
            yield dict(sorted(batch.items(), key=lambda item: _ORDER[item[0]][0]))
            batch, latest = {}, {}
        batch.setdefault(kind, []).append(change)
        for name in names:
            latest[name] = order
    yield dict(sorted(batch.items(), key=lambda item: _ORDER[item[0]][0]))


@dataclass(frozen=True, slots=True)
class Holder:
    """Who wants the lock, in the words that the next person reads."""

    user: str
    host: str
    process_id: int
    command: str
    actor: str | None = None
    ci_job_url: str | None = None

    @property
    def name(self) -> str:
        """Who on which machine."""
        return f"{self.user}@{self.host}"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a lease is for: everything, all that is on some backends, or of that only what is at some addresses.

    Two leases may be held at once where their scopes do not touch. Two leases on addresses of one backend need a driver that lets both
    through, or that knows no fences.
    """

    backends: frozenset[str] = frozenset()
    addresses: frozenset[Address] = frozenset()

    def __post_init__(self) -> None:
        """Refuse addresses without the backends that they are on."""
        if self.addresses and not self.backends:
            message = "a scope of addresses names their backends too"
            raise ValueError(message)

    @property
    def is_everything(self) -> bool:
        """Tell whether nothing is left out."""
        return not self.backends

    def touches(self, other: Scope) -> bool:
        """Tell whether two holders could write the same row."""
        if self.addresses and other.addresses:
            return not self.addresses.isdisjoint(other.addresses)
        return self.is_everything or other.is_everything or not self.backends.isdisjoint(other.backends)

    def holds(self, address: Address, backend: str | None) -> bool:
        """Tell whether a row at `address` on `backend` is within the scope."""
        if self.is_everything:
            return True
        return backend in self.backends and (not self.addresses or address in self.addresses)


EVERYTHING: Final = Scope()


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write what is in `scope`. `token` grows with every acquisition: a store refuses commits under a lease that another has replaced.

    Backends remember it too. It is no less than the time of day in seconds, so that a state which was restored from an older copy
    does not fall behind what they remember. `beside` are the tokens of the other leases that were held when it was taken: a backend that
    is told of this one may still work for those, and for no other before it.
    """

    token: int
    holder: Holder
    duration_seconds: float
    scope: Scope = EVERYTHING
    beside: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class LockStatus:
    """A lease as it stands: its holder, when it was taken, its last heartbeat, whether it can be taken over now, and why."""

    token: int
    holder: Holder
    acquired_at: str
    heartbeat_at: str
    expired: bool
    reason: str
    scope: Scope = EVERYTHING

    @property
    def run(self) -> str:
        """The run that holds it, within a sentence: whose, what it runs, since when, and who or which CI job started it."""
        holder = self.holder
        started = f", started by {holder.actor}" if holder.actor is not None else ""
        job = f", from CI job {holder.ci_job_url}" if holder.ci_job_url is not None else ""
        who = f"{holder.name} (process {holder.process_id})"
        return f"{who}, running `{holder.command}` since {self.acquired_at}{started}{job}"


class Promise(NamedTuple):
    """Room in a pool that a run has promised to shares which it makes, and the lease of that run."""

    backend: str
    pool: str
    size_bytes: int
    status: LockStatus


class ContentMark(NamedTuple):
    """What tells that two moments of a state hold the same; `lineage` is empty where nothing has ever been written."""

    lineage: str
    resources: int
    last_history: int
    last_operation: int


@dataclass(frozen=True, slots=True)
class StateView:
    """A consistent copy of the records that were asked for, and of all open intents.

    `rules` holds the access rules of the shares for which the reader was asked, not of all. `rules_total` is how many the store
    holds, None where it was not asked. `writer` is another process that was at work on the state while it was read, if that was looked up.
    `arrived` are the ids of resources that other runs have recorded or begun since.
    """

    lineage: str
    serial: int
    records: Mapping[Address, Record]
    operations: tuple[OperationRecord, ...]
    rules: Mapping[Address, tuple[RuleRecord, ...]] = field(default_factory=dict)
    rules_total: int | None = None
    writer: LockStatus | None = None
    arrived: frozenset[str] = frozenset()

    def on_backends(self, backends: frozenset[str]) -> StateView:
        """Return the view of what is on these backends; of an empty set, the whole view."""
        if not backends:
            return self
        records = {address: record for address, record in self.records.items() if record.backend in backends}
        return replace(self, records=records)


def within(scope: Scope, view: StateView) -> StateView:
    """Return the view without the open intents that are beyond `scope`: those are of other runs, or for others to resolve."""
    if scope.is_everything:
        return view
    return replace(view, operations=tuple(each for each in view.operations if scope.holds(each.address, each.backend)))
