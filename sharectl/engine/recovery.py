"""Recovery: intents that an earlier run left open are resolved by asking the backends what became of them."""

from __future__ import annotations

from collections import Counter
from functools import partial
from time import sleep
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import BackendUnavailableError, TransientError
from sharectl.engine.answers import report_of
from sharectl.engine.attempt import AbandonedError
from sharectl.engine.identity import expect_identity
from sharectl.engine.questions import Findings, Job, Questions
from sharectl.engine.resolving import Holdings, look_up, resolve
from sharectl.engine.retry import retry_delay_seconds
from sharectl.engine.server_calls import SERVER_VERBS
from sharectl.engine.server_resolving import resolve_server
from sharectl.model.canonical import canonical_json
from sharectl.model.events import OperationRecovered, RecoveryStarted
from sharectl.model.kinds import Kind, address_of
from sharectl.model.records import AddHistory, EndOperation, HistoryEntry
from sharectl.model.verbs import Verb
from sharectl.planner.imports.unfinished import import_address
from sharectl.state.contract import LeaseLostError, StateError, VersionConflictError
from sharectl.state.rows import payload_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.drivers.base import Driver
    from sharectl.engine.environment import Environment
    from sharectl.engine.heartbeat import Heartbeat
    from sharectl.engine.resolving import Outcome
    from sharectl.engine.tenure import Permit
    from sharectl.model.events import Event
    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, OperationRecord, Record, RunRecord
    from sharectl.state.contract import StateStore

_LOOKED_UP_AT_ONCE: Final = 200
_ATTEMPTS: Final = 4
_Resolved = tuple["OperationRecord", "Outcome"]


def recover(  # noqa: PLR0913 - the state, what it runs on, and who watches
    store: StateStore,
    heartbeat: Heartbeat,
    *,
    run: RunRecord,
    environment: Environment,
    width: Callable[[str], int],
    silence_seconds: float,
    observer: Callable[[Event], None],
) -> tuple[OperationRecord, ...]:
    """Resolve every open intent that can be, and return those whose backend gave no answer.

    Each outcome is durable before the next answer is waited for, so that a recovery which is cut short has got on. Backends are
    asked side by side, each on as many threads as `width` says, and given up where they are silent for `silence_seconds`,
    however long all of it takes.

    What a backend holds is recorded, also where the run before died before it could; what it does not hold leaves no trace.
    A share that was made for an address which has meanwhile got another is removed: nobody ever had access to it. A backend
    behind which is another storage than the state has pinned (a file system that is not mounted) is not believed.
    """
    unresolved: list[OperationRecord] = []
    again: Sequence[OperationRecord] | None = None
    while again is None or again:
        operations, records = _read(store, again)
        if operations and again is None:
            counts = Counter(operation.backend or "" for operation in operations)
            observer(RecoveryStarted(len(operations), dict(sorted(counts.items()))))
        again = []
        questions = Questions(width, silence_seconds, environment.monotonic, heartbeat.tenure.require)
        try:
            for job in _first_jobs(operations, records, environment):
                questions.submit(job)
            for found in questions.answers():
                unresolved += (operation for operation, outcome in found if outcome is None)
                resolved = [(operation, outcome) for operation, outcome in found if outcome is not None]
                # One that does not fit is looked at again: another intent at the same address has just been resolved.
                again += _record(store, heartbeat, run, environment.now(), resolved, observer)
        finally:
            questions.close()
    return tuple(unresolved)


def _read(
    store: StateStore, chosen: Sequence[OperationRecord] | None
) -> tuple[Sequence[OperationRecord], Mapping[Address, Record]]:
    """Return the open intents (all, or those that are `chosen`), and the rows that they are about."""
    with store.read() as reader:
        operations = reader.view(()).operations if chosen is None else chosen
        addresses = {operation.address for operation in operations}
        addresses |= {address_of(Kind.BACKEND, operation.backend) for operation in operations if operation.backend}
        specs = (payload_of(operation).get("spec") for operation in operations)
        addresses |= {address_of(Kind.SHARE, spec["share"]) for spec in specs if spec is not None and "share" in spec}
        addresses |= {import_address(operation.address) for operation in operations}
        return operations, reader.view(addresses).records


def _first_jobs(
    operations: Sequence[OperationRecord], records: Mapping[Address, Record], environment: Environment
) -> list[Job]:
    """Return a job for each backend, which opens it and has the others follow."""
    by_backend: dict[str, list[OperationRecord]] = {}
    for operation in operations:
        by_backend.setdefault(operation.backend or "", []).append(operation)
    return [
        Job(name, tuple(mine), partial(_open, name, tuple(mine), records, environment))
        for name, mine in sorted(by_backend.items())
    ]


