"""All shares of the state with what is known of each, chosen and in order; a page at a time, however many there are."""

from __future__ import annotations

from enum import StrEnum
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.canonical import canonical_json
from sharectl.model.frozen import dataclass, field
from sharectl.model.kinds import Kind, is_of
from sharectl.planner.records import DEPOSED_MARK
from sharectl.state.contract import KeepsUsage
from sharectl.state.rows import attributes_of, share_like
from sharectl.workspace.freshness import Freshness, freshness_of
from sharectl.workspace.lookup import require_backends

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.records import HistoryEntry, OperationRecord, Record
    from sharectl.model.specs import ShareSpec
    from sharectl.model.usage import ShareUse
    from sharectl.state.contract import StateReader, StateStore

_PAGE: Final = 2_000
_MOST_FAILURES: Final = 10_000


class Condition(StrEnum):
    """How a share stands, by the state: the worst that holds of it."""

    OK = "ok"
    REPLACED = "replaced"
    REFUSED = "refused"
    FAILED = "failed"
    HALF_DONE = "half-done"


class Order(StrEnum):
    """What the shares are sorted by: their names, or the largest first."""

    NAME = "name"
    USED = "used"
    SIZE = "size"
    FULL = "full"


class ListedShare(NamedTuple):
    """One share; what is not known is None, or empty. `note` says why it is not `ok`. `seen_at` is when its use was told, in seconds since 1970."""

    address: Address
    condition: Condition
    note: str = ""
    size_bytes: int | None = None
    used_bytes: int | None = None
    seen_at: int | None = None
    protocol: str | None = None
    backend: str | None = None
    pool: str | None = None
    resource_id: str | None = None
    share_type: str | None = None
    labels: Mapping[str, str] = {}
    export_locations: tuple[str, ...] = ()

    @property
    def full_percent(self) -> float | None:
        """How full it is; None where its size or its use is not known."""
        return None if self.used_bytes is None or not self.size_bytes else 100 * self.used_bytes / self.size_bytes


