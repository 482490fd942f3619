"""IPspaces, broadcast domains, ports, LIFs, service policies, routes and subnets of the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.emulators.ontap.cluster import Node

if TYPE_CHECKING:
    from tests.emulators.ontap.client import Client
    from tests.emulators.ontap.server import Emulator

VLAN = "/network/ethernet/ports?name=e0c-1010&fields=*"


def vlan(node: str = "n1", **more: object) -> dict[str, Any]:
    """Return the body that makes VLAN 1010."""
    return {"type": "vlan", "node": node, "vlan": {"base_port": "e0c", "tag": 1010}, **more}


def lif(name: str = "l1", address: str = "10.0.0.50", **more: object) -> dict[str, Any]:
    """Return the body that makes a LIF of vs1."""
    home = {"home_node": "n1", "home_port": "e0c"}
    return {"name": name, "svm": "vs1", "ip": {"address": address, "netmask": "24"}, "location": home, **more}


@pytest.fixture
def segment(client: Client) -> Client:
    """Make an IPspace with a broadcast domain and VLAN 1010 on the first node."""
    assert client.post("/network/ipspaces", {"name": "ips"}).status == 201
    domain = {"name": "bd", "ipspace": "ips", "mtu": 1500}
    assert client.post("/network/ethernet/broadcast-domains", domain).status == 201
    body = vlan(broadcast_domain={"name": "bd", "ipspace": {"name": "ips"}})
    assert client.post("/network/ethernet/ports", body).status == 201
    return client


def test_data_lifs_of_the_fixture_are_found_by_service(client: Client) -> None:
    """The LIFs of vs1 tell their address, node and services."""
    got = client.get("/network/ip/interfaces?services=data_nfs&svm.name=vs1&fields=ip,location.home_node,state")
    shown = sorted((one["ip"]["address"], one["location"]["home_node"]["name"], one["state"]) for one in got.records)
    assert shown == [("10.0.0.11", "n1", "up"), ("10.0.0.12", "n2", "up"), ("fd00::11", "n1", "up")]


def test_management_addresses_are_left_out_as_clients_ask_for_them(client: Client) -> None:
    """`services=data_*` and a negated policy name leave the data LIFs."""
    got = client.get("/network/ip/interfaces?services=data_*&service_policy.name=!default-management&fields=name")
    assert sorted(one["name"] for one in got.records) == ["vs1_nas_1", "vs1_nas_2", "vs1_nas_v6"]


def test_vlan_comes_up_in_the_broadcast_domain_that_it_was_given(segment: Client) -> None:
    """The name of a VLAN is made of its port and tag; its MTU and IPspace are those of its broadcast domain."""
    (port,) = segment.get(VLAN).records
    assert (port["type"], port["state"], port["mtu"], port["vlan"]["tag"]) == ("vlan", "up", 1500, 1010)
    assert port["broadcast_domain"]["ipspace"]["name"] == "ips"


def test_vlan_without_a_broadcast_domain_gets_one_only_minutes_later(client: Client, emulator: Emulator) -> None:
    """Until then no LIF can be at home there."""
    assert client.post("/network/ethernet/ports", vlan()).status == 201
    assert "broadcast_domain" not in client.get(VLAN).records[0]
    body = lif(location={"home_node": "n1", "home_port": "e0c-1010"})
    assert client.post("/network/ip/interfaces", body).code == 1966454
    emulator.world.pass_time(600)
    assert client.get(VLAN).records[0]["broadcast_domain"]["name"] == "Default-1"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (vlan(), 1),
        (vlan(type="lag"), 1967083),
        (vlan(node="n9"), 1967085),
        ({**vlan(), "vlan": {"base_port": "e9z", "tag": 5}}, 1967091),
        ({**vlan(), "vlan": {"base_port": {"name": "e0c", "node": {"name": "n2"}}, "tag": 5}}, 1967092),
        ({**vlan(), "vlan": {"base_port": "e0c", "tag": 4095}}, 262197),
        ({**vlan(), "vlan": {"base_port": "e0c"}}, 1967190),
        ({**vlan(), "vlan": {"base_port": "e0a", "tag": 5}}, 1967175),
        ({**vlan("n2"), "broadcast_domain": {"name": "no", "ipspace": {"name": "ips"}}}, 1967088),
    ],
)
def test_vlan_that_cannot_be(segment: Client, body: dict[str, Any], code: int) -> None:
    """A VLAN needs a port of its node, a free tag, and a broadcast domain that is there."""
    assert segment.post("/network/ethernet/ports", body).code == code


def test_segment_is_taken_down_from_top_to_bottom(segment: Client) -> None:
    """Ports go before their broadcast domain, and that before its IPspace; the answers say what is in the way."""
    domains, ipspaces = "/network/ethernet/broadcast-domains", "/network/ipspaces"
    assert segment.delete(f"{ipspaces}?name=ips").code == 1969180
    assert segment.delete(f"{domains}?name=bd&ipspace.name=ips").code == 1967103
    assert segment.delete("/network/ethernet/ports?name=e0c-1010&node.name=n1").status == 200
    assert segment.delete(f"{domains}?name=bd&ipspace.name=ips").status == 200
    assert segment.delete(f"{ipspaces}?name=ips").status == 200
    assert segment.delete(f"{ipspaces}?name=Default").code == 1377259


@pytest.mark.parametrize(("name", "code"), [("ips", 1377261), ("vs1", 9240591), ("n1", 9240591), ("c1", 9240591)])
def test_ipspace_of_a_taken_name(segment: Client, name: str, code: int) -> None:
    """IPspaces share their names with SVMs, nodes and the cluster."""
    assert segment.post("/network/ipspaces", {"name": name}).code == code


def test_vlan_is_never_larger_than_its_base_port(segment: Client) -> None:
    """An MTU above that of the base port is refused, in the broadcast domain as well."""
    got = segment.patch("/network/ethernet/broadcast-domains?name=bd", {"ipspace.name": "ips", "mtu": 9000})
    assert got.code == 1376492
    assert segment.patch("/network/ethernet/broadcast-domains?name=bd", {"mtu": 20000}).code == 1966460


def test_lif_is_down_for_a_moment(client: Client, emulator: Emulator) -> None:
    """A new LIF comes up some seconds after its POST, with the services of its policy."""
    emulator.world.clock.scale = 0.0
    created = client.post("/network/ip/interfaces?return_records=true", lif())
    assert (created.status, created.records[0]["state"]) == (201, "down")
    emulator.world.pass_time(30)
    shown = client.get(created.headers["location"].removeprefix("/api")).body
    assert (shown["state"], shown["service_policy"]["name"]) == ("up", "default-data-files")
    assert {"data_nfs", "data_cifs"} <= set(shown["services"])
    assert shown["location"]["is_home"] is True


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (lif("vs1_nas_1"), 1966140),
        (lif(address="10.0.0.11"), 1376963),
        (lif(address="10.0.0.1"), 1966138),
        (lif(address="10.0.0.0"), 53281073),
        (lif(ip={"address": "10.0.0.50", "netmask": "33"}), 1966269),
        (lif(ip={"address": "fd00::50", "netmask": "128"}), 1966267),
        (lif(svm="nobody"), 1967146),
        (lif(location={}), 1967111),
        (lif(location={"home_node": "n1", "home_port": "e9z"}), 1967130),
        (lif(location={"home_node": "n1", "home_port": "e0c-1010"}), 1966373),
        (lif(service_policy="none-such"), 53281065),
    ],
)
def test_lif_that_cannot_be(segment: Client, body: dict[str, Any], code: int) -> None:
    """A LIF needs a name and an address of its own, a port of the SVM's IPspace, and a policy of the SVM."""
    assert segment.post("/network/ip/interfaces", body).code == code


