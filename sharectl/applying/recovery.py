"""Recovery: intents that an earlier run left open are resolved by asking the backends what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import orjson

from sharectl.applying.calls import active_rules, request_of_intent
from sharectl.drivers.base import (
    ShareRef,
    SnapshotRef,
    SnapshotsShares,
)
from sharectl.events import OperationRecovered
from sharectl.model import ShareSpec, SnapshotSpec, Verb, canonical_json
from sharectl.parallel import ask_each
from sharectl.planning.records import share_record, snapshot_record
from sharectl.state.store import (
    AddHistory,
    EndOperation,
    HistoryEntry,
    PutResource,
    PutRules,
    RemoveResource,
    VersionConflictError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.applying.environment import Environment
    from sharectl.drivers.base import Driver, ObservedShare
    from sharectl.events import Event
    from sharectl.state.store import Change, Lease, OperationRecord, Record, RunRecord, StateStore

Outcome = tuple[list["Change"], str]


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
    A share that was made for an address which has meanwhile got another is removed: nobody ever had access to it.
    """
    unresolved = _pass(store, lease, run, environment, timeout_seconds, observer)
    while unresolved:
        left = _pass(store, lease, run, environment, timeout_seconds, observer)
        if len(left) == len(unresolved):
            break  # two intents at one address need two passes; a backend that is silent needs its admin
        unresolved = left
    return unresolved


def _pass(  # noqa: PLR0913, PLR0917 - see recover()
    store: StateStore,
    lease: Lease,
    run: RunRecord,
    environment: Environment,
    timeout_seconds: float,
    observer: Callable[[Event], None],
) -> tuple[OperationRecord, ...]:
    with store.read() as reader:
        operations = reader.view(()).operations
        addresses = {operation.address for operation in operations}
        records = reader.view(addresses | _owners(operations)).records
    by_backend: dict[str, list[OperationRecord]] = {}
    for operation in operations:
        by_backend.setdefault(operation.backend or "", []).append(operation)

    def ask(backend: str) -> list[tuple[OperationRecord, Outcome]]:
        driver = environment.driver(backend)
        return [(found, _RESOLVE[Verb(found.verb)](driver, found, records)) for found in by_backend[backend]]

    unresolved: list[OperationRecord] = []
    for backend, answer in ask_each(sorted(by_backend), ask, timeout_seconds).items():
        if answer.value is None:
            unresolved += by_backend[backend]
            continue
        for operation, (changes, outcome) in answer.value:
            detail = canonical_json({"recovered": outcome, "run": operation.run_id})
            entry = HistoryEntry(run.run_id, environment.now(), operation.address, operation.verb, "recovered", detail)
            try:
                store.commit(lease, [*changes, EndOperation(operation.operation_id), AddHistory(entry)])
            except VersionConflictError:
                unresolved.append(operation)  # another intent at the same address has just been resolved
                continue
            observer(OperationRecovered(operation.address, operation.verb, operation.backend, outcome))
    return tuple(unresolved)


def _owners(operations: Sequence[OperationRecord]) -> set[str]:
    """Return the shares of the snapshots that are being made or removed."""
    specs = (orjson.loads(operation.payload).get("spec") for operation in operations)
    return {f"share/{spec['share']}" for spec in specs if spec is not None and "share" in spec}


def _spec_of(operation: OperationRecord) -> dict[str, object]:
    spec: dict[str, object] = orjson.loads(operation.payload)["spec"]
    return spec


def _listed(driver: Driver, resource_id: str) -> ObservedShare | None:
    return next(iter(driver.list_shares([resource_id])), None)


def _resolve_creation(driver: Driver, operation: OperationRecord, records: Mapping[str, Record]) -> Outcome:
    spec = ShareSpec.from_plain(_spec_of(operation))
    record = records.get(operation.address)
    observed = _listed(driver, operation.resource_id)
    reference = ShareRef(
        operation.resource_id, "", spec.name, operation.pool or "", str(spec.protocol), spec.size_bytes
    )
    if observed is None:
        driver.delete_share(reference)  # sweeps what may be there half made, and is not listed for that reason
        return [], "it was not made"
    if record is not None and record.resource_id != operation.resource_id:
        driver.delete_share(reference)
        return [], "a second share had been made for this address, and was removed"
    observed = driver.create_share(request_of_intent(operation))  # finishes what may be half made
    fresh = share_record(
        operation.address, operation.resource_id, operation.backend or "", spec, observed, observed.access
    )
    return _put(fresh, record, observed), "it had been made, and is recorded now"


