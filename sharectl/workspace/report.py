"""What a report shows: all that the state knows, brought together in one reading of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from contextlib import nullcontext
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.frozen import dataclass, field
from sharectl.model.growth import forecast, points_of_pool
from sharectl.model.kinds import Kind, address_of, name_of, resource_of
from sharectl.model.records import HistoryEntry, HistoryLine
from sharectl.state.contract import KeepsUsage
from sharectl.state.rows import parent_id_of, spec_object_of
from sharectl.workspace.listing import Condition, ListWanted, list_shares

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sharectl.manifests.project import Project
    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject
    from sharectl.model.growth import Forecast
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.model.records import OperationRecord, Record, RuleRecord
    from sharectl.model.usage import PoolSample, ShareSample
    from sharectl.state.contract import StateStore
    from sharectl.workspace.freshness import Freshness
    from sharectl.workspace.listing import ListedShare

MOST_HISTORY: Final = 1_000
"""Entries on the page of the history."""
MOST_OF_ONE: Final = 10
"""Entries on the page of one share."""
LOOKED_THROUGH: Final = 250_000
"""Entries that are read for the pages of the shares; what is older is left to `sharectl history`."""


@dataclass(frozen=True, slots=True)
class ShareReport:
    """A share as the state knows it; `record` is None where it could not be made."""

    listed: ListedShare
    record: Record | None = None
    rules: tuple[RuleRecord, ...] = ()
    snapshots: tuple[Record, ...] = ()
    history: tuple[HistoryLine, ...] = ()

    @property
    def name(self) -> str:
        """The share's name; one that a replacement has pushed aside keeps its mark."""
        return name_of(self.listed.address)

    @property
    def is_well(self) -> bool:
        """Tell whether nothing is wrong with it, as far as the state knows."""
        return self.listed.condition is Condition.OK

    @property
    def spec(self) -> JsonObject:
        """What its manifest said when it was last applied."""
        return {} if self.record is None else spec_object_of(self.record)


class PoolReport(NamedTuple):
    """A pool: the shares of the state in it, and what its backend said of its capacity, the oldest first and what was seen last at the end."""

    backend: str
    pool: str
    shares: int
    provisioned_bytes: int
    samples: tuple[PoolSample, ...] = ()

    @property
    def seen(self) -> PoolSample | None:
        """What its backend said last, of a capacity that has an end."""
        last = self.samples[-1] if self.samples else None
        return None if last is None or not last.total_bytes or last.free_bytes is None else last

    @property
    def used_bytes(self) -> int | None:
        """What is used of it, by whomever."""
        return None if self.seen is None else max(0, (self.seen.total_bytes or 0) - (self.seen.free_bytes or 0))

    @property
    def full_percent(self) -> float | None:
        """How full it is; None where that is not known."""
        if self.seen is None or self.used_bytes is None or not self.seen.total_bytes:
            return None
        return 100 * self.used_bytes / self.seen.total_bytes

    @property
    def outlook(self) -> Forecast | None:
        """When it will be full; None where its capacity is not known."""
        return None if self.seen is None else forecast(points_of_pool(self.samples), self.seen.total_bytes)


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


SamplesOf = Callable[[Collection[str]], "Mapping[str, Sequence[ShareSample]]"]
"""Returns samples of the use of shares, by resource id, the oldest first."""


def no_samples(resource_ids: Collection[str]) -> Mapping[str, Sequence[ShareSample]]:
    """Return nothing: no notes are kept."""
    del resource_ids
    return {}


