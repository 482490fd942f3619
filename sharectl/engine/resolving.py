"""Resolving an open intent: what its backend holds says how the call ended, and what the state has to record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from sharectl.engine.answers import all_expected, expected
from sharectl.engine.calls import active_rules, finished_import, listed_share, request_of_intent, share_ref
from sharectl.model.kinds import Kind, address_of
from sharectl.model.observed import ObservedShare, ObservedSnapshot
from sharectl.model.records import PutResource, PutRules, RemoveResource
from sharectl.model.requests import ShareRef, SnapshotRef
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.model.verbs import Verb
from sharectl.planner.imports.unfinished import import_address
from sharectl.planner.records import share_record, snapshot_record, spec_as_there
from sharectl.state.rows import payload_of, share_spec_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.drivers.base import Driver, SnapshotsShares
    from sharectl.engine.tenure import Permit
    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, OperationRecord, Record

Outcome = tuple[list["Change"], str]
_GONE_ALREADY = "it had been removed"
_REMOVED = "it had been removed, and is recorded so now"
_NOT_REMOVED = "it had not been removed"
_NOT_THERE = "the share is not there; the next plan shows it"


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a backend has listed of the shares and snapshots that intents are about, by id."""

    shares: Mapping[str, ObservedShare]
    snapshots: Mapping[str, ObservedSnapshot]


def look_up(driver: Driver, operations: Sequence[OperationRecord]) -> Holdings:
    """List what many intents are about at once. Raises what the driver raises."""
    of_snapshots = {operation.resource_id for operation in operations if operation.verb in _OF_SNAPSHOTS}
    of_shares = {operation.resource_id for operation in operations if operation.verb in _OF_SHARES}
    shares: list[ObservedShare] = []
    snapshots: list[ObservedSnapshot] = []
    if of_shares:
        shares = all_expected("list_shares", ObservedShare, driver.list_shares(sorted(of_shares)))
    if of_snapshots:
        listed = cast("SnapshotsShares", driver).list_snapshots(sorted(of_snapshots))
        snapshots = all_expected("list_snapshots", ObservedSnapshot, listed)
    return Holdings(
        {share.resource_id: share for share in shares if share.resource_id is not None},
        {snapshot.resource_id: snapshot for snapshot in snapshots if snapshot.resource_id is not None},
    )


@dataclass(frozen=True, slots=True)
class _Backend:
    """A backend as the resolving of one intent sees it: what it has listed before, or lists now, and the way to change it."""

    driver: Driver
    permit: Permit
    holdings: Holdings | None

    def share(self, resource_id: str) -> ObservedShare | None:
        """Return the share as it is listed, or None where it is not."""
        if self.holdings is not None:
            return self.holdings.shares.get(resource_id)
        return listed_share(self.driver, resource_id)

    def snapshot(self, resource_id: str) -> ObservedSnapshot | None:
        """Return the snapshot as it is listed, or None where it is not."""
        if self.holdings is not None:
            return self.holdings.snapshots.get(resource_id)
        listed = cast("SnapshotsShares", self.driver).list_snapshots([resource_id])
        return next(iter(all_expected("list_snapshots", ObservedSnapshot, listed)), None)

    def changed(self) -> Driver:
        """Return the driver for a call that changes something, where one may begin now."""
        self.permit()
        return self.driver


def resolve(
    driver: Driver,
    operation: OperationRecord,
    records: Mapping[Address, Record],
    permit: Permit,
    holdings: Holdings | None = None,
) -> Outcome:
    """Ask the backend what became of the intent; return what that changes in the state, and how it ended, in words.

    `records` holds the rows at the addresses that the intent is about, `holdings` what the backend has listed just now (None: it is
    asked for this intent alone). Raises DriverError, what `permit` raises, and KeyError or ValueError for an
    intent that this version does not know. Asked again it gives the same answer.
    """
    return _RESOLVE[Verb(operation.verb)](_Backend(driver, permit, holdings), operation, records)


def _spec_of(operation: OperationRecord) -> dict[str, object]:
    spec: dict[str, object] = payload_of(operation)["spec"]
    return spec


def _record_of(operation: OperationRecord, records: Mapping[Address, Record]) -> tuple[Record | None, bool]:
    """Return the row at the intent's address, and whether it stands for another resource than the intent."""
    record = records.get(operation.address)
    return record, record is not None and record.resource_id != operation.resource_id


def _creation(backend: _Backend, operation: OperationRecord, records: Mapping[Address, Record]) -> Outcome:
    spec = ShareSpec.from_plain(_spec_of(operation))
    record, replaced = _record_of(operation, records)
    if replaced or backend.share(operation.resource_id) is None:
        # Also sweeps what may be there half made, and is not listed for that reason.
        request = request_of_intent(operation)
        backend.changed().delete_share(
            ShareRef(
                request.resource_id,
                "",
                spec.name,
                request.pool,
                request.protocol,
                spec.size_bytes,
                request.share_server_id,
            )
        )
        return [], "it had been made a second time, and that one was removed" if replaced else "it was not made"
    made = backend.changed().create_share(request_of_intent(operation))  # finishes what may be half made
    observed = expected("create_share", ObservedShare, made)
    return _put(operation, spec, record, observed), "it had been made, and is recorded now"


def _change(backend: _Backend, operation: OperationRecord, records: Mapping[Address, Record]) -> Outcome:
    """Record the share as its backend lists it: the next plan sees what is left to do."""
    record, replaced = _record_of(operation, records)
    observed = backend.share(operation.resource_id)
    if record is None or replaced or observed is None:
        return [], _NOT_THERE
    return _put(
        operation, _spec_as_held(record, observed), record, observed
    ), "the share is recorded as its backend holds it"


