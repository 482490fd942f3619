"""The tables of a state: the columns of each, the tests of what is in them, before it is written and after it was read, and what their rows become."""

from __future__ import annotations

import gc
import re
from contextlib import contextmanager
from itertools import groupby, islice
from math import isfinite
from operator import attrgetter, itemgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.access import AccessRule
from sharectl.model.canonical import DIGEST_SIZE_BYTES
from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import PLACED_KINDS, Kind
from sharectl.model.records import HistoryEntry, HistoryLine, Record, RuleRecord, RunRecord
from sharectl.model.verbs import Verb
from sharectl.state.contract import DamagedRowError
from sharectl.state.rows import NO_OPTIONS, are_options, expect_payload, json_object, options_in, options_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.records import OperationRecord

OUTCOMES: Final = ("done", "failed", "recovered")
STATUSES: Final = ("active", "error")
_LARGEST: Final = (1 << 63) - 1
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_PREFIXES: Final = {kind.value: kind.prefix for kind in Kind}
_BARE: Final = frozenset(_PREFIXES.values())


class Column(NamedTuple):
    """What a column holds: the test of a value, the types of it in JSON, and a quicker test of many values.

    `all_fit` may be wrong about sound values, also by TypeError: each of them is tested then.
    """

    fits: Callable[[Any], bool]
    json: tuple[type, ...]
    all_fit: Callable[[Collection[Any]], bool]


class Table(NamedTuple):
    """A table: its columns in the order of its rows' fields, and how a row is called in an error."""

    name: str
    row_name: str
    columns: Mapping[str, Column]

    def name_of(self, row: Sequence[Any]) -> str:
        """Return what a row is called."""
        return self.row_name.format_map(dict(zip(self.columns, row, strict=True)))


def _of_type(type_: type, json: type) -> Column:
    return Column(lambda value: type(value) is type_, (json,), lambda values: {*map(type, values)} <= {type_})


def _of_few(fits: Callable[[Any], bool], *json: type) -> Column:
    """Return a column in which the same values come again and again.

    A set holds one of those that equal each other, which 1, 1.0 and True do: so the types of all must be among those of the tested.
    """

    def all_fit(values: Collection[Any]) -> bool:
        different = {*values}
        return all(map(fits, different)) and {*map(type, values)} == {*map(type, different)}

    return Column(fits, json, all_fit)


def _optional(column: Column) -> Column:
    fits = column.fits
    return _of_few(lambda value: value is None or fits(value), *column.json, NoneType)


def _whole_number(least: int) -> Column:
    return _of_few(lambda value: type(value) is int and least <= value <= _LARGEST, int)


def _choice(choices: Iterable[str]) -> Column:
    known = frozenset(choices)
    return _of_few(lambda value: isinstance(value, str) and value in known, str)


def _is_clean(value: object) -> bool:
    return type(value) is str and value != "" and (value.isprintable() or _CONTROL.search(value) is None)


def _are_clean(values: Collection[str]) -> bool:
    return "".join(values).isprintable() and all(values)


_TEXT: Final = _of_type(str, str)
_OPTIONAL_TEXT: Final = _optional(_TEXT)
_CLEAN: Final = Column(_is_clean, (str,), _are_clean)
_NAME: Final = Column(
    lambda value: type(value) is str and value != "",
    (str,),
    lambda values: {*map(type, values)} <= {str} and all(values),
)
_WORD: Final = _of_few(lambda value: type(value) is str and re.fullmatch("[a-z]+", value) is not None, str)
_OBJECT: Final = _of_type(bytes, dict)
_OPTIONS: Final = _of_few(are_options, dict)
_DIGEST: Final = Column(
    lambda value: type(value) is bytes and len(value) == DIGEST_SIZE_BYTES,
    (str,),
    lambda values: {*map(bytes.__len__, values)} <= {DIGEST_SIZE_BYTES},
)
_OPTIONAL_DIGEST: Final = _optional(_DIGEST)._replace(all_fit=_DIGEST.all_fit)
_SECONDS: Final = _of_few(lambda value: type(value) is float and isfinite(value), float)
_SHARE_ADDRESS: Final = Column(
    lambda value: _is_clean(value) and value.startswith(Kind.SHARE.prefix),
    (str,),
    lambda values: _are_clean(values) and all(value.startswith(Kind.SHARE.prefix) for value in values),
)

