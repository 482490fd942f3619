"""What is JSON in the rows of a state: specs, attributes and payloads, each checked where it is decoded."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

from sharectl.model.access import options_of
from sharectl.model.canonical import DIGEST_SIZE_BYTES, canonical_json
from sharectl.model.codec import Likes, shapes_of
from sharectl.model.kinds import PLACED_KINDS, Kind
from sharectl.model.networks import NetworkAllocation
from sharectl.model.requests import ShareRef, SnapshotRef
from sharectl.model.share_networks import ShareServerSpec
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.model.table import attribute_shapes, row_shapes
from sharectl.model.verbs import Verb
from sharectl.state.contract import DamagedRowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.model.access import ExportSettings
    from sharectl.model.canonical import JsonObject
    from sharectl.model.codec import Like, Shapes
    from sharectl.model.records import OperationRecord, Record
    from sharectl.state.contract import StateReader

_PARENTS: Final[Mapping[str, str]] = {Kind.SNAPSHOT: "share_resource_id", Kind.SHARE: "share_server_id"}
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

_NAME: Final = re.compile(rb'"name":"[ !#-\[\]-~]+"')
"""A name in JSON of which no character stands for another; whether a payload is sound does not depend on which one it is."""
_ANY_NAME: Final = b'"name":"-"'

_SHARES: Final = Likes(ShareSpec)

NO_OPTIONS: Final = b"{}"
"""What the row of an access rule holds that has no options."""

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
    return _SHARES.read(record.spec, lambda: ShareSpec.from_plain(spec_object_of(record)))


def share_like(record: Record) -> Like[ShareSpec]:
    """Return what the same spec has in common with those of other shares. Raises DamagedRowError."""
    return _SHARES.like(record.spec, lambda: ShareSpec.from_plain(spec_object_of(record)))


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
    fault = _payload_fault(plain, operation.address.partition("/")[0], operation.verb)
    if fault or plain is None:
        row = f"operation {operation.operation_id} on {operation.address}"
        raise DamagedRowError(row, f"its payload {fault}")
    return plain


def expect_payload(operation: OperationRecord) -> None:
    """Check what `payload_of` checks, once for all intents that differ in a name alone. Raises DamagedRowError."""
    unnamed = _NAME.sub(_ANY_NAME, operation.payload)
    if _fault_of_alike(unnamed, operation.address.partition("/")[0], operation.verb):
        payload_of(operation)


@lru_cache(maxsize=4_000)
def _fault_of_alike(payload: bytes, kind: str, verb: str) -> str:
    return _payload_fault(_json_object(payload), kind, verb)


def _payload_fault(plain: JsonObject | None, kind: str, verb: str) -> str:
    if plain is None:
        return "is not a JSON object"
    fault = _PAYLOAD.fault(plain)
    if not fault:
        spec = plain.get("spec")
        if spec is not None and kind in PLACED_KINDS:
            shapes = row_shapes(kind)
            fault = "" if shapes is None else shapes.fault(spec)
        elif spec is None and verb in _WITH_SPEC:
            fault = "lacks spec"
        if verb == Verb.CREATE_SHARE and "extra_specs" not in plain:
            fault = "lacks extra_specs"
        if plain.get("snapshot") is not None:
            fault = fault or _SNAPSHOT.fault(plain["snapshot"])
    return fault


def json_object(row: str, what: str, data: bytes) -> JsonObject:
    """Return the JSON object in a column of a row. Raises DamagedRowError."""
    plain = _json_object(data)
    if plain is None:
        raise DamagedRowError(row, f"its {what} is not a JSON object")
    return plain


def are_options(data: object) -> bool:
    """Tell whether a column holds the options of an access rule: an object of texts."""
    plain = _json_object(data) if type(data) is bytes else None
    return plain is not None and all(type(value) is str for value in plain.values())


def options_json(options: ExportSettings) -> bytes:
    """Return the options of an access rule as its row holds them."""
    return canonical_json(dict(options)) if options else NO_OPTIONS


def options_in(data: bytes) -> ExportSettings:
    """Return the options in a column of an access rule, which has been checked."""
    return () if data == NO_OPTIONS else options_of(orjson.loads(data))


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


def share_ref(record: Record) -> ShareRef:
    """Return the share as drivers are told of it."""
    spec, attributes = (
        share_like(record).example,
        attributes_of(record),
    )  # of the spec, what shares that are alike have in common
    return ShareRef(
        resource_id=record.resource_id,
        backend_id=attributes["backend_id"],
        name=attributes["name"],
        pool=record.pool or "",
        protocol=spec.protocol,
        size_bytes=record.size_bytes or spec.size_bytes,
        share_server_id=attributes.get("share_server_id"),
    )


def snapshot_ref(record: Record) -> SnapshotRef:
    """Return the snapshot as drivers are told of it."""
    attributes = attributes_of(record)
    return SnapshotRef(
        resource_id=record.resource_id,
        backend_id=attributes["backend_id"],
        name=attributes["name"],
        share_resource_id=attributes["share_resource_id"],
        share_backend_id=attributes["share_backend_id"],
    )
