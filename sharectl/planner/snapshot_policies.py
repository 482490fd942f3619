"""Which snapshot policy each share is to have, and which shares have another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
    """Return the shares that have another policy than their recorded fields and the share types of now come to. Linear."""
    of_types = {name: each.snapshot_policy for name, each in desired.share_types.items() if each.snapshot_policy}
    found = set()
    for address, record in records.items():
        has_one = RECORDED_POLICY in record.attributes or RECORDED_POLICY in record.spec
        if record.kind != Kind.SHARE or not (has_one or of_types):
            continue
        spec = spec_object_of(record)
        own = None if (plain := spec.get(FIELD)) is None else SnapshotPolicy.from_plain(plain)
        if policy_in_force(own, of_types.get(spec.get("share_type", ""))) != policy_in(record):
            found.add(address)
    return found
