"""The conformance suites of network plugins and of allocation ledgers, for whoever writes one; derive and override the fixtures.

class TestMyPlugin(NetworkPluginConformance):
    @pytest.fixture
    def make_plugin(self):
        return lambda backend: open_my_plugin(backend)
"""

from __future__ import annotations

import ipaddress
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.model.networks import AllocationRequest, NetworkAllocation
from sharectl.network.base import AddressClaim, AddressTakenError, NetworkExhaustedError, NetworkPlugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import AllocationLedger

    PluginMaker = Callable[[str], NetworkPlugin]
    LedgerMaker = Callable[[], AllocationLedger]


def new_request(subnet: ShareNetworkSubnet, **other: Any) -> AllocationRequest:  # noqa: ANN401 - fields of the request
    """Return a request for an address of the subnet, for a share server of its own."""
    server = str(uuid.uuid4())
    values: dict[str, Any] = {"allocation_id": f"{server}/0", "share_server_id": server, "share_network": "tenant"}
    return AllocationRequest(subnet=subnet, **{**values, **other})


def new_claim(scope: str = "wire", address: str = "192.0.2.10", backend: str = "backend") -> AddressClaim:
    """Return a claim under an id of its own."""
    server = str(uuid.uuid4())
    version = ipaddress.ip_address(address).version
    allocation = NetworkAllocation(f"{server}/0", server, address, version, "192.0.2.0/24", None, "flat", None, 1500)
    return AddressClaim(scope, backend, allocation)


class AllocationLedgerConformance:
    """Derive from it, name the class Test..., and override the fixture `make_ledger`."""

    threads = 16
    """How many threads claim at once."""

    @pytest.fixture
    def make_ledger(self) -> LedgerMaker:
        """Return what opens the same, at first empty, ledger anew each time that it is called."""
        pytest.fail("override the fixture make_ledger")

    @pytest.fixture
    def ledger(self, make_ledger: LedgerMaker) -> AllocationLedger:
        """Give a ledger."""
        return make_ledger()

    def test_a_claim_is_found_by_its_id_its_backend_and_its_scope(self, ledger: AllocationLedger) -> None:
        """Each of the three ways to ask gives it, with every field."""
        claim = new_claim()
        assert ledger.claim(claim) == claim
        assert ledger.find(claim.allocation.allocation_id) == claim
        assert list(ledger.claims(claim.backend)) == [claim]
        assert list(ledger.taken(claim.scope)) == [claim.allocation.ip_address]

    def test_every_field_of_an_allocation_is_kept(self, ledger: AllocationLedger) -> None:
        """Those too that most allocations leave empty."""
        claim = new_claim("wire", "2001:db8::5")
        full = replace(
            claim.allocation,
            cidr="2001:db8::/64",
            gateway="2001:db8::1",
            network_type="vxlan",
            segmentation_id=16_777_215,
            mtu=8950,
            mac_address="02:00:00:00:00:01",
            port_id="a-port",
        )
        ledger.claim(replace(claim, allocation=full))
        found = ledger.find(claim.allocation.allocation_id)
        assert found is not None
        assert found.allocation == full

    def test_what_was_never_claimed_is_not_found(self, ledger: AllocationLedger) -> None:
        """An empty ledger answers, and releasing nothing is no error."""
        ledger.release("nothing")
        assert ledger.find("nothing") is None
        assert list(ledger.claims("backend")) == []
        assert list(ledger.taken("wire")) == []

    def test_an_address_is_claimed_once_within_a_scope(self, ledger: AllocationLedger) -> None:
        """The second is refused, whichever backend asks, and leaves nothing behind."""
        first, second = new_claim(backend="one"), new_claim(backend="two")
        ledger.claim(first)
        with pytest.raises(AddressTakenError) as refused:
            ledger.claim(second)
        assert (refused.value.scope, refused.value.ip_address) == ("wire", "192.0.2.10")
        assert ledger.find(second.allocation.allocation_id) is None
        assert list(ledger.claims("two")) == []

    def test_scopes_do_not_know_each_other(self, ledger: AllocationLedger) -> None:
        """The same address on two wires is two addresses."""
        claims = [new_claim(scope) for scope in ("vlan:1", "vlan:2")]
        assert [ledger.claim(claim) for claim in claims] == claims
        assert list(ledger.taken("vlan:1")) == ["192.0.2.10"]

    def test_claiming_again_returns_the_claim_that_stands(self, ledger: AllocationLedger) -> None:
        """Also where the second call, after a crash, chose another address; that one stays free."""
        claim = new_claim()
        ledger.claim(claim)
        other = replace(claim, allocation=replace(claim.allocation, ip_address="192.0.2.11"))
        assert ledger.claim(claim) == claim
        assert ledger.claim(other) == claim
        assert list(ledger.taken("wire")) == ["192.0.2.10"]

    def test_a_released_address_can_be_claimed_again(self, ledger: AllocationLedger) -> None:
        """Releasing twice is no error."""
        first, second = new_claim(), new_claim()
        ledger.claim(first)
        ledger.release(first.allocation.allocation_id)
        ledger.release(first.allocation.allocation_id)
        assert ledger.claim(second) == second
        assert list(ledger.claims("backend")) == [second]

    def test_claims_outlive_the_object(self, make_ledger: LedgerMaker) -> None:
        """Another ledger on the same store knows them."""
        claim = new_claim()
        make_ledger().claim(claim)
        again = make_ledger()
        assert again.find(claim.allocation.allocation_id) == claim
        with pytest.raises(AddressTakenError):
            again.claim(new_claim())

    def test_of_many_claims_at_once_one_wins(self, make_ledger: LedgerMaker) -> None:
        """Each thread has a ledger of its own, as two applies would."""
        start = threading.Barrier(self.threads)

        def claim() -> bool:
            ledger = make_ledger()
            start.wait()
            try:
                ledger.claim(new_claim())
            except AddressTakenError:
                return False
            return True

        with ThreadPoolExecutor(self.threads) as executor:
            won = [future.result() for future in [executor.submit(claim) for _ in range(self.threads)]]
        assert won.count(True) == 1


