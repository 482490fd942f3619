"""Rows of the state, from what was asked for and what was observed; here planner and engine agree on them."""

from __future__ import annotations

import re
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from sharectl.model.access import NO_ACCESS_DIGEST, access_digest, may_become
from sharectl.model.canonical import canonical_json, digest_of
from sharectl.model.kinds import Kind, name_of
from sharectl.model.records import Record
from sharectl.model.specs import SnapshotPolicy, policy_in_force
from sharectl.model.table import SPECS
from sharectl.state.columns import batches_of
from sharectl.state.rows import attributes_of, share_like, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.access import AccessRule, ExportSettings
    from sharectl.model.canonical import JsonObject
    from sharectl.model.codec import Spec
    from sharectl.model.kinds import Address
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.observed import ObservedShare, ObservedShareServer, ObservedSnapshot
    from sharectl.model.share_networks import ShareServerSpec
    from sharectl.model.specs import RevertRequest, ShareSpec, SnapshotSpec

DEPOSED_MARK = "@deposed-"
"""Stands in the address of a share that a replacement has pushed aside and that waits for its removal."""
RENAMED_ALONE: Final = "; nothing changes on its backend"
"""Ends the reason of a rename; it is left out where something else changes there."""
RECORDED_SETTINGS: Final = b'"export_settings":{'
"""Stands in the attributes of a share whose export settings are recorded, and nowhere else: a quote within a text is escaped."""
RECORDED_POLICY: Final = b'"snapshot_policy":{'
"""The same of a share that has a snapshot policy on its backend."""


def deposed_address(record: Record) -> Address:
    """Return the address under which a replaced share waits for its removal."""
    return f"{record.address}{DEPOSED_MARK}{record.resource_id[:8]}"


def share_attributes(observed: ObservedShare, *, with_settings: bool = True) -> bytes:
    """Return what the state keeps of a backend's answer about a share; export settings only where the backend lists them."""
    plain: JsonObject = {
        "backend_id": observed.backend_id,
        "export_locations": observed.export_locations,
        "name": observed.name,
    }
    if observed.share_server_id is not None:
        plain["share_server_id"] = observed.share_server_id
    if observed.snapshot_policy is not None:
        plain["snapshot_policy"] = observed.snapshot_policy.as_plain()
    if with_settings and observed.export_settings is not None:
        plain["export_settings"] = dict(observed.export_settings)
    return canonical_json(plain)


def has_attributes(record: Record, observed: ObservedShare) -> bool:
    """Tell whether the row says of a share what its backend lists; export settings are compared apart."""
    if share_attributes(observed) == record.attributes:
        return True
    known = record.attributes
    if RECORDED_SETTINGS in known:
        known = canonical_json(
            {name: value for name, value in attributes_of(record).items() if name != "export_settings"}
        )
    return share_attributes(observed, with_settings=False) == known


def settings_in(record: Record) -> ExportSettings | None:
    """Return the export settings that were last put in force, in the order of their names; None where none are recorded."""
    if RECORDED_SETTINGS not in record.attributes:
        return None
    return tuple(sorted(attributes_of(record)["export_settings"].items()))


def with_export_settings(record: Record, settings: ExportSettings | None) -> Record:
    """Return the row of a share whose export has got these settings; None says nothing of them."""
    if settings is None:
        return record
    attributes = {**attributes_of(record), "export_settings": dict(settings)}
    return record._replace(attributes=canonical_json(attributes))


def host_of(record: Record) -> str:
    """Return the pool that a share is in, as a host of Manila's."""
    return f"{record.backend}#{record.pool}"


def policy_in(record: Record) -> SnapshotPolicy | None:
    """Return the snapshot policy that was last put in force; None where there is none."""
    if RECORDED_POLICY not in record.attributes:
        return None
    return SnapshotPolicy.from_plain(attributes_of(record)["snapshot_policy"])


def with_policy(record: Record, policy: SnapshotPolicy | None) -> Record:
    """Return the row of a share that has got this snapshot policy."""
    attributes = {name: value for name, value in attributes_of(record).items() if name != "snapshot_policy"}
    if policy is not None:
        attributes["snapshot_policy"] = policy.as_plain()
    return record._replace(attributes=canonical_json(attributes))


def share_record(  # noqa: PLR0913, PLR0917 - the columns of a row
    address: Address,
    resource_id: str,
    backend: str,
    spec: ShareSpec,
    observed: ObservedShare,
    rules: Iterable[AccessRule],
    plain: JsonObject | None = None,
) -> Record:
    """Return the row of a share that is there as `observed`, applied from `spec` (`plain` is its plain form, where that is at hand), with `rules` in force."""
    exported = as_exported(spec, observed)
    if plain is None or exported is not spec:
        plain = exported.as_plain()
    spec_json, spec_digest = _written(plain)
    return Record(
        address=address,
        kind=Kind.SHARE,
        resource_id=resource_id,
        backend=backend,
        pool=observed.pool,
        version=0,
        spec_digest=spec_digest,
        access_digest=access_digest(rules),
        size_bytes=spec.size_bytes if observed.size_bytes is None else observed.size_bytes,
        protect=plain.get("protect", False),
        spec=spec_json,
        attributes=share_attributes(observed),
    )