def _reversion(backend: _Backend, operation: OperationRecord, records: Mapping[Address, Record]) -> Outcome:
    """Record that nobody knows whether the share was turned back: no backend can tell, and doing it again could destroy newer data.

    What half a revert may have done to the access is made whole.
    """
    record, replaced = _record_of(operation, records)
    observed = backend.share(operation.resource_id)
    if record is None or replaced or observed is None:
        return [], _NOT_THERE
    begun = ShareSpec.from_plain(_spec_of(operation)).revert_to
    spec = replace(_spec_as_held(record, observed), revert_to=None if begun is None else replace(begun, cut_short=True))
    if observed.trashed_at is None:
        backend.changed().update_access(share_ref(record), observed.access, (), ())
    return _put(
        operation, spec, record, observed
    ), "nobody knows whether it was turned back; it is not repeated by itself"


def _spec_as_held(record: Record, observed: ObservedShare) -> ShareSpec:
    """Return the recorded spec with the size that the backend lists."""
    spec = share_spec_of(record)
    if observed.size_bytes is None or observed.size_bytes == record.size_bytes:
        return spec
    return replace(spec, size_bytes=observed.size_bytes)


def _deletion(backend: _Backend, operation: OperationRecord, records: Mapping[Address, Record]) -> Outcome:
    return _removal(operation, records, still_there=backend.share(operation.resource_id) is not None)


def _forgetting(backend: _Backend, operation: OperationRecord, records: Mapping[Address, Record]) -> Outcome:
    """Leave the share in the state: whether its access has ended the next plan sees, which forgets it then."""
    del backend, operation, records
    return [], "it was not forgotten; the next plan ends what access it still has, and forgets it"


def _trashing(backend: _Backend, operation: OperationRecord, records: Mapping[Address, Record]) -> Outcome:
    observed = backend.share(operation.resource_id)
    return _removal(operation, records, still_there=observed is not None and observed.trashed_at is None)


def _snapshot_removal(backend: _Backend, operation: OperationRecord, records: Mapping[Address, Record]) -> Outcome:
    return _removal(operation, records, still_there=backend.snapshot(operation.resource_id) is not None)


def _removal(operation: OperationRecord, records: Mapping[Address, Record], *, still_there: bool) -> Outcome:
    if still_there:
        return [], _NOT_REMOVED
    record, replaced = _record_of(operation, records)
    if record is None or replaced:
        return [], _GONE_ALREADY
    return [RemoveResource(record.address, record.version)], _REMOVED


def _snapshot(backend: _Backend, operation: OperationRecord, records: Mapping[Address, Record]) -> Outcome:
    spec = SnapshotSpec.from_plain(_spec_of(operation))
    share = records.get(address_of(Kind.SHARE, spec.share))
    record, replaced = _record_of(operation, records)
    observed = backend.snapshot(operation.resource_id)
    if observed is None or share is None or replaced:
        reference = SnapshotRef(operation.resource_id, "", spec.name, "" if share is None else share.resource_id, "")
        cast("SnapshotsShares", backend.changed()).delete_snapshot(reference)
        return [], "it was not taken" if observed is None else "it belongs to nothing in the state, and was removed"
    fresh = snapshot_record(operation.address, operation.resource_id, spec, observed, share)
    version = None if record is None else record.version
    return [PutResource(fresh, version)], "it had been taken, and is recorded now"


def _taking_over(backend: _Backend, operation: OperationRecord, records: Mapping[Address, Record]) -> Outcome:
    observed = backend.share(operation.resource_id)
    if observed is None or observed.trashed_at is not None or operation.address in records:
        return [], "it was not taken over"
    plain = _spec_of(operation)
    spec = ShareSpec.from_plain({**plain, "size_bytes": observed.size_bytes or plain["size_bytes"]})
    taken = _put(operation, spec, None, observed)
    remembered = finished_import(records.get(import_address(operation.address)))
    return [*taken, *remembered], "it had been taken over, and is recorded now"


def _preparation(backend: _Backend, operation: OperationRecord, records: Mapping[Address, Record]) -> Outcome:
    del backend, records  # preparing is idempotent: the next plan does it again and pins the identity that it finds
    return [], f"backend {operation.backend} will be prepared by the next plan"


def _put(operation: OperationRecord, spec: ShareSpec, record: Record | None, observed: ObservedShare) -> list[Change]:
    name = operation.backend or ""
    spec = spec_as_there(spec, observed, record)
    fresh = share_record(operation.address, operation.resource_id, name, spec, observed, observed.access)
    version = None if record is None else record.version
    return [PutResource(fresh, version), PutRules(fresh.address, active_rules(observed.access))]


_RESOLVE = {
    Verb.PREPARE_BACKEND: _preparation,
    Verb.CREATE_SHARE: _creation,
    Verb.EXTEND_SHARE: _change,
    Verb.SHRINK_SHARE: _change,
    Verb.REVERT_SHARE: _reversion,
    Verb.UPDATE_ACCESS: _change,
    Verb.UPDATE_RECORD: _change,
    Verb.FORGET: _forgetting,
    Verb.DELETE_SHARE: _deletion,
    Verb.TRASH_SHARE: _trashing,
    Verb.CREATE_SNAPSHOT: _snapshot,
    Verb.DELETE_SNAPSHOT: _snapshot_removal,
    Verb.ADOPT: _taking_over,
    Verb.RESTORE_SHARE: _taking_over,
}
_OF_SNAPSHOTS = frozenset({Verb.CREATE_SNAPSHOT, Verb.DELETE_SNAPSHOT})
_OF_SHARES = _RESOLVE.keys() - _OF_SNAPSHOTS - {Verb.PREPARE_BACKEND}
