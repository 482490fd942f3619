"""Recovery: intents that an earlier run left open are resolved by asking the backends what became of them."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sharectl.engine.journal import Journal
from sharectl.engine.loop import Job, Loop, Patience, Procedure, Write, loop_for
from sharectl.engine.verbs import TABLE
from sharectl.engine.verbs.backend import expect_storage
from sharectl.engine.verbs.base import Holdings, Intent, Outcome, Runner
from sharectl.executors.answers import TRANSIENT_KINDS, UNANSWERED_KINDS, CallFailedError, FailureKind
from sharectl.executors.calls import ListShares, ListSnapshots, ask
from sharectl.model.events import OperationRecovered, RecoveryStarted
from sharectl.model.kinds import Kind, address_of
from sharectl.model.records import within
from sharectl.model.verbs import VERBS, Verb
from sharectl.planner.strays import import_address
from sharectl.state.contract import LeaseLostError, StateError, StateRefusedError, VersionConflictError
from sharectl.state.rows import expect_whole_state, payload_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sharectl.engine.environment import Environment
    from sharectl.engine.tenure import Heartbeat
    from sharectl.executors.base import Remains
    from sharectl.model.events import Event
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare, ObservedSnapshot
    from sharectl.model.records import OperationRecord, Record, RunRecord, Scope
    from sharectl.state.contract import StateStore

_LOOKED_UP_AT_ONCE: Final = 200
_ATTEMPTS: Final = 4
"""Two intents that are resolved side by side may be in each other's way for a moment."""
_PASSING: Final = frozenset({FailureKind.TRANSIENT})
"""How the first questions are repeated: a backend that cannot be reached holds up the run no longer than one of them."""
_NOT_BEGUN: Final = Outcome((), "it was not begun")
_NO_ANSWER: Final = UNANSWERED_KINDS | {FailureKind.UNAVAILABLE, FailureKind.NOT_ASKED, FailureKind.NOT_PERMITTED}
"""Failures that say nothing about the intent, only that its backend cannot be asked."""


def recover(  # noqa: PLR0913 - the state, what it runs on, and who watches
    store: StateStore,
    heartbeat: Heartbeat,
    *,
    run: RunRecord,
    environment: Environment,
    width: Callable[[str], int],
    timeout_seconds: Callable[[str], float],
    observer: Callable[[Event], None],
    remains: Mapping[str, Remains] = MappingProxyType({}),
) -> tuple[OperationRecord, ...]:
    """Resolve every open intent in the scope of the lease that can be, and return those whose backend gave no answer.

    Outcomes are durable as they come, so that a recovery that is cut short has made progress. Backends are asked side by side, each as
    many calls at once as `width` says. A call that has no answer within the `timeout_seconds` of its backend holds up only its own
    intent, and a backend that is silent again and again is given up; how long all of it takes is not limited.

    What a backend holds is recorded, also where the run before died before it could; what it does not hold leaves no trace.
    A share that was made for an address which has meanwhile got another is removed: nobody ever had access to it. A backend with other
    storage behind it than the state has pinned (a file system that is not mounted) is not believed.

    `remains` are, by operation, what workers have kept of its calls: one that never began is not asked about (but where the run
    may have taken addresses by itself before), and one that is still under way is left alone.
    """
    unresolved: list[OperationRecord] = []
    again: Sequence[OperationRecord] | None = None
    while again is None or again:
        operations, records = _read(store, again, heartbeat.lease.scope)
        if operations and again is None:
            counts = Counter(operation.backend or "" for operation in operations)
            observer(RecoveryStarted(len(operations), dict(sorted(counts.items()))))
        patience = Patience(UNANSWERED_KINDS | {FailureKind.UNAVAILABLE}, spare=1)
        loop = loop_for(environment, store, heartbeat, width, patience)
        journal = Journal(run, environment.now)
        recovery = _Recovery(loop, records, journal, heartbeat.tenure.require, timeout_seconds, remains)
        try:
            recovery.run(operations, observer)
        finally:
            loop.close()
        unresolved += recovery.unresolved
        again = recovery.again
    return tuple(unresolved)


