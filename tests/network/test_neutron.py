"""The Neutron plugin against a real Neutron: what its ports are like, how its variants differ, what it says beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.model.share_networks import ShareNetworkSubnet
from sharectl.network.base import (
    DescribesSubnets,
    NetworkError,
    NetworkNotFoundError,
    NetworkTransientError,
)
from sharectl.network.neutron.api import Segment, UnusableSubnetError, allocation_of, segment_of
from sharectl.network.testing import NetworkPluginConformance, new_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.model.networks import NetworkAllocation
    from sharectl.network.base import NetworkPlugin

    from .neutron_server import NeutronServer
    from .proxy import FaultyProxy

    PluginMaker = Callable[..., NetworkPlugin]

UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def plugin(make_neutron: PluginMaker) -> NetworkPlugin:
    """Give a plugin with the default configuration."""
    return make_neutron()


@pytest.fixture
def subnet(neutron: NeutronServer) -> ShareNetworkSubnet:
    """Make a VLAN with one subnet."""
    return neutron.new_subnet(neutron.new_network())


class TestConformance(NetworkPluginConformance):
    """Neutron is held to what every plugin is."""

    capacity = 3
    threads = 4

    @pytest.fixture
    def make_plugin(self, make_neutron: PluginMaker, neutron: NeutronServer) -> PluginMaker:
        """Open plugins on the server."""
        self.neutron = neutron
        return make_neutron

    @pytest.fixture
    def subnet(self, neutron: NeutronServer) -> ShareNetworkSubnet:
        """Make a VLAN with one subnet."""
        return neutron.new_subnet(neutron.new_network())

    @pytest.fixture
    def small_subnet(self, neutron: NeutronServer) -> ShareNetworkSubnet:
        """Make a subnet with an allocation pool of three."""
        pools = [{"start": "10.20.0.10", "end": "10.20.0.12"}]
        return neutron.new_subnet(neutron.new_network(), allocation_pools=pools)

    def take_away(self, allocation: NetworkAllocation) -> None:
        """Delete the port as an administrator would."""
        self.neutron.api("DELETE", f"/ports/{allocation.port_id}")


class TestPorts:
    """What an allocation is in Neutron."""

    def test_a_port_says_whose_it_is(
        self, neutron: NeutronServer, make_neutron: PluginMaker, subnet: ShareNetworkSubnet
    ) -> None:
        """Device owner as Manila's, the share server as device, the allocation's id as name, the mark as description."""
        request = new_request(subnet)
        allocation = make_neutron("nas1", owner="lineage").allocate(request)
        (port,) = neutron.ports_on(subnet)
        assert port["id"] == allocation.port_id
        assert port["device_owner"] == "manila:share"
        assert port["device_id"] == request.share_server_id
        assert port["name"] == request.allocation_id
        assert port["description"] == "sharectl: backend nas1, state lineage"
        assert port["admin_state_up"] is True
        assert [fixed["ip_address"] for fixed in port["fixed_ips"]] == [allocation.ip_address]
        assert port["mac_address"] == allocation.mac_address

    @pytest.mark.parametrize(("network_type", "mtu"), [("vlan", 9000), ("vxlan", 8950), ("gre", 8958), ("flat", 1400)])
    def test_an_allocation_carries_the_segment(
        self, neutron: NeutronServer, plugin: NetworkPlugin, network_type: str, mtu: int
    ) -> None:
        """Network type, segmentation id (none on a flat network), MTU, CIDR and gateway are Neutron's."""
        network = neutron.new_network(network_type, **({"mtu": mtu} if network_type == "flat" else {}))
        subnet = neutron.new_subnet(network, "10.30.0.0/16", gateway_ip="10.30.7.7")
        assert isinstance(plugin, DescribesSubnets)
        told = plugin.described(subnet)
        allocation = plugin.allocate(new_request(subnet))
        assert (told.network_type, told.segmentation_id, told.mtu) == (network_type, allocation.segmentation_id, mtu)
        assert allocation.network_type == network_type
        assert allocation.segmentation_id == network["provider:segmentation_id"]
        assert (allocation.segmentation_id is None) is (network_type == "flat")
        assert (allocation.cidr, allocation.gateway, allocation.mtu) == ("10.30.0.0/16", "10.30.7.7", mtu)
        assert list(plugin.list_allocations()) == [allocation]

    def test_ipv6(self, neutron: NeutronServer, plugin: NetworkPlugin) -> None:
        """A subnet without a gateway has none."""
        subnet = neutron.new_subnet(neutron.new_network(), "2001:db8:7::/64", gateway_ip=None)
        allocation = plugin.allocate(new_request(subnet))
        assert (allocation.ip_version, allocation.cidr, allocation.gateway) == (6, "2001:db8:7::/64", None)
        assert allocation.ip_address.startswith("2001:db8:7::")

    def test_the_only_subnet_goes_without_saying(
        self, neutron: NeutronServer, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """Of several, one has to be named."""
        network_alone = ShareNetworkSubnet(neutron_net_id=subnet.neutron_net_id)
        assert plugin.allocate(new_request(network_alone)).cidr == "10.20.0.0/24"
        network = neutron.new_network()
        for cidr in ("10.1.0.0/24", "10.2.0.0/24"):
            neutron.new_subnet(network, cidr)
        both = ShareNetworkSubnet(neutron_net_id=network["id"])
        with pytest.raises(NetworkError, match="has 2 subnets; name one"):
            plugin.allocate(new_request(both))
        assert [finding.code for finding in plugin.check(both)] == ["network.subnet"]

    def test_the_listing_is_one_request_for_each_page_and_kind(
        self, neutron: NeutronServer, make_neutron: PluginMaker, neutron_proxy: FaultyProxy, subnet: ShareNetworkSubnet
    ) -> None:
        """Not one for each port; the server gives pages of seven."""
        plugin = make_neutron(endpoint=neutron_proxy.url)
        first = plugin.allocate(new_request(subnet))
        (port,) = neutron.ports_on(subnet)
        same = {name: port[name] for name in ("description", "network_id", "device_owner")}
        neutron.api("POST", "/ports", {"ports": [{**same, "device_id": f"{n}", "name": f"{n}/0"} for n in range(8)]})
        neutron_proxy.requests.clear()
        listing = plugin.list_allocations()
        assert {one.allocation_id for one in listing} == {first.allocation_id, *(f"{n}/0" for n in range(8))}
        assert [path.partition("?")[0] for _, path in neutron_proxy.requests] == [
            "/v2.0/ports",
            "/v2.0/ports",
            "/v2.0/networks",
            "/v2.0/subnets",
        ]

    def test_other_peoples_ports_are_left_alone(
        self, neutron: NeutronServer, make_neutron: PluginMaker, subnet: ShareNetworkSubnet
    ) -> None:
        """Manila's own, and those of a sharectl with another state, are neither listed nor deleted."""
        plugin, other = make_neutron(), make_neutron(owner="another state")
        body = {"network_id": subnet.neutron_net_id, "device_owner": "manila:share", "device_id": "server"}
        manila = neutron.api("POST", "/ports", {"port": body})["port"]["id"]
        theirs = other.allocate(new_request(subnet))
        mine = plugin.allocate(new_request(subnet))
        assert list(plugin.list_allocations()) == [mine]
        plugin.deallocate("server_0", "server")
        plugin.deallocate(mine.allocation_id, mine.share_server_id)
        assert {port["id"] for port in neutron.ports_on(subnet)} == {manila, theirs.port_id}

    def test_two_ports_for_one_allocation_become_one(
        self, neutron: NeutronServer, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """The one is kept whose address the state knows, or else the older; giving back deletes all."""
        request = new_request(subnet)
        first = plugin.allocate(request)
        (port,) = neutron.ports_on(subnet)
        same = {name: port[name] for name in ("name", "description", "network_id", "device_id", "device_owner")}
        second = neutron.api("POST", "/ports", {"port": same})["port"]
        assert {one.port_id for one in plugin.list_allocations()} == {first.port_id, second["id"]}
        address = second["fixed_ips"][0]["ip_address"]
        assert plugin.allocate(replace(request, preferred_address=address)).port_id == second["id"]
        assert [one["id"] for one in neutron.ports_on(subnet)] == [second["id"]]
        neutron.api("POST", "/ports", {"port": same})
        assert plugin.allocate(request) in plugin.list_allocations()
        assert len(neutron.ports_on(subnet)) == 1
        neutron.api("POST", "/ports", {"port": same})
        plugin.deallocate(request.allocation_id, request.share_server_id)
        assert neutron.ports_on(subnet) == []

    def test_a_port_that_lost_its_address_or_mark_is_mended(
        self, neutron: NeutronServer, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """Both are missing from the listing until the allocation is asked for again."""
        request = new_request(subnet)
        first = plugin.allocate(request)
        neutron.api("PUT", f"/ports/{first.port_id}", {"port": {"description": "tidied up"}})
        assert list(plugin.list_allocations()) == []
        assert plugin.allocate(request) == first
        assert list(plugin.list_allocations()) == [first]
        neutron.api("PUT", f"/ports/{first.port_id}", {"port": {"fixed_ips": []}})
        assert list(plugin.list_allocations()) == []
        again = plugin.allocate(request)
        assert again.port_id != first.port_id
        assert list(plugin.list_allocations()) == [again]

    def test_a_port_on_an_external_network_is_down(self, neutron: NeutronServer, plugin: NetworkPlugin) -> None:
        """As Manila makes it, so that Neutron does not answer for its address."""
        subnet = neutron.new_subnet(neutron.new_network("flat", **{"router:external": True}))
        plugin.allocate(new_request(subnet))
        assert [port["admin_state_up"] for port in neutron.ports_on(subnet)] == [False]


class TestVariants:
    """One network for the backend, bound ports, networks of several segments."""

    def test_single(self, make_neutron: PluginMaker, subnet: ShareNetworkSubnet) -> None:
        """All share servers are on the backend's network, whatever subnet they have, unless that names another."""
        ids = {"networkId": subnet.neutron_net_id, "subnetId": subnet.neutron_subnet_id}
        plugin = make_neutron(variant="single", **ids)
        assert plugin.allocate(new_request(ShareNetworkSubnet())).cidr == "10.20.0.0/24"
        assert plugin.allocate(new_request(subnet)).cidr == "10.20.0.0/24"
        other = ShareNetworkSubnet(neutron_net_id=UNKNOWN_ID)
        with pytest.raises(NetworkError, match="names others; leave them out"):
            plugin.allocate(new_request(other))
        assert [finding.code for finding in plugin.check(other)] == ["network.subnet"]

    def test_binding(self, neutron: NeutronServer, make_neutron: PluginMaker, subnet: ShareNetworkSubnet) -> None:
        """The port has host, kind of card and profile, and is active."""
        profile = {"local_link_information": [{"switch_id": "leaf1", "port_id": "Ethernet7", "switch_info": "a"}]}
        plugin = make_neutron(binding={"hostId": "filer1", "profile": profile})
        allocation = plugin.allocate(new_request(subnet))
        (port,) = neutron.ports_on(subnet)
        assert (port["binding:host_id"], port["binding:vnic_type"]) == ("filer1", "baremetal")
        assert port["binding:profile"] == profile
        assert port["status"] == "ACTIVE"
        assert allocation.network_type == "vlan"

    def test_a_host_that_nobody_binds(
        self, neutron: NeutronServer, make_neutron: PluginMaker, subnet: ShareNetworkSubnet
    ) -> None:
        """The port is deleted, and the error says what to correct."""
        plugin = make_neutron(binding={"hostId": "refused"})
        with pytest.raises(NetworkError, match=r"no mechanism driver .* baremetal port to the host 'refused'; correct"):
            plugin.allocate(new_request(subnet))
        assert neutron.ports_on(subnet) == []

    def test_a_port_that_stays_down(
        self, neutron: NeutronServer, make_neutron: PluginMaker, subnet: ShareNetworkSubnet
    ) -> None:
        """Is waited for, and found again by the next attempt; one of the kind `normal` is not waited for."""
        request = new_request(subnet)
        for _ in range(2):
            with pytest.raises(NetworkTransientError, match=r"not become active within 0\.1 s"):
                make_neutron(binding={"hostId": "slow", "waitSeconds": 0.1}).allocate(request)
        assert len(neutron.ports_on(subnet)) == 1
        normal = make_neutron(binding={"hostId": "slow", "vnicType": "normal"})
        assert normal.allocate(request).port_id == neutron.ports_on(subnet)[0]["id"]

    def test_several_segments(self, neutron: NeutronServer, make_neutron: PluginMaker) -> None:
        """The one on the backend's physical network counts; without its name the error lists them."""
        segments = [
            {"provider:network_type": "vlan", "provider:physical_network": name, "provider:segmentation_id": number}
            for name, number in (("physnet1", 2001), ("physnet2", 2002))
        ]
        network = neutron.api("POST", "/networks", {"network": {"segments": segments}})["network"]
        subnet = neutron.new_subnet(network)
        allocation = make_neutron(physicalNetwork="physnet2").allocate(new_request(subnet))
        assert allocation.segmentation_id == 2002
        for config in ({}, {"physicalNetwork": "physnet3"}):
            plugin = make_neutron("another", **config)
            with pytest.raises(NetworkError, match="has several segments, on physnet1, physnet2; name one"):
                plugin.allocate(new_request(subnet))
            assert [finding.code for finding in plugin.check(subnet)] == ["network.subnet"]
        assert len(neutron.ports_on(subnet)) == 1


class TestChecks:
    """What a plan can say before anything is made."""

    @pytest.mark.parametrize("wrong", [UNKNOWN_ID, "../ports", "a b"])
    def test_a_network_that_is_not_there(self, plugin: NetworkPlugin, wrong: str) -> None:
        """By an id that Neutron does not know, or that is none."""
        subnet = ShareNetworkSubnet(neutron_net_id=wrong)
        (finding,) = plugin.check(subnet)
        assert finding.code == "network.not-found"
        assert "openstack network list" in finding.summary
        with pytest.raises(NetworkNotFoundError):
            plugin.allocate(new_request(subnet))

    def test_a_subnet_that_is_not_there(
        self, neutron: NeutronServer, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """Or belongs to another network."""
        wrong = ShareNetworkSubnet(neutron_net_id=subnet.neutron_net_id, neutron_subnet_id=UNKNOWN_ID)
        assert [finding.code for finding in plugin.check(wrong)] == ["network.not-found"]
        other = neutron.new_subnet(neutron.new_network())
        mixed = ShareNetworkSubnet(neutron_net_id=subnet.neutron_net_id, neutron_subnet_id=other.neutron_subnet_id)
        (finding,) = plugin.check(mixed)
        assert finding.code == "network.subnet"
        assert "is not one of the network" in finding.summary

    def test_a_subnet_without_ids(self, plugin: NetworkPlugin) -> None:
        """The share network has to name Neutron's."""
        (finding,) = plugin.check(ShareNetworkSubnet(cidr="10.0.0.0/24"))
        assert "write neutronNetId" in finding.summary

    def test_too_few_addresses_for_what_is_wanted(self, neutron: NeutronServer, plugin: NetworkPlugin) -> None:
        """The finding has the numbers."""
        subnet = neutron.new_subnet(neutron.new_network(), "10.40.0.0/29")
        plugin.allocate(new_request(subnet))
        (finding,) = plugin.check(subnet, 5)
        assert finding.summary == "10.40.0.0/29 has too few addresses: 4 free of 5, 5 wanted"

    def test_a_network_that_is_deleted_meanwhile(
        self, neutron: NeutronServer, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """Is an error for good when a port is wanted."""
        assert list(plugin.check(subnet)) == []
        neutron.api("DELETE", f"/networks/{subnet.neutron_net_id}")
        with pytest.raises(NetworkNotFoundError, match="could not be found"):
            plugin.allocate(new_request(subnet))


class TestFacts:
    """What no Neutron of today says, and one of tomorrow might."""

    def test_a_segment_that_cannot_be(self) -> None:
        """Is refused."""
        network = {"id": "n", "provider:network_type": "vlan", "provider:segmentation_id": 0, "mtu": 1500}
        with pytest.raises(UnusableSubnetError, match="the Neutron network n cannot be used: a vlan network's"):
            segment_of(network, None)

    def test_a_port_that_lost_its_address_meanwhile(self) -> None:
        """Is no allocation."""
        fixed = [{"subnet_id": "other", "ip_address": "10.0.0.1"}]
        with pytest.raises(NetworkError, match="port p has lost its address on the subnet s; apply again"):
            allocation_of({"id": "p", "fixed_ips": fixed}, Segment("flat", None, 1500), {"id": "s"})
