"""Steps of the state alone, which ask no backend: forgetting, moving, and recording what a manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from sharectl.engine.verbs.base import Calls, Entry, Result, Runner, put, removed
from sharectl.engine.verbs.share import recorded_spec
from sharectl.executors.answers import Done
from sharectl.model.kinds import Kind
from sharectl.model.records import PutResource, RenameResource
from sharectl.model.verbs import Verb
from sharectl.planner.records import with_name, with_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.engine.verbs.base import Task
    from sharectl.model.plans import UpdateRecord
    from sharectl.model.records import Change


def _recorded(task: Task) -> Result:
    record = task.known_record
    if record.kind == Kind.SHARE:
        return put(with_spec(record, recorded_spec(task, record)))
    return put(with_spec(record, cast("UpdateRecord", task.step.work).spec))


def _moved(task: Task) -> Result:
    """Rename the row, and record the name that the manifest has for it now."""
    record = task.known_record
    address = task.step.address
    changes: list[Change] = [RenameResource(record.address, address, record.version)]
    moved = record._replace(address=address, version=record.version + 1)
    if task.step.spec is not None:
        renamed = with_name(moved, task.step.spec.name)
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
