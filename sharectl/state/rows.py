"""What rows may hold: columns, specs, attributes and payloads, each checked where it is decoded."""

from __future__ import annotations

import re
from math import isfinite
from operator import itemgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

import orjson

from sharectl.model.canonical import DIGEST_SIZE_BYTES
from sharectl.model.codec import shapes_of
from sharectl.model.kinds import Kind, kind_of
from sharectl.model.networks import NetworkAllocation
from sharectl.model.records import Record, Scope
from sharectl.model.share_networks import ShareServerSpec
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.model.table import attribute_shapes, row_shapes
from sharectl.model.verbs import Verb
from sharectl.state.contract import DamagedRowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.codec import Shapes
    from sharectl.model.kinds import Address
    from sharectl.model.records import HistoryEntry, OperationRecord, RuleRecord, RunRecord
    from sharectl.state.contract import StateReader
    from sharectl.state.lock import HeldLock

    _Check = Callable[[Any], bool]

_LARGEST: Final = (1 << 63) - 1
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_WORD: Final = re.compile("[a-z]+")
OUTCOMES: Final = frozenset({"done", "failed", "recovered"})
STATUSES: Final = frozenset({"active", "error"})


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_name(value: object) -> bool:
    return type(value) is str and value != ""


def _is_clean(value: object) -> bool:
    return type(value) is str and value != "" and (value.isprintable() or _CONTROL.search(value) is None)


def _is_digest(value: object) -> bool:
    return type(value) is bytes and len(value) == DIGEST_SIZE_BYTES


def _is_optional_text(value: object) -> bool:
    return value is None or type(value) is str


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _is_positive(value: object) -> bool:
    return type(value) is int and 0 < value <= _LARGEST


_SNAPSHOT: Final = shapes_of(
    dict.fromkeys(("resource_id", "backend_id", "name", "share_backend_id", "share_resource_id"), "str"), object
)
_PAYLOAD: Final = shapes_of(
    {
        "spec": "Mapping[str, Any] | None",
        "extra_specs": "Mapping[str, str]",
        "share_server_id": "str | None",
        "beside": "tuple[str, ...] | None",
        "snapshot": "Mapping[str, str] | None",
    },
    object,
)._replace(needed=())
_WITH_SPEC: Final = frozenset(
    {
        Verb.CREATE_SHARE,
        Verb.REVERT_SHARE,
        Verb.CREATE_SNAPSHOT,
        Verb.ADOPT,
        Verb.RESTORE_SHARE,
        Verb.CREATE_SHARE_SERVER,
        Verb.REPAIR_SHARE_SERVER,
        Verb.UPDATE_SHARE_SERVER,
    }
)
"""What is finished, or recorded, from the spec in its intent."""

_VERBS: Final = frozenset(verb.value for verb in Verb)
_MANAGED: Final = frozenset({Kind.SHARE, Kind.SNAPSHOT, Kind.SHARE_SERVER})


_REFUSED: Final = b"rules refused".ljust(DIGEST_SIZE_BYTES, b"\0")
"""Stands in documents for the digest of a spec of which an access rule was refused."""


def plain_columns_of(record: Record) -> JsonObject:
    """Return the columns as JSON documents have them, spec and attributes left out: both digests are one text there."""
    plain = record._asdict()
    digest = (plain.pop("spec_digest") or _REFUSED) + plain.pop("access_digest")
    del plain["spec"], plain["attributes"]
    return {**plain, "digest": digest.hex()}


def digests_in(text: str) -> tuple[bytes | None, bytes]:
    """Return the digests of spec and access in the text that `plain_columns_of` wrote; raises ValueError where it is none."""
    both = bytes.fromhex(text)
    if len(both) != 2 * DIGEST_SIZE_BYTES:
        raise ValueError(text)
    spec_digest = both[:DIGEST_SIZE_BYTES]
    return None if spec_digest == _REFUSED else spec_digest, both[DIGEST_SIZE_BYTES:]


