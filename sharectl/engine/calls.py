"""What each verb asks of a driver, and what the state records of the answer."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, cast

from sharectl.drivers.base import (
    AdoptsShares,
    BackendUnavailableError,
    ConflictError,
    DriverError,
    ExtendsShares,
    NotFoundError,
    RevertsShares,
    ShrinksShares,
    SnapshotsShares,
    TransientError,
    TrashesShares,
)
from sharectl.drivers.ignoring import rules_to_end
from sharectl.engine.answers import all_expected, expected, report_of
from sharectl.model.canonical import canonical_json
from sharectl.model.kinds import Kind, address_of
from sharectl.model.observed import ObservedShare, ObservedSnapshot
from sharectl.model.records import PutResource, PutRules, Record, RemoveResource, RuleRecord
from sharectl.model.requests import ShareRef, ShareRequest, SnapshotRef
from sharectl.model.share_networks import ShareServerSpec
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.model.verbs import Verb
from sharectl.planner.records import (
    backend_record,
    export_locations_of,
    recorded_revert,
    share_attributes,
    share_record,
    snapshot_record,
    spec_as_there,
    with_access,
    with_export_settings,
    with_share_spec,
    with_snapshot_spec,
)
from sharectl.planner.share_servers.records import with_server_spec
from sharectl.state.rows import attributes_of, payload_of, share_spec_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.drivers.base import Driver
    from sharectl.model.access import AccessRule, ExportSettings
    from sharectl.model.plans import Adopt, Candidate, PrepareBackend, Step, UpdateAccess
    from sharectl.model.records import Change, OperationRecord


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt at a step, with everything it works on.

    `record` is the row at the step's address now, None where there is none. `related` is the row of the share that a snapshot is
    of, or of the snapshot that a new share is a clone of, or that a share is turned back to, or the row that remembers an import. `rules` are the recorded access rules. `resource_id` is the id under
    which the backend knows, or will know, the resource. `share_server_id` is that of the server which a new share is to be on.
    """

    step: Step
    resource_id: str
    record: Record | None = None
    related: Record | None = None
    rules: tuple[RuleRecord, ...] = ()
    candidate: Candidate | None = None
    share_server_id: str | None = None
    backend: str | None = None
    driver_name: str = ""
    extra_specs: Mapping[str, str] | None = None
    resized: bool = False

    @property
    def known_record(self) -> Record:
        """The row, where the verb cannot be without one."""
        if self.record is None:
            message = f"the state has no {self.step.address}"
            raise NotFoundError(message)
        return self.record


@dataclass(frozen=True, slots=True)
class Result:
    """What a call has done: the changes of the state that say so, the row afterwards, and what was refused, if anything."""

    changes: tuple[Change, ...]
    record: Record | None
    rules: tuple[RuleRecord, ...] | None = None
    refused: str = ""


def share_ref(record: Record) -> ShareRef:
    """Return the share as drivers are told of it."""
    spec = share_spec_of(record)
    attributes = attributes_of(record)
    return ShareRef(
        resource_id=record.resource_id,
        backend_id=attributes["backend_id"],
        name=attributes["name"],
        pool=record.pool or "",
        protocol=spec.protocol,
        size_bytes=record.size_bytes or spec.size_bytes,
        share_server_id=attributes.get("share_server_id"),
    )


def snapshot_ref(record: Record) -> SnapshotRef:
    """Return the snapshot as drivers are told of it."""
    attributes = attributes_of(record)
    return SnapshotRef(
        resource_id=record.resource_id,
        backend_id=attributes["backend_id"],
        name=attributes["name"],
        share_resource_id=attributes["share_resource_id"],
        share_backend_id=attributes["share_backend_id"],
    )


def share_request(task: Task) -> ShareRequest:
    """Return the request that a new share is made from."""
    spec = cast("ShareSpec", task.step.spec)
    candidate = cast("Candidate", task.candidate)
    snapshot = None
    if spec.source_snapshot is not None:
        if task.related is None:
            message = f"the state has no {address_of(Kind.SNAPSHOT, spec.source_snapshot)} to clone"
            raise NotFoundError(message)
        snapshot = snapshot_ref(task.related)
    if candidate.share_server is not None and task.share_server_id is None:
        message = f"the state has no {candidate.share_server}, which the share is to be on; plan again"
        raise NotFoundError(message)
    return ShareRequest(
        resource_id=task.resource_id,
        name=spec.name,
        size_bytes=spec.size_bytes,
        protocol=str(spec.protocol),
        pool=candidate.pool,
        extra_specs=task.extra_specs or {},
        snapshot=snapshot,
        share_server_id=task.share_server_id,
    )