def _read(
    store: StateStore, chosen: Sequence[OperationRecord] | None, scope: Scope
) -> tuple[Sequence[OperationRecord], Mapping[Address, Record]]:
    """Return the open intents (all in `scope`, or those that are `chosen`), and the rows that they are about."""
    with store.read() as reader:
        operations = within(scope, reader.view(())).operations if chosen is None else chosen
        if operations and chosen is None:
            expect_whole_state(reader)  # nothing is done on a damaged state
        addresses = {operation.address for operation in operations}
        addresses |= {address_of(Kind.BACKEND, operation.backend) for operation in operations if operation.backend}
        specs = (payload_of(operation).get("spec") for operation in operations)
        addresses |= {address_of(Kind.SHARE, spec["share"]) for spec in specs if spec is not None and "share" in spec}
        addresses |= {import_address(operation.address) for operation in operations}
        return operations, reader.view(addresses).records


def _may_have_addresses(operation: OperationRecord) -> bool:
    """Tell whether addresses may have been taken for it without a worker."""
    entry = TABLE.get(Verb(operation.verb)) if operation.verb in VERBS else None
    return entry is not None and entry.runner is Runner.NETWORK


class _Resolving(Job):
    """What is asked of a backend on behalf of `operations`; those that are still in `left` when it breaks are unresolved."""

    def __init__(
        self,
        procedure: Procedure[None],
        backend: str,
        operations: Iterable[OperationRecord],
        recovery: _Recovery,
        *,
        retries: frozenset[FailureKind] = _PASSING,
    ) -> None:
        timeout_seconds = recovery.timeout_seconds(backend)
        super().__init__(procedure, backend, attempts=_ATTEMPTS, timeout_seconds=timeout_seconds, retries=retries)
        self.left = list(operations)
        self._recovery = recovery

    def broke(self, error: Exception) -> None:
        """See Job."""
        self._recovery.give_up(self.left, error)