class NetworkPluginConformance:
    """Derive from it, name the class Test..., and override the fixtures `make_plugin` and `subnet`; the rest is optional."""

    capacity: int | None = None
    """How many addresses `small_subnet` has for share servers."""

    threads = 8
    """How many threads call at once."""

    @pytest.fixture
    def make_plugin(self) -> PluginMaker:
        """Return what opens a plugin for the backend of the given name, on the same network service, each time that it is called."""
        pytest.fail("override the fixture make_plugin")

    @pytest.fixture
    def subnet(self) -> ShareNetworkSubnet:
        """Return a subnet with at least twenty free addresses."""
        pytest.fail("override the fixture subnet")

    @pytest.fixture
    def small_subnet(self) -> ShareNetworkSubnet:
        """Return a subnet with `capacity` free addresses; without it the tests of exhaustion are skipped."""
        pytest.skip("small_subnet is not overridden")

    def take_away(self, allocation: NetworkAllocation) -> None:
        """Take the address away as somebody else would; without this the tests of drift are skipped."""
        del allocation
        pytest.skip("take_away is not overridden")

    @pytest.fixture
    def plugin(self, make_plugin: PluginMaker) -> Iterator[NetworkPlugin]:
        """Give a plugin, and take all back that it holds after the test."""
        plugin = make_plugin("backend")
        yield plugin
        for allocation in plugin.list_allocations():
            plugin.deallocate(allocation.allocation_id, allocation.share_server_id)
        plugin.close()

    def test_an_allocation_is_what_was_asked_for(self, plugin: NetworkPlugin, subnet: ShareNetworkSubnet) -> None:
        """It has the ids of the request, and an address within its network that is neither gateway nor the network itself."""
        request = new_request(subnet)
        allocation = plugin.allocate(request)
        network = ipaddress.ip_network(allocation.cidr)
        address = ipaddress.ip_address(allocation.ip_address)
        assert (allocation.allocation_id, allocation.share_server_id) == (
            request.allocation_id,
            request.share_server_id,
        )
        assert address in network
        assert str(address) == allocation.ip_address
        assert allocation.ip_version == address.version
        assert allocation.ip_address not in {allocation.gateway, str(network.network_address)}
        assert allocation.mtu > 0

    def test_asking_twice_gives_the_same(
        self, plugin: NetworkPlugin, make_plugin: PluginMaker, subnet: ShareNetworkSubnet
    ) -> None:
        """Also after a crash, when another process asks."""
        request = new_request(subnet)
        allocation = plugin.allocate(request)
        again = make_plugin("backend")
        assert plugin.allocate(request) == allocation
        assert again.allocate(request) == allocation
        assert [one.allocation_id for one in again.list_allocations()] == [request.allocation_id]
        again.close()

    def test_the_listing_holds_each_allocation_as_it_was_made(
        self, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """All of them, or just those that are asked for."""
        made = [plugin.allocate(new_request(subnet)) for _ in range(3)]
        assert sorted(plugin.list_allocations(), key=attrgetter("allocation_id")) == sorted(
            made, key=attrgetter("allocation_id")
        )
        assert list(plugin.list_allocations([made[1].allocation_id, "unknown"])) == [made[1]]
        assert list(plugin.list_allocations([])) == []

    def test_a_share_server_may_have_several_addresses(self, plugin: NetworkPlugin, subnet: ShareNetworkSubnet) -> None:
        """Each under an id of its own; giving one back leaves the other."""
        server = str(uuid.uuid4())
        one, two = (
            plugin.allocate(new_request(subnet, allocation_id=f"{server}/{number}", share_server_id=server))
            for number in range(2)
        )
        assert one.ip_address != two.ip_address
        plugin.deallocate(one.allocation_id, server)
        assert list(plugin.list_allocations()) == [two]

    def test_a_given_back_allocation_is_gone(self, plugin: NetworkPlugin, subnet: ShareNetworkSubnet) -> None:
        """Giving it back twice, or one that never was, is no error."""
        allocation = plugin.allocate(new_request(subnet))
        for _ in range(2):
            plugin.deallocate(allocation.allocation_id, allocation.share_server_id)
        plugin.deallocate("never/0", "never")
        assert list(plugin.list_allocations()) == []

    def test_backends_do_not_see_each_others_allocations(
        self, plugin: NetworkPlugin, make_plugin: PluginMaker, subnet: ShareNetworkSubnet
    ) -> None:
        """And on one subnet they never get the same address."""
        other = make_plugin("other")
        mine, theirs = plugin.allocate(new_request(subnet)), other.allocate(new_request(subnet))
        assert mine.ip_address != theirs.ip_address
        assert list(plugin.list_allocations()) == [mine]
        assert list(other.list_allocations()) == [theirs]
        other.deallocate(theirs.allocation_id, theirs.share_server_id)
        assert list(plugin.list_allocations()) == [mine]
        other.close()

    def test_many_threads_never_get_the_same_address(
        self, plugin: NetworkPlugin, make_plugin: PluginMaker, subnet: ShareNetworkSubnet
    ) -> None:
        """Half of them work through another plugin, as another process would."""
        plugins = (plugin, make_plugin("backend"))

        def allocate(number: int) -> str:
            return plugins[number % 2].allocate(new_request(subnet)).ip_address

        with ThreadPoolExecutor(self.threads) as executor:
            addresses = list(executor.map(allocate, range(2 * self.threads)))
        assert len(set(addresses)) == len(addresses)
        assert {allocation.ip_address for allocation in plugin.list_allocations()} == set(addresses)
        plugins[1].close()

    def test_the_address_that_a_server_had_is_given_again(
        self, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """Where it is free; where it is not, another is."""
        first = plugin.allocate(new_request(subnet))
        second = plugin.allocate(new_request(subnet))
        plugin.deallocate(second.allocation_id, second.share_server_id)
        again = plugin.allocate(new_request(subnet, preferred_address=second.ip_address))
        other = plugin.allocate(new_request(subnet, preferred_address=first.ip_address))
        assert again.ip_address == second.ip_address
        assert other.ip_address not in {first.ip_address, again.ip_address}

    def test_an_exhausted_subnet_says_so(self, plugin: NetworkPlugin, small_subnet: ShareNetworkSubnet) -> None:
        """Before, in the check, and when it is asked for one more; an address that comes back is given out again."""
        assert self.capacity is not None
        assert list(plugin.check(small_subnet, self.capacity)) == []
        made = [plugin.allocate(new_request(small_subnet)) for _ in range(self.capacity)]
        assert [finding.code for finding in plugin.check(small_subnet)] == ["network.exhausted"]
        with pytest.raises(NetworkExhaustedError):
            plugin.allocate(new_request(small_subnet))
        assert len(plugin.list_allocations()) == self.capacity
        plugin.deallocate(made[0].allocation_id, made[0].share_server_id)
        assert plugin.allocate(new_request(small_subnet)).ip_address == made[0].ip_address

    def test_an_allocation_that_was_taken_away_is_missing(
        self, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """Asked for again under its id, with the address that it had, it is back."""
        request = new_request(subnet)
        allocation, other = plugin.allocate(request), plugin.allocate(new_request(subnet))
        self.take_away(allocation)
        assert list(plugin.list_allocations()) == [other]
        again = plugin.allocate(replace(request, preferred_address=allocation.ip_address))
        assert again.ip_address == allocation.ip_address
        assert {one.ip_address for one in plugin.list_allocations()} == {again.ip_address, other.ip_address}

    def test_a_subnet_that_can_be_used_has_no_findings(self, plugin: NetworkPlugin, subnet: ShareNetworkSubnet) -> None:
        """And asking changes nothing."""
        assert list(plugin.check(subnet)) == []
        assert list(plugin.list_allocations()) == []
