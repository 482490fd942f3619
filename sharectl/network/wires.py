"""Wires: the networks that share servers answer on, and which of their addresses may be given out."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from sharectl.model.address_ranges import AddressRange, parse_address_range, without
from sharectl.model.frozen import dataclass, field
from sharectl.model.networks import NetworkAllocation
from sharectl.network.base import NetworkError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sharectl.model.networks import AllocationRequest
    from sharectl.network.base import AllocationLedger

IPV4: Final = 4
DEFAULT_MTU: Final = 1500


@dataclass(frozen=True, slots=True)
class Wire:
    """A subnet with everything that is known about it.

    `scope` is where an address must be unique: one segment of one physical network, whatever subnets and share networks are on it.
    `free` are the addresses that may be given out, ascending.
    """

    scope: str
    cidr: str
    ip_version: int
    gateway: str | None
    network_type: str
    segmentation_id: int | None
    mtu: int
    free: tuple[AddressRange, ...] = field(repr=False)

    def number_of(self, address: str | None) -> int | None:
        """Return an address that may be given out as a number, None for any other."""
        if address is None:
            return None
        wanted = parse_address_range(address)
        return wanted.first if any(part.holds(wanted) for part in self.free) else None

    def allocation(self, request: AllocationRequest, address: str) -> NetworkAllocation:
        """Return the allocation that the address is for the request."""
        return NetworkAllocation(
            allocation_id=request.allocation_id,
            share_server_id=request.share_server_id,
            ip_address=address,
            ip_version=self.ip_version,
            cidr=self.cidr,
            gateway=self.gateway,
            network_type=self.network_type,
            segmentation_id=self.segmentation_id,
            mtu=self.mtu,
        )


def free_ranges(
    cidr: str, where: str, allowed: Iterable[str], excluded: Iterable[str], never: Iterable[AddressRange]
) -> tuple[AddressRange, ...]:
    """Return the addresses of a network that may be given out: those `allowed` (all where none are named) without the others.

    Raises NetworkError for text that is not a range, and for a range outside the network, which `where` names.
    """
    try:
        whole = parse_address_range(cidr)
        chosen = [parse_address_range(text) for text in allowed]
        taken = [parse_address_range(text) for text in excluded]
    except ValueError as cause:
        raise NetworkError(str(cause)) from cause
    outside = next((part for part in chosen if not whole.holds(part)), None)
    if outside is not None:
        message = f"the range {outside} is not within {where}; name addresses of that network"
        raise NetworkError(message)
    return without(chosen or [whole], [*taken, *never])


def claimed(ledger: AllocationLedger, backend: str, allocation_ids: Collection[str] | None) -> list[NetworkAllocation]:
    """Return the allocations that the ledger has for the backend, or those of them with these ids."""
    allocations = [claim.allocation for claim in ledger.claims(backend)]
    wanted = None if allocation_ids is None else frozenset(allocation_ids)
    return [each for each in allocations if wanted is None or each.allocation_id in wanted]


def taken_numbers(ledger: AllocationLedger, scope: str) -> set[int]:
    """Return the addresses that are claimed within the scope, as numbers."""
    return {int(ipaddress.ip_address(address)) for address in ledger.taken(scope)}


_LARGEST: Final[Mapping[str, int]] = {
    "vlan": 4094,
    "vxlan": 16_777_215,
    "geneve": 16_777_215,
    "gre": 4_294_967_295,
}


def segmentation_problem(network_type: str, segmentation_id: int | None) -> str:
    """Return what is wrong with the segmentation id of a network of that type, in words, or an empty string.

    The limits are those that Manila's share manager holds (`_validate_segmentation_id`) and, for geneve, those of the protocol. Types
    that it does not know are let through.
    """
    if network_type == "flat":
        return (
            ""
            if segmentation_id is None
            else f"a flat network has no segmentation id, and this one has {segmentation_id}"
        )
    largest = _LARGEST.get(network_type)
    if largest is None:
        return ""
    if segmentation_id is None:
        return f"a {network_type} network needs a segmentation id from 1 to {largest}"
    if not 1 <= segmentation_id <= largest:
        return f"a {network_type} network's segmentation id is from 1 to {largest}, and this one has {segmentation_id}"
    return ""
