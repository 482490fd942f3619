"""Moves: a row gets another address, and nothing else happens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.engine.calls import Result
from sharectl.model.kinds import Kind
from sharectl.model.records import PutResource, RenameResource
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.planner.records import with_share_spec, with_snapshot_spec
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from sharectl.engine.calls import Task
    from sharectl.model.records import Change


def move(task: Task) -> Result:
    """Return the changes that rename the row, and, where the manifest has a new name, record that name."""
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