def share_spec_of(record: Record) -> ShareSpec:
    """Return the spec last applied to a share. Raises DamagedRowError."""
    return ShareSpec.from_plain(spec_object_of(record))


def snapshot_spec_of(record: Record) -> SnapshotSpec:
    """Return the spec last applied to a snapshot. Raises DamagedRowError."""
    return SnapshotSpec.from_plain(spec_object_of(record))


def server_spec_of(record: Record) -> ShareServerSpec:
    """Return the spec that a share server was last made from. Raises DamagedRowError."""
    return ShareServerSpec.from_plain(spec_object_of(record))


def spec_object_of(record: Record) -> JsonObject:
    """Return the spec as a JSON object, defaults left out. Raises DamagedRowError."""
    return _object(record, "spec", record.spec, row_shapes(record.kind))


def attributes_of(record: Record) -> JsonObject:
    """Return what the backend answered. Raises DamagedRowError."""
    return _object(record, "attributes", record.attributes, attribute_shapes(record.kind))


def parent_id_of(record: Record) -> str | None:
    """Return the resource id of the share that a snapshot is of, or of the share server that a share is on."""
    name = _PARENTS.get(record.kind)
    if name is None or name.encode() not in record.attributes:
        return None
    found = (_json_object(record.attributes) or {}).get(name)
    return found if type(found) is str else None


def allocations_of(record: Record) -> tuple[NetworkAllocation, ...]:
    """Return the network addresses of a share server. Raises DamagedRowError."""
    return tuple(map(NetworkAllocation.from_plain, attributes_of(record)["allocations"]))


def expect_whole_rows(records: Iterable[Record]) -> None:
    """Decode all of these rows, before anything is done to what they stand for. Raises DamagedRowError."""
    for record in records:
        spec_object_of(record)
        attributes_of(record)


def expect_whole_state(reader: StateReader) -> None:
    """Decode all that the state holds of resources and their access. Raises DamagedRowError or StateCorruptError."""
    expect_whole_rows(reader.view().records.values())
    reader.rules()


def payload_of(operation: OperationRecord) -> JsonObject:
    """Return what an intent keeps in order to be finished. Raises DamagedRowError."""
    plain = _json_object(operation.payload)
    fault = "is not a JSON object" if plain is None else _PAYLOAD.fault(plain)
    if plain is not None and not fault:
        kind, spec = _kind_of(operation), plain.get("spec")
        if spec is not None and kind in _MANAGED:
            shapes = row_shapes(kind)
            fault = "" if shapes is None else shapes.fault(spec)
        elif spec is None and operation.verb in _WITH_SPEC:
            fault = "lacks spec"
        if operation.verb == Verb.CREATE_SHARE and "extra_specs" not in plain:
            fault = "lacks extra_specs"
        if plain.get("snapshot") is not None:
            fault = fault or _SNAPSHOT.fault(plain["snapshot"])
    if plain is None or fault:
        raise DamagedRowError(_named(operation), f"its payload {fault}")
    return plain


def _kind_of(operation: OperationRecord) -> Kind:
    try:
        return kind_of(operation.address)
    except ValueError as error:
        raise DamagedRowError(_named(operation), f"its address is {operation.address!r}") from error


def _named(operation: OperationRecord) -> str:
    return f"operation {operation.operation_id} on {operation.address}"


def json_object(row: str, what: str, data: bytes) -> JsonObject:
    """Return the JSON object in a column of a row. Raises DamagedRowError."""
    plain = _json_object(data)
    if plain is None:
        raise DamagedRowError(row, f"its {what} is not a JSON object")
    return plain


def _object(record: Record, what: str, data: bytes, shapes: Shapes | None) -> JsonObject:
    plain = json_object(record.address, what, data)
    fault = "" if shapes is None else shapes.fault(plain)
    if fault:
        raise DamagedRowError(record.address, f"its {what} {fault}")
    return plain


