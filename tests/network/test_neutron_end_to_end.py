"""Share servers on a real Neutron through the command line: ports come and go with their servers, drift is mended, nothing leaks."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.network.cloud import BACKEND

if TYPE_CHECKING:
    from tests.network.cloud import NeutronCloud

SERVER = f"share_server/red-default@{BACKEND}"


def test_a_port_says_whose_it_is_and_lives_as_long_as_its_share_server(cloud: NeutronCloud) -> None:
    """Its owner and device, as for Manila's; its address is where the shares are found; the state has all that Neutron says of it."""
    subnet = cloud.add_tenant()
    cloud.add_strangers(subnet)
    cloud.write(a="red", b="red")
    assert f"+ {SERVER}" in cloud("plan").out
    assert cloud.ports() == {}, "a plan makes nothing"
    cloud.apply()
    cloud.check(servers=1)
    port, network = cloud.port(), cloud.neutron.api("GET", f"/networks/{subnet.neutron_net_id}")["network"]
    server = cloud.site.records()[SERVER]
    assert (port["device_owner"], port["device_id"]) == ("manila:share", server.resource_id)
    shown = json.loads(cloud("show", SERVER, "-o", "json").out)
    assert shown["allocations"] == [
        {
            "allocation_id": f"{server.resource_id}/0",
            "share_server_id": server.resource_id,
            "ip_address": port["fixed_ips"][0]["ip_address"],
            "ip_version": 4,
            "cidr": "10.20.0.0/24",
            "gateway": "10.20.0.1",
            "network_type": "vxlan",
            "segmentation_id": network["provider:segmentation_id"],
            "mtu": network["mtu"],
            "mac_address": port["mac_address"],
            "port_id": port["id"],
        }
    ]
    for share in ("a", "b"):
        assert f"{port['fixed_ips'][0]['ip_address']}:/pool/{share}" in cloud("show", f"share/{share}").out
    assert cloud.steps() == []
    cloud.write(b="red")
    cloud.apply()
    cloud.check(servers=1)
    cloud.destroy()
    cloud.check(servers=0)


def test_two_tenants_one_of_them_with_ipv6(cloud: NeutronCloud) -> None:
    """Each gets a port on its own network; what leaves one leaves the other alone."""
    cloud.add_tenant("red", "vlan")
    cloud.add_tenant("six", cidr="fd20::/64")
    cloud.write(a="red", b="six")
    cloud.apply()
    cloud.check(servers=2)
    six = next(address for address in cloud.ports().values() if ":" in address)
    assert f"[{six}]:/pool/b" in cloud("show", "share/b").out
    cloud.write(b="six")
    cloud.apply()
    assert list(cloud.ports().values()) == [six]
    cloud.check(servers=1)


def test_one_network_for_all_share_servers(cloud: NeutronCloud) -> None:
    """The variant `single` has every tenant's server on the backend's own network, also where the share network names none."""
    subnet = cloud.add_tenant("storage", "vlan")
    ids = {"networkId": subnet.neutron_net_id, "subnetId": subnet.neutron_subnet_id}
    cloud.network_config |= {"variant": "single", **ids}
    cloud.share_networks = {"red": {}, "blue": {}}
    cloud.write(a="red", b="blue")
    cloud.apply()
    cloud.check(servers=2)
    assert {cloud.neutron.api("GET", f"/ports/{port}")["port"]["network_id"] for port in cloud.ports()} == {
        subnet.neutron_net_id
    }
    cloud.destroy()
    cloud.check(servers=0)