def _open(
    backend: str,
    operations: tuple[OperationRecord, ...],
    records: Mapping[Address, Record],
    environment: Environment,
    permit: Permit,
) -> Findings:
    """Open the driver, and make sure that behind it is the storage that the state knows."""
    permit()
    driver = environment.driver(backend)
    pinned = records.get(address_of(Kind.BACKEND, backend))
    if any(operation.verb != Verb.PREPARE_BACKEND for operation in operations):
        expect_identity(backend, None if pinned is None else pinned.resource_id, report_of(driver).identity)
    groups: dict[Address, list[OperationRecord]] = {}
    for operation in operations:
        groups.setdefault(operation.address, []).append(operation)
    jobs = []
    single = [group[0] for group in groups.values() if len(group) == 1]
    for start in range(0, len(single), _LOOKED_UP_AT_ONCE):
        chunk = tuple(single[start : start + _LOOKED_UP_AT_ONCE])
        jobs.append(Job(backend, chunk, partial(_look_up, driver, backend, chunk, records, environment)))
    jobs.extend(  # what resolves one of several at an address may change what the next one finds
        _resolving(driver, backend, tuple(group), records, environment) for group in groups.values() if len(group) > 1
    )
    return Findings(jobs=tuple(jobs))


def _look_up(  # noqa: PLR0913, PLR0917 - a backend, and what is asked of it
    driver: Driver,
    backend: str,
    operations: tuple[OperationRecord, ...],
    records: Mapping[Address, Record],
    environment: Environment,
    permit: Permit,
) -> Findings:
    """List what many intents are about at once; where the driver cannot, each is asked for alone."""
    permit()
    holdings: Holdings | None
    try:
        holdings = look_up(driver, operations)
    except (BackendUnavailableError, AbandonedError):
        raise
    except BaseException:  # noqa: BLE001 - a driver may be anybody's, and one bad intent holds up no other
        holdings = None
    return Findings(
        jobs=tuple(_resolving(driver, backend, (each,), records, environment, holdings) for each in operations)
    )


def _resolving(  # noqa: PLR0913, PLR0917 - as above
    driver: Driver,
    backend: str,
    operations: tuple[OperationRecord, ...],
    records: Mapping[Address, Record],
    environment: Environment,
    holdings: Holdings | None = None,
) -> Job:
    def work(permit: Permit) -> Findings:
        found: list[tuple[OperationRecord, Outcome | None]] = []
        for operation in operations:
            try:
                outcome = _resolved(driver, backend, operation, records, environment, permit, holdings)
            except (BackendUnavailableError, AbandonedError, LeaseLostError, StateError):
                raise
            except BaseException:  # noqa: BLE001 - a refusal, an intent of another version, or a driver that is anybody's
                found.append((operation, None))
            else:
                found.append((operation, outcome))
        return Findings(tuple(found))

    return Job(backend, operations, work)


def _resolved(  # noqa: PLR0913, PLR0917 - as above
    driver: Driver,
    backend: str,
    operation: OperationRecord,
    records: Mapping[Address, Record],
    environment: Environment,
    permit: Permit,
    holdings: Holdings | None,
) -> Outcome:
    """Resolve one intent, and try again after passing trouble: two that are resolved side by side may meet at a leftover."""
    for number in range(1, _ATTEMPTS + 1):
        permit()
        try:
            if operation.verb in SERVER_VERBS:
                return resolve_server(driver, environment.network(backend), operation, records, permit)
            return resolve(driver, operation, records, permit, holdings)
        except BackendUnavailableError:
            raise
        except TransientError:
            if number == _ATTEMPTS:
                raise
            sleep(retry_delay_seconds(number, None, environment.random))
    raise AssertionError  # the last attempt returns or raises


def _record(  # noqa: PLR0913, PLR0917 - where, by whom, what, and who is told
    store: StateStore,
    heartbeat: Heartbeat,
    run: RunRecord,
    now: str,
    resolved: Sequence[_Resolved],
    observer: Callable[[Event], None],
) -> list[OperationRecord]:
    """Make the outcomes durable, together where they fit; return the intents whose row has changed since it was read."""
    if not resolved:
        return []
    try:
        store.commit(heartbeat.lease, [change for one in resolved for change in _changes(run, now, *one)])
    except VersionConflictError:
        if len(resolved) == 1:
            return [resolved[0][0]]
        return [left for one in resolved for left in _record(store, heartbeat, run, now, [one], observer)]
    for operation, (_, words) in resolved:
        observer(OperationRecovered(operation.address, operation.verb, operation.backend, words))
    return []


def _changes(run: RunRecord, now: str, operation: OperationRecord, outcome: Outcome) -> list[Change]:
    changes, words = outcome
    detail = canonical_json({"recovered": words, "run": operation.run_id})
    entry = HistoryEntry(run.run_id, now, operation.address, operation.verb, "recovered", detail)
    return [*changes, EndOperation(operation.operation_id), AddHistory(entry)]