def test_lif_follows_its_node_and_comes_home(client: Client, emulator: Emulator) -> None:
    """While its node is down, a LIF is at a port of the same broadcast domain on the other one."""
    (node,) = emulator.world[Node].where(name="n1")
    where = "/network/ip/interfaces?name=vs1_nas_1&fields=location,state"
    emulator.world[Node].change(node.uuid, up=False)
    (moved,) = client.get(where).records
    assert (moved["location"]["node"]["name"], moved["location"]["is_home"], moved["state"]) == ("n2", False, "up")
    emulator.world[Node].change(node.uuid, up=True)
    assert client.get(where).records[0]["location"]["is_home"] is True


def test_lif_is_changed_by_query_as_clients_do(client: Client) -> None:
    """Many at once: switched off, and removed."""
    one = "/network/ip/interfaces?svm.name=vs1&name=vs1_nas_2"
    assert client.patch(one, {"enabled": "false"}).status == 200
    assert client.get(f"{one}&fields=state").records[0]["state"] == "down"
    assert client.delete(one).status == 200
    assert client.delete(one).code == 4


def test_port_of_a_lif_stays(client: Client) -> None:
    """A port that carries a LIF is neither removed nor moved."""
    domain = {"name": "Default", "ipspace": {"name": "Default"}}
    client.post("/network/ethernet/ports", vlan(broadcast_domain=domain))
    home = {"home_node": "n1", "home_port": "e0c-1010"}
    assert client.post("/network/ip/interfaces", lif(location=home)).status == 201
    assert client.delete("/network/ethernet/ports?name=e0c-1010").code == 1376858
    client.post("/network/ethernet/broadcast-domains", {"name": "other", "mtu": 1500})
    body = {"broadcast_domain": {"name": "other", "ipspace": {"name": "Default"}}}
    assert client.patch("/network/ethernet/ports?name=e0c-1010", body).code == 1377608
    client.patch("/network/ip/interfaces?name=l1", {"location": {"port": "e0c", "node": "n2"}})
    assert client.delete("/network/ethernet/ports?name=e0c-1010").code == 1966189
    assert client.delete("/network/ethernet/ports?name=e0c").code == 1967105


