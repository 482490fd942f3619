"""What a report shows: all that the state knows, brought together in one reading of it."""

from __future__ import annotations

from collections import defaultdict
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.frozen import dataclass, field
from sharectl.model.kinds import Kind, address_of, name_of, resource_of
from sharectl.model.specs import DeletionPolicy
from sharectl.planner.records import DEPOSED_MARK
from sharectl.state.rows import parent_id_of, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sharectl.manifests.project import Project
    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.model.records import HistoryLine, OperationRecord, Record, RuleRecord
    from sharectl.state.contract import StateStore

MOST_HISTORY: Final = 1_000
"""Entries on the page of the history."""
MOST_OF_ONE: Final = 10
"""Entries on the page of one share."""
LOOKED_THROUGH: Final = 250_000
"""Entries that are read for the pages of the shares; what is older is left to `sharectl history`."""


@dataclass(frozen=True, slots=True)
class ShareReport:
    """A share as the state knows it; `failure` is what failed last and has not been done since."""

    record: Record
    spec: JsonObject
    rules: tuple[RuleRecord, ...] = ()
    snapshots: tuple[Record, ...] = ()
    operation: OperationRecord | None = None
    history: tuple[HistoryLine, ...] = ()
    failure: HistoryLine | None = None

    @property
    def name(self) -> str:
        """The share's name; one that a replacement has pushed aside keeps its mark."""
        return name_of(self.record.address)

    @property
    def size_bytes(self) -> int:
        """The size that it has on its backend, as far as that is known."""
        return self.record.size_bytes or self.spec.get("size_bytes", 0)

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its manifest."""
        labels: Mapping[str, str] = self.spec.get("labels", {})
        return labels

    @property
    def deletion_policy(self) -> str:
        """What happens to it once its manifest is gone."""
        return str(self.spec.get("deletion_policy", DeletionPolicy.RETAIN))

    @property
    def refused_rules(self) -> int:
        """How many of its access rules the backend refused."""
        return sum(rule.status != "active" for rule in self.rules)

    @property
    def condition(self) -> str:
        """What is wrong with it in a few words; an empty text where nothing is."""
        if DEPOSED_MARK in self.name:
            return "replaced, waits for its removal"
        if self.operation is not None:
            return f"{self.operation.verb} has not ended"
        if self.failure is not None:
            return f"{self.failure.entry.verb} failed"
        return "access rule refused" if self.refused_rules else ""


class PoolReport(NamedTuple):
    """A pool as far as shares of the state are in it."""

    backend: str
    pool: str
    shares: int
    provisioned_bytes: int


@dataclass(frozen=True, slots=True)
class BackendReport:
    """A backend that the state knows, with its pools and the shares on it."""

    name: str
    driver: str
    pools: tuple[PoolReport, ...]
    shares: tuple[ShareReport, ...]


class Grant(NamedTuple):
    """What a rule that is in force lets somebody do with a share."""

    share: ShareReport
    rule: AccessRule


@dataclass(frozen=True, slots=True)
class Grantee:
    """Somebody whom access rules in force name: an address, a network, a user, a group or guests."""

    access_type: str
    access_to: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class PlanReport:
    """A saved plan, when its file was written, and whether the state has been written since."""

    plan: Plan
    saved_at: datetime
    is_overtaken: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The state of one moment; `location` is where it is, for people."""

    made_at: datetime
    location: str
    serial: int
    shares: tuple[ShareReport, ...]
    backends: tuple[BackendReport, ...]
    grantees: tuple[Grantee, ...]
    history: tuple[HistoryLine, ...]
    operations: tuple[OperationRecord, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    plan: PlanReport | None = None


def read_saved_plan(path: Path, store: StateStore, project: Project) -> tuple[Plan, datetime]:
    """Return a saved plan and when its file was written. Raises DiagnosticError where it is none, or was made for another state."""
    from sharectl.workspace.planfile import plan_origin, read_plan_file, require_own_plan  # noqa: PLC0415 - few reports show one

    plan = read_plan_file(path)
    require_own_plan(plan, lambda: nullcontext(store), plan_origin(project))
    return plan, datetime.fromtimestamp(path.stat().st_mtime, UTC)


def report_of(store: StateStore, now: datetime, saved: tuple[Plan, datetime] | None = None) -> Report:
    """Return what the state knows now; `saved` is a plan with the time at which it was saved. Raises StateError."""
    with store.read() as reader:
        view = reader.view()
        rules = reader.rules()
    past = _Past.of(store)
    snapshots: dict[str, list[Record]] = defaultdict(list)
    for record in view.records.values():
        if record.kind == Kind.SNAPSHOT and (parent := parent_id_of(record)) is not None:
            snapshots[parent].append(record)
    operations = {resource_of(operation.address): operation for operation in view.operations}
    shares = tuple(
        ShareReport(
            record,
            spec_object_of(record),
            tuple(rules.get(address, ())),
            tuple(snapshots.get(record.resource_id, ())),
            operations.get(address),
            tuple(past.by_address.get(address, ())),
            past.failures.get(address),
        )
        for address, record in sorted(view.records.items())
        if record.kind == Kind.SHARE
    )
    plan = None if saved is None else PlanReport(*saved, saved[0].serial != view.serial)
    return Report(
        now,
        store.location,
        view.serial,
        shares,
        _backends(view.records, shares),
        _grantees(shares),
        past.newest,
        view.operations,
        _counts(view.records.values()),
        plan,
    )


class _Past(NamedTuple):
    """The history, newest first, as the pages have it."""

    newest: tuple[HistoryLine, ...]
    by_address: Mapping[Address, Sequence[HistoryLine]]
    failures: Mapping[Address, HistoryLine]

    @classmethod
    def of(cls, store: StateStore) -> _Past:
        newest: list[HistoryLine] = []
        by_address: dict[Address, list[HistoryLine]] = defaultdict(list)
        done: set[tuple[Address, str]] = set()
        failures: dict[Address, HistoryLine] = {}
        for line in store.history(limit=LOOKED_THROUGH):
            entry = line.entry
            address = resource_of(entry.address)
            if len(newest) < MOST_HISTORY:
                newest.append(line)
            if len(by_address[address]) < MOST_OF_ONE:
                by_address[address].append(line)
            if entry.outcome != "failed":
                done.add((address, entry.verb))
            elif address not in failures and (address, entry.verb) not in done:
                failures[address] = line
        return cls(tuple(newest), by_address, failures)


def _backends(records: Mapping[Address, Record], shares: Sequence[ShareReport]) -> tuple[BackendReport, ...]:
    by_backend: dict[str, list[ShareReport]] = defaultdict(list)
    for share in shares:
        by_backend[share.record.backend or ""].append(share)
    prefix = address_of(Kind.BACKEND, "")
    names = {address.removeprefix(prefix) for address in records if address.startswith(prefix)}
    return tuple(
        BackendReport(name, _driver(records.get(prefix + name)), _pools(by_backend[name]), tuple(by_backend[name]))
        for name in sorted(names | by_backend.keys())
        if name
    )


def _driver(record: Record | None) -> str:
    return "" if record is None else str(spec_object_of(record).get("driver", ""))


def _pools(shares: Iterable[ShareReport]) -> tuple[PoolReport, ...]:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    backend = ""
    for share in shares:
        backend = share.record.backend or ""
        count = counts[share.record.pool or ""]
        count[0] += 1
        count[1] += share.size_bytes
    return tuple(PoolReport(backend, pool, *counts[pool]) for pool in sorted(counts))


def _grantees(shares: Iterable[ShareReport]) -> tuple[Grantee, ...]:
    by_name: dict[tuple[str, str], list[Grant]] = defaultdict(list)
    for share in shares:
        for recorded in share.rules:
            rule = recorded.rule
            if recorded.status == "active" and not rule.is_remark:
                by_name[rule.access_type, rule.access_to].append(Grant(share, rule))
    return tuple(Grantee(*name, tuple(grants)) for name, grants in sorted(by_name.items()))


def _counts(records: Iterable[Record]) -> Mapping[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for record in records:
        counts[record.kind] += 1
    return counts