def as_exported(spec: ShareSpec, observed: ObservedShare) -> ShareSpec:
    """Return the spec to record of a share that is exported as listed: under another name, or over other protocols, than was asked for.

    The next plan sees the difference then.
    """
    if spec.export_name is not None and observed.export_name not in {None, spec.export_name}:
        spec = replace(spec, export_name=observed.export_name)
    if observed.protocol not in {None, str(spec.protocol)} and may_become(observed.protocol, str(spec.protocol)):
        spec = replace(spec, protocol=str(observed.protocol))
    return spec


def spec_as_there(spec: ShareSpec, observed: ObservedShare, known: Record | None) -> ShareSpec:
    """Return the spec to record of a share that was there before, as `known`, and that is there as `observed` now.

    A new share has the size that its backend gave it, which may round what was asked for. One that was there already and has
    another size than was asked for was not given it: with the size that it has in its row, the next plan sees the difference.
    """
    size_bytes = observed.size_bytes
    if known is None or size_bytes is None or size_bytes == spec.size_bytes:
        return spec
    was_rounded = known.size_bytes == size_bytes and spec_object_of(known).get("size_bytes") == spec.size_bytes
    return spec if was_rounded else replace(spec, size_bytes=size_bytes)


def recorded_revert(wanted: RevertRequest | None, recorded: RevertRequest | None) -> RevertRequest | None:
    """Return the request that a row keeps when the manifest says `wanted`: one that is new is recorded by the revert alone."""
    if wanted is None:
        return None if recorded is None else replace(recorded, withdrawn=True)
    if recorded is None or recorded.request != wanted.request:
        return recorded
    return replace(recorded, snapshot=wanted.snapshot, withdrawn=False)


def as_asked(spec: ShareSpec) -> ShareSpec:
    """Return the spec as a manifest says it: without the answered request that it no longer asks for."""
    withdrawn = spec.revert_to is not None and spec.revert_to.withdrawn
    return replace(spec, revert_to=None) if withdrawn else spec


def _written(plain: JsonObject) -> tuple[bytes, bytes]:
    """Return a spec as a row holds it, and the digest of it as a manifest says it: without the answered request that it no longer asks for."""
    spec_json = canonical_json(plain)
    if not plain.get("revert_to", {}).get("withdrawn"):
        return spec_json, digest_of(spec_json)
    return spec_json, digest_of(canonical_json({name: plain[name] for name in plain if name != "revert_to"}))


def with_spec(record: Record, spec: Spec) -> Record:
    """Return the row with another spec. That of a share of which a rule was refused stays without a digest."""
    plain = spec.as_plain()
    spec_json, spec_digest = _written(plain)
    is_refused = record.kind == Kind.SHARE and record.spec_digest is None
    return record._replace(
        spec_digest=None if is_refused else spec_digest, protect=plain.get("protect", False), spec=spec_json
    )


def recorded_as(record: Record, name: str) -> ShareSpec:
    """Return the spec of the row under the name that the share has now."""
    spec = share_like(record).named(name)
    return spec if spec.name == name else replace(spec, name=name)  # one that no other is like


def with_name(record: Record, name: str) -> Record:
    """Return the row with another name in its spec, so that the manifest of that name says what the row says."""
    if record.kind == Kind.SHARE:
        like = share_like(record)
        if not like.is_shared or like.example.revert_to is not None:  # which the digest may leave out
            return with_spec(record, recorded_as(record, name))
        spec_json, is_refused = like.json_named(name), record.spec_digest is None
        return record._replace(
            spec_digest=None if is_refused else digest_of(spec_json), protect=like.example.protect, spec=spec_json
        )
    return with_spec(record, SPECS[Kind(record.kind)].from_plain({**spec_object_of(record), "name": name}))


def with_access(record: Record, rules: Iterable[AccessRule], *, refused: bool = False) -> Record:
    """Return the row with `rules` in force. If others were `refused`, no manifest matches the row until none is refused any more."""
    spec_digest = record.spec_digest
    if refused:
        spec_digest = None
    elif spec_digest is None:
        _, spec_digest = _written(spec_object_of(record))
    return record._replace(spec_digest=spec_digest, access_digest=access_digest(rules))


def snapshot_record(
    address: Address, resource_id: str, spec: SnapshotSpec, observed: ObservedSnapshot, share: Record
) -> Record:
    """Return the row of a snapshot that is there as `observed`, applied from `spec`, of the share with the row `share`."""
    attributes = {
        "backend_id": observed.backend_id,
        "name": observed.name,
        "share_backend_id": observed.share_backend_id,
        "share_resource_id": share.resource_id,
    }
    row = bare_record(Kind.SNAPSHOT, address, resource_id, share.backend, {}, attributes)
    return with_spec(row, spec)._replace(pool=share.pool, size_bytes=observed.size_bytes)


