"""Steps of the state alone, which ask no backend: forgetting, moving, and recording what a manifest says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.engine.tasks import Result, put, removed
from sharectl.engine.verbs.base import Calls, Entry, Runner
from sharectl.engine.verbs.share import recorded_spec
from sharectl.executors.calls import Done
from sharectl.model.kinds import Kind
from sharectl.model.records import PutResource, RenameResource
from sharectl.model.share_networks import ShareServerSpec
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.model.verbs import Verb
from sharectl.planner.records import with_share_spec, with_snapshot_spec
from sharectl.planner.share_servers.records import with_server_spec
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.engine.tasks import Task
    from sharectl.model.records import Change


def _recorded(task: Task) -> Result:
    record = task.known_record
    if isinstance(task.step.spec, SnapshotSpec):
        return put(with_snapshot_spec(record, task.step.spec))
    if isinstance(task.step.spec, ShareServerSpec):
        return put(with_server_spec(record, task.step.spec))
    return put(with_share_spec(record, recorded_spec(task, record)))


def _moved(task: Task) -> Result:
    """Rename the row, and record the name that the manifest has for it now."""
    record = task.known_record
    address = task.step.address
    changes: list[Change] = [RenameResource(record.address, address, record.version)]
    moved = record._replace(address=address, version=record.version + 1)
    if task.step.spec is not None:
        plain = spec_object_of(record)
        name = task.step.spec.name
        if record.kind == Kind.SNAPSHOT:
            renamed = with_snapshot_spec(moved, replace(SnapshotSpec.from_plain(plain), name=name))
        else:
            renamed = with_share_spec(moved, replace(ShareSpec.from_plain(plain), name=name))
        changes.append(PutResource(renamed, moved.version))
        moved = renamed._replace(version=moved.version + 1)
    return Result(tuple(changes), moved, None)


def _asks_nothing(_task: Task) -> Calls[Done]:
    yield from ()
    return Done()


def _of_the_state(changes: Callable[[Task], Result]) -> Entry:
    return Entry(Runner.STATE, _asks_nothing, lambda task, _answer: changes(task))


TABLE: Final[Mapping[Verb, Entry]] = {
    Verb.FORGET: _of_the_state(removed),
    Verb.MOVE: _of_the_state(_moved),
    Verb.UPDATE_RECORD: _of_the_state(_recorded),
}
"""What these verbs are where the step names no backend."""