class _Recovery:
    """One round over open intents, with the rows as they were read before it."""

    def __init__(  # noqa: PLR0913, PLR0917 - see recover()
        self,
        loop: Loop,
        records: Mapping[Address, Record],
        journal: Journal,
        expect_right: Callable[[], None],
        timeout_seconds: Callable[[str], float],
        remains: Mapping[str, Remains],
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self.unresolved: list[OperationRecord] = []
        self.again: list[OperationRecord] = []
        self._loop = loop
        self._records = records
        self._journal = journal
        self._expect_right = expect_right
        self._remains = remains
        self._events: list[Event] = []
        self._problem: Exception | None = None

    def run(self, operations: Sequence[OperationRecord], observer: Callable[[Event], None]) -> None:
        """Resolve what can be resolved. Raises LeaseLostError and StateError."""
        by_backend: dict[str, list[OperationRecord]] = {}
        for operation in operations:
            known = self._remains.get(operation.operation_id)
            if known is not None and known.is_under_way:
                self.unresolved.append(operation)
                continue
            if known is not None and not known.has_begun and not _may_have_addresses(operation):
                job = _Resolving(self._record(operation, _NOT_BEGUN), operation.backend or "", (operation,), self)
                self._loop.start(job)
                continue
            by_backend.setdefault(operation.backend or "", []).append(operation)
        for backend, mine in sorted(by_backend.items()):
            self._loop.start(_Resolving(self._open(backend, mine), backend, mine, self))
        while self._loop.jobs:
            self._loop.turn()
            events, self._events = self._events, []
            for event in events:
                observer(event)
            if self._problem is not None:
                raise self._problem

    def give_up(self, operations: Iterable[OperationRecord], error: Exception) -> None:
        """Leave these to the next run."""
        self.unresolved += operations
        if isinstance(error, LeaseLostError | StateError):
            self._problem = error
        is_not_permitted = isinstance(error, CallFailedError) and error.failure.kind is FailureKind.NOT_PERMITTED
        if is_not_permitted and self._problem is None:  # asked once: each question may wait for a server that is away
            try:
                self._expect_right()
            except (LeaseLostError, StateError) as problem:
                self._problem = problem

    def _open(self, backend: str, operations: Sequence[OperationRecord]) -> Procedure[None]:
        """Make sure that behind the backend is the storage that the state knows, and start what follows."""
        if any(operation.verb != Verb.PREPARE_BACKEND for operation in operations):
            pinned = self._records.get(address_of(Kind.BACKEND, backend))
            yield from expect_storage(backend, None if pinned is None else pinned.resource_id)
        groups: dict[Address, list[OperationRecord]] = {}
        for operation in operations:
            groups.setdefault(operation.address, []).append(operation)
        single = [group[0] for group in groups.values() if len(group) == 1]
        for start in range(0, len(single), _LOOKED_UP_AT_ONCE):
            chunk = single[start : start + _LOOKED_UP_AT_ONCE]
            self._loop.start(_Resolving(self._look_up(backend, chunk), backend, chunk, self))
        for group in groups.values():
            if len(group) > 1:  # what resolves one of several at an address may change what the next one finds
                self._resolve(backend, group, None)

    def _look_up(self, backend: str, operations: Sequence[OperationRecord]) -> Procedure[None]:
        """List what many intents are about at once; where the driver cannot, each is asked for alone."""
        holdings: Holdings | None
        try:
            holdings = yield from self._listed(operations)
        except CallFailedError as error:
            if error.failure.kind in _NO_ANSWER:
                raise
            holdings = None
        for operation in operations:
            self._resolve(backend, (operation,), holdings)

    def _listed(self, operations: Iterable[OperationRecord]) -> Procedure[Holdings]:
        ids: dict[Kind, list[str]] = {}
        for operation in operations:
            if operation.verb in VERBS:
                ids.setdefault(VERBS[Verb(operation.verb)].kind or Kind.SHARE, []).append(operation.resource_id)
        shares: Iterable[ObservedShare] = ()
        snapshots: Iterable[ObservedSnapshot] = ()
        if Kind.SHARE in ids:
            shares = (yield from ask(ListShares(tuple(sorted({*ids[Kind.SHARE]}))))).shares
        if Kind.SNAPSHOT in ids:
            snapshots = (yield from ask(ListSnapshots(tuple(sorted({*ids[Kind.SNAPSHOT]}))))).snapshots
        return Holdings(
            {share.resource_id: share for share in shares if share.resource_id is not None},
            {snapshot.resource_id: snapshot for snapshot in snapshots if snapshot.resource_id is not None},
        )

    def _resolve(self, backend: str, operations: Sequence[OperationRecord], holdings: Holdings | None) -> None:
        def resolved() -> Procedure[None]:
            for operation in operations:
                yield from self._resolved(operation, holdings)
                job.left.remove(operation)

        job = _Resolving(resolved(), backend, operations, self, retries=TRANSIENT_KINDS)
        self._loop.start(job)

    def _resolved(self, operation: OperationRecord, holdings: Holdings | None) -> Procedure[None]:
        """Resolve one intent; one that its backend refuses, or of a version that is not known here, holds up no other."""
        try:
            recover_one = TABLE[Verb(operation.verb)].recover
            if recover_one is None:
                self.unresolved.append(operation)
                return
            known = self._remains.get(operation.operation_id)
            answer = None if known is None else known.answer
            outcome = yield from recover_one(Intent(operation, self._records, holdings, answer))
        except CallFailedError as error:
            if error.failure.kind in _NO_ANSWER:
                raise
            self.unresolved.append(operation)
            return
        except Exception:  # noqa: BLE001 - an intent of another version, or an answer that is not what it seemed
            self.unresolved.append(operation)
            return
        yield from self._record(operation, outcome)

    def _record(self, operation: OperationRecord, outcome: Outcome) -> Procedure[None]:
        try:
            yield Write(self._journal.recovered(operation, outcome))
        except VersionConflictError:  # another intent at the same address has just been resolved: it is looked at again
            self.again.append(operation)
        except StateRefusedError:  # it is about a value that this backend lists, and no other intent is affected
            self.unresolved.append(operation)
        else:
            words = outcome.words
            self._events.append(OperationRecovered(operation.address, operation.verb, operation.backend, words))