def backend_record(address: Address, identity: str, driver: str) -> Record:
    """Return the row of a backend that has been prepared; it pins the identity of the storage."""
    return bare_record(Kind.BACKEND, address, identity, name_of(address), {"driver": driver}, {"identity": identity})


def bare_record(  # noqa: PLR0913, PLR0917 - what such a row holds
    kind: Kind,
    address: Address,
    resource_id: str,
    backend: str | None,
    spec: JsonObject | None = None,
    attributes: JsonObject | None = None,
    *,
    version: int = 0,
) -> Record:
    """Return the row of a resource without a manifest's spec, a pool, a size or access rules."""
    spec_json = canonical_json(spec or {})
    return Record(
        address=address,
        kind=kind,
        resource_id=resource_id,
        backend=backend,
        pool=None,
        version=version,
        spec_digest=digest_of(spec_json),
        access_digest=NO_ACCESS_DIGEST,
        size_bytes=None,
        protect=False,
        spec=spec_json,
        attributes=canonical_json(attributes or {}),
    )


def backend_id_of(record: Record) -> str:
    """Return the backend's own id of the share or snapshot."""
    return str(attributes_of(record)["backend_id"])


def export_locations_of(record: Record) -> tuple[str, ...]:
    """Return the export locations last seen of the share."""
    return tuple(attributes_of(record)["export_locations"])


def share_server_record(  # noqa: PLR0913, PLR0917 - the columns of a row
    address: Address,
    resource_id: str,
    backend: str,
    spec: ShareServerSpec,
    observed: ObservedShareServer,
    allocations: Iterable[NetworkAllocation],
) -> Record:
    """Return the row of a share server that is there as `observed`, made from `spec`, with these addresses."""
    attributes = {
        "backend_id": observed.backend_id,
        "name": observed.name,
        "allocations": [allocation.as_plain() for allocation in allocations],
    }
    return with_spec(bare_record(Kind.SHARE_SERVER, address, resource_id, backend, {}, attributes), spec)


def share_server_id_of(share: Record) -> str | None:
    """Return the resource id of the share server that the recorded share is on, if it is on one."""
    if b'"share_server_id"' not in share.attributes:
        return None
    found: str | None = attributes_of(share).get("share_server_id")
    return found


def wanted_policy(desired: Desired, spec: ShareSpec) -> SnapshotPolicy | None:
    """Return the policy that a share is to have: its own, or that of its type."""
    share_type = desired.share_types.get(spec.share_type or "")
    return policy_in_force(spec.snapshot_policy, None if share_type is None else share_type.snapshot_policy)


def outdated_policies(desired: Desired, records: Mapping[Address, Record]) -> set[Address]:
    """Return the shares that have another policy than their recorded fields and the share types of now come to.

    Linear, and a row is decoded only where its bytes do not show that it is as it should be.
    """
    of_types = {name: each.snapshot_policy for name, each in desired.share_types.items() if each.snapshot_policy}
    if not of_types and not _mention_policies(records.values()):
        return set()
    texts = {name.encode(): _text(policy) for name, policy in of_types.items() if not policy.is_empty}
    return {
        address
        for address, record in records.items()
        if (of_types or RECORDED_POLICY in record.attributes or RECORDED_POLICY in record.spec)
        and record.kind == Kind.SHARE
        and not _is_as_it_should_be(record, texts)
        and _wanted_by_row(record, of_types) != policy_in(record)
    }


def _mention_policies(records: Iterable[Record]) -> bool:
    """Tell whether any row mentions a snapshot policy: many are looked through as one text, which takes a third of the time."""
    return any(RECORDED_POLICY in b"".join(map(texts_of, rows)) for rows in batches_of(records) for texts_of in _TEXTS)


_TEXTS: Final = tuple(itemgetter(Record._fields.index(name)) for name in ("spec", "attributes"))
_POLICY: Final = re.compile(rb'"snapshot_policy":\{(?:[^{}]|\{[^{}]*\})*\}')
_SHARE_TYPE: Final = re.compile(rb'"share_type":"([^"]*)","size_bytes":[0-9]')
"""The name of the type in a row's spec, whose fields are sorted; a label of that name has a text after it."""


def _is_as_it_should_be(record: Record, texts: Mapping[bytes, bytes]) -> bool:
    """Tell whether the policy in the row's attributes is, to the letter, that of its spec or of its type; False where it may be otherwise."""
    own = _POLICY.search(record.spec)
    if own is not None:
        return own[0] in record.attributes
    named = _SHARE_TYPE.search(record.spec)
    text = None if named is None else texts.get(named[1])
    return text in record.attributes if text is not None else RECORDED_POLICY not in record.attributes


def _text(policy: SnapshotPolicy) -> bytes:
    return b'"snapshot_policy":' + canonical_json(policy.as_plain())


def _wanted_by_row(record: Record, of_types: Mapping[str, SnapshotPolicy]) -> SnapshotPolicy | None:
    spec = spec_object_of(record)
    own = None if (plain := spec.get("snapshot_policy")) is None else SnapshotPolicy.from_plain(plain)
    return policy_in_force(own, of_types.get(spec.get("share_type", "")))
