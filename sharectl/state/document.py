"""The state as one JSON document: composed for `state pull`, checked strictly for `state push`."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain, islice, zip_longest
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from sharectl.model.access import AccessRule, options_of
from sharectl.model.canonical import canonical_json
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import kind_of
from sharectl.model.records import HistoryEntry, OperationRecord, Record, RuleRecord, RunRecord
from sharectl.state.columns import (
    ACCESS_RULE,
    HISTORY,
    OPERATION,
    OUTCOMES,
    RESOURCE,
    RUN,
    STATUSES,
    expect_operations,
    expect_records,
    expect_rows,
    history_row,
    operation_row,
    rule_rows,
    run_row,
)
from sharectl.state.contract import DamagedRowError, StateRefusedError
from sharectl.state.rows import digests_in, expect_whole_rows, json_object, plain_columns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address
    from sharectl.state.columns import Table
    from sharectl.state.usage import Notes

_Item = TypeVar("_Item")

FORMAT: Final = "sharectl-state"
FORMAT_VERSION: Final = 1
LINEAGE: Final = re.compile(r"[0-9a-zA-Z-]{1,64}")
_LATER_FIELDS_OF_RUNS: Final = ("actor", "author")
_SHOWN_PROBLEMS: Final = 10
_ITEMS_PER_PART: Final = 500
_WORDS: Final[dict[type, str]] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    type(None): "null",
}

_Fields = dict[str, tuple[type, ...]]


def _fields_of(table: Table, *others: str) -> _Fields:
    """Return the fields in which a document has the rows of a table, but for `others`."""
    return {name: column.json for name, column in table.columns.items() if name not in others}


_DOCUMENT_FIELDS: Final[_Fields] = {
    **dict.fromkeys(("format", "lineage"), (str,)),
    **dict.fromkeys(("version", "serial"), (int,)),
    **dict.fromkeys(("resources", "operations", "runs", "history"), (list,)),
    "rules": (dict,),
}


@dataclass(frozen=True, slots=True)
class Document:
    """Everything in a state but its lock, with the notes of use: records and rules by address; operations, runs and history oldest first, history with its numbers."""

    lineage: str
    serial: int
    records: Iterable[Record]
    rules: Iterable[tuple[Address, tuple[RuleRecord, ...]]]
    operations: Sequence[OperationRecord]
    runs: Iterable[RunRecord]
    history: Iterable[tuple[int, HistoryEntry]]
    notes: Notes | None = None


class DocumentError(Exception):
    """A document that is not a state; `str()` says what is wrong and where, as a path such as `resources[3].digest`."""


def compose(document: Document) -> Iterator[bytes]:
    """Yield the JSON text of `document` in parts: sorted keys, two spaces of indentation, a final newline.

    Items are written as they come, so that a document that is read as it is written takes no more memory than a part.
    Raises DamagedRowError where a stored spec, attribute, payload or detail is not a JSON object.
    """
    yield b'{\n  "format": "%s",\n  "history": ' % FORMAT.encode()
    yield from _list(_plain(HISTORY, history_row(sequence, entry), "detail") for sequence, entry in document.history)
    yield b',\n  "lineage": %s,\n  "operations": ' % orjson.dumps(document.lineage)
    yield from _list(_plain(OPERATION, row, "payload") for row in map(operation_row, document.operations))
    yield from _notes("pool_use", document.notes)
    yield b',\n  "resources": '
    yield from _list(map(_plain_record, document.records))
    yield b',\n  "rules": '
    yield from _sequence(
        (b"%s: %s" % (orjson.dumps(address), _text(_plain_rules(rules))) for address, rules in document.rules), b"{}"
    )
    yield b',\n  "runs": '
    yield from _list(map(_plain_run, document.runs))
    yield b',\n  "serial": %d' % document.serial
    for section in ("share_use", "use_listings"):
        yield from _notes(section, document.notes)
    yield b',\n  "version": %d\n}\n' % FORMAT_VERSION


def _notes(section: str, notes: Notes | None) -> Iterator[bytes]:
    """Yield a list of notes, each on a line; where there are none, nothing, so that an older sharectl takes the document."""
    if notes is None:
        return
    from sharectl.state.notes_document import plain_notes  # noqa: PLC0415 - other commands compose nothing

    texts = (orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in plain_notes(section, notes))
    first = next(texts, None)
    if first is not None:
        yield b',\n  "%s": ' % section.encode()
        yield from _sequence(chain((first,), texts), b"[]")


def _list(items: Iterable[JsonObject]) -> Iterator[bytes]:
    return _sequence(map(_text, items), b"[]")


def _sequence(texts: Iterable[bytes], brackets: bytes) -> Iterator[bytes]:
    """Yield a list or object of such items at the second level, some hundred in a part."""
    separator = b"%c\n    " % brackets[0]
    remaining = iter(texts)
    while part := list(islice(remaining, _ITEMS_PER_PART)):
        yield separator + b",\n    ".join(part)
        separator = b",\n    "
    yield brackets if separator[:1] == brackets[:1] else b"\n  %c" % brackets[1]


def _text(item: object) -> bytes:
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2).replace(b"\n", b"\n    ")


def _plain_rules(rules: Iterable[RuleRecord]) -> list[JsonObject]:
    return [{**rule.as_object(), "status": status, "reason": reason} for rule, status, reason in rules]


def _plain_run(run: RunRecord) -> JsonObject:
    plain = _plain(RUN, run_row(run))
    return {name: value for name, value in plain.items() if value is not None or name not in _LATER_FIELDS_OF_RUNS}


def _plain_record(record: Record) -> JsonObject:
    texts = {"spec": record.spec, "attributes": record.attributes}
    objects = {name: json_object(record.address, name, text) for name, text in texts.items()}
    return {**plain_columns_of(record), **objects}


def _plain(table: Table, row: Sequence[Any], json_field: str = "") -> JsonObject:
    plain = dict(zip(table.columns, row, strict=True))
    return (
        {**plain, json_field: json_object(table.name_of(row), json_field, plain[json_field])} if json_field else plain
    )


def parse(text: bytes) -> Document:
    """Return the document in `text`; raises DocumentError with what is wrong with it: the first ten findings and their number."""
    from sharectl.state.notes_document import NOTES, notes_in  # noqa: PLC0415 - other commands parse nothing

    try:
        plain = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        message = f"it is not JSON: {error}"
        raise DocumentError(message) from error
    problems = _Problems()
    noted = {name: plain.pop(name, []) for name in NOTES} if isinstance(plain, dict) else {}
    problems.in_fields(plain, _DOCUMENT_FIELDS, "")
    problems.raise_if_any()
    _check_head(plain, problems)
    problems.raise_if_any()
    resource_fields = {**_fields_of(RESOURCE, "spec_digest", "access_digest"), "digest": (str,)}
    records = _items(plain, "resources", resource_fields, _record_of, problems)
    operations = _items(plain, "operations", _fields_of(OPERATION), _operation_of, problems)
    later = dict.fromkeys(_LATER_FIELDS_OF_RUNS)
    plain["runs"] = [{**later, **run} if isinstance(run, dict) else run for run in plain["runs"]]
    runs = _items(plain, "runs", _fields_of(RUN), lambda item, *_: RunRecord(**item), problems)
    history = _items(plain, "history", _fields_of(HISTORY), _history_of, problems)
    rules = _rules_of(plain["rules"], {record.address for record in records}, problems)
    problems.in_repeated([record.address for record in records], "resources", "address")
    problems.in_repeated([operation.operation_id for operation in operations], "operations", "operation_id")
    keys = [f"{each.verb} of {each.resource_id} on {each.backend}" for each in operations if each.resource_id]
    problems.in_repeated(keys, "operations", "resource_id")
    problems.in_repeated([run.run_id for run in runs], "runs", "run_id")
    _check_history(history, {run.run_id for run in runs}, problems)
    notes = notes_in(noted, problems.add)
    problems.raise_if_any()
    records.sort(key=itemgetter(0))
    by_address = sorted(rules.items())
    return Document(plain["lineage"], plain["serial"], records, by_address, operations, runs, history, notes)


def parse_whole(text: bytes) -> Document:
    """Return the document in `text`, whose rows a reader of the state would all take; raises DocumentError as `parse` does."""
    document = parse(text)
    try:
        expect_records(list(document.records))
        expect_rows(ACCESS_RULE, list(rule_rows(document.rules)))
        expect_whole_rows(document.records)
        expect_operations(document.operations)
    except DamagedRowError as error:
        raise DocumentError(error.fault) from error
    return document


def refuse_loss(document: Document, current: Document, location: str) -> None:
    """Raise StateRefusedError where replacing `current` by `document` would lose something."""
    reasons = []
    if document.lineage != current.lineage:
        reasons.append(f"it belongs to another state (lineage {document.lineage}, here {current.lineage})")
    elif document.serial < current.serial:
        reasons.append(f"it is older (serial {document.serial}, here {current.serial})")
    elif document.serial == current.serial and any(
        one != other for one, other in zip_longest(*map(compose, map(_without_notes, (document, current))))
    ):
        reasons.append(f"it differs from the state at the same serial ({current.serial})")
    if current.operations:
        count = len(current.operations)
        reasons.append(f"{count} operation(s) have begun and not ended, the first on {current.operations[0].address}")
    if reasons:
        raise StateRefusedError(
            location,
            f"the document is not taken: {'; '.join(reasons)}",
            "keep a copy with `sharectl state pull`, let `sharectl apply` finish what has begun, or insist with --force",
        )


def _without_notes(document: Document) -> Document:
    """Return what counts: notes are taken without a serial."""
    return replace(document, notes=None)


class _Problems:
    """Gathers what is wrong with a document, each with its place."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def add(self, where: str, rule: str) -> None:
        """Note that `rule` is broken at `where`."""
        self._found.append(f"{where} {rule}")

    def raise_if_any(self) -> None:
        """Raise DocumentError if anything was noted."""
        if not self._found:
            return
        message = "; ".join(self._found[:_SHOWN_PROBLEMS])
        if len(self._found) > _SHOWN_PROBLEMS:
            message += f"; and {len(self._found) - _SHOWN_PROBLEMS} more"
        raise DocumentError(message)

    def in_fields(self, plain: object, fields: _Fields, where: str) -> bool:
        """Note what keeps `plain` from being an object with exactly `fields`, each of its type; tell whether it is one."""
        if not isinstance(plain, dict):
            self.add(where or "the document", "must be an object")
            return False
        prefix = f"{where}." if where else ""
        sound = plain.keys() == fields.keys()
        if not sound:
            for name in sorted(fields.keys() - plain.keys()):
                self.add(f"{prefix}{name}", "is missing")
            for name in sorted(plain.keys() - fields.keys()):
                self.add(f"{prefix}{name}", "is not part of the format")
        for name, types in fields.items():
            if name in plain and type(plain[name]) not in types:
                self.add(f"{prefix}{name}", f"must be {' or '.join(_WORDS[type_] for type_ in types)}")
                sound = False
        return sound

    def in_repeated(self, values: Sequence[str], where: str, name: str) -> None:
        """Note the values that occur more than once."""
        if len(set(values)) == len(values):
            return
        seen: set[str] = set()
        for index, value in enumerate(values):
            if value in seen:
                self.add(f"{where}[{index}].{name}", f"({value}) occurs before")
            seen.add(value)