def intent_payload(task: Task) -> bytes:
    """Return what another process needs in order to find out how the call ended, and to finish and record it."""
    spec = task.step.spec
    payload: dict[str, object] = {"spec": None if spec is None else spec.as_plain()}
    if task.step.verb is Verb.CREATE_SHARE:
        payload["extra_specs"] = dict(task.extra_specs or {})
        payload["share_server_id"] = task.share_server_id
        if isinstance(spec, ShareSpec) and spec.source_snapshot is not None and task.related is not None:
            payload["snapshot"] = asdict(snapshot_ref(task.related))
    return canonical_json(payload)


def request_of_intent(operation: OperationRecord) -> ShareRequest:
    """Return the request that the intent to create a share was about."""
    payload = payload_of(operation)
    spec = ShareSpec.from_plain(payload["spec"])
    snapshot = payload.get("snapshot")
    return ShareRequest(
        resource_id=operation.resource_id,
        name=spec.name,
        size_bytes=spec.size_bytes,
        protocol=str(spec.protocol),
        pool=operation.pool or "",
        extra_specs=payload["extra_specs"],
        snapshot=None if snapshot is None else SnapshotRef(**snapshot),
        share_server_id=payload.get("share_server_id"),
    )


def perform(driver: Driver, task: Task) -> Result:
    """Make the driver call of the task's verb, and return what it has done. Raises DriverError."""
    return _PERFORM[task.step.verb](driver, task)


def perform_on_state(task: Task) -> Result:
    """Return what a verb does that asks no backend: forgetting a resource, or recording what its manifest says."""
    record = task.known_record
    if task.step.verb is Verb.FORGET:
        return Result((RemoveResource(record.address, record.version),), None)
    if isinstance(task.step.spec, SnapshotSpec):
        return _put(with_snapshot_spec(record, task.step.spec))
    if isinstance(task.step.spec, ShareServerSpec):
        return _put(with_server_spec(record, task.step.spec))
    return _put(with_share_spec(record, _recorded_spec(task, record)))


def _put(
    record: Record, rules: tuple[RuleRecord, ...] | None = None, *, version: int | None = None, refused: str = ""
) -> Result:
    expected = record.version or version
    changes: list[Change] = [PutResource(record, expected or None)]
    if rules is not None:
        changes.append(PutRules(record.address, rules))
    return Result(tuple(changes), record._replace(version=(expected or 0) + 1), rules, refused)


def _recorded_spec(task: Task, record: Record) -> ShareSpec:
    """Return the spec to record: all of the manifest's, but the size only where no other step of the plan changes it.

    Neither does it record a revert, which the step that does it has done, or has yet to do.
    """
    spec = cast("ShareSpec", task.step.spec)
    recorded = share_spec_of(record)
    spec = replace(spec, revert_to=recorded_revert(spec.revert_to, recorded.revert_to))
    return replace(spec, size_bytes=recorded.size_bytes) if task.resized else spec


def _prepare(driver: Driver, task: Task) -> Result:
    """Make the backend ready and pin it, unless somebody has begun to use it since the plan was made, which then has not seen that."""
    found = report_of(driver).identity
    if found not in {None, cast("PrepareBackend", task.step.work).identity} and any(
        share.resource_id for share in driver.list_shares()
    ):
        message = (
            f"backend {task.backend} holds shares of another state by now, which the plan has not seen; plan again"
        )
        raise ConflictError(message)
    identity = expected("prepare", str, driver.prepare())
    return _put(backend_record(task.step.address, identity, task.driver_name))


def _create_share(driver: Driver, task: Task) -> Result:
    observed = expected("create_share", ObservedShare, driver.create_share(share_request(task)))
    spec = spec_as_there(cast("ShareSpec", task.step.spec), observed, task.record)
    record = share_record(task.step.address, task.resource_id, task.backend or "", spec, observed, observed.access)
    return _put(record, active_rules(observed.access), version=None if task.record is None else task.record.version)


def _extend(driver: Driver, task: Task) -> Result:
    size_bytes = cast("ShareSpec", task.step.spec).size_bytes
    kept_bytes = cast("ExtendsShares", driver).extend_share(share_ref(task.known_record), size_bytes)
    return _resized(task.known_record, kept_bytes or size_bytes)


def _shrink(driver: Driver, task: Task) -> Result:
    size_bytes = cast("ShareSpec", task.step.spec).size_bytes
    kept_bytes = cast("ShrinksShares", driver).shrink_share(share_ref(task.known_record), size_bytes)
    return _resized(task.known_record, kept_bytes or size_bytes)


def _resized(record: Record, size_bytes: int) -> Result:
    """Record the size that the share has, which is not the one of its manifest where somebody else has resized it meanwhile."""
    spec = replace(share_spec_of(record), size_bytes=size_bytes)
    return _put(with_share_spec(record, spec)._replace(size_bytes=size_bytes))