@dataclass(frozen=True, slots=True)
class ListWanted:
    """Which shares are asked for, and in which order: those with all of the labels, on one of the backends, fuller than so many percent.

    With `names_alone` nothing but their addresses is needed; of the rest, what the backend answered is read only for `export_locations`.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    backends: frozenset[str] = frozenset()
    full_above: float | None = None
    broken: bool = False
    order: Order = Order.NAME
    limit: int | None = None
    names_alone: bool = False
    export_locations: bool = True

    @property
    def is_narrow(self) -> bool:
        """Tell whether some shares are not asked for."""
        return bool(self.labels or self.backends or self.full_above is not None or self.broken)

    @property
    def may_be_cut(self) -> bool:
        """Tell whether the first ones that the state names, up to the limit, are the ones that are meant."""
        return not (self.labels or self.full_above is not None or self.broken) and self.order in {
            Order.NAME,
            Order.SIZE,
        }


class Listing(NamedTuple):
    """The shares, made as they are drawn, while the state is open; how old what is said of them is, and whether others may have been left out."""

    shares: Iterator[ListedShare]
    freshness: Freshness
    is_narrow: bool = False


@dataclass(frozen=True, slots=True)
class _Conditions:
    """What is open and what has failed, by address."""

    operations: Mapping[Address, OperationRecord]
    failures: Mapping[Address, HistoryEntry]

    def of(self, record: Record) -> tuple[Condition, str]:
        operation = self.operations.get(record.address)
        if operation is not None:
            return Condition.HALF_DONE, _open_note(operation)
        failure = self.failures.get(record.address)
        if failure is not None:
            return Condition.FAILED, _failure_note(failure)
        if record.spec_digest is None:
            return Condition.REFUSED, "its backend refused an access rule"
        if DEPOSED_MARK in record.address:
            return Condition.REPLACED, "it has been replaced and waits for its removal"
        return Condition.OK, ""


def list_shares(store: StateStore, reader: StateReader, wanted: ListWanted) -> Listing:
    """Return the shares that are asked for; `reader` is open on `store`, and stays so while they are drawn. Raises DiagnosticError."""
    if wanted.backends:
        known = {record.backend for record in reader.find(kind=Kind.BACKEND).values() if record.backend}
        require_backends(wanted.backends, known, "the state has nothing on a backend")
    freshness = freshness_of(store)
    operations = {operation.address: operation for operation in reader.operations()}
    conditions = _Conditions(operations, reader.failures(limit=_MOST_FAILURES))
    use_of = _use_of(store)
    is_in_order = wanted.order is Order.NAME or (wanted.order is Order.SIZE and not wanted.broken)
    is_ranked = wanted.full_above is not None or not is_in_order
    needs_none = is_ranked and not (wanted.labels or wanted.backends or wanted.broken)
    meant = None if needs_none else _addresses(reader, conditions, wanted)
    if meant is not None and wanted.names_alone and wanted.may_be_cut:
        return Listing((ListedShare(address, Condition.OK) for address in meant), freshness, wanted.is_narrow)
    largest = _largest(store, reader, wanted) if meant is None else None
    if largest is not None:
        addresses: Sequence[Address] = largest
    else:
        addresses = _ranked(reader, use_of, meant, wanted) if meant is None or is_ranked else meant
    if not wanted.labels and not wanted.broken:
        addresses = addresses[: wanted.limit]
    shares = _chosen(_pages(reader, addresses), conditions, use_of, wanted)
    unmade = (
        ()
        if wanted.labels or wanted.full_above is not None
        else _unmade(reader, conditions, freshness, wanted.backends)
    )
    return Listing(_first((*unmade,), shares, wanted.limit), freshness, wanted.is_narrow)


def _first(unmade: Iterable[ListedShare], shares: Iterator[ListedShare], limit: int | None) -> Iterator[ListedShare]:
    number = 0
    for source in (unmade, shares):
        for share in source:
            if number == limit:
                return
            number += 1
            yield share


def _use_of(store: StateStore) -> Callable[[Collection[str] | None], Mapping[str, ShareUse]]:
    """Return what says, of shares by their ids, what their data occupies, as far as that was noted."""
    return store.usage_notes().usage if isinstance(store, KeepsUsage) else lambda _ids: {}


def _pages(reader: StateReader, addresses: Sequence[Address]) -> Iterator[list[Record]]:
    """Yield the rows at these addresses, in their order."""
    for start in range(0, len(addresses), _PAGE):
        part = addresses[start : start + _PAGE]
        records = reader.view(part).records
        yield [records[address] for address in part if address in records]


def _addresses(reader: StateReader, conditions: _Conditions, wanted: ListWanted) -> Sequence[Address]:
    """Return the shares that may be meant, and no row of another: of those that are not well, what is open, has failed, or was refused."""
    found = reader.share_addresses(
        holding=[_label_text(key, value) for key, value in wanted.labels.items()],
        backends=wanted.backends,
        refused_or_named=DEPOSED_MARK if wanted.broken else None,
        largest_first=wanted.order is Order.SIZE,
        limit=wanted.limit if wanted.may_be_cut else None,
    )
    if not wanted.broken:
        return found
    unwell = {*conditions.operations, *conditions.failures}
    return sorted({*found, *(address for address in unwell if is_of(Kind.SHARE, address))})


def _label_text(key: str, value: str) -> bytes:
    """Return what stands in the spec of each share that has the label, and perhaps of another: few are decoded then."""
    return canonical_json({key: value})[1:-1]


def _chosen(
    pages: Iterable[list[Record]],
    conditions: _Conditions,
    use_of: Callable[[Collection[str] | None], Mapping[str, ShareUse]],
    wanted: ListWanted,
) -> Iterator[ListedShare]:
    for page in pages:
        uses = use_of([record.resource_id for record in page])
        for record in page:
            spec = share_like(record).example  # of thousands that are alike, one is decoded
            on_other = wanted.backends and record.backend not in wanted.backends
            if on_other or not wanted.labels.items() <= spec.labels.items():
                continue
            share = _listed(record, spec, conditions, uses.get(record.resource_id), wanted)
            if wanted.broken and share.condition is Condition.OK:
                continue
            percent = share.full_percent
            if wanted.full_above is None or (percent is not None and percent > wanted.full_above):
                yield share


def _listed(
    record: Record, spec: ShareSpec, conditions: _Conditions, use: ShareUse | None, wanted: ListWanted
) -> ListedShare:
    condition, note = conditions.of(record)
    return ListedShare(
        record.address,
        condition,
        note,
        size_bytes=record.size_bytes,
        used_bytes=None if use is None else use.used_bytes,
        seen_at=None if use is None else use.seen_at,
        protocol=spec.protocol,
        backend=record.backend,
        pool=record.pool,
        resource_id=record.resource_id,
        share_type=spec.share_type,
        labels=spec.labels,
        export_locations=tuple(attributes_of(record).get("export_locations", ())) if wanted.export_locations else (),
    )


def _largest(store: StateStore, reader: StateReader, wanted: ListWanted) -> list[Address] | None:
    """Return the first ones by use, up to the limit, where that is known without looking at all shares; else None."""
    if wanted.limit is None or wanted.limit > _PAGE or wanted.full_above is not None:
        return None
    if wanted.order is not Order.USED or not isinstance(store, KeepsUsage):
        return None
    notes = store.usage_notes()
    uses = notes.usage(notes.largest(wanted.limit))
    found = [record for record in reader.with_ids(uses.keys()).values() if record.kind == Kind.SHARE]
    if len(found) < wanted.limit:
        return None  # fewer are noted, or notes have outlived their shares
    found.sort(key=lambda record: (-uses[record.resource_id].used_bytes, record.address))
    return [record.address for record in found]


def _ranked(
    reader: StateReader,
    use_of: Callable[[Collection[str] | None], Mapping[str, ShareUse]],
    meant: Sequence[Address] | None,
    wanted: ListWanted,
) -> list[Address]:
    """Return those of the addresses (None: of all) whose shares are full enough, the largest first where that is asked for.

    That is found by sizes and use, without their rows.
    """
    chosen, uses, least, order = (
        None if meant is None else frozenset(meant),
        use_of(None),
        wanted.full_above,
        wanted.order,
    )
    found: list[tuple[float, Address]] = []
    for address, own_id, size_bytes in reader.share_sizes() if uses or least is None else ():
        if chosen is not None and address not in chosen:
            continue
        use = uses.get(own_id)
        percent = -1.0 if use is None or not size_bytes else 100 * use.used_bytes / size_bytes
        if least is not None and percent <= least:
            continue
        if order is Order.SIZE:
            rank: float = -1 if size_bytes is None else size_bytes
        elif order is Order.USED:
            rank = -1 if use is None else use.used_bytes
        else:
            rank = percent if order is Order.FULL else 0
        found.append((rank, address))
    found.sort(key=itemgetter(0), reverse=True)  # those that are alike stay in the order of their names
    return [address for _, address in found]


def _unmade(
    reader: StateReader, conditions: _Conditions, freshness: Freshness, backends: Collection[str]
) -> Iterator[ListedShare]:
    """Yield the shares of which there is no row: what is being made, and what the last run could not make; what failed before that may not be wanted any more.

    Where a share failed is not recorded: of `backends`, if any are named, only what is being made there is.
    """
    last = None if freshness.run is None else freshness.run.run_id
    failed = {
        address: entry
        for address, entry in conditions.failures.items()
        if not backends and is_of(Kind.SHARE, address) and entry.run_id == last
    }
    begun = {
        address: each
        for address, each in conditions.operations.items()
        if is_of(Kind.SHARE, address) and (not backends or each.backend in backends)
    }
    known = reader.view({*failed, *begun}).records if failed or begun else {}
    for address in sorted({*failed, *begun} - known.keys()):
        if address in begun:
            each = begun[address]
            yield ListedShare(
                address,
                Condition.HALF_DONE,
                _open_note(each),
                backend=each.backend,
                pool=each.pool,
                resource_id=each.resource_id,
            )
        else:
            yield ListedShare(address, Condition.FAILED, _failure_note(failed[address]))


def _open_note(operation: OperationRecord) -> str:
    return f"{operation.verb} began at {operation.started_at}, and its end is not recorded"


def _failure_note(entry: HistoryEntry) -> str:
    from orjson import loads  # noqa: PLC0415 - only where something failed

    return f"{entry.verb}: {loads(entry.detail).get('error') or 'no reason is recorded'} ({entry.at})"