def test_routes(client: Client) -> None:
    """A route is the default one unless it says otherwise; it is made once, by a gateway of its family."""
    paths = "/network/ip/routes"
    assert client.post(paths, {"svm": "vs1", "gateway": "10.0.0.254"}).status == 201
    assert client.post(paths, {"svm": "vs1", "gateway": "10.0.0.254"}).code == 1966345
    assert client.post(paths, {"svm": "vs1", "gateway": "10.0.0.11"}).code == 1966505
    odd = {"svm": "vs1", "gateway": "10.0.0.254", "destination": {"address": "fd01::", "netmask": "64"}}
    assert client.post(paths, odd).code == 1966265
    (made,) = client.get(f"{paths}?gateway=10.0.0.254&fields=destination,metric").records
    assert (made["destination"], made["metric"]) == ({"address": "0.0.0.0", "netmask": "0", "family": "ipv4"}, 20)  # noqa: S104
    assert client.delete(f"{paths}/{made['uuid']}").status == 200


def test_service_policies(client: Client) -> None:
    """Own policies come and go; those of the system neither go nor change their names; one in use stays."""
    paths = "/network/ip/service-policies"
    body = {"svm": "vs1", "name": "files", "services": ["data_core", "data_nfs"]}
    assert client.post(paths, body).status == 201
    assert client.post(paths, body).code == 53281946
    assert client.post(paths, {**body, "name": "default-mine"}).code == 53281931
    assert client.post(paths, {**body, "name": "x", "services": ["data_pizza"]}).code == 262197
    assert client.post("/network/ip/interfaces", lif(service_policy="files")).status == 201
    assert client.delete(f"{paths}?name=files").code == 53281928
    assert client.patch(f"{paths}?name=files", {"services": ["data_core", "data_cifs"]}).status == 200
    assert client.get("/network/ip/interfaces?name=l1&fields=services").records[0]["services"][1] == "data_cifs"
    assert client.delete(f"{paths}?name=default-data-files&svm.name=vs1").code == 53281927
    assert client.patch(f"{paths}?name=default-data-files&svm.name=vs1", {"name": "n"}).code == 53281930


def test_subnet_gives_addresses(client: Client) -> None:
    """A LIF that names a subnet gets the first free address; others may not take one out of it by hand."""
    body = {
        "name": "sub",
        "broadcast_domain": {"name": "Default"},
        "subnet": {"address": "10.0.0.0", "netmask": "24"},
        "ip_ranges": [{"start": "10.0.0.11", "end": "10.0.0.14"}],
    }
    assert client.post("/network/ip/subnets", body).status == 201
    made = {"name": "l1", "svm": "vs1", "subnet": {"name": "sub"}, "location": {"home_node": "n1"}}
    assert client.post("/network/ip/interfaces", made).status == 201
    assert client.get("/network/ip/interfaces?name=l1&fields=ip").records[0]["ip"]["address"] == "10.0.0.13"
    assert client.post("/network/ip/interfaces", lif("l2", "10.0.0.14")).code == 1967387
    (shown,) = client.get("/network/ip/subnets?name=sub&fields=*").records
    assert (shown["total_count"], shown["used_count"]) == (4, 1)


def test_login_to_an_svm_sees_its_own_lifs_only(client: Client) -> None:
    """With the tunnelling header, what is of the cluster or of others is not shown."""
    client.headers["X-Dot-SVM-Name"] = "vs1"
    names = {one["name"] for one in client.get("/network/ip/interfaces").records}
    assert sorted(names) == ["vs1_nas_1", "vs1_nas_2", "vs1_nas_v6"]
