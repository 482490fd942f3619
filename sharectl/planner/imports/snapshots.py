"""Imports of snapshots: those that sharectl took of a share and the state does not know any more, by the manifests that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.planner.options import Import
from sharectl.planner.records import backend_id_of
from sharectl.planner.strays import stray_snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record
    from sharectl.planner.observed import Observed


def snapshot_imports(
    desired: Desired,
    records: Mapping[Address, Record],
    shares: Mapping[Address, tuple[str, ObservedShare]],
    observed: Observed,
) -> dict[Address, Import]:
    """Return the snapshots that have a manifest and no row: of shares in the state, or of those that are taken over now."""
    known_ids = {record.resource_id for record in records.values()}
    there = {
        (backend, snapshot.share_backend_id, snapshot.name): snapshot
        for backend, seen in observed.items()
        for snapshot in stray_snapshots(seen, known_ids)
        if snapshot.resource_id is not None
    }
    found: dict[Address, Import] = {}
    for address in desired.digests if there else ():
        if not is_of(Kind.SNAPSHOT, address) or address in records:
            continue
        spec = desired.snapshot(address)
        share = address_of(Kind.SHARE, spec.share)
        record = records.get(share)
        if share in shares:
            place = shares[share][0], shares[share][1].backend_id
        elif record is not None:
            place = record.backend or "", backend_id_of(record)
        else:
            continue
        snapshot = there.get((*place, spec.name))
        if snapshot is not None:
            found[address] = Import(place[0], snapshot.backend_id)
    return found