def _revert(driver: Driver, task: Task) -> Result:
    """Turn the share back; its size and access stay, so that only the request is new in the row."""
    record = task.known_record
    wanted = cast("ShareSpec", task.step.spec).revert_to
    if wanted is None or task.related is None:
        message = f"the state has no snapshot to turn {record.address} back to"
        raise NotFoundError(message)
    cast("RevertsShares", driver).revert_share(share_ref(record), snapshot_ref(task.related))
    return _put(with_share_spec(record, replace(share_spec_of(record), revert_to=wanted)))


def _update_access(driver: Driver, task: Task) -> Result:
    work = cast("UpdateAccess", task.step.work)
    wanted = work.rules
    before = {rule.rule for rule in task.rules if rule.status == "active"}
    add, delete = [rule for rule in wanted if rule not in before], sorted(before - set(wanted))
    if work.repairs:
        # the backend holds something else than `before`: with no change to rely on, it makes the whole set so
        add, delete = [], rules_to_end(driver, before, wanted)
    statuses = _access_statuses(driver, task, wanted, (add, delete), before)
    rules = tuple(_rule_record(rule, statuses.get(rule)) for rule in wanted)
    active = [rule.rule for rule in rules if rule.status == "active"]
    refused = "; ".join(f"{rule.rule.key}: {rule.reason}" for rule in rules if rule.status != "active")
    record = with_export_settings(_exported(driver, task.known_record), export_settings(task))
    record = with_access(record, active, refused=bool(refused))
    return _put(record, rules, refused=refused)


def _access_statuses(
    driver: Driver,
    task: Task,
    wanted: tuple[AccessRule, ...],
    change: tuple[list[AccessRule], list[AccessRule]],
    before: set[AccessRule],
) -> Mapping[AccessRule, tuple[str, str]]:
    """Have the driver make `wanted` the access of the share; what it cannot add keeps nobody in who is to be out.

    Where it fails as a whole, it is asked once more for the revocations alone, with what is in force already and stays.
    """
    share, (add, delete), work = share_ref(task.known_record), change, cast("UpdateAccess", task.step.work)
    if (settings := export_settings(task)) is not None:
        share = replace(share, export_settings=dict(settings))
    try:
        return driver.update_access(share, wanted, add, delete)
    except (NotFoundError, BackendUnavailableError):
        raise
    except DriverError as problem:
        kept = [rule for rule in wanted if rule in before]
        if len(kept) == len(wanted) or not (delete or work.repairs):
            raise
        narrowed = driver.update_access(share, kept, [], delete)
        if isinstance(problem, TransientError):
            raise
        return {**dict.fromkeys(wanted, ("error", str(problem))), **narrowed}


def export_settings(task: Task) -> ExportSettings | None:
    """Return the settings that the share's export is to have; None where the share was made on another backend than planned."""
    return cast("UpdateAccess", task.step.work).export_settings if task.backend == task.step.backend else None


def _exported(driver: Driver, record: Record) -> Record:
    """Return the row with its export locations; a share that was taken over may have got them only now, with its first access."""
    if export_locations_of(record):
        return record
    observed = listed_share(driver, record.resource_id)
    return record if observed is None else record._replace(attributes=share_attributes(observed))


def _rule_record(rule: AccessRule, status: tuple[str, str] | None) -> RuleRecord:
    if not isinstance(status, tuple) or not all(isinstance(part, str) for part in status):
        return RuleRecord(rule, "error", "the driver said nothing of this rule")
    return RuleRecord(rule, status[0], status[1])


def _delete_share(driver: Driver, task: Task) -> Result:
    driver.delete_share(share_ref(task.known_record))
    return Result((RemoveResource(task.known_record.address, task.known_record.version),), None)


def _retain_share(driver: Driver, task: Task) -> Result:
    """End the access to a share that stays on its backend, and forget it; one that is gone meanwhile has none."""
    given = [rule.rule for rule in task.rules if rule.status == "active"]
    with suppress(NotFoundError):
        driver.update_access(share_ref(task.known_record), (), (), rules_to_end(driver, given, ()))
    return Result((RemoveResource(task.known_record.address, task.known_record.version),), None)


def _trash_share(driver: Driver, task: Task) -> Result:
    cast("TrashesShares", driver).trash_share(share_ref(task.known_record))
    return Result((RemoveResource(task.known_record.address, task.known_record.version),), None)


