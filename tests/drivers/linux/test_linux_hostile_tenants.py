"""A tenant who wants in: from a machine in its network it reaches its own share server, and nothing else of the storage host or of others."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux import FACTORY
from sharectl.model.access import AccessRule
from sharectl.model.backends import BackendSpec
from sharectl.model.requests import ShareServerRef
from tests.drivers.linux.agents import wait_for
from tests.drivers.linux.attacker import EVERYBODY, attack
from tests.drivers.linux.backends import PASSWORDS, environment
from tests.drivers.linux.lab import Host, need, run
from tests.drivers.linux.nfs_client import V3, nfs
from tests.drivers.linux.tenants import namespaces, segments_of
from tests.drivers.linux.test_linux_share_servers import grant, ref, request, share_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.linux.driver import LinuxDriver

LAB = Path(__file__).parents[3] / "examples" / "tenants" / "lab.sh"
SERVER = "10.20.0.10"
HOST_IPV4, HOST_IPV6 = "192.0.2.10", "2001:db8::10"
HOST_PORTS = (22, 111, 2049)
"""What the storage host itself listens on, on all its addresses."""

_LISTENER = """
import socket, sys
held = []
for port in map(int, sys.argv[1:]):
    held.append(socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True))
print("ready", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class DataCentre:
    """A storage host with a share server for each of two tenants, and their machines on another host, behind tunnels."""

    mark: str
    driver: LinuxDriver
    servers: dict[str, str]

    def machine(self, tenant: str) -> Host:
        """Return the machine of a tenant."""
        return Host(f"{self.mark}-{tenant}", "10.20.0.100", "")

    @property
    def storage(self) -> Host:
        """Return the storage host's own network."""
        return Host(f"{self.mark}-storage", HOST_IPV4, HOST_IPV6)

    @property
    def underlay(self) -> Host:
        """Return the host of the tenants' machines, with the other ends of the tunnels."""
        return Host(f"{self.mark}-hosts", "192.0.2.20", "")

    def server(self, tenant: str) -> Host:
        """Return the share server of a tenant, seen from inside."""
        return Host(f"sharectl-{self.servers[tenant]}", SERVER, "")

    def mac(self, host: Host, interface: str = "eth0") -> str:
        """Return the hardware address of an interface."""
        (link,) = json.loads(host.run("ip", "-j", "link", "show", interface).stdout)
        return str(link["address"])

    def macs(self, host: Host) -> set[str]:
        """Return the hardware addresses of all interfaces in a namespace."""
        links = json.loads(host.run("ip", "-j", "link").stdout)
        return {link["address"] for link in links if link["link_type"] == "ether"}


@pytest.fixture(scope="module")
def centre(module_directory: str) -> Iterator[DataCentre]:
    """Give the data centre, whose storage host listens on some ports of its own; nothing of it is changed by a test."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "rpcbind", "smbd", "pdbedit", "ip", "ss", file_system="btrfs")
    mark = f"ht{uuid.uuid4().hex[:5]}"
    run(str(LAB), "up", mark)
    run("ip", "-n", f"{mark}-storage", "addr", "add", f"{HOST_IPV6}/64", "dev", "eth0", "nodad")
    driver: Any = FACTORY.open(_spec(module_directory, mark), environment(module_directory))
    listener = subprocess.Popen(
        [
            "/usr/bin/nsenter",
            f"--net=/run/netns/{mark}-storage",
            sys.executable,
            "-c",
            _LISTENER,
            *map(str, HOST_PORTS),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    made: dict[str, str] = {}
    try:
        assert listener.stdout is not None
        assert listener.stdout.readline() == b"ready\n"
        driver.prepare()
        for tenant, vni in (("red", 5001), ("blue", 5002)):
            server = driver.create_share_server(request(SERVER, vni))
            made[tenant] = str(server.resource_id)
            share = share_on(driver, made[tenant])
            grant(driver, share, AccessRule("ip", "10.20.0.0/24", "rw"))
        yield DataCentre(mark, driver, made)
    finally:
        listener.kill()
        listener.communicate()
        for share in driver.list_shares():
            driver.delete_share(ref(share))
        for server in driver.list_share_servers():
            driver.delete_share_server(ShareServerRef(str(server.resource_id), server.backend_id, server.name))
        driver.close()
        run(str(LAB), "down", mark)
    assert not {name for name in namespaces() if mark in name}


def _spec(folder: str, mark: str, *more_versions: str) -> BackendSpec:
    pool = {"type": "loop", "path": f"{folder}/pool", "image": f"{folder}/pool.img", "size": "1 GiB"}
    config: dict[str, Any] = {
        "root": f"{folder}/root",
        "namespace": f"/run/netns/{mark}-storage",
        "supervisor": "none",  # what a test ends stays down
        "pools": {"fast": pool},
        "tenantNetworks": {"vxlan": {"local": HOST_IPV4, "remotes": ["192.0.2.20"]}},
        "nfs": {"versions": [*more_versions, "4.0", "4.1", "4.2"]},  # libnfs speaks 4.0
        "smb": {"users": {name.lower(): {"password": {"env": name}} for name in PASSWORDS}},
    }
    return BackendSpec("nas", "linux", config, share_servers=True)


def _own(machine: Host, centre: DataCentre) -> dict[str, str]:
    return {"ipv4": "10.20.0.100", "ipv6": _link_local(centre.mac(machine))}


def _link_local(mac: str) -> str:
    """Return the address that a machine gives itself after its hardware address (RFC 4291)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def test_nothing_but_the_share_server_answers_in_a_tenants_network(centre: DataCentre) -> None:
    """Whatever is asked of whichever hardware address: by ARP, by ping, for connections; at addresses of the host, of others, and reserved ones."""
    red = centre.machine("red")
    own, server_mac = _own(red, centre), centre.mac(centre.server("red"))
    mine = {SERVER, _link_local(server_mac)}
    known = ["10.20.0.1", "10.20.0.255", HOST_IPV4, "192.0.2.20", "127.0.0.1", "169.254.169.254", "0.0.0.0", SERVER]  # noqa: S104 - an address to ask for
    others = centre.macs(centre.underlay)  # the host of the machines, which has its own end of the tunnel
    answers = set[tuple[str, str]]()

    def is_found() -> bool:
        answers.update((mac, address) for mac, address in attack(red, "arp", own=own, targets=known))
        return (server_mac, SERVER) in answers

    wait_for(is_found, "an answer of the share server")
    assert {answer for answer in answers if answer[0] not in others} == {(server_mac, SERVER)}

    macs = {EVERYBODY, server_mac, *centre.macs(centre.storage), "33:33:00:00:00:01", "01:00:5e:00:00:01"}
    for segment in segments_of(centre.storage.namespace_path):
        macs |= centre.macs(Host(segment, "", ""))
    addresses = {
        *known,
        *("224.0.0.1", "255.255.255.255", "10.20.0.100"),
        *(HOST_IPV6, "::1", "ff02::1", "ff02::2", "::ffff:192.0.2.10"),
        *(_link_local(mac) for mac in macs if mac != EVERYBODY),
    }
    targets = [[mac, address] for mac in sorted(macs) for address in sorted(addresses)]
    for mac, address in attack(red, "echo", own=own, targets=targets):
        assert mac in others or (mac, address in mine) == (server_mac, True), address
    for port in HOST_PORTS:
        for mac, address, open_port in attack(red, "scan", own=own, targets=targets, ports=[port, port]):
            assert mac in others or (mac, address in mine) == (server_mac, True), (address, open_port)


def test_a_share_server_has_no_open_port_but_those_of_its_servers(centre: DataCentre) -> None:
    """Of all 65,535, over IPv4 and over IPv6."""
    red = centre.machine("red")
    own, mac = _own(red, centre), centre.mac(centre.server("red"))
    targets = [[mac, SERVER], [mac, _link_local(mac)]]
    wanted = {(address, port) for _, address in targets for port in (445, 2049)}
    assert open_ports(red, wanted, own=own, targets=targets, ports=[1, 65535]) == wanted


def open_ports(machine: Host, wanted: set[tuple[str, int]], **values: object) -> set[tuple[str, int]]:
    """Return the addresses and ports that are open; asked again until those are found that are wanted: a busy host drops frames."""
    found = set[tuple[str, int]]()

    def is_found() -> bool:
        found.update((address, port) for _, address, port in attack(machine, "scan", **values) if port)
        return found >= wanted

    wait_for(is_found, "all open ports")
    return found


def test_with_version_3_the_ports_of_that_are_open_too(centre: DataCentre, module_directory: str) -> None:
    """TCP alone, of each share server for itself, on servers that were there before; and closed again without it."""
    red, blue = centre.machine("red"), centre.machine("blue")
    rule = AccessRule("ip", "10.20.0.0/24", "rw")
    for versions, ports, last in ((("3",), {111, 445, 2049, 20048}, 65535), ((), {445, 2049}, 20048)):
        driver: Any = FACTORY.open(_spec(module_directory, centre.mark, *versions), environment(module_directory))
        for share in driver.list_shares():
            grant(driver, share, rule)
        driver.close()
        assert nfs(red, SERVER, "/shares/data", "ls").is_done
        assert nfs(red, SERVER, "/shares/data", "put", "whose", "red", port=V3).is_done == bool(versions)
        assert nfs(blue, SERVER, "/shares/data", "cat", "whose", port=V3).text != "red"
        mac = centre.mac(centre.server("red"))
        wanted = {(SERVER, port) for port in ports}
        assert open_ports(red, wanted, own=_own(red, centre), targets=[[mac, SERVER]], ports=[1, last]) == wanted
        sockets = centre.server("red").run("ss", "-H", "-l", "-n", "-u").stdout
        assert sockets == ""


def test_a_tenant_that_calls_itself_the_router_is_not_believed(centre: DataCentre) -> None:
    """Neither by the storage host nor by the share server, which take no address, no route and no hop limit from it."""
    red = centre.machine("red")
    before = [_routes(host) for host in (centre.storage, centre.server("red"))]
    attack(red, "advertise", own=_own(red, centre))
    # What comes after it has been answered, so that it was looked at.
    assert nfs(red, SERVER, "/shares/data", "put", "after", "1").is_done
    assert [_routes(host) for host in (centre.storage, centre.server("red"))] == before
    links = centre.server("red").run("ip", "-6", "addr").stdout
    assert "fd66:" not in links
    assert "fd66:" not in centre.storage.run("ip", "-6", "addr").stdout


def _routes(host: Host) -> str:
    return host.run("ip", "-6", "route").stdout


def test_no_switch_between_namespaces_forwards_or_listens(centre: DataCentre) -> None:
    """A share server forwards nothing and takes no redirect; bridge and tunnel have no address at all."""
    for tenant in ("red", "blue"):
        inside = centre.server(tenant)
        for switch in (
            *(
                "ipv4/ip_forward",
                "ipv4/conf/all/accept_redirects",
                "ipv4/conf/all/send_redirects",
                "ipv6/conf/all/forwarding",
            ),
            *("ipv4/conf/eth0/accept_redirects", "ipv6/conf/eth0/accept_ra", "ipv6/conf/eth0/accept_redirects"),
            *("ipv6/conf/eth0/autoconf", "ipv4/conf/eth0/accept_source_route", "ipv6/conf/eth0/accept_source_route"),
        ):
            value = inside.run("cat", f"/proc/sys/net/{switch}").stdout.strip()
            assert (switch, value in {"0", "-1"}) == (switch, True), value
    segments = segments_of(centre.storage.namespace_path)
    assert len(segments) == 2
    for segment in segments:
        assert "inet" not in Host(segment, "", "").run("ip", "addr").stdout
    links = json.loads(centre.storage.run("ip", "-j", "link").stdout)
    assert [link["ifname"] for link in links if link["ifname"].startswith("sc")] == []


def test_tunnel_packets_with_anothers_number_reach_nobody(centre: DataCentre) -> None:
    """Sent by a tenant to whatever might be an end of tunnels, or by a stranger between the hosts: no neighbour is taken for another."""
    red, blue = centre.machine("red"), centre.machine("blue")
    assert nfs(blue, SERVER, "/shares/data", "put", "f", "blue").is_done
    forged = "02:66:66:66:66:66"
    server_mac, storage_mac = centre.mac(centre.server("red")), centre.mac(centre.storage)
    macs = {server_mac, EVERYBODY, *centre.macs(centre.storage)}
    packet = {"vni": 5002, "mac": forged, "victim": SERVER, "claims": "10.20.0.100"}
    via = [[mac, address] for mac in sorted(macs) for address in (HOST_IPV4, SERVER)]
    sources = ["10.20.0.100", "192.0.2.20", "192.0.2.66"]
    attack(red, "poison", interface="eth0", packet=packet, via=via, sources=sources)
    assert nfs(red, SERVER, "/shares/data", "put", "after", "1").is_done
    # A stranger on the network between the hosts, who is no end of the tunnels.
    strangers = ["192.0.2.66", "203.0.113.9"]
    via = [[storage_mac, HOST_IPV4]]
    attack(centre.underlay, "poison", interface="eth0", packet=packet, via=via, sources=strangers)
    assert nfs(blue, SERVER, "/shares/data", "cat", "f").text == "blue"
    neighbours = centre.server("blue").run("ip", "neigh").stdout
    assert forged not in neighbours
    for segment in segments_of(centre.storage.namespace_path):
        assert forged not in Host(segment, "", "").run("bridge", "fdb").stdout
    assert forged not in centre.storage.run("bridge", "fdb").stdout


def test_a_known_end_of_the_tunnels_is_heard(centre: DataCentre) -> None:
    """So that the test above shows something: the same packet from a known end is taken."""
    mac = "02:77:77:77:77:77"
    packet = {"vni": 5002, "mac": mac, "victim": SERVER, "claims": "10.20.0.77"}
    via = [[centre.mac(centre.storage), HOST_IPV4]]

    def is_heard() -> bool:
        attack(centre.underlay, "poison", interface="eth0", packet=packet, via=via, sources=["192.0.2.20"])
        return mac in centre.server("blue").run("ip", "neigh").stdout

    wait_for(is_heard, "the neighbour")
