"""All that the array holds: tables of frozen records, its clock, and the switches that tests turn."""

from __future__ import annotations

import dataclasses
import pickle
import random
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from tests.emulators.ontap.clock import Clock, Schedule
from tests.emulators.ontap.faults import Fault, Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from pathlib import Path

    from tests.emulators.ontap.facts import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the array keeps about one object. It is replaced, never changed; other objects are held by their keys, never by name."""

    uuid: str
    is_watched: ClassVar[bool] = False
    """Whether each change is an event for the oracle."""

    @property
    def key(self) -> Hashable:
        """What tells it apart in its table; a record without a UUID of its own says another."""
        return self.uuid


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a watched record, which is None from then on if it was taken out."""

    kind: type[Record]
    key: Hashable
    record: Record | None


@dataclass(slots=True)
class Table(Generic[R]):
    """The records of one class."""

    _records: dict[Hashable, R] = field(default_factory=dict)
    _events: list[Event] | None = None
    """Where its changes are noted, if they are."""
    _indexes: dict[tuple[str, ...], dict[tuple[object, ...], dict[Hashable, R]]] = field(default_factory=dict)
    """The records by the values of attributes that somebody has looked for."""

    def __iter__(self) -> Iterator[R]:
        """Go over all, in the order in which they were made, whatever happens to the table meanwhile."""
        return iter(tuple(self._records.values()))

    def __len__(self) -> int:
        """Count them."""
        return len(self._records)

    def __contains__(self, key: Hashable) -> bool:
        """Say whether there is one."""
        return key in self._records

    def __getitem__(self, key: Hashable) -> R:
        """Return one that is known to be there."""
        return self._records[key]

    def get(self, key: Hashable) -> R | None:
        """Return one, or None."""
        return self._records.get(key)

    def where(self, **wanted: object) -> list[R]:
        """Return those whose attributes have these values."""
        names = tuple(wanted)
        index = self._indexes.get(names)
        if index is None:
            index = self._indexes[names] = {}
            for key, record in self._records.items():
                index.setdefault(_values(record, names), {})[key] = record
        return list(index.get(tuple(wanted.values()), {}).values())

    def put(self, record: R) -> R:
        """Add one, or put it in the place of the one with its key."""
        self._unindex(record.key)
        self._records[record.key] = record
        for names, index in self._indexes.items():
            index.setdefault(_values(record, names), {})[record.key] = record
        if self._events is not None:
            self._events.append(Event(type(record), record.key, record))
        return record

    def change(self, key: Hashable, **changes: Any) -> R:  # noqa: ANN401 - fields of any record
        """Replace some fields of one, and return it; a key that changes moves it."""
        changed = dataclasses.replace(self._records[key], **changes)
        if changed.key != key:
            self.remove(key)
        return self.put(changed)

    def remove(self, key: Hashable) -> R | None:
        """Take one out, where it is there."""
        self._unindex(key)
        record = self._records.pop(key, None)
        if record is not None and self._events is not None:
            self._events.append(Event(type(record), key, None))
        return record

    def _unindex(self, key: Hashable) -> None:
        record = self._records.get(key)
        if record is not None:
            for names, index in self._indexes.items():
                index[_values(record, names)].pop(key)

    def copy(self) -> dict[Hashable, R]:
        """Return what is in it now."""
        return dict(self._records)

    def restore(self, records: dict[Hashable, R]) -> None:
        """Hold again what it held when it was copied."""
        for key in [key for key in self._records if key not in records]:
            self.remove(key)
        for key, record in records.items():
            if self._records.get(key) is not record:
                self.put(record)