def _check_head(plain: JsonObject, problems: _Problems) -> None:
    if plain["format"] != FORMAT:
        problems.add("format", f'must be "{FORMAT}"')
    if plain["version"] != FORMAT_VERSION:
        problems.add("version", f"must be {FORMAT_VERSION}, the only one that this sharectl knows")
    if not plain["lineage"]:
        problems.add("lineage", "must not be empty")
    elif not LINEAGE.fullmatch(plain["lineage"]):
        problems.add("lineage", "must be letters, digits and hyphens, at most 64")
    if plain["serial"] < 0:
        problems.add("serial", "must not be negative")


def _items(
    plain: JsonObject,
    section: str,
    fields: _Fields,
    make: Callable[[JsonObject, str, _Problems], _Item],
    problems: _Problems,
) -> list[_Item]:
    made = []
    for index, item in enumerate(plain[section]):
        where = f"{section}[{index}]"
        if problems.in_fields(item, fields, where):
            made.append(make(item, where, problems))
    return made


def _record_of(item: JsonObject, where: str, problems: _Problems) -> Record:
    try:
        if kind_of(item["address"]) != item["kind"]:
            problems.add(f"{where}.kind", f"must be the kind in its address ({item['address']})")
    except ValueError as error:
        problems.add(f"{where}.address", f"must be an address: {error}")
    digests: tuple[bytes | None, bytes] = None, b""
    try:
        digests = digests_in(item["digest"])
    except ValueError:
        problems.add(f"{where}.digest", "must be hexadecimal, of 32 bytes")
    if item["version"] < 1:
        problems.add(f"{where}.version", "must be 1 or more")
    if item["size_bytes"] is not None and item["size_bytes"] < 0:
        problems.add(f"{where}.size_bytes", "must not be negative")
    texts = {name: canonical_json(item[name]) for name in ("spec", "attributes")}
    del item["digest"]
    return Record(**{**item, **texts}, spec_digest=digests[0], access_digest=digests[1])