def _resolve_change(driver: Driver, operation: OperationRecord, records: Mapping[str, Record]) -> Outcome:
    """Record the share as its backend lists it: the next plan sees what is left to do."""
    record = records.get(operation.address)
    observed = _listed(driver, operation.resource_id)
    if record is None or observed is None:
        return [], "the share is not there; the next plan shows it"
    spec = ShareSpec.from_plain(orjson.loads(record.spec))
    if observed.size_bytes is not None and observed.size_bytes != record.size_bytes:
        spec = ShareSpec.from_plain({**spec.as_plain(), "size_bytes": observed.size_bytes})
    fresh = share_record(
        operation.address, operation.resource_id, record.backend or "", spec, observed, observed.access
    )
    return _put(fresh, record, observed), "the share is recorded as its backend holds it"


def _resolve_removal(driver: Driver, operation: OperationRecord, records: Mapping[str, Record]) -> Outcome:
    record = records.get(operation.address)
    observed = _listed(driver, operation.resource_id)
    if observed is not None and observed.trashed_at is None:
        return [], "it had not been removed"
    if record is None or record.resource_id != operation.resource_id:
        return [], "it had been removed"
    return [RemoveResource(record.address, record.version)], "it had been removed, and is recorded so now"


def _resolve_snapshot(driver: Driver, operation: OperationRecord, records: Mapping[str, Record]) -> Outcome:
    snapshots = cast("SnapshotsShares", driver)
    spec = SnapshotSpec.from_plain(_spec_of(operation))
    share = records.get(f"share/{spec.share}")
    record = records.get(operation.address)
    observed = next(iter(snapshots.list_snapshots([operation.resource_id])), None)
    if observed is None or share is None:
        reference = SnapshotRef(operation.resource_id, "", spec.name, "" if share is None else share.resource_id, "")
        snapshots.delete_snapshot(reference)
        return [], "it was not taken"
    fresh = snapshot_record(operation.address, operation.resource_id, spec, observed, share)
    version = None if record is None else record.version
    return [PutResource(fresh, version)], "it had been taken, and is recorded now"


def _resolve_snapshot_removal(driver: Driver, operation: OperationRecord, records: Mapping[str, Record]) -> Outcome:
    record = records.get(operation.address)
    if cast("SnapshotsShares", driver).list_snapshots([operation.resource_id]):
        return [], "it had not been removed"
    if record is None:
        return [], "it had been removed"
    return [RemoveResource(record.address, record.version)], "it had been removed, and is recorded so now"


def _resolve_adoption(driver: Driver, operation: OperationRecord, records: Mapping[str, Record]) -> Outcome:
    observed = _listed(driver, operation.resource_id)
    if observed is None or observed.trashed_at is not None or operation.address in records:
        return [], "it was not taken over"
    spec = ShareSpec.from_plain(
        {**_spec_of(operation), "size_bytes": observed.size_bytes or _spec_of(operation)["size_bytes"]}
    )
    fresh = share_record(
        operation.address, operation.resource_id, operation.backend or "", spec, observed, observed.access
    )
    return _put(fresh, None, observed), "it had been taken over, and is recorded now"


def _resolve_preparation(driver: Driver, operation: OperationRecord, records: Mapping[str, Record]) -> Outcome:
    del driver, records  # preparing is idempotent: the next plan does it again and pins the identity that it finds
    return [], f"backend {operation.backend} will be prepared by the next plan"


def _put(fresh: Record, record: Record | None, observed: ObservedShare) -> list[Change]:
    version = None if record is None else record.version
    return [PutResource(fresh, version), PutRules(fresh.address, active_rules(observed.access))]


_RESOLVE = {
    Verb.PREPARE_BACKEND: _resolve_preparation,
    Verb.CREATE_SHARE: _resolve_creation,
    Verb.EXTEND_SHARE: _resolve_change,
    Verb.SHRINK_SHARE: _resolve_change,
    Verb.UPDATE_ACCESS: _resolve_change,
    Verb.UPDATE_RECORD: _resolve_change,
    Verb.DELETE_SHARE: _resolve_removal,
    Verb.TRASH_SHARE: _resolve_removal,
    Verb.CREATE_SNAPSHOT: _resolve_snapshot,
    Verb.DELETE_SNAPSHOT: _resolve_snapshot_removal,
    Verb.ADOPT: _resolve_adoption,
    Verb.RESTORE_SHARE: _resolve_adoption,
}