@dataclass(frozen=True, slots=True)
class Report:
    """The state of one moment; `location` is where it is, for people, `counts` how many rows of each kind it has.

    `samples_of` reads samples of some shares as long as the state is open: those of all would fill the memory.
    """

    made_at: datetime
    location: str
    freshness: Freshness
    shares: tuple[ShareReport, ...]
    backends: tuple[BackendReport, ...]
    grantees: tuple[Grantee, ...]
    history: tuple[HistoryLine, ...]
    operations: tuple[OperationRecord, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    plan: PlanReport | None = None
    samples_of: SamplesOf = no_samples


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
        alike: dict[tuple[RuleRecord, ...], tuple[RuleRecord, ...]] = {}
        rules = {address: alike.setdefault(found, found) for address, found in reader.rules().items()}
        listing = list_shares(store, reader, ListWanted())
        listed = sorted(listing.shares, key=attrgetter("address"))
    newest, by_address = _past(store)
    notes = store.usage_notes() if isinstance(store, KeepsUsage) else None
    snapshots: dict[str, list[Record]] = defaultdict(list)
    for record in view.records.values():
        if record.kind == Kind.SNAPSHOT and (parent := parent_id_of(record)) is not None:
            snapshots[parent].append(record)
    shares = tuple(
        ShareReport(
            share,
            view.records.get(share.address),
            tuple(rules.get(share.address, ())),
            tuple(snapshots.get(share.resource_id or "", ())),
            tuple(by_address.get(share.address, ())),
        )
        for share in listed
    )
    return Report(
        now,
        store.location,
        listing.freshness,
        shares,
        _backends(view.records, shares, {} if notes is None else notes.pool_samples()),
        _grantees(shares),
        newest,
        view.operations,
        Counter(record.kind for record in view.records.values()),
        None if saved is None else PlanReport(*saved, saved[0].serial != view.serial),
        no_samples if notes is None else notes.share_samples,
    )


def _past(store: StateStore) -> tuple[tuple[HistoryLine, ...], Mapping[Address, Sequence[HistoryLine]]]:
    """Return the newest entries of the history, and those of each resource, the newest first."""
    newest: list[HistoryLine] = []
    by_address: dict[Address, list[HistoryLine]] = defaultdict(list)
    texts: dict[str, str] = {}
    for line in store.history(limit=LOOKED_THROUGH):
        if len(newest) < MOST_HISTORY:
            newest.append(line)
        known = by_address[resource_of(line.entry.address)]
        if len(known) < MOST_OF_ONE:
            known.append(_lean(line, texts))
    return tuple(newest), by_address


def _lean(line: HistoryLine, texts: dict[str, str]) -> HistoryLine:
    """Return the line with shared texts, so that each is in memory once."""
    entry = line.entry
    words = (entry.run_id, entry.at, entry.address, entry.verb, entry.outcome)
    run_id, at, address, verb, outcome = [texts.setdefault(word, word) for word in words]
    return HistoryLine(line.sequence, HistoryEntry(run_id, at, address, verb, outcome, entry.detail), line.run)


def _backends(
    records: Mapping[Address, Record],
    shares: Sequence[ShareReport],
    samples: Mapping[tuple[str, str], Sequence[PoolSample]],
) -> tuple[BackendReport, ...]:
    by_backend: dict[str, list[ShareReport]] = defaultdict(list)
    for share in shares:
        by_backend[share.listed.backend or ""].append(share)
    prefix = address_of(Kind.BACKEND, "")
    names = {address.removeprefix(prefix) for address in records if address.startswith(prefix)}
    return tuple(
        BackendReport(
            name,
            _driver(records.get(prefix + name)),
            _pools(name, by_backend[name], samples),
            tuple(by_backend[name]),
        )
        for name in sorted(names | by_backend.keys())
        if name
    )


def _driver(record: Record | None) -> str:
    return "" if record is None else str(spec_object_of(record).get("driver", ""))


def _pools(
    backend: str, shares: Iterable[ShareReport], samples: Mapping[tuple[str, str], Sequence[PoolSample]]
) -> tuple[PoolReport, ...]:
    by_pool: dict[str, list[ShareReport]] = {pool: [] for name, pool in samples if name == backend}
    for share in shares:
        by_pool.setdefault(share.listed.pool or "", []).append(share)
    return tuple(
        PoolReport(
            backend,
            pool,
            len(held),
            sum(share.listed.size_bytes or 0 for share in held),
            tuple(samples.get((backend, pool), ())),
        )
        for pool, held in sorted(by_pool.items())
    )


def _grantees(shares: Iterable[ShareReport]) -> tuple[Grantee, ...]:
    by_name: dict[tuple[str, str], list[Grant]] = defaultdict(list)
    for share in shares:
        for recorded in share.rules:
            rule = recorded.rule
            if recorded.status == "active" and not rule.is_remark:
                by_name[rule.access_type, rule.access_to].append(Grant(share, rule))
    return tuple(Grantee(*name, tuple(grants)) for name, grants in sorted(by_name.items()))
