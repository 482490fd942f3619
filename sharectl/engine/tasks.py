"""One attempt at a step, with the rows of the state that it is about, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.base import NotFoundError
from sharectl.model.frozen import dataclass, field
from sharectl.model.records import PutResource, PutRules, RemoveResource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Candidate, Step
    from sharectl.model.records import Change, Record, RuleRecord


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt at a step, with everything that it works on.

    `record` is the row at the step's address now, None where there is none. `rows` are those of what its spec names too. `related` is
    the row of the snapshot that a new share is a clone of or that a share is turned back to, or the row that remembers an import.
    `rules` are the recorded access rules. `resource_id` is the id under which the backend knows, or will know, the resource.
    `share_server_id` is that of the server which a new share is to be on. `resized` says that another step changes the size.
    """

    step: Step
    resource_id: str
    record: Record | None = None
    related: Record | None = None
    rows: Mapping[Address, Record] = field(default_factory=dict)
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

    @property
    def version(self) -> int | None:
        """The version of the row, None where there is none."""
        return None if self.record is None else self.record.version

    @property
    def pool(self) -> str | None:
        """The pool that it is about."""
        if self.candidate is not None:
            return self.candidate.pool
        return None if self.record is None else self.record.pool


@dataclass(frozen=True, slots=True)
class Result:
    """What a step has changed: the changes of the state that say so, the row afterwards, and what was refused, if anything."""

    changes: tuple[Change, ...]
    record: Record | None
    rules: tuple[RuleRecord, ...] | None = None
    refused: str = ""


def put(
    record: Record, rules: tuple[RuleRecord, ...] | None = None, *, version: int | None = None, refused: str = ""
) -> Result:
    """Return the result of writing the row, which is at `version` (that of `record`, where it has one) until then."""
    expected = record.version or version
    changes: list[Change] = [PutResource(record, expected or None)]
    if rules is not None:
        changes.append(PutRules(record.address, rules))
    return Result(tuple(changes), record._replace(version=(expected or 0) + 1), rules, refused)


def removed(task: Task, _answer: object = None) -> Result:
    """Return the result of removing the row, whatever the answer that it is gone."""
    record = task.known_record
    return Result((RemoveResource(record.address, record.version),), None)