def _create_snapshot(driver: Driver, task: Task) -> Result:
    if task.related is None:
        message = f"the state has no share for {task.step.address}"
        raise NotFoundError(message)
    spec = cast("SnapshotSpec", task.step.spec)
    taken = cast("SnapshotsShares", driver).create_snapshot(share_ref(task.related), task.resource_id, spec.name)
    observed = expected("create_snapshot", ObservedSnapshot, taken)
    record = snapshot_record(task.step.address, task.resource_id, spec, observed, task.related)
    return _put(record, version=None if task.record is None else task.record.version)


def _delete_snapshot(driver: Driver, task: Task) -> Result:
    cast("SnapshotsShares", driver).delete_snapshot(snapshot_ref(task.known_record))
    return Result((RemoveResource(task.known_record.address, task.known_record.version),), None)


def _refresh_record(driver: Driver, task: Task) -> Result:
    """Record a share as its backend lists it now, under the spec of its manifest."""
    record = task.known_record
    observed = listed_share(driver, record.resource_id)
    if observed is None:
        message = f"{record.address} is not on its backend any more"
        raise NotFoundError(message)
    return _put_observed(task, record, observed)


def _put_observed(task: Task, record: Record, observed: ObservedShare) -> Result:
    given = {known.rule for known in task.rules if known.status == "active"}
    in_force = [*observed.access, *(rule for rule in observed.ignored_access if rule in given)]
    fresh = share_record(
        record.address,
        record.resource_id,
        record.backend or "",
        spec_as_there(_recorded_spec(task, record), observed, record),
        observed,
        in_force,
    )
    return _put(fresh._replace(version=record.version), active_rules(in_force))


def _take_over_snapshot(driver: Driver, task: Task) -> Result:
    """Record a snapshot that sharectl took and the state does not know any more; nothing changes on its backend."""
    spec = cast("SnapshotSpec", task.step.spec)
    observed = next(iter(cast("SnapshotsShares", driver).list_snapshots([task.resource_id])), None)
    if observed is None or task.related is None:
        backend_id = cast("Adopt", task.step.work).backend_id
        message = f"the snapshot {backend_id!r} is not there any more, or its share is not in the state"
        raise NotFoundError(message)
    return _put(snapshot_record(task.step.address, task.resource_id, spec, observed, task.related))


def _adopt(driver: Driver, task: Task) -> Result:
    if isinstance(task.step.spec, SnapshotSpec):
        return _take_over_snapshot(driver, task)
    spec, work = cast("ShareSpec", task.step.spec), cast("Adopt", task.step.work)
    adopts = cast("AdoptsShares", driver)
    return _put_taken_over(task, adopts.adopt_share(work.backend_id, task.resource_id, spec.size_bytes))


def _restore_share(driver: Driver, task: Task) -> Result:
    return _put_taken_over(task, cast("TrashesShares", driver).restore_share(task.resource_id))


def _put_taken_over(task: Task, answer: ObservedShare) -> Result:
    observed = expected(task.step.verb.value, ObservedShare, answer)
    spec = cast("ShareSpec", task.step.spec)
    spec = replace(spec, size_bytes=observed.size_bytes or spec.size_bytes)
    address, backend = task.step.address, task.backend or ""
    record = share_record(address, task.resource_id, backend, spec, observed, observed.access)
    result = _put(record, active_rules(observed.access))
    return replace(result, changes=(*result.changes, *finished_import(task.related)))


def finished_import(row: Record | None) -> tuple[Change, ...]:
    """Return the change that lets go of the row which remembers an import, now that it is done."""
    return () if row is None else (RemoveResource(row.address, row.version),)


def listed_share(driver: Driver, resource_id: str) -> ObservedShare | None:
    """Return the share as its backend lists it, or None where it does not."""
    return next(iter(all_expected("list_shares", ObservedShare, driver.list_shares([resource_id]))), None)


def active_rules(rules: Iterable[AccessRule]) -> tuple[RuleRecord, ...]:
    """Return the records of rules that are in force, by key."""
    return tuple(RuleRecord(rule, "active") for rule in sorted(rules, key=lambda rule: rule.key))


_PERFORM = {
    Verb.PREPARE_BACKEND: _prepare,
    Verb.CREATE_SHARE: _create_share,
    Verb.EXTEND_SHARE: _extend,
    Verb.SHRINK_SHARE: _shrink,
    Verb.REVERT_SHARE: _revert,
    Verb.UPDATE_ACCESS: _update_access,
    Verb.UPDATE_RECORD: _refresh_record,
    Verb.FORGET: _retain_share,
    Verb.DELETE_SHARE: _delete_share,
    Verb.TRASH_SHARE: _trash_share,
    Verb.CREATE_SNAPSHOT: _create_snapshot,
    Verb.DELETE_SNAPSHOT: _delete_snapshot,
    Verb.ADOPT: _adopt,
    Verb.RESTORE_SHARE: _restore_share,
}
