"""Addresses for share servers from ranges in the manifests, remembered in the ledger."""

from __future__ import annotations

import heapq
import ipaddress
import threading
from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING

from sharectl.model.address_ranges import address_text
from sharectl.model.diagnostics import error
from sharectl.network.base import (
    AddressClaim,
    AddressTakenError,
    NetworkError,
    NetworkExhaustedError,
)
from sharectl.network.standalone.config import free_in, read_defaults
from sharectl.network.wires import Wire, claimed, segmentation_problem, taken_numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Any

    from sharectl.model.address_ranges import AddressRange
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.networks import AllocationRequest, NetworkAllocation
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import NetworkEnvironment
    from sharectl.network.standalone.config import Defaults


class AddressPool:
    """Addresses are numbers here. Not safe for several threads at once; its owner holds a lock.

    Everything below `_next` has been given out at some time and is either taken or in the heap of those that came back; so the lowest
    free address costs the logarithm of how many came back, and a range of 2**64 costs no more than one of ten.
    """

    def __init__(self, ranges: Sequence[AddressRange], taken: Iterable[int]) -> None:
        """Start with `ranges` (ascending, apart from each other) less `taken`, which may hold addresses outside of them."""
        self._ranges = ranges
        self._firsts = [part.first for part in ranges]
        self.size = sum(part.size for part in ranges)
        self._taken = {number for number in taken if self.holds(number)}
        self._returned: list[int] = []
        self._position = 0
        self._next = ranges[0].first if ranges else 0

    @property
    def used(self) -> int:
        """How many of the addresses are taken."""
        return len(self._taken)

    def holds(self, number: int) -> bool:
        """Tell whether the address is one of the ranges', taken or not."""
        position = bisect_right(self._firsts, number) - 1
        return position >= 0 and number <= self._ranges[position].last

    def is_free(self, number: int) -> bool:
        """Tell whether the address is one of the ranges', and not taken."""
        return self.holds(number) and number not in self._taken

    def take(self, preferred: int | None = None) -> int | None:
        """Take `preferred` if that is free, else the lowest free address; return it, or None where none is left."""
        if preferred is not None and self.is_free(preferred):
            self._taken.add(preferred)
            return preferred
        number = self._lowest_returned()
        if number is None:
            number = self._lowest_unused()
        if number is not None:
            self._taken.add(number)
        return number

    def give_back(self, number: int) -> None:
        """Make an address free that was taken; one that is free already, or none of these, changes nothing."""
        if number in self._taken:
            self._taken.discard(number)
            heapq.heappush(self._returned, number)

    def _lowest_returned(self) -> int | None:
        while self._returned:
            number = heapq.heappop(self._returned)
            if number not in self._taken and number < self._next:
                return number
        return None

    def _lowest_unused(self) -> int | None:
        while self._position < len(self._ranges):
            part = self._ranges[self._position]
            number = max(self._next, part.first)
            while number <= part.last:
                self._next = number + 1
                if number not in self._taken:
                    return number
                number += 1
            self._position += 1
        return None


def open_plugin(config: Mapping[str, Any], environment: NetworkEnvironment) -> StandalonePlugin:
    """Return the plugin; see the registry."""
    return StandalonePlugin(read_defaults(config), environment)


class StandalonePlugin:
    """Meets NetworkPlugin. As Manila's plugin it hands out the lowest free address; the ledger keeps two from getting the same."""

    def __init__(self, defaults: Defaults, environment: NetworkEnvironment) -> None:
        """Give addresses to the share servers of one backend; nothing is read yet."""
        self._defaults = defaults
        self._backend = environment.backend
        self._ledger = environment.ledger
        self._lock = threading.Lock()
        self._pools: dict[Wire, AddressPool] = {}

    def allocate(self, request: AllocationRequest) -> NetworkAllocation:
        """Claim a free address; see NetworkPlugin."""
        earlier = self._ledger.find(request.allocation_id)
        if earlier is not None:
            return earlier.allocation
        wire = wire_of(request.subnet, self._defaults)
        preferred = wire.number_of(request.preferred_address)
        while True:
            number = self._take(wire, preferred)
            if number is None:
                raise NetworkExhaustedError(self._exhausted(wire, request.share_network))
            allocation = wire.allocation(request, address_text(wire.ip_version, number))
            claim = AddressClaim(wire.scope, self._backend, allocation)
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
        return claimed(self._ledger, self._backend, allocation_ids)

    def check(self, subnet: ShareNetworkSubnet, addresses: int = 1) -> Sequence[Diagnostic]:
        """Say whether the subnet is described, and has that many free addresses; see NetworkPlugin."""
        try:
            wire = wire_of(subnet, self._defaults)
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
        return AddressPool(wire.free, taken_numbers(self._ledger, wire.scope))

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


@lru_cache(maxsize=1024)
def wire_of(subnet: ShareNetworkSubnet, defaults: Defaults) -> Wire:
    """Return the wire that the subnet is; raises NetworkError where neither it nor the defaults describe one.

    A subnet with a `cidr` describes its addresses alone, one without gets those of the configuration, as in Manila's plugin. A subnet
    with a `network_type` describes its segment alone. Addresses are unique within a segment of a physical network, where Manila has
    them unique in all of its database: two tenants on two segments may have the same.
    """
    own = subnet.cidr is not None
    cidr = subnet.cidr or defaults.cidr
    if cidr is None:
        message = "the subnet has no cidr, and the standalone plugin no gateway and mask; write one of the two"
        raise NetworkError(message)
    gateway = subnet.gateway if own else defaults.gateway
    network_type, segmentation_id = defaults.network_type, defaults.segmentation_id
    if subnet.network_type is not None:
        network_type, segmentation_id = subnet.network_type, subnet.segmentation_id
    elif subnet.segmentation_id is not None:
        segmentation_id = subnet.segmentation_id
    problem = segmentation_problem(network_type, segmentation_id)
    if problem:
        message = f"the subnet {cidr} cannot be used: {problem}; correct its networkType or segmentationId"
        raise NetworkError(message)
    segment = network_type if segmentation_id is None else f"{network_type}:{segmentation_id}"
    return Wire(
        scope=f"standalone/{defaults.physical_network}/{segment}",
        cidr=cidr,
        ip_version=ipaddress.ip_network(cidr).version,
        gateway=gateway,
        network_type=network_type,
        segmentation_id=segmentation_id,
        mtu=subnet.mtu or defaults.mtu,
        free=free_in(
            cidr,
            gateway,
            subnet.allocation_ranges if own else defaults.allocation_ranges,
            subnet.excluded if own else defaults.excluded,
        ),
    )
