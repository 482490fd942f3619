"""How what a manifest wants differs from what the state records, and how the last attempt to make it so failed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from sharectl.model.kinds import Kind, kind_of, name_of
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.planner.field_changes import plain_changes, rule_changes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address
    from sharectl.model.plans import FieldChange
    from sharectl.model.records import HistoryEntry, Record, RuleRecord
    from sharectl.state.contract import StateStore

_LOOKED_THROUGH = 50
"""So many entries of the history are read at most: whatever failed before that has been mended, or was tried again since."""


def settings_of(desired: Desired, address: Address) -> JsonObject | None:
    """Return the manifest of a resource that is no share and no snapshot; None where there is none."""
    by_kind: dict[Kind, Mapping[str, Any]] = {
        Kind.BACKEND: desired.backends,
        Kind.SHARE_TYPE: desired.share_types,
        Kind.SHARE_NETWORK: desired.share_networks,
        Kind.SECURITY_SERVICE: desired.security_services,
    }
    spec = by_kind.get(kind_of(address), {}).get(name_of(address))
    return None if spec is None else asdict(spec)


def wanted_changes(
    desired: Desired, address: Address, record: Record | None, rules: Sequence[RuleRecord]
) -> tuple[FieldChange, ...]:
    """Return what the manifest wants otherwise than the state records; nothing where one of them is missing."""
    if record is None or address not in desired.digests or record.kind not in {Kind.SHARE, Kind.SNAPSHOT}:
        return ()
    spec = desired.share(address) if record.kind == Kind.SHARE else desired.snapshot(address)
    recorded = (ShareSpec if record.kind == Kind.SHARE else SnapshotSpec).from_plain(orjson.loads(record.spec))
    before, after = recorded.as_plain(), spec.as_plain()
    if record.kind == Kind.SHARE and record.size_bytes is not None:
        before = {**before, "size_bytes": record.size_bytes}
    changes = plain_changes(before, after)
    if record.kind == Kind.SHARE:
        changes += rule_changes([rule.rule for rule in rules if rule.status == "active"], desired.access(address))
    return changes


def last_failure(store: StateStore, address: Address) -> HistoryEntry | None:
    """Return the last thing that failed at the address and has not been done since; None where there is none."""
    done: set[str] = set()
    for line in store.history(address=address, limit=_LOOKED_THROUGH):
        if line.entry.outcome != "failed":
            done.add(line.entry.verb)
        elif line.entry.verb not in done:
            return line.entry
    return None