def _json_object(data: bytes) -> JsonObject | None:
    try:
        plain = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return plain if type(plain) is dict else None


_PARENTS: Final[Mapping[str, str]] = {Kind.SNAPSHOT: "share_resource_id", Kind.SHARE: "share_server_id"}
_PREFIXES: Final = {kind.value: f"{kind.value}/" for kind in Kind}
_COLUMNS: Final[Mapping[str, _Check]] = {
    "address": _is_clean,
    "backend": lambda value: value is None or _is_clean(value),
    "pool": _is_optional_text,
    "version": _is_positive,
    "size_bytes": lambda value: value is None or _is_count(value),
    "spec_digest": lambda value: value is None or _is_digest(value),
    "access_digest": _is_digest,
    "spec": lambda value: type(value) is bytes,
    "attributes": lambda value: type(value) is bytes,
}


def expect_records(records: Mapping[Address, Record]) -> None:
    """Check the columns of rows that have just been read; specs and attributes are checked when they are decoded.

    Whole columns are looked at first: for 100,000 rows that takes a third of the time of reading them. Raises DamagedRowError.
    """
    if _are_sound(records):
        return
    for address, record in records.items():
        fault = _fault_of(record)
        if fault:
            raise DamagedRowError(str(address), fault)


def _are_sound(records: Mapping[Address, Record]) -> bool:
    """Tell whether nothing in these rows needs a closer look."""

    def column(name: str) -> Iterable[Any]:
        return map(itemgetter(Record._fields.index(name)), records.values())

    try:
        backends = {*column("backend")}
        texts = "".join(column("address")) + "".join(column("resource_id")) + "".join(backends)
        return (
            texts.isprintable()
            and all(map(str.startswith, column("address"), map(_PREFIXES.__getitem__, column("kind"))))
            and records.keys().isdisjoint(_PREFIXES.values())
            and all(column("resource_id"))
            and all(backends)
            and all(_COLUMNS[name](value) for name in ("pool", "version", "size_bytes") for value in {*column(name)})
            and {*map(len, column("access_digest")), *map(len, filter(None, column("spec_digest")))}
            <= {DIGEST_SIZE_BYTES}
            and {*map(type, column("access_digest")), *map(type, column("spec_digest"))} <= {bytes, NoneType}
            and {*map(type, column("spec")), *map(type, column("attributes"))} <= {bytes}
        )
    except (KeyError, TypeError):
        return False


def _fault_of(record: Record) -> str:
    """Return what is wrong with the columns of a row; "" where nothing is."""
    prefix = _PREFIXES.get(record.kind) if isinstance(record.kind, str) else None
    if prefix is None:
        return f"its kind is {record.kind!r}"
    wrong = next((name for name, check in _COLUMNS.items() if not check(getattr(record, name))), None)
    if wrong is not None:
        return f"its {wrong} is {getattr(record, wrong)!r}"
    if not record.address.startswith(prefix) or record.address == prefix:
        return f"its kind is {record.kind!r}"
    if record.backend is None and record.kind in _MANAGED:
        return "it is on no backend"
    # A backend's row has the identity of its storage there, which is the driver's own text.
    sound_id = _is_name(record.resource_id) if record.kind == Kind.BACKEND else _is_clean(record.resource_id)
    return "" if sound_id else f"its resource_id is {record.resource_id!r}"


def expect_rules(rules: Mapping[Address, Sequence[RuleRecord]]) -> None:
    """Check access rules that have just been read. Raises DamagedRowError."""
    if _are_rules(rules):
        return
    for share_address, records in rules.items():
        for (access_type, access_to, access_level), status, reason in records:
            if not (
                type(share_address) is str
                and share_address.startswith(_PREFIXES[Kind.SHARE])
                and type(access_type) is str
                and type(access_level) is str
                and _WORD.fullmatch(access_type)
                and _WORD.fullmatch(access_level)
                and _is_clean(access_to)
                and type(reason) is str
                and status in STATUSES
            ):
                what = f"its access rule {access_type}:{access_to}={access_level} ({status}) is not one"
                raise DamagedRowError(str(share_address), what)


