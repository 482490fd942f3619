"""Addresses for share servers from ranges in the manifests, remembered in the ledger."""

from __future__ import annotations

import ipaddress
import threading
from typing import TYPE_CHECKING

from sharectl.model.address_ranges import address_text
from sharectl.model.diagnostics import error
from sharectl.network.base import (
    AddressClaim,
    AddressTakenError,
    NetworkAllocation,
    NetworkError,
    NetworkExhaustedError,
)
from sharectl.network.standalone.pool import AddressPool
from sharectl.network.standalone.wire import wire_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import AllocationRequest, NetworkEnvironment
    from sharectl.network.standalone.wire import Defaults, Wire


class StandalonePlugin:
    """Meets NetworkPlugin. As Manila's plugin it hands out the lowest free address; the ledger keeps two from getting the same."""

    def __init__(self, defaults: Defaults, environment: NetworkEnvironment) -> None:
        """Give addresses to the share servers of one backend; nothing is read yet."""
        self._defaults = defaults
        self._backend = environment.backend
        self._ledger = environment.ledger
        self._lock = threading.Lock()
        self._wires: dict[ShareNetworkSubnet, Wire] = {}
        self._pools: dict[Wire, AddressPool] = {}

    def allocate(self, request: AllocationRequest) -> NetworkAllocation:
        """Claim a free address; see NetworkPlugin."""
        earlier = self._ledger.find(request.allocation_id)
        if earlier is not None:
            return earlier.allocation
        wire = self._wire(request.subnet)
        preferred = _number(request.preferred_address, wire)
        while True:
            number = self._take(wire, preferred)
            if number is None:
                raise NetworkExhaustedError(self._exhausted(wire, request.share_network))
            claim = AddressClaim(wire.scope, self._backend, _allocation(request, wire, number))
            try:
                return self._ledger.claim(claim).allocation
            except AddressTakenError:
                preferred = None  # another process was quicker: the address stays taken in this pool
            except BaseException:
                self._give_back(claim.scope, number)
                raise

    def deallocate(self, allocation_id: str, share_server_id: str) -> None:
        """Strike the claim out; see NetworkPlugin."""
        del share_server_id  # the ledger knows an allocation by its id alone
        claim = self._ledger.find(allocation_id)
        if claim is None:
            return
        self._ledger.release(allocation_id)
        self._give_back(claim.scope, int(ipaddress.ip_address(claim.allocation.ip_address)))

    def list_allocations(self, allocation_ids: Collection[str] | None = None) -> Sequence[NetworkAllocation]:
        """Return what the ledger holds for the backend; see NetworkPlugin."""
        wanted = None if allocation_ids is None else frozenset(allocation_ids)
        return [
            claim.allocation
            for claim in self._ledger.claims(self._backend)
            if wanted is None or claim.allocation.allocation_id in wanted
        ]

    def check(self, subnet: ShareNetworkSubnet, addresses: int = 1) -> Sequence[Diagnostic]:
        """Say whether the subnet is described, and has that many free addresses; see NetworkPlugin."""
        try:
            wire = self._wire(subnet)
        except NetworkError as failure:
            return [error("network.subnet", str(failure))]
        with self._lock:
            pool = self._pools[wire] = self._load(wire)
        free = pool.size - pool.used
        if free >= addresses:
            return []
        summary = f"{wire.cidr} has too few addresses: {free} free of {pool.size}, {addresses} wanted"
        return [error("network.exhausted", summary, remedy=_REMEDY)]

    def close(self) -> None:
        """Do nothing: the ledger belongs to who opened it."""

    def _wire(self, subnet: ShareNetworkSubnet) -> Wire:
        with self._lock:
            wire = self._wires.get(subnet)
            if wire is None:
                wire = self._wires[subnet] = wire_of(subnet, self._defaults)
            return wire

    def _take(self, wire: Wire, preferred: int | None) -> int | None:
        with self._lock:
            pool = self._pools.get(wire)
            if pool is not None and (preferred is None or pool.is_free(preferred)):
                number = pool.take(preferred)
                if number is not None:
                    return number
            # Addresses may have been given back by other processes since.
            pool = self._pools[wire] = self._load(wire)
            return pool.take(preferred)

    def _give_back(self, scope: str, number: int) -> None:
        with self._lock:
            for wire, pool in self._pools.items():
                if wire.scope == scope:
                    pool.give_back(number)

    def _load(self, wire: Wire) -> AddressPool:
        taken = (int(ipaddress.ip_address(text)) for text in self._ledger.taken(wire.scope))
        return AddressPool(wire.free, taken)

    def _exhausted(self, wire: Wire, share_network: str) -> str:
        with self._lock:
            pool = self._pools[wire]
        return (
            f"no address is free in {wire.cidr} of the share network {share_network!r}: "
            f"{pool.used} of {pool.size} are used; {_REMEDY}"
        )


_REMEDY = (
    "widen the subnet's allocationRanges or cidr, exclude fewer addresses, or remove share servers that nobody needs"
)


def _number(address: str | None, wire: Wire) -> int | None:
    if address is None:
        return None
    parsed = ipaddress.ip_address(address)
    return int(parsed) if parsed.version == wire.ip_version else None


def _allocation(request: AllocationRequest, wire: Wire, number: int) -> NetworkAllocation:
    return NetworkAllocation(
        allocation_id=request.allocation_id,
        share_server_id=request.share_server_id,
        ip_address=address_text(wire.ip_version, number),
        ip_version=wire.ip_version,
        cidr=wire.cidr,
        gateway=wire.gateway,
        network_type=wire.network_type,
        segmentation_id=wire.segmentation_id,
        mtu=wire.mtu,
    )
