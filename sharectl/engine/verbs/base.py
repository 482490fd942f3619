"""What the table of verbs says of each verb, the tasks that it is asked for, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sharectl.drivers.base import NotFoundError
from sharectl.executors.answers import Answer, Done
from sharectl.executors.calls import Call, ListShares, ListSnapshots, ask
from sharectl.model.frozen import dataclass, field
from sharectl.model.records import PutResource, PutRules, RemoveResource

if TYPE_CHECKING:
    from sharectl.model.candidates import Candidate
    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare, ObservedSnapshot
    from sharectl.model.plans import Step
    from sharectl.model.records import Change, OperationRecord, Record, RuleRecord
    from sharectl.network.base import NetworkPlugin


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt at a step, with everything that it works on.

    `record` is the row at the step's address now, None where there is none. `rows` are those of what its spec names too. `related` is
    the row of the snapshot that a new share is a clone of or that a share is reverted to, or the row that remembers an import.
    `rules` are the recorded access rules. `plain` is the plain form of the step's spec, which intent, row and history share; nobody
    changes it. `resource_id` is the id under which the backend knows, or will know, the resource.
    `share_server_id` is that of the server which a new share is to be on. `resized` says that another step changes the size,
    `renamed` that one changes the name of the export, or its protocols.
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
    plain: JsonObject | None = None
    resized: bool = False
    renamed: bool = False

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
    if rules or (expected and rules is not None):  # a new row has no rules that would have to go
        changes.append(PutRules(record.address, rules))
    return Result(tuple(changes), record.at_version((expected or 0) + 1), rules, refused)


def removed(task: Task, _answer: object = None) -> Result:
    """Return the result of removing the row, whatever the answer that it is gone."""
    record = task.known_record
    return Result((RemoveResource(record.address, record.version),), None)


T = TypeVar("T")
Calls = Generator[Call[Answer], Answer, T]
"""Calls one after the other, and what follows from their answers; CallFailedError is thrown in where one fails."""


class Runner(Enum):
    """What a verb needs in order to be done."""

    STATE = auto()
    """Nothing but the state."""
    DRIVER = auto()
    NETWORK = auto()
    """The driver and the network service of the backend."""


class Outcome(NamedTuple):
    """How an open intent ended: what that changes in the state, and in words."""

    changes: tuple[Change, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a backend has listed of the shares and snapshots that intents are about, by id."""

    shares: Mapping[str, ObservedShare]
    snapshots: Mapping[str, ObservedSnapshot]


@dataclass(frozen=True, slots=True)
class Intent:
    """An open intent with the rows that it is about, and what its backend has listed just now (None: it is asked for this one alone).

    `answer` is what its last call brought back, where that was kept although the run was gone.
    """

    operation: OperationRecord
    records: Mapping[str, Record]
    holdings: Holdings | None = None
    answer: Answer | None = None

    @property
    def resource_id(self) -> str:
        """The id that the backend was asked under."""
        return self.operation.resource_id

    @property
    def record(self) -> Record | None:
        """The row at the intent's address."""
        return self.records.get(self.operation.address)

    @property
    def own_record(self) -> Record | None:
        """The row at the intent's address, where it stands for the same resource."""
        record = self.record
        return record if record is not None and record.resource_id == self.resource_id else None

    @property
    def is_replaced(self) -> bool:
        """Tell whether the row stands for another resource by now."""
        return self.record is not None and self.own_record is None

    def share(self) -> Calls[ObservedShare | None]:
        """Return the share as it is listed, None where it is not."""
        if self.holdings is not None:
            return self.holdings.shares.get(self.resource_id)
        listed = yield from ask(ListShares((self.resource_id,)))
        return next(iter(listed.shares), None)

    def snapshot(self) -> Calls[ObservedSnapshot | None]:
        """Return the snapshot as it is listed, None where it is not."""
        if self.holdings is not None:
            return self.holdings.snapshots.get(self.resource_id)
        listed = yield from ask(ListSnapshots((self.resource_id,)))
        return next(iter(listed.snapshots), None)


def _no_payload(_task: Task) -> dict[str, object]:
    return {}


@dataclass(frozen=True, slots=True)
class Entry:
    """A verb: `calls` asks for it and returns the last answer, from which `changes` makes what the state records.

    `recover` finds out how an intent of an earlier run ended; asked again it gives the same outcome. What asks no backend leaves no
    intent. `payload` is what the intent holds besides the spec. `leftovers` removes what a failed making may have left; where the
    verb `stays_open`, a failure in doubt leaves the intent to the next run. How a verb is shown stands in `sharectl.model.verbs`,
    whether it may be repeated in its calls.
    """

    runner: Runner
    calls: Callable[[Task], Calls[Answer]]
    changes: Callable[[Task, Any], Result]
    recover: Callable[[Intent], Calls[Outcome]] | None = None
    payload: Callable[[Task], dict[str, object]] = _no_payload
    leftovers: Callable[[Task], Calls[None]] | None = None
    stays_open: bool = False


class Site(NamedTuple):
    """Where a call is made: the driver of a backend, and the way to its network service. Both ask a permit before each request."""

    driver: Any
    open_network: Callable[[], NetworkPlugin]


Executions = Mapping[type[Call[Answer]], Callable[[Site, Any], Answer]]


def done(_nothing: object) -> Done:
    """Return the answer to a call that brings nothing back."""
    return Done()