def _operation_of(item: JsonObject, *_: object) -> OperationRecord:
    return OperationRecord(**{**item, "payload": canonical_json(item["payload"])})


def _history_of(item: JsonObject, where: str, problems: _Problems) -> tuple[int, HistoryEntry]:
    if item["outcome"] not in OUTCOMES:
        problems.add(f"{where}.outcome", f"must be {' or '.join(OUTCOMES)}")
    sequence, detail = item.pop("sequence"), canonical_json(item.pop("detail"))
    return sequence, HistoryEntry(**item, detail=detail)


def _rules_of(
    plain: JsonObject, known_addresses: AbstractSet[Address], problems: _Problems
) -> dict[Address, tuple[RuleRecord, ...]]:
    rules, fields = {}, _fields_of(ACCESS_RULE, "share_address")
    for share_address, share_rules in plain.items():
        where = f"rules[{share_address}]"
        if share_address not in known_addresses:
            problems.add(where, "is not a share in resources")
        if not isinstance(share_rules, list):
            problems.add(where, "must be a list")
            continue
        whole = [{"options": {}, **rule} if isinstance(rule, dict) else rule for rule in share_rules]
        made = _items({where: whole}, where, fields, _rule_of, problems)
        problems.in_repeated([record.rule.key for record in made], where, "access_to")
        rules[share_address] = tuple(made)
    return rules


def _rule_of(item: JsonObject, where: str, problems: _Problems) -> RuleRecord:
    if not (item["access_type"].isascii() and item["access_type"].isalpha() and item["access_type"].islower()):
        problems.add(f"{where}.access_type", "must be a word in lower-case letters")
    if item["status"] not in STATUSES:
        problems.add(f"{where}.status", f"must be {' or '.join(STATUSES)}")
    if not all(type(value) is str for value in item["options"].values()):
        problems.add(f"{where}.options", "must be an object of texts")
    rule = AccessRule(item["access_type"], item["access_to"], item["access_level"], options_of(item["options"]))
    return RuleRecord(rule, item["status"], item["reason"])


def _check_history(history: Sequence[tuple[int, HistoryEntry]], run_ids: AbstractSet[str], problems: _Problems) -> None:
    before = 0
    for index, (sequence, entry) in enumerate(history):
        if sequence <= before:
            problems.add(f"history[{index}].sequence", f"must be above {before}")
        if entry.run_id not in run_ids:
            problems.add(f"history[{index}].run_id", f"({entry.run_id}) is not in runs")
        before = sequence
