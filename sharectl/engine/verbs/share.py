"""Shares: made, resized, reverted, taken over, put into the trash and out of it, removed."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, cast

from sharectl.drivers.base import NotFoundError
from sharectl.engine.answers import all_expected, expected, unmeasured
from sharectl.engine.verbs.base import (
    Calls,
    Entry,
    Executions,
    Intent,
    Outcome,
    Result,
    Runner,
    Site,
    done,
    put,
    removed,
)
from sharectl.executors import answers, calls
from sharectl.executors.calls import ask
from sharectl.model.kinds import Kind, address_of
from sharectl.model.observed import ObservedShare
from sharectl.model.records import PutResource, PutRules, Record, RemoveResource, RuleRecord
from sharectl.model.requests import ShareRef, ShareRequest, SnapshotRef
from sharectl.model.specs import ShareSpec
from sharectl.model.verbs import Verb
from sharectl.planner.records import recorded_revert, share_record, spec_as_there, with_policy, with_spec
from sharectl.planner.strays import import_address
from sharectl.state.rows import payload_of, share_ref, share_spec_of, snapshot_ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.engine.verbs.base import Task
    from sharectl.executors.answers import Answer
    from sharectl.model.access import AccessRule
    from sharectl.model.candidates import Candidate
    from sharectl.model.plans import Adopt, ScheduleSnapshots
    from sharectl.model.plans import CreateShare as PlannedShare
    from sharectl.model.records import Change

_NOT_THERE: Final = "the share is not there; the next plan shows it"


def active_rules(rules: Iterable[AccessRule]) -> tuple[RuleRecord, ...]:
    """Return the records of rules that are in force, by key."""
    return tuple(RuleRecord(rule, "active") for rule in sorted(rules, key=lambda rule: rule.key))


def recorded_spec(task: Task, record: Record) -> ShareSpec:
    """Return the spec to record: all of the manifest's, but size, protocols and name of the export only where no other step of the plan changes them.

    Nor does it record a revert: that is for the step that reverts the share.
    """
    spec = cast("ShareSpec", task.step.spec)
    recorded = share_spec_of(record)
    spec = replace(spec, revert_to=recorded_revert(spec.revert_to, recorded.revert_to))
    if task.renamed:
        spec = replace(spec, export_name=recorded.export_name, protocol=recorded.protocol)
    return replace(spec, size_bytes=recorded.size_bytes) if task.resized else spec


# --- requests and changes ---


def _request(task: Task) -> ShareRequest:
    spec = cast("ShareSpec", task.step.spec)
    candidate = cast("Candidate", task.candidate)
    if spec.source_snapshot is not None and task.related is None:
        message = f"the state has no {address_of(Kind.SNAPSHOT, spec.source_snapshot)} to clone"
        raise NotFoundError(message)
    if candidate.share_server is not None and task.share_server_id is None:
        message = f"the state has no {candidate.share_server}, which the share is to be on; plan again"
        raise NotFoundError(message)
    return _request_for(task.resource_id, spec, candidate.pool, _payload(task))


def _payload(task: Task) -> dict[str, object]:
    payload: dict[str, object] = {
        "extra_specs": dict(task.extra_specs or {}),
        "share_server_id": task.share_server_id,
        "beside": cast("PlannedShare", task.step.work).beside,
    }
    if cast("ShareSpec", task.step.spec).source_snapshot is not None and task.related is not None:
        payload["snapshot"] = asdict(snapshot_ref(task.related))
    return payload


def _request_for(resource_id: str, spec: ShareSpec, pool: str, payload: Mapping[str, Any]) -> ShareRequest:
    """Return what is asked for, as a step or the payload of its intent says."""
    snapshot = payload.get("snapshot")
    return ShareRequest(
        resource_id=resource_id,
        name=spec.name,
        size_bytes=spec.size_bytes,
        protocol=str(spec.protocol),
        pool=pool,
        extra_specs=payload["extra_specs"],
        snapshot=None if snapshot is None else SnapshotRef(**snapshot),
        share_server_id=payload.get("share_server_id"),
        export_name=spec.export_name,
        beside=None if (beside := payload.get("beside")) is None else tuple(beside),
    )


def _unfinished(request: ShareRequest) -> ShareRef:
    """Return the share that a creation may have left; deleting one that is not there succeeds."""
    return ShareRef(
        request.resource_id,
        "",
        request.name,
        request.pool,
        request.protocol,
        request.size_bytes,
        request.share_server_id,
    )


def _remove_leftovers(task: Task) -> Calls[None]:
    if task.record is None:  # else it is a share that was there before, and is made again in its place
        yield from ask(calls.DeleteShare(_unfinished(_request(task))))


def _made(task: Task, answer: answers.ShareMade) -> Result:
    observed, step = answer.share, task.step
    wanted = cast("ShareSpec", step.spec)
    spec = spec_as_there(wanted, observed, task.record)
    plain = task.plain if spec is wanted else None
    record = share_record(step.address, task.resource_id, task.backend or "", spec, observed, observed.access, plain)
    return put(record, active_rules(observed.access), version=task.version)


def _resizing(task: Task) -> Calls[Answer]:
    grows = task.step.verb is Verb.EXTEND_SHARE
    return ask(calls.ResizeShare(share_ref(task.known_record), cast("ShareSpec", task.step.spec).size_bytes, grows))


def _resized(task: Task, answer: answers.Size) -> Result:
    """Record the size that the share has, which is not the one of its manifest where somebody else has resized it meanwhile."""
    record = task.known_record
    spec = replace(share_spec_of(record), size_bytes=answer.size_bytes)
    return put(with_spec(record, spec)._replace(size_bytes=answer.size_bytes))


def _reversion(task: Task) -> Calls[Answer]:
    record = task.known_record
    if cast("ShareSpec", task.step.spec).revert_to is None or task.related is None:
        message = f"the state has no snapshot to turn {record.address} back to"
        raise NotFoundError(message)
    return ask(calls.RevertShare(share_ref(record), snapshot_ref(task.related)))


def _reverted(task: Task, _answer: answers.Done) -> Result:
    """Record the request alone: size and access are as they were."""
    record = task.known_record
    wanted = cast("ShareSpec", task.step.spec).revert_to
    return put(with_spec(record, replace(share_spec_of(record), revert_to=wanted)))


def _scheduled(task: Task, _answer: answers.Done) -> Result:
    """Record the policy, also as the manifest has it: the rest of that is for other steps."""
    record, work = task.known_record, cast("ScheduleSnapshots", task.step.work)
    if work.spec is not None:
        record = with_spec(record, replace(share_spec_of(record), snapshot_policy=work.spec.snapshot_policy))
    return put(with_policy(record, work.policy))


def _listed(task: Task, answer: answers.SharesListed) -> Result:
    """Record the share as its backend lists it, under the spec of its manifest."""
    record = task.known_record
    observed = next(iter(answer.shares), None)
    if observed is None:
        message = f"{record.address} is not on its backend any more"
        raise NotFoundError(message)
    given = {known.rule for known in task.rules if known.status == "active"}
    in_force = [*observed.access, *(rule for rule in observed.ignored_access if rule in given)]
    spec = spec_as_there(recorded_spec(task, record), observed, record)
    fresh = share_record(record.address, record.resource_id, record.backend or "", spec, observed, in_force)
    return put(fresh._replace(version=record.version), active_rules(in_force))


def _adoption(task: Task) -> Calls[Answer]:
    work = cast("Adopt", task.step.work)
    return ask(calls.AdoptShare(work.backend_id, task.resource_id, cast("ShareSpec", work.spec).size_bytes))


def _taken_over(task: Task, answer: answers.ShareMade) -> Result:
    observed = answer.share
    spec = cast("ShareSpec", task.step.spec)
    spec = replace(spec, size_bytes=observed.size_bytes or spec.size_bytes)
    address, backend = task.step.address, task.backend or ""
    record = share_record(address, task.resource_id, backend, spec, observed, observed.access)
    result = put(record, active_rules(observed.access))
    return replace(result, changes=(*result.changes, *_finished_import(task.related)))


def _finished_import(row: Record | None) -> tuple[Change, ...]:
    return () if row is None else (RemoveResource(row.address, row.version),)


# --- recovery ---


def _spec_of(intent: Intent) -> dict[str, object]:
    spec: dict[str, object] = payload_of(intent.operation)["spec"]
    return spec


def _as_observed(intent: Intent, spec: ShareSpec, record: Record | None, observed: ObservedShare) -> tuple[Change, ...]:
    operation = intent.operation
    spec = spec_as_there(spec, observed, record)
    fresh = share_record(
        operation.address, operation.resource_id, operation.backend or "", spec, observed, observed.access
    )
    version = None if record is None else record.version
    return PutResource(fresh, version), PutRules(fresh.address, active_rules(observed.access))


def _spec_as_held(record: Record, observed: ObservedShare) -> ShareSpec:
    """Return the recorded spec with the size that the backend lists."""
    spec = share_spec_of(record)
    if observed.size_bytes is None or observed.size_bytes == record.size_bytes:
        return spec
    return replace(spec, size_bytes=observed.size_bytes)


def _recover_creation(intent: Intent) -> Calls[Outcome]:
    operation, spec = intent.operation, ShareSpec.from_plain(_spec_of(intent))
    request = _request_for(operation.resource_id, spec, operation.pool or "", payload_of(operation))
    there = yield from intent.share()
    if intent.is_replaced or there is None:
        # Also sweeps what may be there half made, and is not listed for that reason.
        yield from ask(calls.DeleteShare(_unfinished(request)))
        replaced = intent.is_replaced
        return Outcome(
            (), "it had been made a second time, and that one was removed" if replaced else "it was not made"
        )
    made = yield from ask(calls.CreateShare(request))  # finishes what may be half made
    return Outcome(_as_observed(intent, spec, intent.record, made.share), "it had been made, and is recorded now")


def recover_change(intent: Intent) -> Calls[Outcome]:
    """Record the share as its backend lists it: the next plan sees what is left to do."""
    observed = yield from intent.share()
    record = intent.own_record
    if record is None or observed is None:
        return Outcome((), _NOT_THERE)
    changes = _as_observed(intent, _spec_as_held(record, observed), record, observed)
    return Outcome(changes, "the share is recorded as its backend holds it")


def _recover_reversion(intent: Intent) -> Calls[Outcome]:
    """Record that nobody knows whether the share was reverted: no backend can tell, and doing it again could destroy newer data.

    Where the answer was kept, it was done. Whatever half a revert may have done to the access is repaired.
    """
    observed = yield from intent.share()
    record = intent.own_record
    if record is None or observed is None:
        return Outcome((), _NOT_THERE)
    begun = ShareSpec.from_plain(_spec_of(intent)).revert_to
    is_done = intent.answer == answers.Done()
    if begun is not None and not is_done:
        begun = replace(begun, cut_short=True)
    spec = replace(_spec_as_held(record, observed), revert_to=begun)
    if observed.trashed_at is None:
        yield from ask(calls.UpdateAccess(share_ref(record), observed.access, given=observed.access))
    changes = _as_observed(intent, spec, record, observed)
    if is_done:
        return Outcome(changes, "it had been turned back, and is recorded now")
    return Outcome(changes, "nobody knows whether it was turned back; it is not repeated by itself")


def recovered_removal(intent: Intent, *, still_there: bool) -> Outcome:
    """Return the outcome of removing something that may still be there."""
    if still_there:
        return Outcome((), "it had not been removed")
    record = intent.own_record
    if record is None:
        return Outcome((), "it had been removed")
    return Outcome((RemoveResource(record.address, record.version),), "it had been removed, and is recorded so now")


def _recover_deletion(intent: Intent) -> Calls[Outcome]:
    observed = yield from intent.share()
    return recovered_removal(intent, still_there=observed is not None)


def _recover_trashing(intent: Intent) -> Calls[Outcome]:
    observed = yield from intent.share()
    return recovered_removal(intent, still_there=observed is not None and observed.trashed_at is None)


def recover_taking_over(intent: Intent) -> Calls[Outcome]:
    """Record the share where it was taken over."""
    observed = yield from intent.share()
    if observed is None or observed.trashed_at is not None or intent.record is not None:
        return Outcome((), "it was not taken over")
    plain = _spec_of(intent)
    spec = ShareSpec.from_plain({**plain, "size_bytes": observed.size_bytes or plain["size_bytes"]})
    remembered = _finished_import(intent.records.get(import_address(intent.operation.address)))
    changes = (*_as_observed(intent, spec, None, observed), *remembered)
    return Outcome(changes, "it had been taken over, and is recorded now")


# --- the tables ---

TABLE: Final[Mapping[Verb, Entry]] = {
    Verb.CREATE_SHARE: Entry(
        Runner.DRIVER,
        lambda task: ask(calls.CreateShare(_request(task))),
        _made,
        _recover_creation,
        payload=_payload,
        leftovers=_remove_leftovers,
    ),
    Verb.EXTEND_SHARE: Entry(Runner.DRIVER, _resizing, _resized, recover_change),
    Verb.SHRINK_SHARE: Entry(Runner.DRIVER, _resizing, _resized, recover_change),
    Verb.REVERT_SHARE: Entry(Runner.DRIVER, _reversion, _reverted, _recover_reversion, stays_open=True),
    Verb.SCHEDULE_SNAPSHOTS: Entry(
        Runner.DRIVER,
        lambda task: ask(
            calls.ScheduleSnapshots(share_ref(task.known_record), cast("ScheduleSnapshots", task.step.work).policy)
        ),
        _scheduled,
        recover_change,
    ),
    Verb.UPDATE_RECORD: Entry(
        Runner.DRIVER, lambda task: ask(calls.ListShares((task.known_record.resource_id,))), _listed, recover_change
    ),
    Verb.DELETE_SHARE: Entry(
        Runner.DRIVER, lambda task: ask(calls.DeleteShare(share_ref(task.known_record))), removed, _recover_deletion
    ),
    Verb.TRASH_SHARE: Entry(
        Runner.DRIVER, lambda task: ask(calls.TrashShare(share_ref(task.known_record))), removed, _recover_trashing
    ),
    Verb.ADOPT: Entry(Runner.DRIVER, _adoption, _taken_over, recover_taking_over, stays_open=True),
    Verb.RESTORE_SHARE: Entry(
        Runner.DRIVER,
        lambda task: ask(calls.RestoreShare(task.resource_id)),
        _taken_over,
        recover_taking_over,
        stays_open=True,
    ),
}


def _made_by(name: str, shown: object) -> answers.ShareMade:
    return answers.ShareMade(unmeasured(expected(name, ObservedShare, shown)))


def _resize(site: Site, call: calls.ResizeShare) -> answers.Size:
    name = "extend_share" if call.grows else "shrink_share"
    kept_bytes = getattr(site.driver, name)(call.share, call.size_bytes)
    return answers.Size(expected(name, int, kept_bytes or call.size_bytes))


def _list(site: Site, call: calls.ListShares) -> answers.SharesListed:
    listed = site.driver.list_shares(None if call.resource_ids is None else list(call.resource_ids))
    found = all_expected("list_shares", ObservedShare, listed)
    return answers.SharesListed(tuple(found if call.with_usage else map(unmeasured, found)))


EXECUTIONS: Final[Executions] = {
    calls.CreateShare: lambda site, call: _made_by("create_share", site.driver.create_share(call.request)),
    calls.ResizeShare: _resize,
    calls.RevertShare: lambda site, call: done(site.driver.revert_share(call.share, call.snapshot)),
    calls.ScheduleSnapshots: lambda site, call: done(site.driver.schedule_snapshots(call.share, call.policy)),
    calls.ListShares: _list,
    calls.MeasureUsage: lambda site, call: answers.Size(
        expected("used_bytes", int, site.driver.used_bytes(call.share))
    ),
    calls.DeleteShare: lambda site, call: done(site.driver.delete_share(call.share)),
    calls.TrashShare: lambda site, call: done(site.driver.trash_share(call.share)),
    calls.RestoreShare: lambda site, call: _made_by("restore_share", site.driver.restore_share(call.resource_id)),
    calls.AdoptShare: lambda site, call: _made_by(
        "adopt_share", site.driver.adopt_share(call.backend_id, call.resource_id, call.size_bytes)
    ),
}
