"""Manifests and rows side by side, once for all parts of a plan: what has no row, what is not as its manifest says, and what has no manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sharectl.model.kinds import Kind
from sharectl.state.rows import share_like

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.model.codec import Like
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.model.specs import ShareSpec


class Difference(NamedTuple):
    """A share or snapshot whose row is not as its manifest says.

    `wanted` is the spec in the manifest of a share, set where it is not the one in the row; `recorded` is that one, set besides where
    the access rules stay as they are. Both stand for all that differ from them in their names alone.
    """

    record: Record
    wanted: Like[ShareSpec] | None = None
    recorded: Like[ShareSpec] | None = None


class Comparison(NamedTuple):
    """The addresses of manifests without a row, what differs, by address, and the addresses of rows without a manifest."""

    missing: Sequence[Address]
    different: Mapping[Address, Difference]
    without_manifest: Sequence[Address]


def compare(desired: Desired, records: Mapping[Address, Record], *, destroy: bool = False) -> Comparison:
    """Compare the digests of manifests with those of rows (see `Record.is_applied`); where all is to be destroyed, no manifest counts.

    Costs two look-ups for each resource, and more only for those that differ.
    """
    if destroy:
        return Comparison((), {}, list(records))
    digests, row_of = desired.digests, records.get
    missing: list[Address] = []
    different: dict[Address, Difference] = {}
    shares: dict[Address, Like[ShareSpec] | None] = {}
    for address, digest in digests.items():
        record = row_of(address)
        if record is None:
            missing.append(address)
        elif (spec_digest := record.spec_digest) is None or spec_digest + record.access_digest != digest:
            if record.kind != Kind.SHARE or record.has_spec(digest):
                different[address] = Difference(record)
            else:
                shares[address] = share_like(record) if record.has_access(digest) else None
    for address, wanted in desired.likes(shares):
        different[address] = Difference(records[address], wanted, shares[address])
    # The difference of two sets would hold one of everything.
    return Comparison(missing, different, [address for address in records if address not in digests])