class TestDrift:
    """What somebody does to Neutron's ports by hand is seen by the next plan, and mended by the next apply."""

    @pytest.fixture(autouse=True)
    def _applied(self, cloud: NeutronCloud) -> None:
        cloud.add_strangers(cloud.add_tenant())
        cloud.write(a="red")
        cloud.apply()

    def test_a_port_that_is_deleted_is_made_again_with_its_address(self, cloud: NeutronCloud) -> None:
        """Clients find the server where it was; the state knows the new port and its MAC."""
        lost = cloud.port()
        address = lost["fixed_ips"][0]["ip_address"]
        cloud.neutron.api("DELETE", f"/ports/{lost['id']}")
        refreshed = cloud("refresh")
        assert f"its address {address} is not allocated to it any more" in refreshed.out
        assert f"~ {SERVER}" in cloud("plan").out
        cloud.apply()
        cloud.check(servers=1)
        port = cloud.port()
        assert port["fixed_ips"] == lost["fixed_ips"]
        assert port["id"] != lost["id"]
        assert cloud.steps() == []

    def test_an_address_that_went_to_somebody_else_is_replaced(self, cloud: NeutronCloud) -> None:
        """The server gets another one, and its shares are found there."""
        lost = cloud.port()
        address = lost["fixed_ips"][0]["ip_address"]
        cloud.neutron.api("DELETE", f"/ports/{lost['id']}")
        cloud.add_stranger(cloud.tenants["red"], address=address)
        cloud.apply()
        cloud.check(servers=1)
        (other,) = cloud.ports().values()
        assert other != address
        assert f"{other}:/pool/a" in cloud("show", "share/a").out
        assert cloud.steps() == []

    def test_a_port_of_ours_that_no_share_server_has_is_removed(self, cloud: NeutronCloud) -> None:
        """Of a server that the state does not know, and of one that it knows and that wants fewer; the state's mark says that they are ours."""
        mine = cloud.port()
        known, unknown = mine["device_id"], str(uuid.uuid4())
        for server, number in ((unknown, 0), (known, 7)):
            cloud.new_port(
                cloud.tenants["red"],
                device_owner="manila:share",
                device_id=server,
                name=f"{server}/{number}",
                description=mine["description"],
            )
        assert len(cloud.ports()) == 3
        planned = cloud("plan")
        assert f"- network_allocation/{unknown}/0" in planned.out
        assert f"- network_allocation/{known}/7" in planned.out
        assert "no share server has this address" in planned.out
        cloud.apply()
        assert list(cloud.ports()) == [mine["id"]]
        cloud.check(servers=1)

    def test_a_second_port_for_one_address_is_removed(self, cloud: NeutronCloud) -> None:
        """Whichever of the two is older: a request that was given up may have been carried out at any time."""
        mine = cloud.port()
        twins = {name: mine[name] for name in ("device_owner", "device_id", "name", "description")}
        for _ in range(4):
            cloud.new_port(cloud.tenants["red"], **twins)
        assert "holds more than one address where" in cloud("refresh").out
        cloud.apply()
        cloud.check(servers=1)
        assert cloud.port()["fixed_ips"] == mine["fixed_ips"]
        assert cloud.steps() == []

    def test_an_mtu_that_changed_is_followed(self, cloud: NeutronCloud) -> None:
        """What Neutron says otherwise of an address that stays is drift too; the share server is told of it."""
        cloud.neutron.api("PUT", f"/networks/{cloud.tenants['red'].neutron_net_id}", {"network": {"mtu": 1400}})
        assert "differs in the network service: mtu 1400 instead of 8950" in cloud("refresh").out
        cloud.apply()
        (allocation,) = cloud.allocations(servers=1)
        assert allocation["mtu"] == 1400
        assert cloud.steps() == []

    def test_a_port_without_its_address_is_replaced(self, cloud: NeutronCloud) -> None:
        """Somebody took the address from the port: it is as good as gone, and the same address is had again."""
        mine = cloud.port()
        cloud.neutron.api("PUT", f"/ports/{mine['id']}", {"port": {"fixed_ips": []}})
        assert "is not allocated to it any more" in cloud("refresh").out
        cloud.apply()
        cloud.check(servers=1)
        assert cloud.port()["fixed_ips"] == mine["fixed_ips"]

    def test_a_network_that_is_deleted_in_neutron_cannot_be_repaired_and_can_be_left(self, cloud: NeutronCloud) -> None:
        """The plan shows what is lost, the apply says that Neutron has no such network, and destroy ends all the same."""
        other = cloud.add_tenant("blue", cidr="10.30.0.0/24")
        cloud.write(a="red", b="blue")
        cloud.apply()
        cloud.check(servers=2)
        for port in cloud.neutron.ports_on(other):
            cloud.neutron.api("DELETE", f"/ports/{port['id']}")
        cloud.neutron.api("DELETE", f"/networks/{other.neutron_net_id}")
        del cloud.tenants["blue"]
        refused = cloud("apply", "--yes")
        assert refused.code == 1
        assert f"Neutron has no network {other.neutron_net_id}" in refused.out
        cloud.destroy()
        cloud.check(servers=0)