RESOURCE: Final = Table(
    "resource",
    "{address}",
    {
        "address": _CLEAN,
        "kind": _choice(_PREFIXES),
        "resource_id": _NAME,
        "backend": _optional(_CLEAN),
        "pool": _OPTIONAL_TEXT,
        "version": _whole_number(1),
        "spec_digest": _OPTIONAL_DIGEST,
        "access_digest": _DIGEST,
        "size_bytes": _optional(_whole_number(0)),
        "protect": _of_type(bool, bool),
        "spec": _OBJECT,
        "attributes": _OBJECT,
    },
)
ACCESS_RULE: Final = Table(
    "access_rule",
    "{share_address}",
    {
        "share_address": _SHARE_ADDRESS,
        "access_type": _WORD,
        "access_to": _CLEAN,
        "access_level": _WORD,
        "options": _OPTIONS,
        "status": _choice(STATUSES),
        "reason": _TEXT,
    },
)
OPERATION: Final = Table(
    "operation",
    "operation {operation_id} on {address}",
    {
        "operation_id": _CLEAN,
        "run_id": _CLEAN,
        "address": _of_few(lambda value: _is_clean(value) and value.partition("/")[0] in _PREFIXES, str),
        "verb": _choice(verb.value for verb in Verb),
        "resource_id": _TEXT,
        "backend": _OPTIONAL_TEXT,
        "pool": _OPTIONAL_TEXT,
        "started_at": _CLEAN,
        "payload": _OBJECT,
    },
)
RUN: Final = Table(
    "run",
    "run {run_id}",
    {
        **dict.fromkeys(("run_id", "command", "user", "host", "started_at"), _TEXT),
        **dict.fromkeys(("git_commit", "ci_job_url", "actor", "author"), _OPTIONAL_TEXT),
    },
)
HISTORY: Final = Table(
    "history",
    "line {sequence} of the history",
    {
        "sequence": _of_type(int, int),
        **dict.fromkeys(("run_id", "at", "address", "verb"), _TEXT),
        "outcome": _choice(OUTCOMES),
        "detail": _OBJECT,
    },
)
LEASE: Final = Table(
    "lease",
    "its lock",
    {
        "token": _whole_number(0),
        **dict.fromkeys(("user", "host"), _TEXT),
        "process_id": _of_type(int, int),
        "command": _TEXT,
        "process_started": _OPTIONAL_TEXT,
        **dict.fromkeys(("node", "boot_id", "process_namespace", "acquired_at", "heartbeat_at"), _TEXT),
        **dict.fromkeys(("heartbeat_boottime_seconds", "duration_seconds"), _SECONDS),
        "scope": _TEXT,
        **dict.fromkeys(("actor", "ci_job_url"), _OPTIONAL_TEXT),
    },
)

_RUN_START: Final = len(HISTORY.columns)
"""Where the run begins in a row of the history that has its run beside it."""

_ROWS_AT_ONCE: Final = 1000
"""Rows that are checked together: few enough to stay in the processor's cache meanwhile."""

first: Final = itemgetter(0)

operation_row: Final[Callable[[OperationRecord], tuple[Any, ...]]] = attrgetter(*OPERATION.columns)
run_row: Final[Callable[[Any], tuple[Any, ...]]] = attrgetter(*RUN.columns)
_entry_row: Final = attrgetter(*list(HISTORY.columns)[1:])


def history_row(sequence: int | None, entry: HistoryEntry) -> tuple[Any, ...]:
    """Return the values of a line of the history; without a number, one that is to get the next."""
    return (sequence, *_entry_row(entry))


