"""Share servers of the linux driver on networks of a real Neutron: real clients find the shares where the ports say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.manifests.project import find_project
from tests.cli.console import Console
from tests.drivers.linux.lab import lab_directory, need, run
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.repository import Repository
from tests.drivers.linux.tenants import namespaces, segment_of, switch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.share_networks import ShareNetworkSubnet
    from tests.drivers.linux.tenants import Switch
    from tests.network.neutron_server import NeutronServer

__all__ = ["lab_directory", "switch"]

SERVER = "share_server/red-default@nas"


@pytest.fixture
def subnet(neutron: NeutronServer) -> ShareNetworkSubnet:
    """Make a tenant's network in Neutron, a VXLAN with a VNI that Neutron chose."""
    return neutron.new_subnet(neutron.new_network("vxlan"), "10.20.0.0/24")


@pytest.fixture
def console(  # noqa: PLR0913, PLR0917 - a storage host, a network, a cloud, and a user
    lab_directory: str,
    switch: Switch,
    neutron: NeutronServer,
    subnet: ShareNetworkSubnet,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Console]:
    """Give a repository with a linux backend, a tenant, and a share that the whole tenant may write to."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", file_system="btrfs")
    monkeypatch.setenv("NO_COLOR", "1")
    repository = Repository(f"{lab_directory}/repository")
    pool = {"type": "loop", "path": f"{lab_directory}/pool", "image": f"{lab_directory}/pool.img", "size": "1 GiB"}
    config = {
        "root": f"{lab_directory}/root",
        "namespace": switch.path,
        "supervisor": "none",  # what a test ends stays down
        "pools": {"fast": pool},
        "tenantNetworks": {"vxlan": {"local": "192.0.2.10"}},
        "nfs": {"versions": ["4.0", "4.1", "4.2"]},  # libnfs speaks 4.0
        "smb": {"enabled": False},
    }
    network = {"plugin": "neutron", "config": {"auth": {"type": "none"}, "endpoint": neutron.url}}
    repository.write("Backend", "nas", {"driver": "linux", "shareServers": True, "network": network, "config": config})
    ids = {"neutronNetId": subnet.neutron_net_id, "neutronSubnetId": subnet.neutron_subnet_id}
    repository.write("ShareNetwork", "red", {"subnets": [ids]})
    access = [{"type": "ip", "to": "10.20.0.0/24", "level": "rw"}]
    spec = {"size": "16MiB", "protocol": "NFS", "shareNetwork": "red", "deletionPolicy": "delete", "access": access}
    repository.write("Share", "data", spec)
    made = Console(repository.folder, capsys)
    yield made
    if find_project(repository.folder).state_path.exists():
        made("destroy", "--yes")


def test_a_tenant_finds_its_share_where_the_port_is(
    console: Console, switch: Switch, neutron: NeutronServer, subnet: ShareNetworkSubnet
) -> None:
    """Address, MAC, MTU and VNI are Neutron's, also after somebody deleted the port; after destroy nothing is left on either side."""
    network = neutron.api("GET", f"/networks/{subnet.neutron_net_id}")["network"]
    vni = network["provider:segmentation_id"]
    before = switch.links(), namespaces()
    succeed(console, "apply", "--yes")
    first = check(console, neutron, subnet, network)
    address = first["fixed_ips"][0]["ip_address"]
    segment = segment_of(switch.path, vni)
    tunnel = json.loads(run("ip", "-n", segment, "-d", "-j", "link", "show", f"scx{vni}").stdout)[0]
    assert (tunnel["linkinfo"]["info_data"]["id"], tunnel["mtu"]) == (vni, network["mtu"])
    tenant = neutron.api("POST", "/ports", {"port": {"network_id": network["id"]}})["port"]["fixed_ips"][0][
        "ip_address"
    ]
    client = switch.add_client("client", f"scb{vni}", f"{tenant}/24")
    assert f"{address}:/shares/data" in succeed(console, "show", "share/data")
    assert nfs(client, address, "/shares/data", "put", "whose", "red").is_done

    neutron.api("DELETE", f"/ports/{first['id']}")
    assert f"its address {address} is not allocated to it any more" in succeed(console, "refresh")
    succeed(console, "apply", "--yes")
    second = check(console, neutron, subnet, network)
    assert second["fixed_ips"] == first["fixed_ips"]
    assert second["mac_address"] != first["mac_address"]
    assert nfs(client, address, "/shares/data", "cat", "whose").text == "red", "the client was told of the new MAC"
    run("ip", "netns", "del", client.namespace)

    succeed(console, "destroy", "--yes")
    assert [port for port in neutron.ports_on(subnet) if port["device_owner"] == "manila:share"] == []
    assert switch.links() == before[0]
    assert not [name for name in namespaces() - before[1] if second["device_id"] in name]


def succeed(console: Console, *words: str) -> str:
    """Run a command, which must succeed, and return what it printed."""
    ended = console(*words)
    assert ended.code == 0, ended.out + ended.err
    return ended.out


def check(
    console: Console, neutron: NeutronServer, subnet: ShareNetworkSubnet, network: dict[str, Any]
) -> dict[str, Any]:
    """Assert that the share server's interface is what its port says, and return the port."""
    shown = json.loads(succeed(console, "show", SERVER, "-o", "json"))
    (port,) = [port for port in neutron.ports_on(subnet) if port["device_owner"] == "manila:share"]
    assert port["device_id"] == shown["record"]["resource_id"]
    (allocation,) = shown["allocations"]
    assert (allocation["port_id"], allocation["mac_address"]) == (port["id"], port["mac_address"])
    link = json.loads(run("ip", "-n", f"sharectl-{port['device_id']}", "-j", "addr", "show", "dev", "eth0").stdout)[0]
    held = [f"{info['local']}/{info['prefixlen']}" for info in link["addr_info"] if info["family"] == "inet"]
    assert held == [f"{port['fixed_ips'][0]['ip_address']}/24"]
    assert (link["address"], link["mtu"]) == (port["mac_address"], network["mtu"])
    return port
