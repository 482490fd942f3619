"""Fixed IPs of Nova network for the addresses of share servers.

As Manila's NovaNetworkPlugin and NovaSingleNetworkPlugin (`manila/network/nova_network_plugin.py`, until Ocata): an address that nobody has
is reserved, and unreserved when it is given back. Nova keeps no owner with a reservation, and reserves what is reserved already without
a word. So an address is looked at, then claimed in the ledger, then reserved: whatever is reserved and claimed is ours, and after a crash
between the two steps the claim says which reservation is still to be made. Somebody who knows neither ledger nor Nova's servers (an
administrator, another state's sharectl) and reserves the same address between the look and the reservation goes unnoticed; Nova's API has
nothing against that.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Final

from sharectl.model.address_ranges import address_text
from sharectl.model.diagnostics import error
from sharectl.network.base import (
    AddressClaim,
    AddressTakenError,
    NetworkError,
    NetworkExhaustedError,
    NetworkNotFoundError,
    NetworkTransientError,
)
from sharectl.network.nova.api import NovaApi
from sharectl.network.nova.places import Search, place_of
from sharectl.network.openstack.account import read_account
from sharectl.network.wires import claimed, taken_numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping, Sequence
    from typing import Any

    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.networks import AllocationRequest, NetworkAllocation
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import NetworkEnvironment
    from sharectl.network.nova.api import FixedIp
    from sharectl.network.nova.places import Place
    from sharectl.network.openstack.account import Account

_LOOKS: Final = 1024
"""How many addresses are looked at before a search is given up; Nova cannot list them, so each costs a request."""

_REQUESTS_AT_ONCE: Final = 8
_REMEDY: Final = (
    "remove servers or reservations (nova fixed-ip-unreserve) that nobody needs, name free addresses as the subnet's "
    "allocationRanges, or use another network"
)


def open_plugin(config: Mapping[str, Any], environment: NetworkEnvironment) -> NovaPlugin:
    """Return the plugin; see the registry."""
    account = read_account(config, environment.base_directory)
    return NovaPlugin(account, config.get("networkId"), environment)


class NovaPlugin:
    """Meets NetworkPlugin. What is read of a network is kept until the plugin is closed."""

    def __init__(self, account: Account, single_network_id: str | None, environment: NetworkEnvironment) -> None:
        """Reserve addresses for the share servers of one backend, on one network or those of its share networks."""
        self._api = NovaApi(account, environment.resolve_secret)
        self._single = single_network_id
        self._backend = environment.backend
        self._ledger = environment.ledger
        self._networks: dict[str, JsonObject] = {}
        self._searches: dict[tuple[str, int], Search] = {}

    def allocate(self, request: AllocationRequest) -> NetworkAllocation:
        """Claim and reserve a free address, or keep the one that was claimed; see NetworkPlugin."""
        earlier = self._ledger.find(request.allocation_id)
        if earlier is not None and self._keep(earlier):
            return earlier.allocation
        place = self._place(request.subnet, request)
        if earlier is not None:
            self._give_back(earlier)  # only now: where the network is not there, perhaps this is another cloud
        search = self._searches.setdefault((place.network_id, place.ip_version), Search())
        looks = 0
        with closing(
            search.candidates(
                place, taken_numbers(self._ledger, place.scope), place.number_of(request.preferred_address)
            )
        ) as candidates:
            for number in islice(candidates, _LOOKS):
                looks += 1
                allocation = self._try(request, place, address_text(place.ip_version, number))
                search.note(number, is_occupied=allocation is None)
                if allocation is not None:
                    return allocation
        message = (
            f"no address is free in {place.cidr} of the Nova network {place.network_id} ({looks} looked at) "
            f"for the share network {request.share_network!r}; {_REMEDY}"
        )
        raise NetworkExhaustedError(message)

    def deallocate(self, allocation_id: str, share_server_id: str) -> None:
        """Take the reservation back, then the claim; see NetworkPlugin."""
        del share_server_id  # the ledger knows an allocation by its id alone
        claim = self._ledger.find(allocation_id)
        if claim is not None:
            self._give_back(claim)

    def list_allocations(self, allocation_ids: Collection[str] | None = None) -> Sequence[NetworkAllocation]:
        """Return what is claimed for the backend and really reserved; one request for each claim. See NetworkPlugin."""
        held = claimed(self._ledger, self._backend, allocation_ids)
        has_failed = threading.Event()

        def look(allocation: NetworkAllocation) -> FixedIp | None:
            if has_failed.is_set():
                return None  # the error of another look is what the caller gets
            try:
                return self._api.fixed_ip(allocation.ip_address)
            except BaseException:
                has_failed.set()
                raise

        with ThreadPoolExecutor(_REQUESTS_AT_ONCE, "nova-fixed-ips") as executor:
            found = list(executor.map(look, held))
        return [
            allocation
            for allocation, fixed_ip in zip(held, found, strict=True)
            if fixed_ip is not None and fixed_ip.is_kept
        ]

    def check(self, subnet: ShareNetworkSubnet, addresses: int = 1) -> Sequence[Diagnostic]:
        """Say whether the network is there and can be used, and has that many free addresses; see NetworkPlugin."""
        try:
            place = self._place(subnet)
        except NetworkTransientError:
            raise
        except NetworkNotFoundError as failure:
            return [error("network.not-found", str(failure))]
        except NetworkError as failure:
            return [error("network.subnet", str(failure))]
        with closing(self._free(place)) as free_addresses:
            free = len(list(islice(free_addresses, addresses)))
        if free >= addresses:
            return []
        extent = f"of {place.size}" if place.size <= _LOOKS else f"among {_LOOKS} of {place.size}"
        summary = f"{place.cidr} has too few addresses: {free} free {extent}, {addresses} wanted"
        return [error("network.exhausted", summary, remedy=_REMEDY)]

    def close(self) -> None:
        """Close the connections; see NetworkPlugin."""
        self._api.close()

    def _place(self, subnet: ShareNetworkSubnet, request: AllocationRequest | None = None) -> Place:
        """Return the Nova network that a subnet of a share network means, and where on it."""
        named = subnet.nova_net_id
        if self._single is not None and named not in (None, self._single):
            message = (
                f"the backend has all its share servers on the Nova network {self._single}, and the share network names another; "
                "leave novaNetId out there, or use a backend with the variant share-network"
            )
            raise NetworkError(message)
        network_id = self._single or named
        if network_id is None:
            message = "the subnet names no Nova network; write novaNetId in the share network"
            raise NetworkError(message)
        if network_id not in self._networks:
            self._networks[network_id] = self._api.network(network_id)
        return place_of(self._networks[network_id], subnet, None if request is None else request.ip_version)

    def _try(self, request: AllocationRequest, place: Place, address: str) -> NetworkAllocation | None:
        """Claim and reserve this address if nobody has it; None where somebody has, or was quicker."""
        if not self._is_free(place, address):
            return None
        try:
            claim = self._ledger.claim(AddressClaim(place.scope, self._backend, place.allocation(request, address)))
        except AddressTakenError:
            return None
        try:
            is_reserved = self._api.reserve(address)
        except NetworkTransientError:
            raise  # Nova may have reserved it: the claim stays, for the next attempt or for who gives it back
        except NetworkError:
            self._ledger.release(request.allocation_id)
            raise
        if is_reserved and self._is_kept(address):
            return claim.allocation
        self._give_back(claim)
        return None

    def _is_free(self, place: Place, address: str) -> bool:
        fixed_ip = self._api.fixed_ip(address)
        return fixed_ip is not None and fixed_ip.is_free and fixed_ip.cidr == place.fixed_ip_cidr

    def _keep(self, claim: AddressClaim) -> bool:
        """Make the reservation of an earlier claim if it is not made, or not any more; False where the address is lost."""
        fixed_ip = self._api.fixed_ip(claim.allocation.ip_address)
        if fixed_ip is None:
            return False
        address = claim.allocation.ip_address
        return fixed_ip.is_kept or (fixed_ip.is_free and self._api.reserve(address) and self._is_kept(address))

    def _is_kept(self, address: str) -> bool:
        """Tell whether an address that was just reserved is ours, and neither with one of Nova's servers, which was quicker, nor gone.

        Nova gives no server an address that is reserved, so what no server has after the reservation is safe.
        """
        fixed_ip = self._api.fixed_ip(address)
        return fixed_ip is not None and fixed_ip.is_kept

    def _give_back(self, claim: AddressClaim) -> None:
        """Take back a reservation that may have been made, then the claim: in between nobody else of ours can have the address."""
        self._api.unreserve(claim.allocation.ip_address)
        self._ledger.release(claim.allocation.allocation_id)

    def _free(self, place: Place) -> Generator[int, None, None]:
        """Look for addresses that could be had now."""
        search = self._searches.setdefault((place.network_id, place.ip_version), Search())
        with closing(search.candidates(place, taken_numbers(self._ledger, place.scope), None)) as candidates:
            for number in islice(candidates, _LOOKS):
                is_free = self._is_free(place, address_text(place.ip_version, number))
                search.note(number, is_occupied=not is_free)
                if is_free:
                    yield number