def rule_rows(rules: Iterable[tuple[Address, Iterable[RuleRecord]]]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of the rules of shares; drivers may say types and levels as members of their enumerations."""
    return (
        (
            address,
            str(access_type),
            access_to,
            str(level),
            options_json(options) if options else NO_OPTIONS,
            status,
            reason,
        )
        for address, records in rules
        for (access_type, access_to, level, options), status, reason in records
    )


def expect_rows(table: Table, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """Return the columns of rows, once each has been checked as a whole, and where that does not do, value by value. Raises DamagedRowError."""
    columns = list(zip(*rows, strict=True)) or [()] * len(table.columns)
    for (name, column), values in zip(table.columns.items(), columns, strict=True):
        if not _all_fit(column, values):
            row, value = next((row, value) for row, value in zip(rows, values, strict=True) if not column.fits(value))
            raise DamagedRowError(table.name_of(row), f"its {name} is {value!r}")
    return columns


def _all_fit(column: Column, values: Collection[Any]) -> bool:
    try:
        if column.all_fit(values):
            return True
    except TypeError:
        pass
    return all(map(column.fits, values))


def expect_records(records: Sequence[Record]) -> None:
    """Check the columns of resources; specs and attributes are checked when they are decoded. Raises DamagedRowError."""
    addresses, kinds, ids, backends, *_ = expect_rows(RESOURCE, records)
    are_clean = None not in backends and "".join(ids).isprintable() and _BARE.isdisjoint(addresses)
    if are_clean and _are_of_kinds(addresses, kinds):
        return
    for address, kind, resource_id, backend in zip(addresses, kinds, ids, backends, strict=True):
        fault = ""
        if not address.startswith(_PREFIXES[kind]) or address in _BARE:
            fault = f"its kind is {kind!r}"
        elif backend is None and kind in PLACED_KINDS:
            fault = "it is on no backend"
        # A backend's row has the identity of its storage there, which is the driver's own text.
        elif kind != Kind.BACKEND and not _is_clean(resource_id):
            fault = f"its resource_id is {resource_id!r}"
        if fault:
            raise DamagedRowError(address, fault)


def _are_of_kinds(addresses: Sequence[Address], kinds: Sequence[str]) -> bool:
    """Tell whether each address begins with its kind. Most often all are of one, and begin as many lines."""
    if len({*kinds}) == 1:
        return "\n".join(("", *addresses)).count(f"\n{_PREFIXES[kinds[0]]}") == len(addresses)
    return all(map(str.startswith, addresses, map(_PREFIXES.__getitem__, kinds)))


def expect_operations(operations: Sequence[OperationRecord]) -> None:
    """Check the columns and payloads of intents. Raises DamagedRowError."""
    expect_rows(OPERATION, list(map(operation_row, operations)))
    for operation in operations:
        expect_payload(operation)


def expect_entries(entries: Sequence[tuple[int, HistoryEntry]]) -> None:
    """Check lines of the history. Raises DamagedRowError."""
    expect_rows(HISTORY, [history_row(*entry) for entry in entries])
    for sequence, entry in entries:
        json_object(f"line {sequence} of the history", "detail", entry.detail)


class Revision(NamedTuple):
    """Which state this is, and how many commits it has seen."""

    lineage: str
    serial: int


@contextmanager
def collection_paused() -> Iterator[None]:
    """Keep Python's cyclic collector from walking the same rows over and over while hundreds of thousands arrive, which hold no cycles.

    Where so many have arrived that it would walk them all soon afterwards, it never does.
    """
    was_enabled, before = gc.isenabled(), gc.get_count()[0]
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if gc.get_count()[0] - before > gc.get_threshold()[0] / 2:
                gc.freeze()
            gc.enable()


def is_storable(address: Address) -> bool:
    """Tell whether the text can be in the store at all: a lone surrogate, which the shell can pass in, cannot."""
    try:
        address.encode()
    except UnicodeEncodeError:
        return False
    return True


def batches_of(rows: Iterable[Any], size: int = _ROWS_AT_ONCE) -> Iterator[list[Any]]:
    """Yield rows as they come, some together."""
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch


def records_of(rows: Iterable[tuple[object, ...]]) -> dict[Address, Record]:
    """Return resources by address, checked. Raises DamagedRowError."""
    new, shared = tuple.__new__, dict[object, Any]().setdefault  # many rows have the same place and size: one for all
    # fmt: off
    found = [
        new(Record, (
            address, shared(kind, kind), own_id, shared(backend, backend), shared(pool, pool),
            version, spec_digest, access_digest, shared(size, size) if type(size) is int else size,
            protect, spec, attributes,
        ))
        for (
            address, kind, own_id, backend, pool,
            version, spec_digest, access_digest, size,
            protect, spec, attributes,
        ) in rows
    ]
    # fmt: on
    for start in range(0, len(found), _ROWS_AT_ONCE):
        expect_records(found[start : start + _ROWS_AT_ONCE])
    return dict(zip(map(first, found), found, strict=True))


def rules_by_share(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Address, tuple[RuleRecord, ...]]]:
    """Yield the rules of each share, whose rows follow one another. Raises DamagedRowError."""
    new = tuple.__new__
    for share_address, group in groupby(_checked(ACCESS_RULE, rows), first):
        yield (
            share_address,
            tuple(
                [
                    new(RuleRecord, (new(AccessRule, (kind, to, level, options_in(options))), status, reason))
                    for _, kind, to, level, options, status, reason in group
                ]
            ),
        )


def _checked(table: Table, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for batch in batches_of(rows):
        expect_rows(table, batch)
        yield from batch


def entries_of(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, HistoryEntry]]:
    """Yield lines of the history with their numbers. Raises DamagedRowError."""
    for batch in batches_of(rows):
        entries = [(sequence, HistoryEntry(*row)) for sequence, *row in batch]
        expect_entries(entries)
        yield from entries


def runs_of(rows: Iterable[tuple[Any, ...]]) -> Iterator[RunRecord]:
    """Yield runs. Raises DamagedRowError."""
    return (RunRecord(*row) for row in _checked(RUN, rows))


def lines_of(rows: Iterable[tuple[Any, ...]]) -> Iterator[HistoryLine]:
    """Yield lines of the history whose rows have their runs beside them; those of one run share it. Raises DamagedRowError."""
    last: tuple[tuple[Any, ...], RunRecord] | None = None
    for batch in batches_of(rows):
        entries = [(row[0], HistoryEntry(*row[1:_RUN_START])) for row in batch]
        runs = [row[_RUN_START:] for row in batch]
        for (sequence, _), run in zip(entries, runs, strict=True):
            if run[0] is None:
                row = f"line {sequence} of the history"
                raise DamagedRowError(row, "its run is not in the state")
        expect_entries(entries)
        expect_rows(RUN, runs)
        for entry, run in zip(entries, runs, strict=True):
            if last is None or last[0] != run:
                last = run, RunRecord(*run)
            yield HistoryLine(*entry, last[1])