def _are_rules(rules: Mapping[Address, Sequence[RuleRecord]]) -> bool:
    """Tell whether nothing in these rules needs a closer look."""
    words = {
        (rule.access_type, rule.access_level, status, type(reason))
        for records in rules.values()
        for rule, status, reason in records
    }
    prefix = _PREFIXES[Kind.SHARE]
    try:
        return (
            all(_WORD.fullmatch(kind) and _WORD.fullmatch(level) for kind, level, _, _ in words)
            and all(status in STATUSES and reason is str for _, _, status, reason in words)
            and all(share_address.startswith(prefix) for share_address in rules)
            and all(rule.access_to for records in rules.values() for rule, _, _ in records)
            and "".join(rule.access_to for records in rules.values() for rule, _, _ in records).isprintable()
        )
    except (AttributeError, TypeError):
        return False


def expect_operation(operation: OperationRecord) -> OperationRecord:
    """Return an intent that has just been read, once its columns and payload have been checked. Raises DamagedRowError."""
    for name in ("operation_id", "run_id", "address", "started_at"):
        if not _is_clean(getattr(operation, name)):
            raise DamagedRowError(_named(operation), f"its {name} is {getattr(operation, name)!r}")
    for name in ("backend", "pool"):
        if not _is_optional_text(getattr(operation, name)):
            raise DamagedRowError(_named(operation), f"its {name} is {getattr(operation, name)!r}")
    if operation.verb not in _VERBS:
        raise DamagedRowError(_named(operation), f"its verb is {operation.verb!r}")
    if type(operation.resource_id) is not str or type(operation.payload) is not bytes:
        raise DamagedRowError(_named(operation), f"its resource_id is {operation.resource_id!r}")
    payload_of(operation)
    return operation


def scope_of(lock: HeldLock) -> Scope:
    """Return the scope of a lease that has just been read, once its columns have been checked; raises ValueError."""
    texts = (lock.user, lock.host, lock.command, lock.node, lock.boot_id, lock.process_namespace, lock.acquired_at)
    numbers = (lock.heartbeat_boottime_seconds, lock.duration_seconds)
    if not (all(map(_is_text, (*texts, lock.heartbeat_at))) and _is_optional_text(lock.process_started)):
        message = "a text in it is not one"
        raise ValueError(message)
    if type(lock.process_id) is not int or not all(type(number) is float and isfinite(number) for number in numbers):
        message = "a number in it is not one"
        raise ValueError(message)
    names = {name: frozenset(found) for name, found in orjson.loads(lock.scope).items()}
    if not all(map(_is_text, (name for found in names.values() for name in found))):
        message = "its scope is not one"
        raise ValueError(message)
    return Scope(**names)


def expect_entry(sequence: object, entry: HistoryEntry) -> None:
    """Check a line of the history that has just been read. Raises DamagedRowError."""
    texts = (entry.run_id, entry.at, entry.address, entry.verb)
    if not (
        type(sequence) is int
        and all(map(_is_text, texts))
        and entry.outcome in OUTCOMES
        and type(entry.detail) is bytes
        and _json_object(entry.detail) is not None
    ):
        row = f"line {sequence} of the history"
        raise DamagedRowError(row, "its columns are not those of a line")


def expect_run(run: RunRecord) -> RunRecord:
    """Return a run that has just been read, once its columns have been checked. Raises DamagedRowError."""
    texts = (run.run_id, run.command, run.user, run.host, run.started_at)
    if not (all(map(_is_text, texts)) and all(map(_is_optional_text, (run.git_commit, run.ci_job_url)))):
        row = f"run {run.run_id}"
        raise DamagedRowError(row, "its columns are not those of a run")
    return run