def _values(record: Record, names: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(getattr(record, name) for name in names)


@dataclass(slots=True)
class Settings:
    """Switches for what differs between arrays, or is not known of them (`--name value`, or the control endpoint)."""

    unmapped_status: int | None = None
    """The HTTP status of all codes of which nobody has seen the status."""
    empty_query_status: int = 404
    """What PATCH and DELETE by a query that matches nothing answer: 404 with code 4, or 200."""
    job_kept_seconds: float = 300.0
    """How long the record of a job that has ended can be read."""
    hidden_after_post_seconds: float = 0.0
    """How long GET does not show what a POST has made."""
    policy_in_use_seconds: float = 0.0
    """How long an export policy still counts as used after a volume has been switched to another."""
    lif_down_seconds: float = 3.0
    """How long a LIF is down after it was made."""
    shrink_code: int = 917534
    """The code with which a size below the used data is refused."""
    accounts_get_domain: bool = False
    """Whether an account of the domain that is named alone in a CIFS ACL is shown with the domain's name."""


@dataclass(slots=True)
class World:
    """The array. Handlers run one at a time, under `lock`; so does a test that looks or turns something."""

    version: Version = (9, 16, 1)
    clock: Clock = field(default_factory=Clock)
    settings: Settings = field(default_factory=Settings)
    faults: Faults = field(default_factory=Faults)
    events: list[Event] = field(default_factory=list)
    """What the oracle is told of: each change in who may reach what, in order."""
    taken_bytes: dict[str, int] = field(default_factory=dict)
    """Bytes by which an aggregate, by name, is fuller than its volumes make it."""
    hidden: dict[tuple[str, tuple[str, ...]], float] = field(default_factory=dict)
    """Collections and keys that GET does not show until a moment of the clock."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    _tables: dict[type[Record], Table[Any]] = field(default_factory=dict)
    _random: random.Random = field(default_factory=lambda: random.Random(913))  # noqa: S311 - the same UUIDs each time
    _schedule: Schedule = field(default_factory=Schedule)
    _numbers: dict[str, int] = field(default_factory=dict)

    def __getitem__(self, kind: type[R]) -> Table[R]:
        """Return the table of a class of records: `world[Volume]`."""
        table = self._tables.get(kind)
        if table is None:
            table = self._tables[kind] = Table(_events=self.events if kind.is_watched else None)
        return table

    def new_uuid(self) -> str:
        """Return a UUID that no other object has."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def next_number(self, series: str, first: int = 1) -> int:
        """Return the next number of a named series, which never gives one twice."""
        self._numbers[series] = self._numbers.get(series, first - 1) + 1
        return self._numbers[series]

    def later(self, seconds: float, work: Callable[[World], object]) -> None:
        """Have something done when so many seconds of the array's time have passed.

        A `functools.partial` of a function is kept across a restart that keeps the state; a closure is lost in it.
        """
        self.at(self.clock.now() + seconds, work)

    def at(self, moment: float, work: Callable[[World], object]) -> None:
        """Have something done at a moment of the array's clock."""
        self._schedule.add(moment, work)

    def fault(self, kind: str, method: str = "*", path: str = "*", **options: Any) -> Fault:  # noqa: ANN401 - of any fault
        """Switch a fault on, where `for_seconds` is given for so long on the array's clock; see faults.py."""
        with self.lock:
            seconds = options.pop("for_seconds", None)
            if seconds is not None:
                options["until"] = self.clock.now() + float(seconds)
            return self.faults.add(kind, method, path, **options)

    def catch_up(self) -> None:
        """Do all that is due by now."""
        while (work := self._schedule.due(self.clock.now())) is not None:
            work(self)

    def pass_time(self, seconds: float) -> None:
        """Let time pass at once, with all that is due in it."""
        with self.lock:
            self.clock.skip(seconds)
            self.catch_up()

    def become(self, other: World) -> None:
        """Hold what another world holds, in its place."""
        for each in dataclasses.fields(self):
            if each.name != "lock":
                setattr(self, each.name, getattr(other, each.name))

    def dump(self) -> dict[str, list[str]]:
        """Return all records by kind, in a form that can be compared."""
        with self.lock:
            return {
                kind.__name__: sorted(repr(record) for record in table)
                for kind, table in self._tables.items()
                if kind.__name__ != "JobRecord" and len(table)
            }

    def all_or_nothing(self, work: Callable[[World], object], *, partly: bool = False) -> Callable[[World], object]:
        """Return the work such that what it did is undone where it fails, unless it may be done partly."""

        def whole(world: World) -> None:
            before = {kind: table.copy() for kind, table in world._tables.items()}
            try:
                work(world)
            except Exception:
                if not partly:
                    for kind, table in world._tables.items():
                        table.restore(before.get(kind, {}))
                raise

        return whole

    def save(self, path: Path) -> None:
        """Keep everything but the faults; what is under way goes on after loading where it can be kept."""
        with self.lock:
            scratch = path.with_name(path.name + ".new")
            scratch.write_bytes(pickle.dumps(self._kept()))
            scratch.replace(path)

    def _kept(self) -> Mapping[str, Any]:
        kept = {name: getattr(self, name) for name in _KEPT}
        waiting = [(at, work) for at, work in self._schedule.waiting() if _can_be_kept(work)]
        return {**kept, "now": self.clock.now(), "waiting": waiting}

    def load(self, path: Path) -> None:
        """Go on from what was saved by this version of the emulator."""
        kept = pickle.loads(path.read_bytes())  # noqa: S301 - its own file
        for name in _KEPT:
            setattr(self, name, kept[name])
        self.clock.set(kept["now"])
        self._schedule = Schedule()
        for at, work in kept["waiting"]:
            self._schedule.add(at, work)

    def waiting(self) -> list[Callable[[World], object]]:
        """Return what is still to come, in no order."""
        return self._schedule.works()


_KEPT = ("version", "settings", "events", "taken_bytes", "hidden", "_tables", "_random", "_numbers")


def _can_be_kept(work: object) -> bool:
    try:
        pickle.dumps(work)
    except (AttributeError, TypeError, pickle.PicklingError):
        return False
    return True
