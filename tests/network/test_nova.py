"""The Nova network plugin against a real Nova: which addresses it reserves, and what it makes of those that others take."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.model.networks import NetworkAllocation
from sharectl.model.share_networks import ShareNetworkSubnet
from sharectl.network.base import AddressClaim, NetworkError, NetworkExhaustedError
from sharectl.network.testing import NetworkPluginConformance, new_request

if TYPE_CHECKING:
    from sharectl.network.base import NetworkPlugin
    from tests.network.ledger import MemoryLedger

    from .nova_server import NovaServer, Plugins
    from .proxy import FaultyProxy

UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def ledger(make_nova: Plugins) -> MemoryLedger:
    """Give the ledger of these plugins."""
    return make_nova.ledger


@pytest.fixture
def plugin(make_nova: Plugins) -> NetworkPlugin:
    """Give a plugin with the default configuration."""
    return make_nova()


@pytest.fixture
def behind(make_nova: Plugins, nova_proxy: FaultyProxy) -> NetworkPlugin:
    """Give a plugin that reaches Nova through the proxy."""
    return make_nova(endpoint=f"{nova_proxy.url}/v2.1", timeoutSeconds=30)


@pytest.fixture
def subnet(nova: NovaServer) -> ShareNetworkSubnet:
    """Make a VLAN."""
    return nova.new_network()


class TestConformance(NetworkPluginConformance):
    """Nova network is held to what every plugin is."""

    capacity = 3
    threads = 4

    @pytest.fixture
    def make_plugin(self, make_nova: Plugins, nova: NovaServer) -> Plugins:
        """Open plugins on the server."""
        self.nova = nova
        return make_nova

    @pytest.fixture
    def subnet(self, nova: NovaServer) -> ShareNetworkSubnet:
        """Make a VLAN."""
        return nova.new_network()

    @pytest.fixture
    def small_subnet(self, nova: NovaServer) -> ShareNetworkSubnet:
        """Make a VLAN with three addresses to give out."""
        return nova.new_small_network()[0]

    def take_away(self, allocation: NetworkAllocation) -> None:
        """Take the reservation back as an administrator would."""
        self.nova.unreserve(allocation.ip_address)


class TestAllocations:
    """What an allocation is in Nova."""

    def test_an_allocation_carries_the_network(self, nova: NovaServer, plugin: NetworkPlugin) -> None:
        """The VLAN is the segmentation id; CIDR, gateway and MTU are Nova's; the address is reserved there."""
        allocation = plugin.allocate(new_request(nova.new_network(vlan=2345, mtu=1400, cidr="10.7.0.0/24")))
        assert (allocation.network_type, allocation.segmentation_id, allocation.mtu) == ("vlan", 2345, 1400)
        assert (allocation.cidr, allocation.gateway, allocation.ip_version) == ("10.7.0.0/24", "10.7.0.1", 4)
        assert nova.fixed_ip(allocation.ip_address)["reserved"] is True
        assert list(plugin.list_allocations()) == [allocation]

    def test_a_network_without_a_vlan_is_flat(self, nova: NovaServer, plugin: NetworkPlugin) -> None:
        """It has no segmentation id, and the MTU of Ethernet where Nova says none."""
        allocation = plugin.allocate(new_request(nova.new_network(vlan=None)))
        assert (allocation.network_type, allocation.segmentation_id, allocation.mtu) == ("flat", None, 1500)

    def test_an_address_that_is_given_back_is_unreserved(
        self, nova: NovaServer, plugin: NetworkPlugin, ledger: MemoryLedger, subnet: ShareNetworkSubnet
    ) -> None:
        """And is in no ledger any more."""
        allocation = plugin.allocate(new_request(subnet))
        plugin.deallocate(allocation.allocation_id, allocation.share_server_id)
        assert nova.fixed_ip(allocation.ip_address)["reserved"] is False
        assert ledger.find(allocation.allocation_id) is None

    def test_the_networks_own_addresses_are_never_given_out(self, nova: NovaServer, plugin: NetworkPlugin) -> None:
        """Neither are those of its name servers, which Nova has as fixed IPs like any other."""
        subnet = nova.new_network(29, cidr="10.8.0.0/29", dns1="10.8.0.6", dns2="192.0.2.1")
        made = [plugin.allocate(new_request(subnet)).ip_address for _ in range(3)]
        assert made == ["10.8.0.5", "10.8.0.4", "10.8.0.3"]
        with pytest.raises(NetworkExhaustedError):
            plugin.allocate(new_request(subnet))

    def test_addresses_outside_of_novas_pool_are_passed_over(self, nova: NovaServer, plugin: NetworkPlugin) -> None:
        """A network may have fixed IPs in a part of its CIDR alone."""
        subnet = nova.new_network(cidr="10.9.0.0/24", allowed_end="10.9.0.250")
        assert plugin.allocate(new_request(subnet)).ip_address == "10.9.0.250"

    def test_ipv6(self, nova: NovaServer, plugin: NetworkPlugin) -> None:
        """A network with both gives IPv6 where the subnet's cidr or the request means it, and Nova has fixed IPs there."""
        ranges = ("2001:db8:7::10-2001:db8:7::11",)
        both = nova.new_network(cidr_v6="2001:db8:7::/64", fixed_ips=["2001:db8:7::10", "2001:db8:7::11"])
        six = replace(both, cidr="2001:db8:7::/64", allocation_ranges=ranges)
        request = new_request(six)
        allocation = plugin.allocate(request)
        assert (allocation.ip_address, allocation.ip_version) == ("2001:db8:7::11", 6)
        assert (allocation.cidr, allocation.gateway) == ("2001:db8:7::/64", "2001:db8:7::1")
        assert plugin.allocate(new_request(both)).ip_version == 4
        assert plugin.allocate(new_request(six, ip_version=6)).ip_address == "2001:db8:7::10"
        assert len(plugin.list_allocations()) == 3

    def test_ipv6_alone(self, plugin: NetworkPlugin, ipv6_only: ShareNetworkSubnet) -> None:
        """What is no fixed IP of the range is passed over."""
        named = replace(ipv6_only, cidr="2001:db8:9::/64", allocation_ranges=("2001:db8:9::70-2001:db8:9::7f",))
        assert plugin.allocate(new_request(named)).ip_address == "2001:db8:9::77"

    def test_ranges_of_the_subnet_narrow_it_down(self, nova: NovaServer, plugin: NetworkPlugin) -> None:
        """Only those are given out, without those that are excluded."""
        subnet = replace(
            nova.new_network(cidr="10.11.0.0/24"),
            cidr="10.11.0.0/24",
            allocation_ranges=("10.11.0.20-10.11.0.22",),
            excluded=("10.11.0.22",),
        )
        assert [plugin.allocate(new_request(subnet)).ip_address for _ in range(2)] == ["10.11.0.21", "10.11.0.20"]
        assert [finding.summary for finding in plugin.check(subnet)] == [
            "10.11.0.0/24 has too few addresses: 0 free of 2, 1 wanted"
        ]

    def test_a_preferred_address_of_another_network_is_none(
        self, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """Another is given."""
        assert plugin.allocate(new_request(subnet, preferred_address="2001:db8::1")).ip_version == 4

    def test_single(self, nova: NovaServer, make_nova: Plugins, subnet: ShareNetworkSubnet) -> None:
        """All share servers are on the backend's network, whatever subnet they have, unless that names another."""
        plugin = make_nova(variant="single", networkId=subnet.nova_net_id)
        cidr = nova.network(subnet)["cidr"]
        assert plugin.allocate(new_request(ShareNetworkSubnet())).cidr == cidr
        assert plugin.allocate(new_request(subnet)).cidr == cidr
        other = ShareNetworkSubnet(nova_net_id=UNKNOWN_ID)
        with pytest.raises(NetworkError, match="names another; leave novaNetId out"):
            plugin.allocate(new_request(other))
        assert [finding.code for finding in plugin.check(other)] == ["network.subnet"]

    def test_the_project_may_stand_in_the_endpoint(
        self, nova: NovaServer, make_nova: Plugins, subnet: ShareNetworkSubnet
    ) -> None:
        """As catalogues of old clouds have it; and the version may be missing."""
        for endpoint in (f"{nova.url}/v2.1/abc123", f"{nova.url}/"):
            assert list(make_nova(endpoint=endpoint).check(subnet)) == []


class TestOthers:
    """Nova's servers, its administrator, other plugins: nobody's address is taken."""

    def test_what_others_have_is_passed_over(self, nova: NovaServer, plugin: NetworkPlugin) -> None:
        """A server's address, and one that the administrator reserved; there is no telling by whom."""
        subnet, (first, second, third) = nova.new_small_network()
        nova.administrator("boot_server", network_id=subnet.nova_net_id, address=first)
        nova.reserve(second)
        assert plugin.allocate(new_request(subnet)).ip_address == third
        with pytest.raises(NetworkExhaustedError, match=r"no address is free in .* \(3 looked at\) .*'tenant'; remove"):
            plugin.allocate(new_request(subnet))

    def test_what_became_free_is_found(self, nova: NovaServer, plugin: NetworkPlugin) -> None:
        """Though it was seen with somebody else before."""
        subnet, addresses = nova.new_small_network()
        for address in addresses:
            nova.reserve(address)
        assert [finding.code for finding in plugin.check(subnet)] == ["network.exhausted"]
        nova.unreserve(addresses[1])
        assert plugin.allocate(new_request(subnet)).ip_address == addresses[1]

    def test_what_others_have_is_not_looked_at_each_time(
        self, nova: NovaServer, behind: NetworkPlugin, nova_proxy: FaultyProxy, subnet: ShareNetworkSubnet
    ) -> None:
        """An allocation costs a look, a reservation and another look, whoever has the addresses above."""
        base = nova.network(subnet)["cidr"].rpartition(".")[0]
        for number in range(250, 255):
            nova.reserve(f"{base}.{number}")
        behind.allocate(new_request(subnet))
        nova_proxy.requests.clear()
        behind.allocate(new_request(subnet))
        assert [(method, path.rpartition("os-fixed-ips/")[2]) for method, path in nova_proxy.requests] == [
            ("GET", f"{base}.248"),
            ("POST", f"{base}.248/action"),
            ("GET", f"{base}.248"),
        ]

    def test_a_server_that_takes_the_address_meanwhile_keeps_it(
        self, nova: NovaServer, make_nova: Plugins, subnet: ShareNetworkSubnet
    ) -> None:
        """Nova reserves it all the same; it is unreserved, so that it is free when the server is gone, and the next is taken."""
        plugin = make_nova()
        reserve = plugin._api.reserve  # type: ignore[attr-defined]
        taken: list[str] = []

        def reserve_too_late(address: str) -> bool:
            if not taken:
                taken.append(nova.administrator("boot_server", network_id=subnet.nova_net_id, address=address))
            done: bool = reserve(address)
            return done

        plugin._api.reserve = reserve_too_late  # type: ignore[attr-defined]
        allocation = plugin.allocate(new_request(subnet))
        assert allocation.ip_address != taken[0]
        assert nova.fixed_ip(taken[0])["reserved"] is False
        assert list(plugin.list_allocations()) == [allocation]

    def test_an_address_whose_network_is_deleted_meanwhile(
        self, nova: NovaServer, plugin: NetworkPlugin, ledger: MemoryLedger
    ) -> None:
        """Is missing from the listing, and can be given back."""
        subnet = nova.new_network(29)
        allocation = plugin.allocate(new_request(subnet))
        request = new_request(subnet)
        reserve = plugin._api.reserve  # type: ignore[attr-defined]

        def reserve_too_late(address: str) -> bool:
            nova.administrator("delete_network", network_id=subnet.nova_net_id)
            plugin._api.reserve = reserve  # type: ignore[attr-defined]
            done: bool = reserve(address)
            return done

        plugin._api.reserve = reserve_too_late  # type: ignore[attr-defined]
        with pytest.raises(NetworkExhaustedError):
            plugin.allocate(request)
        assert ledger.find(request.allocation_id) is None
        assert list(plugin.list_allocations()) == []
        plugin.deallocate(allocation.allocation_id, allocation.share_server_id)
        assert list(ledger.claims("backend")) == []

    def test_an_address_that_was_unreserved_and_given_to_a_server_is_lost(
        self, nova: NovaServer, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """The next attempt takes another, and leaves the server its own."""
        request = new_request(subnet)
        first = plugin.allocate(request)
        nova.unreserve(first.ip_address)
        nova.administrator("boot_server", network_id=subnet.nova_net_id, address=first.ip_address)
        assert list(plugin.list_allocations()) == []
        again = plugin.allocate(replace(request, preferred_address=first.ip_address))
        assert again.ip_address != first.ip_address
        assert list(plugin.list_allocations()) == [again]
        assert nova.fixed_ip(first.ip_address)["hostname"] == "web"

    def test_an_address_of_a_deleted_network_is_lost(
        self, nova: NovaServer, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """Asked for under the same id on another network, another address is given."""
        request = new_request(subnet)
        first = plugin.allocate(request)
        nova.administrator("delete_network", network_id=subnet.nova_net_id)
        again = plugin.allocate(replace(request, subnet=nova.new_network()))
        assert again.cidr != first.cidr
        assert list(plugin.list_allocations()) == [again]

    def test_two_threads_on_a_small_network_share_it(
        self, nova: NovaServer, plugin: NetworkPlugin, make_nova: Plugins
    ) -> None:
        """Neither gets the other's address, through one plugin or two."""
        for plugins in ((plugin, plugin), (plugin, make_nova("other"))):
            subnet, addresses = nova.new_small_network()
            with ThreadPoolExecutor(2) as executor:
                asked = [executor.submit(one.allocate, new_request(subnet)) for one in (*plugins, plugin)]
            made = [one.result().ip_address for one in asked]
            assert sorted(made, reverse=True) == addresses

    def test_another_process_that_claims_first_wins(
        self, plugin: NetworkPlugin, ledger: MemoryLedger, subnet: ShareNetworkSubnet
    ) -> None:
        """The address is left to it, though Nova shows it free."""
        look = plugin._api.fixed_ip  # type: ignore[attr-defined]
        theirs: list[AddressClaim] = []

        def look_and_lose(address: str) -> object:
            found = look(address)
            if not theirs:
                allocation = NetworkAllocation("t/0", "t", address, 4, "10.0.0.0/24", None, "flat", None, 1500)
                theirs.append(ledger.claim(AddressClaim(f"nova/{subnet.nova_net_id}", "other", allocation)))
            return found

        plugin._api.fixed_ip = look_and_lose  # type: ignore[attr-defined]
        mine = plugin.allocate(new_request(subnet))
        assert mine.ip_address != theirs[0].allocation.ip_address
