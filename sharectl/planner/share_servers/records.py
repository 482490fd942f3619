"""State records of share servers, from what was asked for, what was observed, and the addresses taken for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.access import NO_ACCESS_DIGEST
from sharectl.model.canonical import canonical_json
from sharectl.model.kinds import Kind
from sharectl.model.records import Record
from sharectl.planner.records import with_spec
from sharectl.state.rows import attributes_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharectl.model.kinds import Address
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.observed import ObservedShareServer
    from sharectl.model.share_networks import ShareServerSpec


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
    row = Record(
        address=address,
        kind=Kind.SHARE_SERVER,
        resource_id=resource_id,
        backend=backend,
        pool=None,
        version=0,
        spec_digest=None,
        access_digest=NO_ACCESS_DIGEST,
        size_bytes=None,
        protect=False,
        spec=b"",
        attributes=canonical_json(attributes),
    )
    return with_spec(row, spec)


def share_server_id_of(share: Record) -> str | None:
    """Return the resource id of the share server that the recorded share is on, if it is on one."""
    if b'"share_server_id"' not in share.attributes:
        return None
    found: str | None = attributes_of(share).get("share_server_id")
    return found
