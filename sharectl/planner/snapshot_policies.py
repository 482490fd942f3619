"""Which snapshot policy each share is to have, and which shares have another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.model.canonical import canonical_json
from sharectl.model.kinds import Kind
from sharectl.model.snapshot_policies import SnapshotPolicy, policy_in_force
from sharectl.planner.records import RECORDED_POLICY, policy_in
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.model.specs import ShareSpec

FIELD: Final = "snapshot_policy"


def wanted_policy(desired: Desired, spec: ShareSpec) -> SnapshotPolicy | None:
    """Return the policy that a share is to have: its own, or that of its type."""
    share_type = desired.share_types.get(spec.share_type or "")
    return policy_in_force(spec.snapshot_policy, None if share_type is None else share_type.snapshot_policy)


def outdated_policies(desired: Desired, records: Mapping[Address, Record]) -> set[Address]:
    """Return the shares that have another policy than their recorded fields and the share types of now come to.

    Linear, and a row is decoded only where its bytes do not show that it is as it should be.
    """
    of_types = {name: each.snapshot_policy for name, each in desired.share_types.items() if each.snapshot_policy}
    texts = {name.encode(): _text(policy) for name, policy in of_types.items() if not policy.is_empty}
    return {
        address
        for address, record in records.items()
        if (of_types or RECORDED_POLICY in record.attributes or RECORDED_POLICY in record.spec)
        and record.kind == Kind.SHARE
        and not _is_as_it_should_be(record, texts)
        and _wanted_by_row(record, of_types) != policy_in(record)
    }


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
    own = None if (plain := spec.get(FIELD)) is None else SnapshotPolicy.from_plain(plain)
    return policy_in_force(own, of_types.get(spec.get("share_type", "")))
