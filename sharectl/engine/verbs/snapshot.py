"""Snapshots: taken, taken over, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from sharectl.drivers.base import NotFoundError
from sharectl.engine.answers import all_expected, expected
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
from sharectl.engine.verbs.share import recover_taking_over, recovered_removal
from sharectl.executors import answers, calls
from sharectl.executors.calls import ask
from sharectl.model.kinds import Kind, address_of
from sharectl.model.observed import ObservedSnapshot
from sharectl.model.records import PutResource
from sharectl.model.requests import SnapshotRef
from sharectl.model.specs import SnapshotSpec
from sharectl.model.verbs import Verb
from sharectl.planner.records import snapshot_record
from sharectl.state.rows import payload_of, share_ref, snapshot_ref

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.engine.verbs.base import Task
    from sharectl.executors.answers import Answer
    from sharectl.model.plans import Adopt
    from sharectl.model.records import Record


def _creation(task: Task) -> Calls[Answer]:
    share = _share_of(task)
    if share is None:
        message = f"the state has no share for {task.step.address}"
        raise NotFoundError(message)
    name = cast("SnapshotSpec", task.step.spec).name
    return ask(calls.CreateSnapshot(share_ref(share), task.resource_id, name))


def _share_of(task: Task) -> Record | None:
    return task.rows.get(address_of(Kind.SHARE, cast("SnapshotSpec", task.step.spec).share))


def _unfinished(resource_id: str, spec: SnapshotSpec, share: Record | None) -> SnapshotRef:
    """Return the snapshot that a creation may have left; deleting one that is not there succeeds."""
    return SnapshotRef(resource_id, "", spec.name, "" if share is None else share.resource_id, "")


def _remove_leftovers(task: Task) -> Calls[None]:
    if task.record is None:  # else it is one that was there before, and is taken again in its place
        spec = cast("SnapshotSpec", task.step.spec)
        yield from ask(calls.DeleteSnapshot(_unfinished(task.resource_id, spec, _share_of(task))))


def _made(task: Task, answer: answers.SnapshotMade) -> Result:
    return _recorded(task, answer.snapshot)


def _recorded(task: Task, observed: ObservedSnapshot) -> Result:
    spec, share = cast("SnapshotSpec", task.step.spec), cast("Record", _share_of(task))
    return put(
        snapshot_record(task.step.address, task.resource_id, spec, observed, share),
        version=task.version,
    )


def _found(task: Task, answer: answers.SnapshotsListed) -> Result:
    """Record a snapshot that sharectl took and the state does not know any more; nothing changes on its backend."""
    if not answer.snapshots or _share_of(task) is None:
        backend_id = cast("Adopt", task.step.work).backend_id
        message = f"the snapshot {backend_id!r} is not there any more, or its share is not in the state"
        raise NotFoundError(message)
    return _recorded(task, answer.snapshots[0])


def _recover_creation(intent: Intent) -> Calls[Outcome]:
    operation = intent.operation
    spec = SnapshotSpec.from_plain(payload_of(operation)["spec"])
    share = intent.records.get(address_of(Kind.SHARE, spec.share))
    observed = yield from intent.snapshot()
    if observed is None or share is None or intent.is_replaced:
        yield from ask(calls.DeleteSnapshot(_unfinished(operation.resource_id, spec, share)))
        kept = observed is not None
        return Outcome((), "it belongs to nothing in the state, and was removed" if kept else "it was not taken")
    fresh = snapshot_record(operation.address, operation.resource_id, spec, observed, share)
    version = None if intent.record is None else intent.record.version
    return Outcome((PutResource(fresh, version),), "it had been taken, and is recorded now")


def _recover_deletion(intent: Intent) -> Calls[Outcome]:
    observed = yield from intent.snapshot()
    return recovered_removal(intent, still_there=observed is not None)


TABLE: Final[Mapping[Verb, Entry]] = {
    Verb.CREATE_SNAPSHOT: Entry(
        Runner.DRIVER,
        _creation,
        _made,
        _recover_creation,
        leftovers=_remove_leftovers,
    ),
    Verb.DELETE_SNAPSHOT: Entry(
        Runner.DRIVER,
        lambda task: ask(calls.DeleteSnapshot(snapshot_ref(task.known_record))),
        removed,
        _recover_deletion,
    ),
}
ADOPTION: Final = Entry(
    Runner.DRIVER,
    lambda task: ask(calls.ListSnapshots((task.resource_id,))),
    _found,
    recover_taking_over,
    stays_open=True,
)
"""What `adopt` is for a snapshot."""


def _create(site: Site, call: calls.CreateSnapshot) -> answers.SnapshotMade:
    taken = site.driver.create_snapshot(call.share, call.resource_id, call.name)
    return answers.SnapshotMade(expected("create_snapshot", ObservedSnapshot, taken))


def _list(site: Site, call: calls.ListSnapshots) -> answers.SnapshotsListed:
    listed = site.driver.list_snapshots(None if call.resource_ids is None else list(call.resource_ids))
    return answers.SnapshotsListed(tuple(all_expected("list_snapshots", ObservedSnapshot, listed)))


EXECUTIONS: Final[Executions] = {
    calls.CreateSnapshot: _create,
    calls.ListSnapshots: _list,
    calls.DeleteSnapshot: lambda site, call: done(site.driver.delete_snapshot(call.snapshot)),
}
