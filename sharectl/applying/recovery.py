"""Recovery: intents that an earlier run left open are resolved by asking the backends what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sharectl.applying.identity import expect_identity
from sharectl.applying.resolving import resolve
from sharectl.applying.server_calls import SERVER_VERBS
from sharectl.applying.server_resolving import resolve_server
from sharectl.drivers.base import BackendUnavailableError, DriverError
from sharectl.events import OperationRecovered
from sharectl.model import Verb, canonical_json
from sharectl.parallel import ask_each
from sharectl.state.store import AddHistory, EndOperation, HistoryEntry, VersionConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.applying.environment import Environment
    from sharectl.applying.resolving import Outcome
    from sharectl.events import Event
    from sharectl.model import Address
    from sharectl.state.store import Lease, OperationRecord, Record, RunRecord, StateStore

_Found = tuple["OperationRecord", "Outcome | None"]


def recover(  # noqa: PLR0913 - the state, what it runs on, and who watches
    store: StateStore,
    lease: Lease,
    *,
    run: RunRecord,
    environment: Environment,
    timeout_seconds: float,
    observer: Callable[[Event], None],
) -> tuple[OperationRecord, ...]:
    """Resolve every open intent that can be, each in one commit; return those whose backend gave no answer.

    What a backend holds is recorded, also where the run before died before it could; what it does not hold leaves no trace.
    A share that was made for an address which has meanwhile got another is removed: nobody ever had access to it. A backend
    behind which is another storage than the state has pinned (a file system that is not mounted) is not believed.
    """
    unresolved: list[OperationRecord] = []
    again: Sequence[OperationRecord] | None = None
    while again is None or again:
        operations, records = _read(store, again)
        answers = _ask(operations, records, environment, timeout_seconds)
        again = []
        for operation, outcome in answers:
            if outcome is None:
                unresolved.append(operation)
            elif not _record(store, lease, run, environment.now(), operation, outcome):
                again.append(operation)  # another intent at the same address has just been resolved
            else:
                observer(OperationRecovered(operation.address, operation.verb, operation.backend, outcome[1]))
    return tuple(unresolved)


def _read(
    store: StateStore, chosen: Sequence[OperationRecord] | None
) -> tuple[Sequence[OperationRecord], Mapping[Address, Record]]:
    """Return the open intents (all, or those that are `chosen`), and the rows that they are about."""
    with store.read() as reader:
        operations = reader.view(()).operations if chosen is None else chosen
        addresses = {operation.address for operation in operations}
        addresses |= {f"backend/{operation.backend}" for operation in operations}
        specs = (orjson.loads(operation.payload).get("spec") for operation in operations)
        addresses |= {f"share/{spec['share']}" for spec in specs if spec is not None and "share" in spec}
        return operations, reader.view(addresses).records


def _ask(
    operations: Sequence[OperationRecord],
    records: Mapping[Address, Record],
    environment: Environment,
    timeout_seconds: float,
) -> list[_Found]:
    """Ask all backends side by side what became of their intents; None stands for no answer."""
    by_backend: dict[str, list[OperationRecord]] = {}
    for operation in operations:
        by_backend.setdefault(operation.backend or "", []).append(operation)

    def ask(backend: str) -> list[_Found]:
        return _ask_backend(backend, by_backend[backend], records, environment)

    found: list[_Found] = []
    for backend, answer in ask_each(sorted(by_backend), ask, timeout_seconds).items():
        found += [(operation, None) for operation in by_backend[backend]] if answer.value is None else answer.value
    return found


def _ask_backend(
    backend: str, operations: Sequence[OperationRecord], records: Mapping[Address, Record], environment: Environment
) -> list[_Found]:
    """Ask one backend; an intent that it has no answer to holds up no other."""
    driver = environment.driver(backend)
    pinned = records.get(f"backend/{backend}")
    known = all(operation.verb == Verb.PREPARE_BACKEND for operation in operations)
    if not known:
        expect_identity(backend, None if pinned is None else pinned.resource_id, driver.report().identity)
    found: list[_Found] = []
    for number, operation in enumerate(operations):
        try:
            if operation.verb in SERVER_VERBS:
                outcome = resolve_server(driver, environment.network(backend), operation, records)
            else:
                outcome = resolve(driver, operation, records)
            found.append((operation, outcome))
        except BackendUnavailableError:
            return found + [(left, None) for left in operations[number:]]
        except (DriverError, ValueError, KeyError, AttributeError):  # a refusal, or an intent of another version
            found.append((operation, None))
    return found


def _record(  # noqa: PLR0913, PLR0917 - where, by whom, and what
    store: StateStore, lease: Lease, run: RunRecord, now: str, operation: OperationRecord, outcome: Outcome
) -> bool:
    """Make the outcome durable; return False where the row has changed since it was read."""
    changes, words = outcome
    detail = canonical_json({"recovered": words, "run": operation.run_id})
    entry = HistoryEntry(run.run_id, now, operation.address, operation.verb, "recovered", detail)
    try:
        store.commit(lease, [*changes, EndOperation(operation.operation_id), AddHistory(entry)])
    except VersionConflictError:
        return False
    return True
